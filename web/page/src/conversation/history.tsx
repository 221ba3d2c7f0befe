/** What was said: a bounded run of messages in the document, which never moves under the eye. */

import { type KeyboardEvent, useMemo, useRef } from "react";
import type { ConversationSnapshot, TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { dayName, fullTime } from "../times.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { type MessageDuties, MessageRow, WaitingRow } from "./message.js";
import { rowsOf } from "./rows.js";
import { useScroller } from "./scroller.js";

export function History({
  snapshot,
  target,
  sends,
  escapes,
  onReact,
  onMenu,
  onLeave,
}: {
  snapshot: ConversationSnapshot;
  /** Where to jump to, once for each object. */
  target: { readonly seq: number } | null;
  /** Grows with each own send. */
  sends: number;
  /** Grows with each Esc that nothing else took. */
  escapes: number;
  onReact: MessageDuties["react"];
  onMenu: MessageDuties["openMenu"];
  /** Back to the composer. */
  onLeave: () => void;
}) {
  const { client } = useChat();
  const users = useReadable(client.users);
  const me = useReadable(client.connection).user?.id ?? "";
  const view = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const scroller = useScroller({ client, snapshot, target, sends, escapes, view, content });
  const { slice, divider, highlighted, missed, atNewest, current } = scroller;

  const { items, outbox, view: shownView } = snapshot;
  const shown = useMemo(
    () => items.filter(({ seq }) => seq >= slice.low && (slice.high === null || seq <= slice.high)),
    [items, slice],
  );
  const withOutbox = slice.high === null && shownView === "live";
  const rows = useMemo(
    () => rowsOf(shown, withOutbox ? outbox : [], divider, me),
    [shown, withOutbox, outbox, divider, me],
  );
  const bySeq = useMemo(() => new Map(items.map((item) => [item.seq, item])), [items]);
  const { jumpTo } = scroller;
  const duties = useMemo<MessageDuties>(
    () => ({ openMenu: onMenu, jumpTo, react: onReact }),
    [onMenu, jumpTo, onReact],
  );
  const stop = current !== null && shown.some(({ key }) => key === current) ? current : (shown.at(-1)?.key ?? null);
  const now = client.serverNow();

  return (
    <div className="history-frame">
      <div
        ref={view}
        className="history"
        role="log"
        aria-label={words.messages}
        aria-live="off"
        onScroll={scroller.onScroll}
        onFocus={scroller.onFocus}
        onKeyDown={(event) => {
          keyPressed(event, shown, onMenu, onLeave);
        }}
      >
        <div ref={content} className="history-content">
          {snapshot.loadingOlder && <p className="hidden">{words.loadingOlder}</p>}
          {snapshot.lastSeq === 0 && outbox.length === 0 && <p className="empty quiet">{words.emptyConversation}</p>}
          {rows.map((row) => {
            if (row.type === "day") {
              return (
                <p key={row.key} className="day">
                  <time title={fullTime(row.at)}>{dayName(row.at, now)}</time>
                </p>
              );
            }
            if (row.type === "divider") {
              return (
                <p key={row.key} className="divider" data-divider="">
                  <span>{words.newMessages}</span>
                </p>
              );
            }
            if (row.type === "waiting") return <WaitingRow key={row.key} item={row.item} first={row.first} />;
            const { reply_to: replyTo } = row.item.message;
            return (
              <MessageRow
                key={row.key}
                item={row.item}
                first={row.first}
                quoted={replyTo == null ? null : (bySeq.get(replyTo) ?? null)}
                current={row.key === stop}
                highlighted={row.item.seq === highlighted}
                size={snapshot.lastSeq}
                users={users}
                me={me}
                duties={duties}
              />
            );
          })}
        </div>
      </div>
      {!atNewest && (
        <div className="jump">
          {missed > 0 && (
            <span className="badge" id="missed" data-count={missed}>
              <span className="hidden">{words.newCount(missed)}</span>
            </span>
          )}
          <button
            type="button"
            className="jump-button"
            aria-label={words.jumpToNewest}
            aria-describedby={missed > 0 ? "missed" : undefined}
            onClick={scroller.jumpToNewest}
          >
            <Icon name="down" />
          </button>
        </div>
      )}
    </div>
  );
}

/** The history is one tab stop: arrows, Home, End and Page keys move by message. */
function keyPressed(
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

const PAGE_ROWS = 8;

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
