import { useRef, useState } from "react";
import { Field, Problem, words } from "@chatd/react/components";
import { signIn } from "../http.js";
import { text, useSubmit } from "./submit.js";

/** User ID and password; then a code, where the account asks for one. */
export function PasswordForm({ onSignedIn }: { onSignedIn: () => void }) {
  const [first, setFirst] = useState<{ user: string; password: string } | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const { busy, problem, onSubmit } = useSubmit(
    (filled) => {
      const code = text(filled, "code").replace(/\s/g, "");
      if (first) return signIn({ ...first, code });
      return signIn({ user: text(filled, "user").trim(), password: text(filled, "password") });
    },
    ({ need }) => {
      if (need !== "code") return first ? words.wrongCode : words.wrongPassword;
      if (first) return words.wrongCode;
      const filled = form.current ? new FormData(form.current) : new FormData();
      setFirst({ user: text(filled, "user").trim(), password: text(filled, "password") });
      return null;
    },
    onSignedIn,
  );
  return (
    <form ref={form} aria-label={words.signIn} onSubmit={onSubmit}>
      <Field label={words.userId} name="user" autoComplete="username" required autoFocus readOnly={first !== null} />
      <Field
        label={words.password}
        name="password"
        type="password"
        autoComplete="current-password"
        required
        readOnly={first !== null}
      />
      {first && (
        <Field label={words.code} hint={words.codeHint} name="code" autoComplete="one-time-code" required autoFocus />
      )}
      <Problem text={problem} />
      <button type="submit" className="button primary wide" disabled={busy}>
        {words.signIn}
      </button>
    </form>
  );
}
