/** History: a bounded run of messages in the document, which never moves under the eye. */

import { memo, useMemo, useRef } from "react";
import type { ConversationSnapshot } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { dayName, fullTime } from "../times.js";
import { Icon } from "../ui/icons.js";
import { words } from "../words.js";
import { keyPressed } from "./history-keys.js";
import { type MessageDuties, MessageRow } from "./message.js";
import { rowsOf } from "./rows.js";
import { type Scroller, useScroller } from "./scroller.js";
import { WaitingRow } from "./waiting-row.js";

interface HistoryProps {
  readonly snapshot: ConversationSnapshot;
  /** Target to jump to, once for each object. */
  readonly target: { readonly seq: number } | null;
  /** Grows with each own send. */
  readonly sends: number;
  /** Grows with each Esc that nothing else took. */
  readonly escapes: number;
  readonly onReact: MessageDuties["react"];
  readonly onMenu: MessageDuties["openMenu"];
  /** Back to the composer. */
  readonly onLeave: () => void;
}

/** Drawn anew where something of it changed, and not with each key press in the composer. */
export const History = memo(function History(props: HistoryProps) {
  const { snapshot, target, sends, escapes, onReact, onMenu, onLeave } = props;
  const { client } = useChat();
  const users = useReadable(client.users);
  const me = useReadable(client.connection).user?.id ?? "";
  const view = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const scroller = useScroller({ client, snapshot, target, sends, escapes, view, content });
  const { highlighted, missed, atNewest, current } = scroller;

  const { shown, rows, bySeq } = useRows(snapshot, scroller, me);
  const edits = useReadable(client.waitingEdits);
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
          {snapshot.lastSeq === 0 && snapshot.outbox.length === 0 && (
            <p className="empty quiet">{words.emptyConversation}</p>
          )}
          {rows.map((row) => {
            if (row.type === "day") return <Day key={row.key} at={row.at} now={now} />;
            if (row.type === "divider") return <NewMessages key={row.key} />;
            if (row.type === "waiting") return <WaitingRow key={row.key} item={row.item} first={row.first} />;
            const { reply_to: replyTo } = row.item.message;
            return (
              <MessageRow
                key={row.key}
                item={row.item}
                edit={
                  edits.find(({ conversation, seq }) => conversation === snapshot.id && seq === row.item.seq) ?? null
                }
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
      {!atNewest && <JumpButton missed={missed} onPress={scroller.jumpToNewest} />}
    </div>
  );
});

/** The messages that are in the document, with what stands between them. */
function useRows(snapshot: ConversationSnapshot, { slice, divider }: Scroller, me: string) {
  const { items, outbox, view } = snapshot;
  const shown = useMemo(
    () => items.filter(({ seq }) => seq >= slice.low && (slice.high === null || seq <= slice.high)),
    [items, slice],
  );
  const withOutbox = slice.high === null && view === "live";
  const rows = useMemo(
    () => rowsOf(shown, withOutbox ? outbox : [], divider, me),
    [shown, withOutbox, outbox, divider, me],
  );
  const bySeq = useMemo(() => new Map(items.map((item) => [item.seq, item])), [items]);
  return { shown, rows, bySeq };
}

function Day({ at, now }: { at: number; now: number }) {
  return (
    <p className="day">
      <time title={fullTime(at)}>{dayName(at, now)}</time>
    </p>
  );
}

function NewMessages() {
  return (
    <p className="divider" data-divider="">
      <span>{words.newMessages}</span>
    </p>
  );
}

/** Leads to the newest, and counts what came meanwhile. */
function JumpButton({ missed, onPress }: { missed: number; onPress: () => void }) {
  return (
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
        onClick={onPress}
      >
        <Icon name="down" />
      </button>
    </div>
  );
}
