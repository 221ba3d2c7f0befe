/** The whole chat as one component: list, conversation, composer; the same components as the page that chatd serves. */

import { useCallback, useMemo, useState } from "react";
import type { Id } from "@chatd/client";
import { Announcer } from "./components/alerts/announcer.js";
import { type Chat, ChatContext, type Shown } from "./components/context.js";
import { Layout } from "./components/layout.js";
import { Passing } from "./components/ui/passing.js";
import { useWantedPerson } from "./components/wanted-person.js";
import { Isolated } from "./isolated.js";
import { useClient } from "./provider.js";

export interface ChatInterfaceProps {
  /** The conversation to show; undefined: the component keeps by itself what was chosen in it. */
  readonly conversation?: Id | null | undefined;
  /** Another conversation was chosen; null: the list, where there is room for one of the two. */
  readonly onConversation?: ((conversation: Id | null) => void) | undefined;
  /** Opens the conversation with this user, as a "Chat with" button does. */
  readonly with?: Id | undefined;
  /** Above the list. */
  readonly brand?: { readonly name: string; readonly logoUrl?: string | null } | undefined;
  /** Beside `chatd`, the class whose `--chatd-...` variables theme it. */
  readonly className?: string | undefined;
}

/**
 * As large as what is around it, and of one or two panes by its own width. Needs a ChatProvider. Its styles stay inside,
 * and those of the page outside.
 */
export function ChatInterface({
  conversation,
  onConversation,
  with: person,
  brand,
  className = "",
}: ChatInterfaceProps) {
  const client = useClient();
  const [chosen, setChosen] = useState<Shown | null>(null);
  const [passing, setPassing] = useState<{ readonly text: string } | null>(null);
  const shown = conversation === undefined || chosen?.conversation === conversation ? chosen : asShown(conversation);

  const show = useCallback(
    (id: Id | null, seq?: number) => {
      setChosen(id === null ? null : { conversation: id, target: seq === undefined ? null : { seq } });
      onConversation?.(id);
    },
    [onConversation],
  );
  const name = brand?.name ?? "";
  const logoUrl = brand?.logoUrl ?? null;
  const chat = useMemo<Chat>(
    () => ({
      client,
      brand: { name, logoUrl },
      show,
      tell: (text) => {
        setPassing({ text });
      },
    }),
    [client, name, logoUrl, show],
  );
  const waitingFor = useWantedPerson(chat, person ?? null, false);

  return (
    <Isolated className={`chatd ${className}`.trim()}>
      {(narrow) => (
        <ChatContext.Provider value={chat}>
          <Layout shown={shown} waitingFor={shown ? null : waitingFor} narrow={narrow} />
          <Announcer shown={shown?.conversation ?? null} />
          <Passing said={passing} />
        </ChatContext.Provider>
      )}
    </Isolated>
  );
}

function asShown(conversation: Id | null): Shown | null {
  return conversation === null ? null : { conversation, target: null };
}
