/** All that a chat page needs, by the names that pages of Socket.IO have. */

import { useCallback, useMemo, useState } from "react";
import type {
  Attachment,
  Client,
  ConversationListItem,
  ConversationSnapshot,
  Id,
  OutboxItem,
  Participant,
  PresenceState,
  Readable,
  Seq,
  SessionEnd,
  TimelineItem,
  User,
} from "@chatd/client";
import { useReadable } from "./components/hooks.js";
import { useOpened } from "./components/use-opened.js";
import { useClient } from "./provider.js";
import { type Socket, socketOf } from "./socket.js";

export interface UseSocketOptions {
  /** The conversation that is selected: joined while it is, and left when another is. */
  readonly conversation?: Id | null | undefined;
}

export interface Person extends Participant {
  /** Null where nothing is known of them but the id. */
  readonly person: User | null;
  readonly online: boolean;
}

export interface UseSocket {
  readonly socket: Socket;
  readonly isConnected: boolean;
  /** Why it will not come back by itself (`cause`, `message`), or what went wrong with the conversation that was joined. */
  readonly error: SessionEnd | Error | null;
  readonly user: User | null;
  /** Pinned first, then by newest message. */
  readonly conversations: readonly ConversationListItem[];
  /** Unread messages over all conversations. */
  readonly unread: number;

  // -- the conversation that is joined; empty while there is none --

  readonly conversationId: Id | null;
  readonly conversation: ConversationSnapshot | null;
  /** Messages loaded, oldest first; own ones have a `status`. */
  readonly messages: readonly TimelineItem[];
  /** Own messages that the server has not acknowledged; they go out by themselves. */
  readonly waiting: readonly OutboxItem[];
  /** Users who are present. */
  readonly participants: readonly Person[];
  /** Users who type now. */
  readonly typing: readonly Id[];
  readonly presence: ReadonlyMap<Id, PresenceState>;

  // -- what to do --

  /** Loads a conversation and says that it is on screen. Messages of others come with or without it. */
  readonly joinConversation: (conversation: Id) => void;
  /** Says that it is on screen no more. */
  readonly leaveConversation: (conversation: Id) => void;
  /** Finds or makes the conversation with a user. Rejects with a ChatError. */
  readonly createConversation: (user: Id) => Promise<Id>;
  /** Sends to the conversation that is joined, now or when online again; returns the message's key. Throws a ChatError. */
  readonly sendMessage: (
    body: string,
    options?: { readonly replyTo?: Seq | null; readonly attachments?: readonly Attachment[] },
  ) => string;
  /** Call with true at each key press. */
  readonly setTyping: (active: boolean) => void;
  /** Read up to this message, or the newest. */
  readonly markRead: (seq?: Seq) => void;
  readonly loadOlder: () => Promise<void>;
}

const NONE: readonly never[] = [];
const NOTHING: Readable<null> = { subscribe: () => () => undefined, getSnapshot: () => null };

/** Returns the chat of the ChatProvider around. Any number of components may; there is one connection. */
export function useSocket({ conversation: selected = null }: UseSocketOptions = {}): UseSocket {
  const client = useClient();
  const { phase, ended, user } = useReadable(client.connection);
  const { items: conversations, unread } = useReadable(client.conversations);
  const [joined, setJoined] = useState<Id | null>(null);
  const id = selected ?? joined;
  const failure = useOpened(client, id);
  const conversation = useReadable(id === null ? NOTHING : client.conversation(id));
  const presence = useReadable(client.presence);
  const users = useReadable(client.users);
  const participants = useMemo(
    () =>
      (conversation?.participants ?? NONE)
        .filter(({ left_at }) => left_at == null)
        .map((participant) => ({
          ...participant,
          person: users.get(participant.user) ?? null,
          online: presence.get(participant.user)?.online === true,
        })),
    [conversation?.participants, users, presence],
  );
  const leaveConversation = useCallback((left: Id) => {
    setJoined((now) => (now === left ? null : now));
  }, []);
  return {
    socket: socketOf(client),
    isConnected: phase === "online",
    error: ended ?? failure,
    user,
    conversations,
    unread,
    conversationId: id,
    conversation,
    messages: conversation?.items ?? NONE,
    waiting: conversation?.outbox ?? NONE,
    participants,
    typing: conversation?.typing ?? NONE,
    presence,
    joinConversation: setJoined,
    leaveConversation,
    ...useActions(client, id),
  };
}

function useActions(client: Client, id: Id | null) {
  return useMemo(
    () => ({
      createConversation: (user: Id) => client.open(user),
      sendMessage: (body: string, options?: Parameters<UseSocket["sendMessage"]>[1]) => {
        if (id === null) throw new Error("no conversation is joined");
        return client.send(id, body, options);
      },
      setTyping: (active: boolean) => {
        if (id === null) return;
        if (active) client.typing(id);
        else client.stopTyping(id);
      },
      markRead: (seq?: Seq) => {
        const last = seq ?? (id === null ? 0 : client.conversation(id).getSnapshot().lastSeq);
        if (id !== null && last > 0) client.markSeen(id, last);
      },
      loadOlder: () => (id === null ? Promise.resolve() : client.loadOlder(id)),
    }),
    [client, id],
  );
}
