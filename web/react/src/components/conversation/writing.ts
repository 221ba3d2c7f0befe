/** The text of the composer: a draft of its conversation, or an edit of an old message. */

import type { Client, Edit, StagedFile, TimelineItem } from "@chatd/client";
import { useChat } from "../context.js";
import { useDraft, useEdit, useReadable } from "../hooks.js";
import type { Clash } from "./edit-problem.js";

const DEFAULT_MAX_CHARS = 10_000;
const NO_FILES: readonly StagedFile[] = [];

export interface Writing {
  readonly value: string;
  /** The seq that the draft replies to. */
  readonly replyTo: number | null;
  /** Edit that the field holds in place of the draft. */
  readonly editing: Edit | null;
  readonly clash: Clash;
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
}

/** `id`: what is typed here goes to that conversation, whatever is on screen when. */
export function useWriting(
  id: string,
  items: readonly TimelineItem[],
  staged: readonly StagedFile[],
  { onSent }: WritingDuties,
): Writing {
  const { client } = useChat();
  const draft = useDraft(client, id);
  const editing = useEdit(client, id);
  const clash = clashOf(editing, items);
  const { limits } = useReadable(client.connection);
  const text = draft?.text ?? "";
  const replyTo = draft?.replyTo ?? null;
  const value = editing ? editing.text : text;
  const limit = limits?.max_body_chars ?? DEFAULT_MAX_CHARS;
  const excess = excessOf(value, limit);

  const ready = isReady(value, editing ? NO_FILES : staged, limit) && !clash;

  const change = (next: string) => {
    if (editing) {
      client.setEdit(id, editing.seq, next);
      return;
    }
    client.setDraft(id, next, replyTo);
    if (next.trim()) client.typing(id);
    else client.stopTyping(id);
  };
  const cancel = () => {
    if (editing) client.discardEdit(id, editing.seq);
    else if (replyTo !== null) client.setDraft(id, text, null);
  };
  const submit = () => {
    if (!editing) {
      if (sendDraft(client, id, limit)) onSent();
    } else if (ready) {
      client.saveEdit(id, editing.seq);
    }
  };
  return { value, replyTo: editing ? null : replyTo, editing, clash, excess, ready, change, cancel, submit };
}

/** Returns what became of the edited message elsewhere; it may have scrolled out of what is loaded. */
function clashOf(edit: Edit | null, items: readonly TimelineItem[]): Clash {
  if (!edit) return null;
  const message = items.find(({ seq }) => seq === edit.seq)?.message;
  if (message?.deleted_at != null) return { theirs: null };
  if (message && message.body !== edit.base && message.body !== edit.text) return { theirs: message.body };
  if (edit.theirs !== null) return { theirs: edit.theirs };
  return edit.error?.code === "conflict" ? { theirs: null } : null;
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
