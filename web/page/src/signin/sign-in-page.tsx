/** All ways in that the server offers, and nothing else. */

import { words } from "@chatd/react/components";
import type { Development } from "../address.js";
import type { Offer } from "../http.js";
import { DevelopmentForm } from "./development-form.js";
import { InvitationForm } from "./invitation-form.js";
import { PasswordForm } from "./password-form.js";

export function SignInPage({
  offer,
  invitation,
  notice,
  onSignedIn,
}: {
  offer: Offer;
  invitation: string | null;
  notice: string | null;
  onSignedIn: (development: Development | null) => void;
}) {
  const done = () => {
    onSignedIn(null);
  };
  const password = offer.methods.includes("password") && !offer.development;
  const invited = invitation !== null && offer.methods.includes("invitation");
  const nothing = !password && !invited && !offer.development && !offer.providers.length && !offer.sign_in_url;
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        {offer.logo_url && <img className="sign-in-logo" src={offer.logo_url} alt="" />}
        <h1 dir="auto">{offer.name || words.signIn}</h1>
        {notice && (
          <p className="notice" role="status">
            {notice}
          </p>
        )}
        {invited && <InvitationForm invitation={invitation} onSignedIn={done} />}
        {offer.development && <DevelopmentForm onSignedIn={onSignedIn} />}
        {password && !invited && <PasswordForm onSignedIn={done} />}
        {offer.providers.map(({ id, name, start }) => (
          <a key={id} className="button wide" href={start}>
            {words.signInWith(name)}
          </a>
        ))}
        {offer.sign_in_url && isWebAddress(offer.sign_in_url) && (
          <a className="button wide" href={offer.sign_in_url}>
            {words.signInElsewhere}
          </a>
        )}
        {nothing && <p className="quiet">{words.noWayIn}</p>}
      </div>
    </main>
  );
}

function isWebAddress(address: string): boolean {
  return /^(https?:\/\/|\/(?!\/))/i.test(address);
}
