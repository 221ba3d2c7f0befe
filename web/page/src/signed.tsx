/** Somebody is signed in: starts their client, watches for the end of the session, keeps what the address names. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Client, SessionEnd } from "@chatd/client";
import { addressOf, openConversation, wantedPerson } from "./address.js";
import { Alerts } from "./alerts/alerts.js";
import { Announcer } from "./alerts/announcer.js";
import { type Chat, ChatContext } from "./context.js";
import { useNarrow, useReadable } from "./hooks.js";
import type { Offer } from "./http.js";
import { Layout } from "./layout.js";
import { Passing } from "./ui/passing.js";
import { useWantedPerson } from "./wanted-person.js";

export interface Shown {
  readonly conversation: string;
  /** Where to jump to, once for each object. */
  readonly target: { readonly seq: number } | null;
}

export function Signed({
  client,
  offer,
  onEnded,
}: {
  client: Client;
  offer: Offer;
  onEnded: (end: SessionEnd, offer: Offer) => void;
}) {
  const { ended } = useReadable(client.connection);
  const narrow = useNarrow();
  const [shown, setShown] = useState<Shown | null>(() => shownBy(openConversation()));
  const [passing, setPassing] = useState<{ readonly text: string } | null>(null);
  const shownNow = useRef(shown);

  useEffect(() => {
    client.start();
    return () => {
      client.stop();
    };
  }, [client]);

  useEffect(() => {
    if (ended) onEnded(ended, offer);
  }, [ended, offer, onEnded]);

  useEffect(() => {
    const moved = () => {
      const conversation = openConversation();
      if (conversation !== (shownNow.current?.conversation ?? null)) setShown(shownBy(conversation));
    };
    window.addEventListener("popstate", moved);
    return () => {
      window.removeEventListener("popstate", moved);
    };
  }, []);

  useEffect(() => {
    shownNow.current = shown;
  }, [shown]);

  const show = useCallback((conversation: string | null, seq?: number) => {
    const now = shownNow.current?.conversation ?? null;
    if (conversation === now && seq === undefined) return;
    if (conversation === null && history.state === "opened") {
      history.back(); // as the back gesture would
      return;
    }
    const address = addressOf(conversation);
    if (now === null && conversation !== null) history.pushState("opened", "", address);
    else history.replaceState(history.state, "", address);
    setShown(conversation === null ? null : { conversation, target: seq === undefined ? null : { seq } });
  }, []);

  const chat = useMemo<Chat>(
    () => ({
      client,
      brand: { name: offer.name, logoUrl: offer.logo_url ?? null },
      show,
      embedded: false,
      tell: (text) => {
        setPassing({ text });
      },
    }),
    [client, offer, show],
  );
  useTitle(client, offer.name);
  const [wanted] = useState(() => (openConversation() === null ? wantedPerson() : null));
  const waitingFor = useWantedPerson(chat, wanted, offer.development);

  return (
    <ChatContext.Provider value={chat}>
      <Layout shown={shown} waitingFor={shown ? null : waitingFor} narrow={narrow} />
      <Announcer shown={shown?.conversation ?? null} />
      <Alerts shown={shown?.conversation ?? null} />
      <Passing said={passing} />
    </ChatContext.Provider>
  );
}

/** The tab says how many messages are unread. */
function useTitle(client: Client, brand: string): void {
  const { unread } = useReadable(client.conversations);
  const name = brand || "Chat";
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) ${name}` : name;
  }, [unread, name]);
}

function shownBy(conversation: string | null): Shown | null {
  return conversation === null ? null : { conversation, target: null };
}
