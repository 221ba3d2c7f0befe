/** Speaks what comes in for the conversation on screen, to those who hear the page; the history itself is silent. */

import { useEffect, useState } from "react";
import type { Message, User } from "@chatd/client";
import { personOf, useChat } from "../context.js";
import { lineOf } from "../names.js";
import { words } from "../words.js";

const BATCH_MS = 1_000;
const GONE_AFTER_MS = 7_000;
const MAX_SPOKEN = 3;

export function Announcer({ shown }: { shown: string | null }) {
  const { client } = useChat();
  const [text, setText] = useState("");

  useEffect(() => {
    let batch: Message[] = [];
    let spoken = 0;
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const later = (work: () => void, ms: number) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        work();
      }, ms);
      timers.add(timer);
    };
    const speak = () => {
      const said = announcementOf(batch, client.users.getSnapshot());
      batch = [];
      spoken += 1;
      const round = spoken;
      setText(spoken % 2 ? said : `${said}\u200b`); // the same words twice are spoken twice
      later(() => {
        if (round === spoken) setText("");
      }, GONE_AFTER_MS);
    };
    const end = client.onIncoming(({ conversation, message, live }) => {
      if (!live || conversation !== shown) return;
      batch.push(message);
      if (batch.length === 1) later(speak, BATCH_MS);
    });
    return () => {
      end();
      for (const timer of timers) clearTimeout(timer);
      setText("");
    };
  }, [client, shown]);

  return (
    <div className="hidden" aria-live="polite" aria-atomic="true" data-announcer="">
      {text}
    </div>
  );
}

/** "Dr Ay: It looks good." for each, or how many they are. */
export function announcementOf(batch: readonly Message[], users: ReadonlyMap<string, User>): string {
  if (batch.length > MAX_SPOKEN) return words.newCount(batch.length);
  return batch
    .map((message) =>
      message.sender == null ? lineOf(message) : words.said(personOf(users, message.sender).name, lineOf(message)),
    )
    .join(" ");
}
