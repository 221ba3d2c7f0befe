// Session cookies as a site with NextAuth 4 or Auth.js 5 sets them: a person signs in by the site's own handlers.
// Stdin: {"version": 4 | 5, "secret": text or [texts], "secure": bool, "user": {...}, "claims": {...}, "maxAge": s,
// "now": ms}
// Stdout: {"cookies": {name: value}}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { stopClock } from "./clock.mjs";

const require = createRequire(import.meta.url);
const wanted = JSON.parse(readFileSync(0, "utf8"));
const origin = wanted.secure ? "https://www.clinic.example" : "http://www.clinic.example";

stopClock(wanted.now);

const shared = {
  secret: wanted.secret,
  session: { strategy: "jwt", maxAge: wanted.maxAge ?? 2592000 },
  callbacks: { jwt: ({ token }) => ({ ...token, ...wanted.claims }) },
  logger: { error: (error) => { throw error; }, warn() {}, debug() {} },
};

const kept = (lines) => Object.fromEntries(lines.map((line) => line.split(";")[0]).map((pair) => {
  const at = pair.indexOf("=");
  return [pair.slice(0, at), pair.slice(at + 1)];
}));
const header = (cookies) => Object.entries(cookies).map(([name, value]) => `${name}=${value}`).join("; ");

async function five() {
  const { Auth } = await import("@auth/core");
  const Credentials = (await import("@auth/core/providers/credentials")).default;
  const config = { ...shared, basePath: "/api/auth", trustHost: true, providers: [Credentials({ authorize: () => wanted.user })] };
  const csrf = await Auth(new Request(`${origin}/api/auth/csrf`), config);
  const { csrfToken } = await csrf.json();
  const answer = await Auth(new Request(`${origin}/api/auth/callback/credentials`, {
    method: "POST",
    headers: { Cookie: header(kept(csrf.headers.getSetCookie())), "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ csrfToken }),
  }), config);
  return kept(answer.headers.getSetCookie());
}

async function four() {
  process.env.NEXTAUTH_URL = origin;
  const { default: NextAuth } = require("next-auth");
  const { default: Credentials } = require("next-auth/providers/credentials");
  const options = { ...shared, providers: [Credentials({ credentials: {}, authorize: () => wanted.user })] };
  const ask = async (method, nextauth, cookies, body) => {
    const set = [];
    let said;
    const response = {
      getHeader: (name) => (name.toLowerCase() === "set-cookie" ? set : undefined),
      setHeader: (name, value) => { if (name.toLowerCase() === "set-cookie") set.splice(0, set.length, ...[value].flat()); },
      status() { return response; },
      redirect() { return response; },
      json: (value) => { said = value; },
      send: (value) => { said = value; },
      end() {},
    };
    const request = { method, query: { nextauth }, cookies, body, headers: { host: "www.clinic.example" } };
    await NextAuth(request, response, options);
    return { said, cookies: kept(set) };
  };
  const decoded = (cookies) => Object.fromEntries(Object.entries(cookies).map(([name, value]) => [name, decodeURIComponent(value)]));
  const csrf = await ask("GET", ["csrf"], {});
  const body = { csrfToken: csrf.said.csrfToken, json: "true" };
  return (await ask("POST", ["callback", "credentials"], decoded(csrf.cookies), body)).cookies;
}

const cookies = await (wanted.version === 4 ? four() : five());
process.stdout.write(JSON.stringify({ cookies }));
