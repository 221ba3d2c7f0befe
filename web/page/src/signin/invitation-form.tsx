import { Field, Problem, words } from "@chatd/react/components";
import { redeem } from "../http.js";
import { text, useSubmit } from "./submit.js";

/** Form for an invitation that came on paper or by mail, good once. */
export function InvitationForm({ invitation, onSignedIn }: { invitation: string; onSignedIn: () => void }) {
  const { busy, problem, onSubmit } = useSubmit(
    (filled) => {
      const birthDate = text(filled, "birth_date");
      const password = text(filled, "password");
      return redeem({
        invitation,
        ...(birthDate ? { birth_date: birthDate } : {}),
        ...(password ? { password } : {}),
      });
    },
    ({ need, code }) =>
      need === "birth_date" || code === "bad_request" ? words.wrongBirthDate : words.wrongInvitation,
    onSignedIn,
  );
  return (
    <form aria-label={words.invitation} onSubmit={onSubmit}>
      <p className="quiet">{words.invitationHint}</p>
      <Field label={words.birthDate} name="birth_date" type="date" autoComplete="bday" autoFocus />
      <Field
        label={words.passwordOptional}
        hint={words.passwordHint}
        name="password"
        type="password"
        autoComplete="new-password"
      />
      <Problem text={problem} />
      <button type="submit" className="button primary wide" disabled={busy}>
        {words.continue}
      </button>
    </form>
  );
}
