/** Address of the page: what it asks for, and the conversation that it names. */

import type { User } from "@chatd/client";

const ROLES: readonly string[] = ["patient", "dentist", "staff", "admin"];

export interface Development {
  readonly user: string;
  readonly name?: string;
  readonly role?: User["role"];
}

/** `/?as=ID&name=NAME&role=ROLE`: who signs in, in development mode. */
export function developmentUser(address: Pick<Location, "search"> = location): Development | null {
  const query = new URLSearchParams(address.search);
  const user = query.get("as");
  if (!user) return null;
  const role = query.get("role") ?? "";
  const known = ROLES.includes(role) ? { role: role as User["role"] } : {};
  const name = query.get("name");
  return { user, ...(name ? { name } : {}), ...known };
}

/** `/?with=ID`: whom to talk to. */
export function wantedPerson(address: Pick<Location, "search"> = location): string | null {
  return new URLSearchParams(address.search).get("with") || null;
}

/** Takes `#invitation=CODE` out of the address, so that it stays in no history. */
export function takeInvitation(): string | null {
  const code = fragment().get("invitation");
  if (code) replaceAddress(location.pathname + location.search);
  return code || null;
}

/** Takes `#sign-in=PROBLEM` out of the address: why somebody came back from an identity service without a session. */
export function takeSignInProblem(): string | null {
  const problem = fragment().get("sign-in");
  if (problem) replaceAddress(location.pathname + location.search);
  return problem || null;
}

export function openConversation(): string | null {
  return fragment().get("conversation") || null;
}

export function developmentAddress({ user, name, role }: Development): string {
  const query = new URLSearchParams({ as: user });
  if (name) query.set("name", name);
  if (role) query.set("role", role);
  const other = wantedPerson();
  if (other) query.set("with", other);
  return `/?${query.toString()}`;
}

export function replaceAddress(address: string): void {
  history.replaceState(history.state, "", address);
}

function fragment(): URLSearchParams {
  return new URLSearchParams(location.hash.slice(1));
}
