// Ways in and out against a daemon that is not in development mode: password, invitation, the end of a session.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { article, composer, DESKTOP, setUp, until, visitor, write } from "./harness.mjs";
import { file, input, photo, sample } from "./samples.mjs";

const world = setUp({ flags: [] });
const PASSWORD = "correct horse battery staple";

const chatd = (...args) => world.daemon.run([...args, "--data", join(world.daemon.folder, "data")], `${PASSWORD}\n`);

async function signIn(page, user, password = PASSWORD) {
  const form = page.getByRole("form", { name: "Sign in" });
  await form.getByRole("textbox", { name: "User ID" }).fill(user);
  await form.getByLabel("Password").fill(password);
  await form.getByRole("button", { name: "Sign in" }).click();
}

test("a dentist signs in by password, survives a reload, and signs out without a trace", async () => {
  const { daemon, browser } = world;
  await chatd("user", "add", "den-1", "--name", "Dr. Bo Dahl", "--role", "dentist");
  await chatd("user", "passwd", "den-1");
  await chatd("user", "add", "pat-1", "--name", "Ada Lovelace", "--role", "patient");
  const page = await visitor(browser, `${daemon.url}/?with=pat-1`);
  await signIn(page, "den-1", "wrong wrong wrong");
  await page.getByRole("alert").getByText("not right").waitFor();
  await signIn(page, "den-1");
  await page.getByRole("heading", { name: "Ada Lovelace" }).waitFor();
  await write(page, "Good morning");
  await article(page, "Good morning").getByText("Sent", { exact: true }).waitFor();
  await composer(page).fill("a draft of the dentist");
  await page.waitForTimeout(500);
  await page.reload();
  await article(page, "Good morning").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("form", { name: "Sign in" }).waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
  assert.deepEqual(await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name)), []);
  await page.reload();
  await page.getByRole("form", { name: "Sign in" }).waitFor();
});

test("a patient signs in by an invitation and a date of birth; the code leaves the address at once", async () => {
  const { browser, daemon } = world;
  await chatd("user", "add", "pat-2", "--name", "Yusuf", "--role", "patient");
  const printed = await chatd("invite", "pat-2", "--birth-date", "1953-04-30");
  const [, code] = /#invitation=(\S+)/.exec(printed);
  const page = await visitor(browser, `${daemon.url}/#invitation=${code}`);
  const form = page.getByRole("form", { name: "Invitation" });
  await form.waitFor();
  assert.equal(new URL(page.url()).hash, "");
  await form.getByLabel("Date of birth").fill("1953-04-29");
  await form.getByRole("button", { name: "Continue" }).click();
  await form.getByRole("alert").filter({ hasText: /\S/ }).waitFor();
  await form.getByLabel("Date of birth").fill("1953-04-30");
  await form.getByRole("button", { name: "Continue" }).click();
  await page.getByText("No conversations yet").first().waitFor();
});

test("by the cookie alone a photo goes up, is shown, and a PDF opens where it is", async () => {
  const { browser, daemon } = world;
  const page = await visitor(browser, `${daemon.url}/?with=pat-1`);
  await signIn(page, "den-1");
  await composer(page).waitFor();
  await input(page).setInputFiles([photo(), file("plan.pdf", "application/pdf", sample("pdf()"))]);
  await composer(page).fill("from the chair");
  await page.getByRole("button", { name: "Send" }).click();
  const sent = article(page, "from the chair");
  await sent.getByText("Sent", { exact: true }).waitFor();
  const picture = sent.getByRole("button", { name: "Show picture tooth.jpg" }).locator("img");
  await until(() => picture.evaluate(({ naturalWidth }) => naturalWidth > 0));
  assert.match(
    await picture.evaluate(({ src }) => new URL(src).pathname + new URL(src).search),
    /^\/v1\/attachments\/[^?]+$/,
  );
  const status = await sent
    .getByRole("link", { name: "plan.pdf", exact: true })
    .evaluate(async ({ href }) => (await fetch(href)).status);
  assert.equal(status, 200);
});

test("a session that is revoked ends in words, and the draft is there after signing in again", async () => {
  const { daemon, browser } = world;
  const page = await visitor(browser, `${daemon.url}/?with=pat-1`, { viewport: DESKTOP });
  await signIn(page, "den-1");
  await composer(page).waitFor();
  await composer(page).fill("half a thought");
  await page.waitForTimeout(500);
  await chatd("user", "passwd", "den-1"); // ends all sessions
  await page.getByText("Your session has ended. Sign in again to continue; your draft is safe.").waitFor();
  await signIn(page, "den-1");
  await composer(page).waitFor();
  assert.equal(await composer(page).inputValue(), "half a thought");
});

test("a second step asks for its code after the right password", async () => {
  const { daemon, browser } = world;
  const asked = [];
  const page = await visitor(browser, daemon.url, {
    prepare: (each) =>
      each.route("**/v1/sign-in", (route) => {
        if (route.request().method() !== "POST") return route.continue();
        asked.push(route.request().postDataJSON());
        return route.fulfill({
          status: 401,
          contentType: "application/json",
          body: JSON.stringify({ code: "unauthorized", message: "", temporary: false, need: "code" }),
        });
      }),
  });
  await signIn(page, "den-1");
  const code = page.getByRole("textbox", { name: "Code" });
  await code.fill("123 456");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("This code is not right").waitFor();
  assert.deepEqual(asked.at(-1), { user: "den-1", password: PASSWORD, code: "123456" });
});

test("the page obeys a policy without inline script or style, and its assets are immutable", async () => {
  const { daemon } = world;
  const page = await fetch(daemon.url);
  const policy = page.headers.get("content-security-policy");
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.equal(page.headers.get("cache-control"), "no-cache");
  const [, asset] = /src="(\/assets\/[^"]+)"/.exec(await page.text());
  assert.match((await fetch(daemon.url + asset)).headers.get("cache-control"), /immutable/);
  assert.equal((await fetch(`${daemon.url}/assets/gone.js`)).status, 404);
});
