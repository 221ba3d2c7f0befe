/** Sound and notifications for what comes in while nobody looks: by one tab, and not twice. */

import { useEffect, useRef } from "react";
import { lineOf, personOf, titleOf, useChat, useReadable, words } from "@chatd/react/components";
import { Leader } from "./leader.js";
import { ring } from "./sound.js";

const BODY_CHARS = 120;

export function Alerts({ shown }: { shown: string | null }) {
  const { client, brand, show } = useChat();
  const me = useReadable(client.connection).user?.id ?? null;

  const shownNow = useRef(shown);
  useEffect(() => {
    shownNow.current = shown;
  }, [shown]);

  useEffect(() => {
    if (me === null) return;
    const leader = new Leader(`chatd.alerts.${me}`);
    const looked = watchLooks(me, () => shownNow.current);
    const open = new Map<string, Notification>();
    const endIncoming = client.onIncoming(({ conversation, message, live }) => {
      if (!live || !leader.leading || message.kind === "system" || looked.at(conversation)) return;
      const item = client.conversations.getSnapshot().items.find(({ id }) => id === conversation);
      if (!item || item.membership.muted) return;
      ring();
      if (!("Notification" in window) || Notification.permission !== "granted") return;
      const users = client.users.getSnapshot();
      const sender = message.sender == null ? brand.name : personOf(users, message.sender).name;
      const group = item.info.kind === "group" ? `${sender} · ${titleOf(item, users, me)}` : sender;
      const unread = item.membership.unread;
      const text = unread > 1 ? words.newCount(unread) : lineOf(message).slice(0, BODY_CHARS);
      try {
        const notification = new Notification(group, { body: text, tag: `chatd.${conversation}` });
        notification.onclick = () => {
          window.focus();
          show(conversation);
          notification.close();
        };
        open.set(conversation, notification);
      } catch {
        return; // Chrome on Android wants a service worker
      }
    });
    const endRead = client.conversations.subscribe(() => {
      const { items } = client.conversations.getSnapshot();
      for (const [id, notification] of open) {
        if (items.some((item) => item.id === id && item.membership.unread > 0)) continue;
        notification.close();
        open.delete(id);
      }
    });
    return () => {
      endIncoming();
      endRead();
      looked.stop();
      leader.stop();
      for (const notification of open.values()) notification.close();
    };
  }, [client, brand, show, me]);
  return null;
}

/** Watches the conversations that any tab of this user has on screen, with somebody looking. */
function watchLooks(me: string, shown: () => string | null): { at(conversation: string): boolean; stop(): void } {
  const FRESH_MS = 5_000;
  const looks = new Map<string, { readonly conversation: string | null; readonly at: number }>();
  const tab = String(Math.random());
  const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(`chatd.looks.${me}`);
  const tell = () => {
    const conversation = document.visibilityState === "visible" && document.hasFocus() ? shown() : null;
    channel?.postMessage({ tab, conversation });
    looks.set(tab, { conversation, at: Date.now() });
  };
  if (channel) {
    channel.onmessage = ({ data }: MessageEvent<{ tab: string; conversation: string | null }>) => {
      looks.set(data.tab, { conversation: data.conversation, at: Date.now() });
    };
  }
  const timer = setInterval(tell, 2_000);
  for (const event of ["focus", "blur"]) window.addEventListener(event, tell);
  document.addEventListener("visibilitychange", tell);
  tell();
  return {
    at: (conversation) => {
      tell();
      return [...looks.values()].some((look) => look.conversation === conversation && Date.now() - look.at < FRESH_MS);
    },
    stop: () => {
      clearInterval(timer);
      for (const event of ["focus", "blur"]) window.removeEventListener(event, tell);
      document.removeEventListener("visibilitychange", tell);
      channel?.postMessage({ tab, conversation: null });
      channel?.close();
    },
  };
}
