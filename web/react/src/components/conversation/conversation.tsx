/** One conversation: who it is with, what was said, what is about to be said. */

import { useCallback, useRef, useState } from "react";
import { ChatError, type ConversationSnapshot, type OutboxItem, type TimelineItem } from "@chatd/client";
import { ConnectionLine } from "../connection-line.js";
import { useChat } from "../context.js";
import { useAttaching, useDrop } from "../files/attaching.js";
import { useEditing, useReadable } from "../hooks.js";
import { isPresent } from "../names.js";
import { useOpened } from "../use-opened.js";
import { words } from "../words.js";
import { Composer } from "./composer.js";
import { Header } from "./header.js";
import { History } from "./history.js";
import type { MessageDuties } from "./message.js";
import { MessageMenu } from "./message-menu.js";
import { TypingLine } from "./typing-line.js";
import { WaitingRow } from "./waiting-row.js";

export function Conversation({
  id,
  target,
  narrow,
}: {
  id: string;
  target: { readonly seq: number } | null;
  narrow: boolean;
}) {
  const { client } = useChat();
  const snapshot = useReadable(client.conversation(id));
  const failure = useOpened(client, id);
  const problem = failure !== null && !(failure instanceof ChatError && failure.code === "closed");
  const editing = useEditing(client, id);
  const [sends, setSends] = useState(0);
  const [escapes, setEscapes] = useState(0);
  const field = useRef<HTMLTextAreaElement>(null);
  const focusComposer = useCallback(() => {
    field.current?.focus();
  }, []);
  const react = useReact(id);
  const { menu, openMenu } = useMenu(snapshot, react, {
    onReply: ({ seq }) => {
      client.beginEdit(id, null);
      client.setDraft(id, client.drafts.getSnapshot()?.get(id)?.text ?? "", seq);
      focusComposer();
    },
    onEdit: ({ seq, message }) => {
      client.beginEdit(id, seq, message.body);
    },
  });

  const removed = snapshot.state === "gone" || (snapshot.me !== null && !isPresent(snapshot.me));
  const attaching = useAttaching(id);
  const drop = useDrop(removed || editing ? null : attaching.add);
  return (
    <main
      className="conversation"
      {...drop.handlers}
      onKeyDown={(event) => {
        if (event.key === "Escape") setEscapes(escapes + 1);
      }}
    >
      <Header snapshot={snapshot} narrow={narrow} />
      {!removed && snapshot.state === "ready" ? (
        <History
          snapshot={snapshot}
          target={target}
          sends={sends}
          escapes={escapes}
          onReact={react}
          onMenu={openMenu}
          onLeave={focusComposer}
        />
      ) : (
        <NoHistory removed={removed} problem={problem} outbox={snapshot.outbox} />
      )}
      <div className="foot">
        <TypingLine snapshot={snapshot} />
        <ConnectionLine />
      </div>
      {!removed && (
        <Composer
          field={field}
          id={id}
          items={snapshot.items}
          attaching={attaching}
          onSent={() => {
            setSends(sends + 1);
          }}
        />
      )}
      {menu}
      {drop.over && <p className="drop-here">{words.dropFiles}</p>}
    </main>
  );
}

function useReact(id: string): MessageDuties["react"] {
  const { client, tell } = useChat();
  return useCallback(
    (seq, emoji, on) => {
      client.react(id, seq, emoji, on).catch(() => {
        tell(words.actionFailed);
      });
    },
    [client, id, tell],
  );
}

/** The menu of one of the messages, while it is open. */
function useMenu(
  { items }: ConversationSnapshot,
  react: MessageDuties["react"],
  { onReply, onEdit }: { onReply: (item: TimelineItem) => void; onEdit: (item: TimelineItem) => void },
) {
  const [open, setOpen] = useState<{ readonly item: TimelineItem; readonly trigger: HTMLElement } | null>(null);
  const openMenu = useCallback<MessageDuties["openMenu"]>((item, trigger) => {
    setOpen({ item, trigger });
  }, []);
  const chosen = open && items.find(({ key }) => key === open.item.key);
  const menu = open && chosen && (
    <MessageMenu
      item={chosen}
      trigger={open.trigger}
      onClose={() => {
        setOpen(null);
      }}
      onReply={() => {
        onReply(chosen);
      }}
      onEdit={() => {
        onEdit(chosen);
      }}
      onReact={(emoji, on) => {
        react(chosen.seq, emoji, on);
      }}
    />
  );
  return { menu, openMenu };
}

/** Not loaded yet, or not the user's any more; what they have just written is to be seen all the same. */
function NoHistory({
  removed,
  problem,
  outbox,
}: {
  removed: boolean;
  problem: boolean;
  outbox: readonly OutboxItem[];
}) {
  if (!removed && outbox.length > 0) {
    return (
      <div className="history grow" role="log" aria-label={words.messages} aria-live="off">
        <div className="history-content">
          {outbox.map((item) => (
            <WaitingRow key={item.key} item={item} first />
          ))}
        </div>
      </div>
    );
  }
  if (!removed) return <div className="centred grow">{problem && <p className="quiet">{words.loadFailed}</p>}</div>;
  return (
    <div className="centred grow">
      <h2>{words.removed}</h2>
      <p className="quiet">{words.removedText}</p>
    </div>
  );
}
