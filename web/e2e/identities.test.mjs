// Signing in at an identity service, and with a code behind the password, in a real browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, createHmac, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, test } from "node:test";
import { CHATD, setUp, visitor } from "./harness.mjs";

const PASSWORD = "correct horse battery staple";
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const codes = new Map();

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function identityToken(claims) {
  const text = `${base64url({ alg: "RS256", typ: "JWT", kid: "k" })}.${base64url(claims)}`;
  return `${text}.${sign("RSA-SHA256", Buffer.from(text), privateKey).toString("base64url")}`;
}

/** A service that knows one person, and signs them in without asking. */
const service = createServer(async (request, response) => {
  const issuer = `http://127.0.0.1:${service.address().port}`;
  const url = new URL(request.url, issuer);
  const json = (value) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
  if (url.pathname === "/.well-known/openid-configuration") {
    json({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/keys`,
    });
  } else if (url.pathname === "/keys") {
    json({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k", use: "sig", alg: "RS256" }] });
  } else if (url.pathname === "/authorize") {
    const code = randomUUID();
    codes.set(code, url.searchParams);
    const back = new URL(url.searchParams.get("redirect_uri"));
    back.search = new URLSearchParams({ code, state: url.searchParams.get("state") }).toString();
    response.writeHead(302, { Location: back.toString() }).end();
  } else if (url.pathname === "/token") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const begun = codes.get(form.get("code"));
    codes.delete(form.get("code"));
    const challenge = createHash("sha256").update(form.get("code_verifier")).digest("base64url");
    assert.equal(challenge, begun.get("code_challenge"));
    const iat = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, aud: "chatd", sub: "person-1", iat, exp: iat + 60, nonce: begun.get("nonce") };
    json({ token_type: "Bearer", id_token: identityToken({ ...claims, name: "Ada Lovelace" }) });
  } else response.writeHead(404).end();
});

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

// Before the harness starts the daemon, whose settings name both addresses.
service.listen(0, "127.0.0.1");
await once(service, "listening");
const port = await freePort();
Object.assign(process.env, {
  CHATD_SERVER_PUBLIC_URL: `http://127.0.0.1:${port}`,
  CHATD_AUTH_METHODS: "password,oidc",
  CHATD_AUTH_OIDC_CLINIC_ISSUER: `http://127.0.0.1:${service.address().port}`,
  CHATD_AUTH_OIDC_CLINIC_CLIENT_ID: "chatd",
  CHATD_AUTH_OIDC_CLINIC_CLIENT_SECRET: "a-secret",
  CHATD_AUTH_OIDC_CLINIC_TITLE: "the clinic's IT",
  CHATD_AUTH_OIDC_CLINIC_UNKNOWN: "patient",
});
const world = setUp({ flags: [], port });
after(() => {
  service.close();
});

test("a person whom the clinic's IT knows signs in by a button, and out again", async () => {
  const page = await visitor(world.browser, world.daemon.url);
  await page.getByRole("link", { name: "Sign in with the clinic's IT" }).click();
  await page.getByText("No conversations yet").first().waitFor();
  await page.getByText("Ada Lovelace").first().waitFor();
  const [cookie] = (await page.context().cookies()).filter(({ name }) => name === "chatd_session");
  assert.ok(cookie.httpOnly);
  assert.ok(!(await page.context().cookies()).some(({ name }) => name === "chatd_oidc"));
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("link", { name: "Sign in with the clinic's IT" }).waitFor();
});

test("an answer that the browser has not asked for is told in words", async () => {
  const page = await visitor(world.browser, `${world.daemon.url}/v1/oidc/clinic/callback?code=x&state=y`);
  await page.getByText("You could not be signed in this way.").waitFor();
  assert.equal(new URL(page.url()).hash, "");
});

/** The code of an authenticator app. */
function totp(secret, at = Date.now()) {
  const bits = [...secret].map((sign) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(sign).toString(2).padStart(5, "0"));
  const key = Buffer.from(
    bits
      .join("")
      .match(/.{8}/g)
      .map((byte) => parseInt(byte, 2)),
  );
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const number = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

/** `chatd user totp`, which asks for a code of the secret that it shows: the secret, and the recovery codes. */
async function secondStep(user) {
  const { daemon } = world;
  const child = spawn(CHATD, ["user", "totp", user, "--data", join(daemon.folder, "data")], { cwd: daemon.folder });
  let said = "";
  let secret = null;
  child.stdout.on("data", (chunk) => {
    said += chunk;
    const [, typed] = /or type: ([A-Z2-7 ]{39})/.exec(said) ?? [];
    if (!typed || secret) return;
    secret = typed.replaceAll(" ", "");
    child.stdin.end(`${totp(secret)}\n`);
  });
  await once(child, "close");
  return { secret, recovery: said.match(/^ {2}[A-Z2-9-]{19}$/gm).map((line) => line.trim()) };
}

test("a code is asked for behind a right password; the app's and a recovery code let in", async () => {
  const { daemon, browser } = world;
  const data = ["--data", join(daemon.folder, "data")];
  await daemon.run(["user", "add", "admin-1", "--name", "Dr. Bo", "--role", "admin", ...data]);
  await daemon.run(["user", "passwd", "admin-1", ...data], `${PASSWORD}\n`);
  const { secret, recovery } = await secondStep("admin-1");
  assert.equal(recovery.length, 10);
  // The code that set it up is used; the next one counts half a minute early.
  for (const code of [totp(secret, Date.now() + 30_000), recovery[0].toLowerCase()]) {
    const page = await visitor(browser, daemon.url);
    const form = page.getByRole("form", { name: "Sign in" });
    await form.getByRole("textbox", { name: "User ID" }).fill("admin-1");
    await form.getByLabel("Password").fill(PASSWORD);
    await form.getByRole("button", { name: "Sign in" }).click();
    await form.getByRole("textbox", { name: "Code" }).fill("000000");
    await form.getByRole("button", { name: "Sign in" }).click();
    await form.getByRole("alert").getByText("not right").waitFor();
    await form.getByRole("textbox", { name: "Code" }).fill(code);
    await form.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("No conversations yet").first().waitFor();
  }
});
