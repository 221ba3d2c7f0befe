// A site with Better Auth on a MySQL database: somebody signs up and in, or out again.
// Stdin: {"url": address of the database, "secret": text, "secure": bool, "now": ms, "out": cookies to sign out with}
// Stdout: {"user": id, "cookies": {name: value}}, of who signed out {}
import { readFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { createPool } from "mysql2/promise";
import { stopClock } from "./clock.mjs";

const wanted = JSON.parse(readFileSync(0, "utf8"));
stopClock(wanted.now);
const pool = createPool({ uri: wanted.url, timezone: "Z" });
const origin = wanted.secure ? "https://www.clinic.example" : "http://www.clinic.example";
const options = {
  baseURL: origin,
  secret: wanted.secret,
  database: pool,
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: true, maxAge: 300 } },
  logger: { level: "error" },
  telemetry: { enabled: false },
};
const ask = (path, body, cookie) => betterAuth(options).handler(new Request(`${origin}/api/auth${path}`, {
  method: "POST",
  headers: { "Content-Type": "application/json", Origin: origin, ...(cookie ? { Cookie: cookie } : {}) },
  body: JSON.stringify(body),
}));

let answer = {};
if (wanted.out) {
  const done = await ask("/sign-out", {}, wanted.out);
  if (!done.ok) throw new Error(await done.text());
} else {
  await (await getMigrations(options)).runMigrations();
  const done = await ask("/sign-up/email", { email: "ada@clinic.example", password: "three plain words", name: "Ada" });
  if (!done.ok) throw new Error(await done.text());
  const cookies = done.headers.getSetCookie().map((line) => line.split(";")[0].split(/=(.*)/s));
  answer = { user: (await done.json()).user.id, cookies: Object.fromEntries(cookies) };
}
await pool.end();
process.stdout.write(JSON.stringify(answer));
