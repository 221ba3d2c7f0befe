/** One client for all components below it, whatever they are and however often they mount. */

import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef } from "react";
import { type ClientOptions, createEditingClient, type EditingClient, type SignIn, type User } from "@chatd/client";

const ClientContext = createContext<EditingClient | null>(null);

export interface ChatProviderProps {
  /** The server: http(s) or ws(s); default: where the page comes from. A new one makes a new connection. */
  readonly url?: string | undefined;
  /**
   * A token or ticket of the user, asked for anew for each connection and before the session expires. Without it the
   * browser's cookie signs in.
   */
  readonly getToken?: (() => Promise<string>) | undefined;
  /** Whom `getToken` is for, the user's id say: a new one makes a new connection. */
  readonly identity?: string | undefined;
  /** `chatd serve --dev` only: who it is. */
  readonly developmentUser?:
    { readonly user: string; readonly name?: string; readonly role?: User["role"] } | undefined;
  /** All else that `createEditingClient` takes; read once. */
  readonly options?: Omit<ClientOptions, "url" | "signIn">;
  readonly children?: ReactNode;
}

/**
 * Connects while it is mounted. Nothing happens while it renders, on a server neither. Under StrictMode, and after any
 * number of mounts, there is one connection.
 */
export function ChatProvider({ url, getToken, identity, developmentUser, options, children }: ChatProviderProps) {
  const newest = useRef(getToken);
  useEffect(() => {
    newest.current = getToken;
  });
  const kept = useRef(options);
  const { user, name, role } = developmentUser ?? {};
  const asks = getToken !== undefined;

  const client = useMemo(() => {
    let signIn: SignIn = { kind: "cookie" };
    if (user !== undefined)
      signIn = { kind: "development", user, ...(name ? { name } : {}), ...(role ? { role } : {}) };
    else if (asks) signIn = { kind: "token", getToken: () => newest.current?.() ?? gone() };
    return createEditingClient({ device: "web", ...kept.current, ...(url ? { url } : {}), signIn });
    // A new identity is a new client, though nothing of it is read.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [url, asks, identity, user, name, role]);

  useEffect(() => {
    client.start();
    return () => {
      client.stop();
    };
  }, [client]);
  return <ClientContext.Provider value={client}>{children}</ClientContext.Provider>;
}

function gone(): Promise<string> {
  return Promise.reject(new Error("there is no getToken any more"));
}

/** Returns the client of the ChatProvider around. Throws an Error where there is none. */
export function useClient(): EditingClient {
  const client = useContext(ClientContext);
  if (!client) throw new Error("useSocket and ChatInterface need a <ChatProvider> around them");
  return client;
}
