import { useState } from "react";
import type { User } from "@chatd/client";
import { useChat } from "../context.js";
import { Dialog } from "../ui/dialog.js";
import { words } from "../words.js";
import { People } from "./people.js";

export function NewConversation({ onClose }: { onClose: () => void }) {
  const { client, show, tell } = useChat();
  const [busy, setBusy] = useState(false);
  const open = async ({ id }: User) => {
    if (busy) return;
    setBusy(true);
    try {
      const conversation = await client.open(id);
      onClose();
      show(conversation);
    } catch {
      setBusy(false);
      tell(words.unknownPerson);
    }
  };
  return (
    <Dialog title={words.newConversation} onClose={onClose}>
      <People onChoose={(user) => void open(user)} />
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose}>
          {words.cancel}
        </button>
      </div>
    </Dialog>
  );
}
