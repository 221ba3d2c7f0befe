/** Address of the server, and the credentials of requests over HTTP. */

import type { ClientOptions, SignIn } from "./api.js";
import type { Environment } from "./environment.js";

export interface Network {
  readonly env: Environment;
  readonly signIn: SignIn;
  /** True if the browser's cookie says who asks. */
  readonly byCookie: boolean;
  /** The server's address, as it was given. */
  server(): string;
  /** Origin of its HTTP, without a path. */
  origin(): string;
  /** Headers of a request over HTTP that say who asks; a cookie goes by itself. */
  authorize(): Promise<Record<string, string>>;
}

export function networkOf(env: Environment, { url, signIn = { kind: "cookie" } }: ClientOptions): Network {
  const server = () => url ?? env.origin ?? "http://127.0.0.1";
  return {
    env,
    signIn,
    byCookie: signIn.kind === "cookie",
    server,
    origin: () => new URL(server().replace(/^ws/, "http")).origin,
    authorize: async (): Promise<Record<string, string>> => {
      if (signIn.kind === "token") return { Authorization: `Bearer ${await signIn.getToken()}` };
      return signIn.kind === "development" ? { "X-Chatd-User": signIn.user } : {};
    },
  };
}
