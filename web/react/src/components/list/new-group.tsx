import { type FormEvent, useState } from "react";
import type { User } from "@chatd/client";
import { useChat } from "../context.js";
import { Field } from "../ui/field.js";
import { Dialog } from "../ui/dialog.js";
import { words } from "../words.js";
import { People } from "./people.js";

export function NewGroup({ onClose }: { onClose: () => void }) {
  const { client, show, tell } = useChat();
  const [busy, setBusy] = useState(false);
  const [title, setTitle] = useState("");
  const [members, setMembers] = useState<readonly User[]>([]);
  const ready = title.trim() !== "" && members.length > 0 && !busy;
  const create = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return;
    setBusy(true);
    try {
      const conversation = await client.create(
        title.trim(),
        members.map(({ id }) => id),
      );
      onClose();
      show(conversation);
    } catch {
      setBusy(false);
      tell(words.actionFailed);
    }
  };
  const toggle = (user: User) => {
    const others = members.filter(({ id }) => id !== user.id);
    setMembers(others.length < members.length ? others : [...members, user]);
  };
  return (
    <Dialog title={words.newGroup} onClose={onClose}>
      <form onSubmit={(event) => void create(event)}>
        <Field
          label={words.title}
          value={title}
          maxLength={200}
          dir="auto"
          autoComplete="off"
          onChange={(event) => {
            setTitle(event.target.value);
          }}
        />
        <People chosen={members} onChoose={toggle} />
        <p className="quiet members">
          {members.length > 0 ? words.chosen(members.map(({ name }) => name).join(", ")) : " "}
        </p>
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            {words.cancel}
          </button>
          <button type="submit" className="button primary" disabled={!ready}>
            {words.createGroup}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
