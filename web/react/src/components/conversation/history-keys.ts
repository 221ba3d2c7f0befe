/** Keys that move in the history. */

import type { KeyboardEvent } from "react";
import type { TimelineItem } from "@chatd/client";
import type { MessageDuties } from "./message.js";

const PAGE_ROWS = 8;

/** The history is one tab stop: arrows, Home, End and Page keys move by message. */
export function keyPressed(
  event: KeyboardEvent<HTMLElement>,
  items: readonly TimelineItem[],
  onMenu: MessageDuties["openMenu"],
  onLeave: () => void,
): void {
  const target = event.target as HTMLElement;
  const row = target.closest<HTMLElement>("article");
  if (event.key === "Escape") {
    onLeave();
  } else if (!row) {
    return;
  } else if ((event.key === "Enter" && target === row) || (event.key === "F10" && event.shiftKey)) {
    const item = items.find(({ key }) => key === row.dataset["key"]);
    const trigger = row.querySelector<HTMLElement>(".message-actions");
    if (item && trigger) onMenu(item, trigger);
  } else {
    const rows = [...event.currentTarget.querySelectorAll<HTMLElement>("article")];
    const to = rowAfter(event.key, rows.indexOf(row), rows.length);
    if (to === null) return;
    rows[to]?.focus({ preventScroll: true });
    rows[to]?.scrollIntoView({ block: "nearest" });
  }
  event.preventDefault();
}

function rowAfter(key: string, at: number, count: number): number | null {
  const last = count - 1;
  if (key === "ArrowUp") return Math.max(0, at - 1);
  if (key === "ArrowDown") return Math.min(last, at + 1);
  if (key === "PageUp") return Math.max(0, at - PAGE_ROWS);
  if (key === "PageDown") return Math.min(last, at + PAGE_ROWS);
  if (key === "Home") return 0;
  if (key === "End") return last;
  return null;
}
