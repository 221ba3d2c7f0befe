/** Slice of the loaded messages that is in the document: a bounded run around what is on screen. */

export const MAX_ROWS = 160;
const STEP_ROWS = 60;

/** Seqs, both inclusive; `high` null: up to the newest, whatever comes. */
export interface Slice {
  readonly low: number;
  readonly high: number | null;
}

interface Loaded {
  readonly first: number;
  readonly last: number;
}

export function newestSlice({ last }: Loaded): Slice {
  return { low: Math.max(1, last - STEP_ROWS + 1), high: null };
}

export function sliceAround(seq: number): Slice {
  return { low: Math.max(1, seq - STEP_ROWS), high: seq + STEP_ROWS };
}

/** More of what is above; what is far below goes. */
export function widenedUp({ low, high }: Slice, { first, last }: Loaded): Slice {
  const to = Math.max(first, low - STEP_ROWS);
  const end = high ?? last;
  return { low: to, high: end - to >= MAX_ROWS ? to + MAX_ROWS - 1 : high };
}

/** More of what is below; what is far above goes. */
export function widenedDown({ low, high }: Slice, { last }: Loaded, atEnd: boolean): Slice {
  if (high === null) return { low, high };
  const end = high + STEP_ROWS;
  const reached = end >= last && atEnd;
  return { low: Math.max(low, Math.min(end, last) - MAX_ROWS + 1), high: reached ? null : end };
}

/** While the newest are followed, old ones go as new ones come. */
export function trimmed(slice: Slice, { last }: Loaded): Slice {
  if (slice.high !== null || last - slice.low < MAX_ROWS) return slice;
  return { low: last - STEP_ROWS + 1, high: null };
}
