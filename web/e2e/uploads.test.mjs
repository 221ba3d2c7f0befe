// Uploads: slow, cut, offline, killed; and never to the wrong person.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { ADA, article, as, BO, composer, filled, LAUNCH, log, openAsBo, row, setUp, until, write } from "./harness.mjs";
import { file, input, photo, sample, staged } from "./samples.mjs";

const world = setUp();
const text = (name) => file(name, "text/plain", Buffer.from(name));

const history = async (conversation) => {
  const { messages } = await world.daemon.ask(BO.user, { type: "message.history", conversation, limit: 200 });
  return messages;
};

test("three texts and a photo written offline go out once, in order, after the browser was killed", async () => {
  const { daemon } = world;
  const profile = mkdtempSync(join(tmpdir(), "chatd-profile-"));
  const address = as(daemon, "off-1", { name: "Olga", other: BO.user });
  try {
    await daemon.known(BO.user, BO.name, BO.role);
    const first = await chromium.launchPersistentContext(profile, LAUNCH);
    const page = await first.newPage();
    await page.goto(address);
    await composer(page).waitFor();
    await first.setOffline(true);
    await write(page, "one");
    await input(page).setInputFiles(photo());
    await staged(page).getByText("waits to be uploaded").waitFor();
    await page.keyboard.press("Enter");
    await write(page, "three");
    await page.getByRole("status").getByText("3 messages are waiting").waitFor();
    await log(page).getByText("tooth.jpg").waitFor();
    await page.waitForTimeout(500);
    const cdp = await first.newCDPSession(page);
    await cdp.send("Browser.crash").catch(() => undefined);
    await first.close().catch(() => undefined);

    const second = await chromium.launchPersistentContext(profile, LAUNCH);
    const again = await second.newPage();
    await again.goto(address);
    await article(again, "three")
      .getByText(/Sent|Delivered|Read/)
      .waitFor();
    const conversation = new URL(again.url()).hash.replace("#conversation=", "");
    const said = (await history(conversation)).map(({ body, attachments }) => body || attachments[0]?.name);
    assert.deepEqual(said, ["one", "tooth.jpg", "three"]);
    await second.close();
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});

test("an upload that ends while another conversation is on screen stays where it was staged", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  const other = await daemon.say("pat-2", BO.user, ["I am somebody else"]);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const page = await openAsBo(world, conversation, {
    prepare: (each) => each.route(/\/v1\/attachments$/, (route) => held.then(() => route.continue())),
  });
  await input(page).setInputFiles(photo("for-ada.jpg"));
  await staged(page).getByText("Uploading").waitFor();
  await row(page, "pat-2").click();
  await article(page, "I am somebody else").waitFor();
  release();
  await page.waitForTimeout(500);
  assert.equal(await staged(page).count(), 0);
  await write(page, "to you alone");
  await article(page, "to you alone")
    .getByText(/Sent|Delivered/)
    .waitFor();
  assert.deepEqual((await history(other)).at(-1).attachments, []);
  await row(page, ADA.name).click();
  await staged(page).filter({ hasText: "for-ada.jpg" }).waitFor();
  await page.keyboard.press("Enter");
  await until(async () => (await history(conversation)).at(-1).attachments[0]?.name === "for-ada.jpg");
});

test("1,000 random switches with a slow network bring no word and no file to the wrong person", async (context) => {
  const { daemon } = world;
  const seed = Number(process.env.CHATD_SEED ?? Date.now() % 1_000_000);
  context.diagnostic(`seed ${seed}`);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const people = new Map([[ADA.name, await filled(daemon, 2)]]);
  for (const id of ["pat-2", "pat-3"]) people.set(id, await daemon.say(id, BO.user, [`I am ${id}`]));
  const names = [...people.keys()];
  const files = async (name) => (await history(people.get(name))).flatMap(({ attachments }) => attachments);
  const before = new Map();
  for (const name of names) before.set(name, (await files(name)).length);
  const page = await openAsBo(world, people.get(ADA.name), {
    prepare: (each) =>
      each.route(/\/v1\/attachments$/, async (route) => {
        await new Promise((resolve) => setTimeout(resolve, random(60)));
        await route.continue().catch(() => undefined);
      }),
  });
  for (const name of names) await row(page, name).waitFor();
  const plan = Array.from({ length: 1_000 }, () => ({ name: names[random(names.length)], what: random(12) }));
  const expected = await page.evaluate(async (steps) => {
    const count = {};
    const setValue = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
    const enter = () =>
      document
        .querySelector("[data-composer]")
        .dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 13, bubbles: true, cancelable: true }));
    for (const [n, { name, what }] of steps.entries()) {
      [...document.querySelectorAll("nav a")].find(({ textContent }) => textContent.includes(name)).click();
      // Mostly right in the middle of the switch.
      if (what % 3) await new Promise((resolve) => setTimeout(resolve, what % 3));
      const shown = document.querySelector("main h1").textContent;
      const room = document.querySelectorAll(".staged-file").length < 9;
      if (what === 0 && room) {
        const data = new DataTransfer();
        data.items.add(new File([`${n}`], `for ${shown} ${n}.txt`, { type: "text/plain" }));
        const field = document.querySelector("input[type=file]");
        field.files = data.files;
        field.dispatchEvent(new Event("change", { bubbles: true }));
        count[shown] = (count[shown] ?? 0) + 1;
      } else if (what < 4) {
        const field = document.querySelector("[data-composer]");
        setValue.call(field, `for ${shown} ${n}`);
        field.dispatchEvent(new Event("input", { bubbles: true }));
      } else if (what < 7) {
        enter();
      }
    }
    return count;
  }, plan);
  for (const name of names) {
    await row(page, name).click();
    await page.getByRole("main").getByRole("heading", { name }).waitFor();
    if ((await staged(page).count()) > 0 || (await composer(page).inputValue())) await composer(page).press("Enter");
  }
  for (const name of names) {
    await until(async () => (await files(name)).length === (expected[name] ?? 0) + before.get(name), {
      ms: 60_000,
      what: `all ${expected[name]} for ${name}, not ${(await files(name)).length}`,
    });
    for (const { body, sender, attachments } of await history(people.get(name))) {
      if (sender !== BO.user || body.startsWith("Line ")) continue;
      if (/^for .* \d+$/.test(body)) assert.ok(body.startsWith(`for ${name} `), `${body} came to ${name}`);
      for (const each of attachments) {
        if (each.name.startsWith("for "))
          assert.ok(each.name.startsWith(`for ${name} `), `${each.name} came to ${name}`);
      }
    }
  }
});

