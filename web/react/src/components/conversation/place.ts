/** Reading places, kept for each conversation of this tab across switches and reloads. */

export interface Place {
  /** The message nearest the eye, and its distance from the top of the view in px. */
  readonly seq: number;
  readonly offset: number;
  /** Up to where this reader had read then, receipts on their way included. */
  readonly readSeq: number;
}

const PREFIX = "chatd.place.";

export function keepPlace(conversation: string, place: Place | null): void {
  const key = PREFIX + conversation;
  try {
    if (place === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(place));
  } catch {
    return; // full or switched off: the conversation opens at the newest
  }
}

export function keptPlace(conversation: string): Place | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PREFIX + conversation) ?? "null") as Partial<Place> | null;
    if (!kept || typeof kept.seq !== "number" || typeof kept.offset !== "number") return null;
    return { seq: kept.seq, offset: kept.offset, readSeq: Number(kept.readSeq) || 0 };
  } catch {
    return null;
  }
}

export type Opening =
  | { readonly at: "newest" }
  | { readonly at: "unread"; readonly seq: number }
  | { readonly at: "place"; readonly place: Place };

/** Returns the place where a conversation opens: unread messages first; reading elsewhere makes an old place void. */
export function openingOf(
  read: { readonly readSeq: number; readonly unread: number; readonly firstUnread: number | null },
  place: Place | null,
): Opening {
  if (read.unread > 0 && read.firstUnread !== null) return { at: "unread", seq: read.firstUnread };
  if (place && read.readSeq <= place.readSeq) return { at: "place", place };
  return { at: "newest" };
}
