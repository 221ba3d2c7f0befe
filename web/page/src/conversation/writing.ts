/** The text of the composer: a draft of its conversation, or an edit of an old message. */

import { useState } from "react";
import { ChatError, type Client, type StagedFile, type TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useDraft, useReadable } from "../hooks.js";
import { words } from "../words.js";

const DEFAULT_MAX_CHARS = 10_000;

export interface Writing {
  readonly value: string;
  /** The seq that the draft replies to. */
  readonly replyTo: number | null;
  /** Where the text has too many characters: how many, and how many may be. */
  readonly excess: { readonly length: number; readonly limit: number } | null;
  /** Whether there is something that can be sent or saved. */
  readonly ready: boolean;
  readonly change: (text: string) => void;
  /** Ends an edit or a reply. */
  readonly cancel: () => void;
  /** Sends or saves what there is. */
  readonly submit: () => void;
}

export interface WritingDuties {
  readonly onSent: () => void;
  /** An edit was saved or given up. */
  readonly onEdited: () => void;
}

/** `id`: what is typed here goes to that conversation, whatever is on screen when. */
export function useWriting(
  id: string,
  item: TimelineItem | null,
  staged: readonly StagedFile[],
  { onSent, onEdited }: WritingDuties,
): Writing {
  const { client, tell } = useChat();
  const draft = useDraft(client, id);
  const edit = useEdited(item);
  const { limits } = useReadable(client.connection);
  const text = draft?.text ?? "";
  const replyTo = draft?.replyTo ?? null;
  const value = item ? edit.text : text;
  const excess = excessOf(value, limits?.max_body_chars ?? DEFAULT_MAX_CHARS);

  const refused = !item && staged.some(({ state }) => state === "failed");
  const ready = excess === null && !refused && (value.trim() !== "" || (!item && staged.length > 0));

  const change = (next: string) => {
    if (item) {
      edit.change(next);
      return;
    }
    client.setDraft(id, next, replyTo);
    if (next.trim()) client.typing(id);
    else client.stopTyping(id);
  };
  const cancel = () => {
    edit.forget();
    if (item) onEdited();
    else if (replyTo !== null) client.setDraft(id, text, null);
  };
  const submit = () => {
    if (!ready) return;
    if (!item) {
      client.send(id, text.trim(), { replyTo });
      onSent();
      return;
    }
    edit.forget();
    onEdited();
    save(client, item, value.trim()).catch((error: unknown) => {
      tell(error instanceof ChatError && error.code === "forbidden" ? words.notAllowed : words.actionFailed);
    });
  };
  return { value, replyTo: item ? null : replyTo, excess, ready, change, cancel, submit };
}

function useEdited(item: TimelineItem | null) {
  const [changed, setChanged] = useState<{ readonly key: string; readonly text: string } | null>(null);
  const text = item ? (changed?.key === item.key ? changed.text : item.message.body) : "";
  return {
    text,
    change: (next: string) => {
      if (item) setChanged({ key: item.key, text: next });
    },
    forget: () => {
      setChanged(null);
    },
  };
}

async function save(client: Client, { message, seq }: TimelineItem, body: string): Promise<void> {
  if (body !== message.body) await client.edit(message.conversation, seq, body);
}

function excessOf(value: string, limit: number): Writing["excess"] {
  const length = value.length > limit ? [...value].length : value.length;
  return length > limit ? { length, limit } : null;
}
