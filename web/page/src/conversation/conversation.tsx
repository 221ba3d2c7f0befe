/** One conversation: who it is with, what was said, what is about to be said. */

import { useCallback, useEffect, useRef, useState } from "react";
import { ChatError, type TimelineItem } from "@chatd/client";
import { ConnectionLine } from "../connection-line.js";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { isPresent } from "../names.js";
import { words } from "../words.js";
import { Composer, type ComposerMode } from "./composer.js";
import { Header } from "./header.js";
import { History } from "./history.js";
import { MessageMenu } from "./message-menu.js";
import { TypingLine } from "./typing-line.js";

export function Conversation({
  id,
  target,
  narrow,
}: {
  id: string;
  target: { readonly seq: number } | null;
  narrow: boolean;
}) {
  const { client, tell } = useChat();
  const snapshot = useReadable(client.conversation(id));
  const [problem, setProblem] = useState(false);
  const [editing, setEditing] = useState<TimelineItem | null>(null);
  const [sends, setSends] = useState(0);
  const [escapes, setEscapes] = useState(0);
  const [menu, setMenu] = useState<{ readonly item: TimelineItem; readonly trigger: HTMLElement } | null>(null);
  const draft = useReadable(client.drafts)?.get(id) ?? null;
  const composer = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    let over = false;
    client.load(id).catch((error: unknown) => {
      if (!over) setProblem(!(error instanceof ChatError && error.code === "closed"));
    });
    client.setFocus(id);
    return () => {
      over = true;
      client.setFocus(null);
      client.stopTyping(id);
    };
  }, [client, id]);

  const focusComposer = useCallback(() => {
    composer.current?.focus();
  }, []);
  const react = useCallback(
    (seq: number, emoji: string, on: boolean) => {
      client.react(id, seq, emoji, on).catch(() => {
        tell(words.actionFailed);
      });
    },
    [client, id, tell],
  );
  const openMenu = useCallback((item: TimelineItem, trigger: HTMLElement) => {
    setMenu({ item, trigger });
  }, []);

  const removed = snapshot.state === "gone" || (snapshot.me !== null && !isPresent(snapshot.me));
  const mode: ComposerMode = editing
    ? { type: "edit", item: editing }
    : draft?.replyTo != null
      ? { type: "reply", seq: draft.replyTo }
      : { type: "new" };
  const chosen = menu && snapshot.items.find(({ key }) => key === menu.item.key);
  return (
    <main
      className="conversation"
      onKeyDown={(event) => {
        if (event.key === "Escape") setEscapes(escapes + 1);
      }}
    >
      <Header snapshot={snapshot} narrow={narrow} />
      {removed ? (
        <div className="centred grow">
          <h2>{words.removed}</h2>
          <p className="quiet">{words.removedText}</p>
        </div>
      ) : snapshot.state === "ready" ? (
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
        <div className="centred grow">{problem && <p className="quiet">{words.loadFailed}</p>}</div>
      )}
      <div className="foot">
        <TypingLine snapshot={snapshot} />
        <ConnectionLine />
      </div>
      {!removed && (
        <Composer
          ref={composer}
          id={id}
          text={draft?.text ?? ""}
          mode={mode}
          quoted={mode.type === "reply" ? (snapshot.items.find(({ seq }) => seq === mode.seq)?.message ?? null) : null}
          onSent={() => {
            setSends(sends + 1);
          }}
          onEdited={() => {
            setEditing(null);
          }}
        />
      )}
      {menu && chosen && (
        <MessageMenu
          item={chosen}
          trigger={menu.trigger}
          onClose={() => {
            setMenu(null);
          }}
          onReply={() => {
            setEditing(null);
            client.setDraft(id, draft?.text ?? "", chosen.seq);
            focusComposer();
          }}
          onEdit={() => {
            setEditing(chosen);
          }}
          onReact={(emoji, on) => {
            react(chosen.seq, emoji, on);
          }}
        />
      )}
    </main>
  );
}
