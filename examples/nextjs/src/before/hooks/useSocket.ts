"use client";

// The hook as the site had it with its own Socket.IO server, the same events by the same names. What chatd asks for is
// `auth`: a ticket of the site's server, where the old server believed a user id.
import { useCallback, useEffect, useState } from "react";
import { io, type Socket } from "socket.io-client";

export interface Message {
  readonly id: string;
  readonly conversationId: string;
  readonly senderId: string | null;
  readonly content: string;
  readonly status: "SENT" | "DELIVERED" | "READ";
  readonly createdAt: string;
}

export interface Conversation {
  readonly id: string;
  readonly participants: readonly { readonly userId: string; readonly name: string; readonly isOnline: boolean }[];
  readonly lastMessage: Message | null;
  readonly unreadCount: number;
}

type Answer<T> = ({ readonly success: true } & T) | { readonly success: false; readonly error: { message: string } };

export function useSocket() {
  const [socket, setSocket] = useState<Socket | null>(null);
  const [isConnected, setIsConnected] = useState(false);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    const connection = io(process.env.NEXT_PUBLIC_SOCKET_URL ?? "", { auth: (answer) => void ticket().then(answer) });
    connection.on("connect", () => {
      setIsConnected(true);
      setError(null);
    });
    connection.on("disconnect", () => setIsConnected(false));
    connection.on("connect_error", ({ message }) => setError(message));
    connection.on("error", ({ message }: { message: string }) => setError(message));
    setSocket(connection);
    return () => {
      connection.disconnect();
    };
  }, []);

  const ask = useCallback(
    async <T>(event: string, data: object): Promise<T> => {
      if (!socket) throw new Error("not connected");
      const answer = (await socket.emitWithAck(event, data)) as Answer<T>;
      if (!answer.success) throw new Error(answer.error.message);
      return answer;
    },
    [socket],
  );

  return {
    socket,
    isConnected,
    error,
    createConversation: useCallback(
      async (targetUserId: string) =>
        (await ask<{ conversationId: string }>("create_conversation", { targetUserId })).conversationId,
      [ask],
    ),
    joinConversation: useCallback(
      (conversationId: string) => void socket?.emit("join_conversation", conversationId),
      [socket],
    ),
    leaveConversation: useCallback(
      (conversationId: string) => void socket?.emit("leave_conversation", conversationId),
      [socket],
    ),
    sendMessage: useCallback(
      (conversationId: string, content: string) =>
        ask<{ message: Message }>("send_message", { conversationId, content, clientId: crypto.randomUUID() }),
      [ask],
    ),
    markAsRead: useCallback(
      (conversationId: string) => void socket?.emit("mark_as_read", { conversationId }),
      [socket],
    ),
    sendTyping: useCallback(
      (conversationId: string, isTyping: boolean) => void socket?.emit("typing", { conversationId, isTyping }),
      [socket],
    ),
    getConversations: useCallback(
      async () => (await ask<{ conversations: Conversation[] }>("get_conversations", {})).conversations,
      [ask],
    ),
    getMessages: useCallback(
      async (conversationId: string) =>
        (await ask<{ messages: Message[] }>("get_messages", { conversationId })).messages,
      [ask],
    ),
  };
}

async function ticket(): Promise<{ token?: string }> {
  const answer = await fetch("/api/chat-ticket", { method: "POST" }).catch(() => null);
  return answer?.ok ? { token: ((await answer.json()) as { ticket: string }).ticket } : {};
}
