import { createContext, type ReactNode, useContext } from "react";
import type { EditingClient, User } from "@chatd/client";

/** The conversation on screen. */
export interface Shown {
  readonly conversation: string;
  /** Target to jump to, once for each object. */
  readonly target: { readonly seq: number } | null;
}

export interface Chat {
  readonly client: EditingClient;
  /** The clinic's name. */
  readonly brand: { readonly name: string; readonly logoUrl: string | null };
  /** Shows a conversation, around one of its messages where a seq is given; null: the list. */
  readonly show: (conversation: string | null, seq?: number) => void;
  /** Controls beside the user's name, such as sign-out; none in a part of another page, which has its own. */
  readonly buttons?: ReactNode;
  /** Says something to the user in passing, a failed action say. */
  readonly tell: (text: string) => void;
}

export const ChatContext = createContext<Chat | null>(null);

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) throw new Error("no chat around this component");
  return chat;
}

/** A person who is known, or what is known of them. */
export function personOf(users: ReadonlyMap<string, User>, id: string): Pick<User, "id" | "name"> & Partial<User> {
  return users.get(id) ?? { id, name: id };
}
