/** Names of conversations, and of the other side. */

import type { ConversationListItem, ConversationSnapshot, Message, User } from "@chatd/client";
import { words } from "./words.js";

type Described = Pick<ConversationListItem, "participants"> & { readonly info: ConversationSnapshot["info"] };

/** The other one of a direct conversation; null for groups. */
export function otherOf({ info, participants }: Described, me: string): string | null {
  if (info?.kind !== "direct") return null;
  return participants.find(({ user }) => user !== me)?.user ?? null;
}

export function titleOf(conversation: Described, users: ReadonlyMap<string, User>, me: string): string {
  const other = otherOf(conversation, me);
  if (other !== null) return users.get(other)?.name ?? other;
  if (conversation.info?.title) return conversation.info.title;
  return conversation.info ? words.group : "";
}

/** A message in one line; bodies may have many. */
export function lineOf(message: Message): string {
  if (message.deleted_at) return words.deleted;
  if (message.body) return message.body.replace(/\s+/g, " ").slice(0, 200);
  return namesOf(message.attachments);
}

/** Files in one line. */
export function namesOf(files: readonly { readonly name: string }[]): string {
  return files.map(({ name }) => name).join(", ");
}

export function isPresent({ left_at: leftAt }: { readonly left_at?: string | null }): boolean {
  return leftAt == null;
}
