/**
 * Where the "New messages" line stands: it is set when a conversation opens, or when messages come while nobody looks,
 * and then frozen. Receipts don't move it. It goes after an own send, Esc, or when it was seen and the reader is back
 * at the bottom.
 */

export interface Divider {
  /** The first new message's seq; null: no line. */
  readonly seq: number | null;
  /** Was on screen, with somebody looking. */
  readonly seen: boolean;
  /** Was set while nobody looked, and nobody has looked since: later messages don't move it. */
  readonly unattended: boolean;
}

export type DividerEvent =
  | { readonly type: "opened"; readonly firstUnread: number | null }
  | { readonly type: "came"; readonly seq: number; readonly attentive: boolean }
  | { readonly type: "attentive" }
  | { readonly type: "on-screen" }
  | { readonly type: "back-at-bottom" }
  | { readonly type: "own-send" }
  | { readonly type: "dismissed" };

export const NO_DIVIDER: Divider = { seq: null, seen: false, unattended: false };

export function dividerAfter(divider: Divider, event: DividerEvent): Divider {
  switch (event.type) {
    case "opened":
      return { ...NO_DIVIDER, seq: event.firstUnread };
    case "came":
      if (event.attentive || divider.unattended) return divider;
      return { seq: event.seq, seen: false, unattended: true };
    case "attentive":
      return divider.unattended ? { ...divider, unattended: false } : divider;
    case "on-screen":
      return divider.seq === null || divider.seen ? divider : { ...divider, seen: true };
    case "back-at-bottom":
      return divider.seen ? NO_DIVIDER : divider;
    case "own-send":
    case "dismissed":
      return divider.seq === null ? divider : NO_DIVIDER;
  }
}
