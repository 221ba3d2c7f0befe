// Several tabs of one person: nothing twice, nothing left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADA, article, as, BO, composer, filled, log, openAsBo, setUp, until, write } from "./harness.mjs";

const world = setUp();

test("two tabs flush one outbox at once: each message is there once", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  const one = await openAsBo(world, conversation);
  const two = await one.context().newPage();
  await two.goto(one.url());
  await article(two, "Line 2.").waitFor(); // it has connected
  await one.context().setOffline(true);
  await write(one, "flushed once");
  await write(one, "flushed second");
  await article(two, "flushed second").getByText("Waiting", { exact: true }).waitFor();
  await one.context().setOffline(false);
  for (const page of [one, two])
    await article(page, "flushed second")
      .getByText(/Sent|Delivered|Read/)
      .waitFor();
  const { messages } = await daemon.ask(ADA.user, { type: "message.history", conversation });
  const flushed = messages.map(({ body }) => body).filter((body) => body.startsWith("flushed"));
  assert.deepEqual(flushed, ["flushed once", "flushed second"]);
  assert.equal(await log(two).getByRole("article").filter({ hasText: "flushed once" }).count(), 1);
});

test("a draft that is typed in two tabs at once is overwritten in neither, and no words are lost", async () => {
  const conversation = await filled(world.daemon, 2);
  const one = await openAsBo(world, conversation);
  const two = await one.context().newPage();
  await two.goto(one.url());
  await article(two, "Line 2.").first().waitFor();
  for (const [page, text] of [
    [one, "from one"],
    [two, "from two"],
    [one, "from one."],
    [two, "from two."],
  ]) {
    await composer(page).fill(text);
    await page.waitForTimeout(350);
  }
  assert.equal(await composer(one).inputValue(), "from one.");
  assert.equal(await composer(two).inputValue(), "from two.");
  for (const page of [one, two]) {
    await until(async () =>
      /from one\.[^]*from two\.|from two\.[^]*from one\./.test(await composer(page).inputValue()),
    );
  }
});

/** Which of the pages makes sound and notifications; it counts what each of them shows. */
const COUNT = () => {
  window.shown = [];
  window.Notification = class extends EventTarget {
    static permission = "granted";
    constructor(title, { body, tag }) {
      super();
      window.shown.push({ title, body, tag });
    }
    close() {}
  };
};

test("one tab of two notifies; where it is frozen, the other takes over within 5 s", async () => {
  const { daemon, browser } = world;
  const conversation = await filled(daemon, 2);
  const context = await browser.newContext({ locale: "en-GB" });
  await context.addInitScript(COUNT);
  await context.addInitScript(() => {
    document.hasFocus = () => false;
  });
  const pages = [await context.newPage(), await context.newPage()];
  for (const page of pages) {
    await page.goto(`${as(daemon, BO.user, BO)}#conversation=${conversation}`);
    await article(page, "Line 2.").first().waitFor();
  }
  const counts = () => Promise.all(pages.map((page) => page.evaluate(() => window.shown.length)));
  await daemon.say(ADA.user, BO.user, ["ding"]);
  await until(async () => (await counts()).some((count) => count === 1));
  await pages[0].waitForTimeout(500);
  assert.deepEqual((await counts()).sort(), [0, 1]);

  const frozen = (await counts())[0] === 1 ? 0 : 1;
  const other = pages[1 - frozen];
  const cdp = await context.newCDPSession(pages[frozen]);
  // The lifecycle state "frozen" leaves a headless page's timers running; a paused one keeps its lock in silence.
  await cdp.send("Debugger.enable");
  await cdp.send("Debugger.pause");
  await other.waitForTimeout(5_000);
  await daemon.say(ADA.user, BO.user, ["dong"]);
  await until(() => other.evaluate(() => window.shown.length === 1));
  await cdp.send("Debugger.disable");
  await context.close();
});

test("signing out offers what is unsent, and leaves nothing of it all in the browser, in any tab", async () => {
  const { daemon } = world;
  const CANARY = "canaryword";
  const conversation = await filled(daemon, 2);
  await daemon.say(ADA.user, BO.user, [`read ${CANARY}`]);
  const page = await openAsBo(world, conversation);
  await article(page, CANARY).waitFor();
  const second = await page.context().newPage();
  await second.goto(page.url());
  await composer(second).fill(`draft ${CANARY}`);
  await page.waitForTimeout(500);
  await page.context().setOffline(true);
  await composer(page).fill(`unsent ${CANARY}`);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Sign out" }).click();
  const dialog = page.getByRole("alertdialog", { name: "Unsent messages" });
  await dialog.getByText(`unsent ${CANARY}`).waitFor();
  await dialog.getByRole("button", { name: "Stay signed in" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.context().setOffline(false);
  await Promise.race([
    dialog.getByRole("button", { name: "Sign out and delete them" }).click(),
    page.getByRole("form", { name: "Sign in" }).waitFor(), // it went out meanwhile
  ]);
  await page.getByRole("form", { name: "Sign in" }).waitFor();
  await second.getByRole("form", { name: "Sign in" }).waitFor();
  const left = await page.evaluate(async () => {
    const found = [
      JSON.stringify({ ...localStorage }),
      JSON.stringify({ ...sessionStorage }),
      JSON.stringify(history.state),
    ];
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = reject;
      });
      for (const store of db.objectStoreNames) {
        const all = db.transaction(store).objectStore(store).getAll();
        await new Promise((resolve) => (all.onsuccess = resolve));
        found.push(JSON.stringify(all.result));
      }
      db.close();
    }
    for (const name of await caches.keys()) found.push(name);
    return found.join("\n");
  });
  assert.ok(!left.includes(CANARY), left);
  await page.goBack().catch(() => undefined);
  await page.waitForTimeout(800);
  assert.ok(!(await page.content()).includes(CANARY));
});
