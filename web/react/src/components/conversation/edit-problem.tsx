/** Reasons why an edit is not saved, and the ways on: no words are lost, neither the person's nor those of elsewhere. */

import type { Edit } from "@chatd/client";
import { useChat } from "../context.js";
import { useReadable } from "../hooks.js";
import { words } from "../words.js";

/** Fate of the message meanwhile: another text, or nothing (null). */
export type Clash = { readonly theirs: string | null } | null;

export function EditProblem({ edit, clash, onDone }: { edit: Edit; clash: Clash; onDone: () => void }) {
  const { client } = useChat();
  const { conversation, seq, text, error } = edit;
  if (!clash && !error) return null;
  const { theirs = null } = clash ?? {};
  const take = (chosen: string) => () => {
    client.setEdit(conversation, seq, chosen, theirs ?? "");
    onDone();
  };
  const useAsNew = () => {
    const draft = client.drafts.getSnapshot()?.get(conversation);
    client.setDraft(conversation, draft?.text ? `${draft.text}\n${text}` : text, draft?.replyTo ?? null);
    client.discardEdit(conversation, seq);
    onDone();
  };
  return (
    <div className="problem edit-problem" role="alert">
      <p>{theirs !== null ? words.editChanged : reasonOf(error?.code, clash !== null)}</p>
      {theirs !== null && (
        <p className="edit-theirs" dir="auto" tabIndex={0}>
          {theirs}
        </p>
      )}
      <div className="waiting-buttons">
        {theirs !== null && <TextButton name={words.keepMine} onPress={take(text)} />}
        {theirs !== null && <TextButton name={words.takeTheirs} onPress={take(theirs)} />}
        {theirs === null && <TextButton name={words.useAsNew} onPress={useAsNew} />}
      </div>
    </div>
  );
}

/** Edits that were refused while something else was in the field. */
export function AsideEdits({ id, onOpen }: { id: string; onOpen: () => void }) {
  const { client } = useChat();
  const edits = useReadable(client.edits);
  return edits
    .filter(({ conversation, phase, error }) => conversation === id && phase === "aside" && error)
    .map(({ seq, text, error, theirs }) => (
      <div key={seq} className="problem edit-problem" role="alert">
        <p>{theirs !== null ? words.editFailed : reasonOf(error?.code, error?.code === "conflict")}</p>
        <p className="edit-theirs" dir="auto" tabIndex={0}>
          {text}
        </p>
        <div className="waiting-buttons">
          <TextButton
            name={words.edit}
            onPress={() => {
              client.beginEdit(id, seq);
              onOpen();
            }}
          />
        </div>
      </div>
    ));
}

function TextButton({ name, onPress }: { name: string; onPress: () => void }) {
  return (
    <button type="button" className="link-button" onClick={onPress}>
      {name}
    </button>
  );
}

function reasonOf(code: string | undefined, deleted: boolean): string {
  if (deleted) return words.editDeleted;
  return code === "forbidden" ? words.editOver : words.editFailed;
}
