import { type FormEvent, useId } from "react";
import { Field, words } from "@chatd/react/components";
import type { Development } from "../address.js";
import { text } from "./submit.js";

const ROLES = ["patient", "dentist", "staff", "admin"] as const;

/** `chatd serve --dev`: anybody may be anybody. */
export function DevelopmentForm({ onSignedIn }: { onSignedIn: (development: Development) => void }) {
  const role = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const filled = new FormData(event.currentTarget);
    const name = text(filled, "name").trim();
    onSignedIn({
      user: text(filled, "user").trim(),
      ...(name ? { name } : {}),
      role: ROLES.find((known) => known === text(filled, "role")) ?? "patient",
    });
  };
  return (
    <form aria-label={words.signIn} onSubmit={submit}>
      <p className="quiet">{words.developmentHint}</p>
      <Field label={words.userId} name="user" required pattern="[!-~]{1,128}" autoComplete="off" autoFocus />
      <Field label={words.name} name="name" autoComplete="off" maxLength={200} />
      <div className="field">
        <label htmlFor={role}>{words.role}</label>
        <select id={role} name="role" defaultValue="patient">
          {ROLES.map((known) => (
            <option key={known} value={known}>
              {words.roles[known]}
            </option>
          ))}
        </select>
      </div>
      <button type="submit" className="button primary wide">
        {words.signIn}
      </button>
    </form>
  );
}
