import { useEffect, useState } from "react";
import type { Client, Id } from "@chatd/client";

/** Loads a conversation and tells the server that it is on screen; returns why it couldn't be loaded. */
export function useOpened(client: Client, id: Id | null): Error | null {
  const [failed, setFailed] = useState<{ readonly id: Id; readonly error: Error } | null>(null);
  useEffect(() => {
    if (id === null) return;
    let over = false;
    client.load(id).catch((error: unknown) => {
      if (!over) setFailed({ id, error: error instanceof Error ? error : new Error(String(error)) });
    });
    client.setFocus(id);
    return () => {
      over = true;
      client.setFocus(null);
      client.stopTyping(id);
    };
  }, [client, id]);
  return failed?.id === id ? failed.error : null;
}
