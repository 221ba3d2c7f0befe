"use client";

import { useEffect, useRef, useState } from "react";
import { type Conversation, type Message, useSocket } from "@/before/hooks/useSocket";

const TYPING_ENDS_MS = 3_000;

/** The site's own chat: what is in it is as it was before chatd. */
export function ChatInterface({ userId, with: person }: { userId: string; with?: string | undefined }) {
  const chat = useSocket();
  const { socket, isConnected, createConversation, getConversations } = chat;
  const [conversations, setConversations] = useState<readonly Conversation[]>([]);
  const [selected, setSelected] = useState<string | null>(null);

  useEffect(() => {
    if (!socket || !isConnected) return;
    const refresh = () => void getConversations().then(setConversations);
    refresh();
    const events = ["conversation_created", "new_message", "message_status", "user_online", "user_offline"];
    for (const event of events) socket.on(event, refresh);
    return () => {
      for (const event of events) socket.off(event, refresh);
    };
  }, [socket, isConnected, getConversations]);

  useEffect(() => {
    if (isConnected && person !== undefined) void createConversation(person).then(setSelected);
  }, [isConnected, person, createConversation]);

  const other = ({ participants }: Conversation) => participants.find((one) => one.userId !== userId);
  const open = conversations.find(({ id }) => id === selected);
  const unread = conversations.reduce((sum, { unreadCount }) => sum + unreadCount, 0);
  return (
    <>
      <p data-testid="status">
        {isConnected ? "connected" : "connecting ..."}, {unread} unread {chat.error}
      </p>
      <nav aria-label="Conversations">
        {conversations.map((one) => (
          <button key={one.id} type="button" onClick={() => setSelected(one.id)}>
            {other(one)?.name} {other(one)?.isOnline ? "(online)" : ""}{" "}
            {one.unreadCount > 0 && `${one.unreadCount} unread`}
          </button>
        ))}
      </nav>
      {open && <Talk key={open.id} id={open.id} name={other(open)?.name ?? ""} userId={userId} chat={chat} />}
    </>
  );
}

interface TalkProps {
  readonly id: string;
  readonly name: string;
  readonly userId: string;
  readonly chat: ReturnType<typeof useSocket>;
}

function Talk({ id, name, userId, chat }: TalkProps) {
  const { socket, isConnected, joinConversation, leaveConversation, getMessages, markAsRead, sendTyping } = chat;
  const [messages, setMessages] = useState<readonly Message[]>([]);
  const [typing, setTyping] = useState(false);
  const [text, setText] = useState("");
  const idle = useRef<ReturnType<typeof setTimeout>>(undefined);

  // Automatic room joining when a conversation is selected.
  useEffect(() => {
    if (!socket || !isConnected) return;
    joinConversation(id);
    void getMessages(id).then((loaded) => setMessages((now) => merged(loaded, now)));
    markAsRead(id);
    return () => leaveConversation(id);
  }, [id, socket, isConnected, joinConversation, leaveConversation, getMessages, markAsRead]);

  useEffect(() => {
    if (!socket) return;
    const came = (message: Message) => {
      if (message.conversationId !== id) return;
      setMessages((now) => merged(now, [message]));
      markAsRead(id);
    };
    const types = (said: { conversationId: string; userId: string; isTyping: boolean }) => {
      if (said.conversationId === id && said.userId !== userId) setTyping(said.isTyping);
    };
    const moved = ({ conversationId }: { conversationId: string }) => {
      if (conversationId === id) void getMessages(id).then((loaded) => setMessages((now) => merged(now, loaded)));
    };
    socket.on("new_message", came).on("user_typing", types).on("message_status", moved);
    return () => {
      socket.off("new_message", came).off("user_typing", types).off("message_status", moved);
    };
  }, [id, userId, socket, getMessages, markAsRead]);

  return (
    <section id={id} aria-label={name}>
      <h1>{name}</h1>
      <div role="log" aria-label="Messages">
        {messages.map((message) => (
          <article key={message.id}>
            {message.content} {message.senderId === userId && message.status}
          </article>
        ))}
      </div>
      {typing && <p>{name} is typing</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void chat.sendMessage(id, text);
          setText("");
        }}
      >
        <input
          aria-label="Message"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            sendTyping(id, true);
            clearTimeout(idle.current);
            idle.current = setTimeout(() => sendTyping(id, false), TYPING_ENDS_MS);
          }}
        />
        <button type="submit">Send</button>
      </form>
    </section>
  );
}

/** In order of time, each message once, as it is in `newer` where both have it. */
function merged(older: readonly Message[], newer: readonly Message[]): readonly Message[] {
  const all = new Map([...older, ...newer].map((message) => [message.id, message]));
  return [...all.values()].sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
}
