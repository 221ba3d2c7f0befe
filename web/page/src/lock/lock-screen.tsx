import { type FormEvent, useState } from "react";
import { Field, Problem, words } from "@chatd/react/components";
import { SignOutButton } from "../sign-out.js";
import { unlock } from "./pin.js";

/** All that is there while the screen is locked: nothing of any conversation. */
export function LockScreen({ name, onUnlocked }: { name: string | null; onUnlocked: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const submit = async (form: HTMLFormElement) => {
    setBusy(true);
    const pin = new FormData(form).get("pin");
    const tried = await unlock(typeof pin === "string" ? pin : "");
    setBusy(false);
    if (tried.right) {
      onUnlocked();
      return;
    }
    form.reset();
    setProblem(tried.waitS > 0 ? words.tooOften(tried.waitS) : words.wrongPin);
  };
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <h1>{words.locked}</h1>
        {name && <p dir="auto">{name}</p>}
        <form
          aria-label={words.locked}
          onSubmit={(event: FormEvent<HTMLFormElement>) => {
            event.preventDefault();
            if (!busy) void submit(event.currentTarget);
          }}
        >
          <Field
            label={words.pinCode}
            name="pin"
            type="password"
            inputMode="numeric"
            autoComplete="off"
            required
            autoFocus
          />
          <Problem text={problem} />
          <button type="submit" className="button primary wide" disabled={busy}>
            {words.unlock}
          </button>
        </form>
        <p className="quiet">{words.forgotPin}</p>
        <SignOutButton />
      </div>
    </main>
  );
}