test("a large file goes on where a cut connection left off, and arrives byte for byte", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  let cuts = 2;
  const asked = [];
  const page = await openAsBo(world, conversation, {
    prepare: (each) =>
      each.route(/\/v1\/uploads/, (route) => {
        const method = route.request().method();
        asked.push(method);
        return method === "PATCH" && cuts-- > 0 ? route.abort() : route.continue();
      }),
  });
  const body = Buffer.concat([sample("pdf()"), Buffer.from(randomBytes(6_000_000).toString("base64"))]);
  await input(page).setInputFiles(file("scan.pdf", "application/pdf", body));
  await composer(page).fill("the scan");
  await page.getByRole("button", { name: "Send" }).click();
  await article(page, "the scan")
    .getByText(/Sent|Delivered/)
    .waitFor();
  assert.ok(asked.filter((method) => method === "HEAD").length >= 2, asked.join(" "));
  const [{ id, size }] = (await history(conversation)).at(-1).attachments;
  const answer = await fetch(`${daemon.url}/v1/attachments/${id}`, { headers: { "X-Chatd-User": ADA.user } });
  const came = Buffer.from(await answer.arrayBuffer());
  const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
  assert.deepEqual([size, hash(came)], [body.length, hash(body)]);
});

test("a message on its way shows how far its files are, and can be taken back", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  await article(page, "Line 2.").first().waitFor();
  await page.context().setOffline(true);
  await input(page).setInputFiles([photo("later.jpg"), text("notes.txt")]);
  await staged(page).filter({ hasText: "notes.txt" }).waitFor();
  await page.keyboard.press("Enter");
  const waiting = log(page).getByRole("article").filter({ hasText: "later.jpg" });
  await waiting.getByText("waits to be uploaded").first().waitFor();
  await waiting.getByText("Waiting", { exact: true }).waitFor();
  await waiting.getByRole("button", { name: "Cancel" }).click();
  await waiting.waitFor({ state: "detached" });
  await page.context().setOffline(false);
  await page.waitForTimeout(1_500);
  assert.ok(
    (await history(conversation)).every(({ attachments }) => attachments.every(({ name }) => name !== "later.jpg")),
  );
});

test("a message whose files are going up can be taken back, though the connection is there", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  await article(page, "Line 2.").first().waitFor();
  await page.route(/\/v1\/(uploads|attachments)/, () => undefined); // taken, and never answered
  await input(page).setInputFiles([text("wrong-one.txt")]);
  await staged(page).filter({ hasText: "wrong-one.txt" }).waitFor();
  await page.keyboard.press("Enter");
  const waiting = log(page).getByRole("article").filter({ hasText: "wrong-one.txt" });
  await waiting.getByRole("button", { name: "Cancel" }).click();
  await waiting.waitFor({ state: "detached" });
  await page.unroute(/\/v1\/(uploads|attachments)/);
  await write(page, "the next one");
  await article(page, "the next one").getByText("Sent", { exact: true }).waitFor();
  assert.ok(
    (await history(conversation)).every(({ attachments }) => attachments.every(({ name }) => name !== "wrong-one.txt")),
  );
});

test("what is written in a conversation that couldn't be loaded yet is to be seen", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  const page = await openAsBo(world, conversation, {
    prepare: (each) => each.routeWebSocket(/\/ws$/, () => undefined), // open, and silent
  });
  await write(page, "is anybody there?");
  await article(page, "is anybody there?").getByText("Waiting", { exact: true }).waitFor();
  assert.ok((await history(conversation)).every(({ body }) => body !== "is anybody there?"));
});
