/** The text of the composer: a draft of its conversation, or an edit of an old message. */

import { useState } from "react";
import { ChatError, type Client, type StagedFile, type TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useDraft, useReadable } from "../hooks.js";
import { words } from "../words.js";

const DEFAULT_MAX_CHARS = 10_000;
const NO_FILES: readonly StagedFile[] = [];

export interface Writing {
  readonly value: string;
  /** The seq that the draft replies to. */
  readonly replyTo: number | null;
  /** Characters of a text that has too many, and how many it may have. */
  readonly excess: { readonly length: number; readonly limit: number } | null;
  /** True if there is something that can be sent or saved. */
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
  const limit = limits?.max_body_chars ?? DEFAULT_MAX_CHARS;
  const excess = excessOf(value, limit);

  const ready = isReady(value, item ? NO_FILES : staged, limit);

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
    if (!item) {
      if (sendDraft(client, id, limit)) onSent();
      return;
    }
    if (!ready) return;
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

/** Sends the draft as it is now, not as it was last drawn: two presses in a row send it once. */
function sendDraft(client: Client, id: string, limit: number): boolean {
  const draft = client.drafts.getSnapshot()?.get(id);
  const text = draft?.text.trim() ?? "";
  if (!isReady(text, client.staged.getSnapshot().get(id) ?? NO_FILES, limit)) return false;
  client.send(id, text, { replyTo: draft?.replyTo ?? null });
  return true;
}

function isReady(text: string, files: readonly StagedFile[], limit: number): boolean {
  const refused = files.some(({ state }) => state === "failed");
  return excessOf(text, limit) === null && !refused && (text.trim() !== "" || files.length > 0);
}

function excessOf(value: string, limit: number): Writing["excess"] {
  const length = value.length > limit ? [...value].length : value.length;
  return length > limit ? { length, limit } : null;
}
