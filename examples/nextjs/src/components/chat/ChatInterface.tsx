"use client";

import { ChatInterface as Chat, ChatProvider } from "@chatd/react";
import { useSocket } from "@/hooks/useSocket";

/** The site's chat: signed in by a ticket that the site's own server asks for. */
export function ChatInterface({ userId, with: person }: { userId: string; with?: string | undefined }) {
  return (
    <ChatProvider url={process.env.NEXT_PUBLIC_SOCKET_URL} identity={userId} getToken={ticket}>
      <div style={{ display: "grid", gridTemplateRows: "auto minmax(0, 1fr)", height: "100%" }}>
        <Status />
        <Chat with={person} brand={{ name: "NextDentist" }} />
      </div>
    </ChatProvider>
  );
}

/** Any component of the site may use the hook. */
function Status() {
  const { isConnected, unread } = useSocket();
  return (
    <p data-testid="status" style={{ margin: 0, padding: "0 1rem" }}>
      {isConnected ? "connected" : "connecting ..."}, {unread} unread
    </p>
  );
}

async function ticket(): Promise<string> {
  const answer = await fetch("/api/chat-ticket", { method: "POST" });
  if (!answer.ok) throw new Error(`/api/chat-ticket: ${answer.status}`);
  return ((await answer.json()) as { ticket: string }).ticket;
}
