import { useState } from "react";
import type { OutboxItem } from "@chatd/client";
import { Dialog, Icon, namesOf, useChat, useReadable, words } from "@chatd/react/components";

/** Leaves nothing in the browser; what is unsent is offered first. */
export function SignOutButton() {
  const { client } = useChat();
  const edits = useReadable(client.waitingEdits);
  const [unsent, setUnsent] = useState<readonly OutboxItem[] | null>(null);
  const [busy, setBusy] = useState(false);
  const signOut = async (discardUnsent: boolean) => {
    setBusy(true);
    try {
      const result = await client.signOut({ discardUnsent });
      if (!result.done) setUnsent(result.unsent);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button
        type="button"
        className="icon-button"
        aria-label={words.signOut}
        title={words.signOut}
        disabled={busy}
        onClick={() => void signOut(false)}
      >
        <Icon name="signOut" />
      </button>
      {unsent && (
        <Dialog
          title={words.unsentTitle}
          role="alertdialog"
          onClose={() => {
            setUnsent(null);
          }}
        >
          <p>{words.unsentText}</p>
          <ul className="unsent">
            {unsent.map(({ key, body, files }) => (
              <li key={key} dir="auto">
                {[body, namesOf(files)].filter(Boolean).join(" ")}
              </li>
            ))}
            {edits.map(({ conversation, seq, text }) => (
              <li key={`${conversation} ${seq}`} dir="auto">
                {text}
              </li>
            ))}
          </ul>
          <div className="dialog-buttons">
            <button
              type="button"
              className="button primary"
              onClick={() => {
                setUnsent(null);
              }}
            >
              {words.stay}
            </button>
            <button type="button" className="button danger" disabled={busy} onClick={() => void signOut(true)}>
              {words.signOutAnyway}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
