/** Owner of the browser's storage, and sign-out without a trace. */

import type { SignIn } from "./api.js";
import type { Database } from "./database.js";
import type { Environment } from "./environment.js";
import type { Network } from "./network.js";
import type { Id } from "./protocol.gen.js";

const PREFIX = "chatd";
const USER_KEY = "chatd.user";

/** The user whose outbox and drafts are shown before the server has said who it is. */
export class LastUser {
  constructor(
    private readonly env: Environment,
    private readonly signIn: SignIn,
  ) {}

  get(): Id | null {
    return this.signIn.kind === "development" ? this.signIn.user : (this.env.localStorage?.getItem(USER_KEY) ?? null);
  }

  set(user: Id): void {
    if (this.signIn.kind === "development") return;
    try {
      this.env.localStorage?.setItem(USER_KEY, user);
    } catch {
      return; // full or switched off: then storage is read after `hello` only
    }
  }
}

/** Removes what a user left in this browser; with `user` null, what anybody left. */
export async function wipe(env: Environment, database: Database, user: Id | null): Promise<void> {
  if (user !== null) {
    await database.forget(user);
    await database.close();
    return;
  }
  const { localStorage, caches } = env;
  if (localStorage) {
    const keys = Array.from({ length: localStorage.length }, (_, index) => localStorage.key(index));
    for (const key of keys) if (key?.startsWith(PREFIX)) localStorage.removeItem(key);
  }
  for (const name of (await caches?.keys()) ?? []) if (name.startsWith(PREFIX)) await caches?.delete(name);
  await database.destroy();
}

/** Ends the session of the cookie. False: the server could not be reached, or did not do it. */
export async function endSession({ env, origin, byCookie }: Network): Promise<boolean> {
  if (!byCookie) return true;
  try {
    const answer = await env.fetch(`${origin()}/v1/sign-out`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
      credentials: "include",
    });
    return answer.ok || answer.status === 401; // 401: it was over already
  } catch {
    return false;
  }
}
