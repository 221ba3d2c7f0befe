/** The history as rows: messages, days between them, and the line where reading stopped. */

import type { OutboxItem, TimelineItem } from "@chatd/client";
import { startOfDay } from "../times.js";

/** Messages of one person within this time share one header. */
const SAME_GROUP_MS = 5 * 60_000;

export type HistoryRow =
  | { readonly type: "day"; readonly key: string; readonly at: number }
  | { readonly type: "divider"; readonly key: string }
  | {
      readonly type: "message";
      readonly key: string;
      readonly item: TimelineItem;
      /** Begins a group: has the sender and the time above it. */
      readonly first: boolean;
    }
  | { readonly type: "waiting"; readonly key: string; readonly item: OutboxItem; readonly first: boolean };

export function rowsOf(
  items: readonly TimelineItem[],
  outbox: readonly OutboxItem[],
  dividerSeq: number | null,
  me: string,
): HistoryRow[] {
  const rows: HistoryRow[] = [];
  let before: { readonly at: number; readonly sender: string | null } | null = null;
  let divided = false;
  let toDivide = dividerSeq !== null;
  const enter = (at: number, sender: string | null): boolean => {
    const newDay = before === null || startOfDay(before.at) !== startOfDay(at);
    if (newDay) rows.push({ type: "day", key: `day-${startOfDay(at)}`, at });
    if (divided) rows.push({ type: "divider", key: "divider" });
    const first = newDay || before?.sender !== sender || at - before.at > SAME_GROUP_MS || divided;
    before = { at, sender };
    divided = false;
    return first;
  };
  for (const item of items) {
    const { message, seq } = item;
    const foreign = !item.own && message.kind !== "system";
    if (toDivide && dividerSeq !== null && seq >= dividerSeq && foreign) {
      toDivide = false;
      // Above the first of the slice the line would say something untrue, unless it belongs exactly there.
      divided = rows.length > 0 || seq === dividerSeq;
    }
    const plain = message.kind === "text";
    const first = enter(Date.parse(message.sent_at), plain ? (message.sender ?? null) : `${message.kind} ${seq}`);
    rows.push({ type: "message", key: item.key, item, first });
  }
  for (const item of outbox) {
    rows.push({ type: "waiting", key: item.key, item, first: enter(item.createdAt, me) });
  }
  return rows;
}
