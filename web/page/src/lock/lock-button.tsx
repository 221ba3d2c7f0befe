import { type FormEvent, useContext, useState } from "react";
import { Dialog, Field, Icon, Problem, words } from "@chatd/react/components";
import { text } from "../signin/submit.js";
import { LockContext } from "./context.js";
import { PIN } from "./pin.js";

/** Locks the screen; the first time it asks for a PIN. */
export function LockButton() {
  const lock = useContext(LockContext);
  const [choosing, setChoosing] = useState(false);
  if (!lock?.offered) return null;
  return (
    <>
      <button
        type="button"
        className="icon-button"
        aria-label={words.lock}
        title={words.lock}
        onClick={() => {
          if (lock.chosen) lock.lockNow();
          else setChoosing(true);
        }}
      >
        <Icon name="lock" />
      </button>
      {choosing && (
        <ChoosePin
          onChosen={lock.choose}
          onClose={() => {
            setChoosing(false);
          }}
        />
      )}
    </>
  );
}

function ChoosePin({ onChosen, onClose }: { onChosen: (pin: string) => Promise<void>; onClose: () => void }) {
  const [problem, setProblem] = useState<string | null>(null);
  const submit = (form: FormData) => {
    const pin = text(form, "pin");
    if (!PIN.test(pin)) setProblem(words.pinRule);
    else if (pin !== text(form, "again")) setProblem(words.pinsDiffer);
    else void onChosen(pin);
  };
  return (
    <Dialog title={words.choosePin} onClose={onClose}>
      <form
        onSubmit={(event: FormEvent<HTMLFormElement>) => {
          event.preventDefault();
          submit(new FormData(event.currentTarget));
        }}
      >
        <p className="quiet">{words.choosePinText}</p>
        <Field
          label={words.pinCode}
          name="pin"
          type="password"
          inputMode="numeric"
          autoComplete="off"
          required
          autoFocus
        />
        <Field label={words.pinAgain} name="again" type="password" inputMode="numeric" autoComplete="off" required />
        <Problem text={problem} />
        <div className="dialog-buttons">
          <button type="submit" className="button primary">
            {words.lock}
          </button>
          <button type="button" className="button" onClick={onClose}>
            {words.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
