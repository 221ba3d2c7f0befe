/** The few requests that are not frames: what the page offers, who is signed in, signing in. */

import type { User } from "@chatd/client";

export interface Offer {
  readonly development: boolean;
  readonly methods: readonly string[];
  readonly providers: readonly { readonly id: string; readonly name: string; readonly start: string }[];
  readonly sign_in_url?: string | null;
  readonly name: string;
  readonly logo_url?: string | null;
  readonly language?: string | null;
  /** Minutes without input after which a screen locks itself; 0: never. */
  readonly lock_after?: number;
}

export interface Refusal {
  readonly status: number;
  readonly code: string;
  /** A second step is asked for. */
  readonly need: string | null;
  readonly retryAfterS: number;
}

/** No answer, or none that is to be understood. */
export class Unreachable extends Error {}

export async function getOffer(): Promise<Offer> {
  const response = await reach("/v1/sign-in");
  if (!response.ok) throw new Unreachable(`/v1/sign-in: ${response.status}`);
  return (await response.json()) as Offer;
}

/** Returns the user who is signed in by the cookie; null for nobody. */
export async function getMe(): Promise<User | null> {
  const response = await reach("/v1/me");
  if (response.status === 401 || response.status === 403) return null;
  if (!response.ok) throw new Unreachable(`/v1/me: ${response.status}`);
  return ((await response.json()) as { user: User }).user;
}

/** Null: done, and the cookie is set. */
export function signIn(fields: { user: string; password: string; code?: string }): Promise<Refusal | null> {
  return post("/v1/sign-in", fields);
}

export function redeem(fields: {
  invitation: string;
  birth_date?: string;
  password?: string;
}): Promise<Refusal | null> {
  return post("/v1/invitations/redeem", fields);
}

async function post(path: string, body: unknown): Promise<Refusal | null> {
  const response = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.ok) return null;
  const told = (await response.json().catch(() => ({}))) as { code?: string; need?: string };
  if (response.status >= 500) throw new Unreachable(`${path}: ${response.status}`);
  return {
    status: response.status,
    code: told.code ?? "",
    need: told.need ?? null,
    retryAfterS: Number(response.headers.get("Retry-After")) || 60,
  };
}

async function reach(path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch (error) {
    throw new Unreachable(String(error));
  }
}
