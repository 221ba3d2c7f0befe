/** Somebody is signed in: starts their client, watches for the end of the session, keeps what the address names. */

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { EditingClient, SessionEnd } from "@chatd/client";
import {
  addressOf,
  Announcer,
  type Chat,
  ChatContext,
  Layout,
  Passing,
  type Shown,
  useNarrow,
  useReadable,
  useWantedPerson,
} from "@chatd/react/components";
import { openConversation, wantedPerson } from "./address.js";
import { Alerts } from "./alerts/alerts.js";
import { NotificationsButton } from "./alerts/notifications-button.js";
import type { Offer } from "./http.js";
import { LockContext } from "./lock/context.js";
import { LockButton } from "./lock/lock-button.js";
import { LockScreen } from "./lock/lock-screen.js";
import { useLock } from "./lock/use-lock.js";
import { SignOutButton } from "./sign-out.js";

const LOCK_AFTER_MINUTES = 5;

const BUTTONS = (
  <>
    <NotificationsButton />
    <LockButton />
    <SignOutButton />
  </>
);

export function Signed({
  client,
  offer,
  onEnded,
}: {
  client: EditingClient;
  offer: Offer;
  onEnded: (end: SessionEnd, offer: Offer) => void;
}) {
  const { ended, user } = useReadable(client.connection);
  const lock = useLock(user, 60 * (offer.lock_after ?? LOCK_AFTER_MINUTES));
  const narrow = useNarrow();
  const { shown, show } = useShown();
  const [passing, setPassing] = useState<{ readonly text: string } | null>(null);

  useEffect(() => {
    client.start();
    return () => {
      client.stop();
    };
  }, [client]);

  useEffect(() => {
    if (ended) onEnded(ended, offer);
  }, [ended, offer, onEnded]);

  const chat = useMemo<Chat>(
    () => ({
      client,
      brand: { name: offer.name, logoUrl: offer.logo_url ?? null },
      show,
      buttons: BUTTONS,
      tell: (text) => {
        setPassing({ text });
      },
    }),
    [client, offer, show],
  );
  useTitle(client, offer.name, lock.locked);
  const [wanted] = useState(() => (openConversation() === null ? wantedPerson() : null));
  const waitingFor = useWantedPerson(chat, wanted, offer.development);

  return (
    <ChatContext.Provider value={chat}>
      {lock.locked ? (
        <LockScreen name={user?.name ?? null} onUnlocked={lock.changed} />
      ) : (
        <LockContext.Provider value={lock}>
          <Layout shown={shown} waitingFor={shown ? null : waitingFor} narrow={narrow} />
          <Announcer shown={shown?.conversation ?? null} />
          <Alerts shown={shown?.conversation ?? null} />
          <Passing said={passing} />
        </LockContext.Provider>
      )}
    </ChatContext.Provider>
  );
}

/** The conversation that is open, by the address; Back and Forward move between them. */
function useShown() {
  const [shown, setShown] = useState<Shown | null>(() => shownBy(openConversation()));
  const shownNow = useRef(shown);

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

  return { shown, show };
}

/** The tab says how many messages are unread, but while the screen is locked. */
function useTitle(client: EditingClient, brand: string, locked: boolean): void {
  const { unread } = useReadable(client.conversations);
  const name = brand || "Chat";
  useEffect(() => {
    document.title = unread > 0 && !locked ? `(${unread}) ${name}` : name;
  }, [unread, name, locked]);
}

function shownBy(conversation: string | null): Shown | null {
  return conversation === null ? null : { conversation, target: null };
}
