/** State of the history's scrolling between events; nothing is drawn from it. */

import type { ConversationSnapshot, SeenWatch } from "@chatd/client";
import { nothingFocused, placeOf } from "../ui/focus.js";
import type { Anchor } from "./anchor.js";
import type { Slice } from "./slice.js";

export type Pending =
  | { readonly to: "newest" }
  | { readonly to: "seq"; readonly seq: number; readonly offset?: number; readonly highlight: boolean };

export class ScrollState {
  anchor: Anchor | null = null;
  /** Target to go to as soon as it is in the document; until then nothing counts as seen. */
  pending: Pending | null = null;
  opened = false;
  watch: SeenWatch | null = null;
  /** The newest seq that was on screen with somebody looking. */
  maxSeen = 0;
  /** The newest seq of which it was asked whether it is somebody else's. */
  lastKnown: number;
  focused: { readonly element: Element; readonly seq: number } | null = null;

  constructor(
    public snapshot: ConversationSnapshot,
    public slice: Slice,
  ) {
    this.lastKnown = snapshot.lastSeq;
  }
}

export function firstUnreadOf({ items }: ConversationSnapshot, readSeq: number): number | null {
  const [first] = items;
  if (!first) return null;
  if (first.seq > readSeq + 1) return readSeq + 1; // older than what is loaded
  const unread = items.find(
    ({ seq, own, message }) => seq > readSeq && !own && message.kind !== "system" && message.deleted_at == null,
  );
  return unread?.seq ?? null;
}

export function missedOf({ items, lastSeq, view }: ConversationSnapshot, bottomSeq: number): number {
  if (view === "detached") return Math.max(0, lastSeq - bottomSeq);
  return items.filter(({ seq, own, message }) => seq > bottomSeq && !own && message.kind !== "system").length;
}

/** A focus never falls to nothing because its row went: the row nearest to it has it then. */
export function keepFocus(view: HTMLElement, focused: ScrollState["focused"]): void {
  if (!focused || focused.element.isConnected || !nothingFocused(placeOf(view))) return;
  const rows = [...view.querySelectorAll<HTMLElement>("article[data-seq]")];
  const next = rows.find(({ dataset }) => Number(dataset["seq"]) >= focused.seq) ?? rows.at(-1);
  next?.focus({ preventScroll: true });
}
