const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** Returns ms to wait before the next attempt: anything below a bound that doubles (full jitter). */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 10));
}
