// What was typed is never lost, sent twice, or sent to somebody else.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";
import {
  ADA,
  article,
  as,
  BO,
  composer,
  filled,
  LAUNCH,
  log,
  openAsBo,
  PHONE,
  row,
  setUp,
  until,
  visitor,
  write,
} from "./harness.mjs";

const world = setUp();

test("a draft survives a switch, a reload and a crash of the page, and is gone in all tabs when sent", async () => {
  const { daemon, browser } = world;
  const conversation = await filled(daemon, 4);
  await daemon.say("pat-2", BO.user, ["hello from two"]);
  const page = await openAsBo(world, conversation);
  await composer(page).fill("half a sentence");
  await row(page, "pat-2").click();
  await article(page, "hello from two").waitFor();
  assert.equal(await composer(page).inputValue(), "");
  await row(page, ADA.name).getByText("half a sentence").waitFor();
  await row(page, ADA.name).click();
  await until(async () => (await composer(page).inputValue()) === "half a sentence");
  await page.reload();
  await until(async () => (await composer(page).inputValue()) === "half a sentence");

  await composer(page).fill("half a sentence more");
  await page.waitForTimeout(600);
  const other = await page.context().newPage();
  await other.goto(page.url());
  await until(async () => (await composer(other).inputValue()) === "half a sentence more");
  const crashed = page.waitForEvent("crash");
  page.goto("chrome://crash").catch(() => undefined);
  await crashed;
  await other.keyboard.press("End");
  await composer(other).press("Enter");
  await article(other, "half a sentence more").waitFor();
  const third = await other.context().newPage();
  await third.goto(other.url());
  await article(third, "half a sentence more").waitFor();
  assert.equal(await composer(third).inputValue(), "");
  assert.ok(browser);
});

test("typing in the middle of a text stays there, and what an input method composes stays whole", async () => {
  const page = await openAsBo(world, await filled(world.daemon, 4));
  await composer(page).pressSequentially("It rts");
  for (let n = 0; n < 3; n += 1) await page.keyboard.press("ArrowLeft");
  await page.keyboard.type("hu");
  assert.equal(await composer(page).inputValue(), "It hurts");
  const cdp = await page.context().newCDPSession(page);
  for (const text of ["に", "にほ", "にほん"]) {
    await cdp.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
  }
  assert.equal(await composer(page).inputValue(), "It huにほんrts");
  await cdp.send("Input.insertText", { text: "日本" });
  assert.equal(await composer(page).inputValue(), "It hu日本rts");
});

test("a draft goes on at its end after a switch of conversations", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 4);
  await daemon.say("pat-4", BO.user, ["hello from four"]);
  const page = await openAsBo(world, conversation);
  await composer(page).fill("half a");
  await row(page, "pat-4").click();
  await article(page, "hello from four").waitFor();
  await row(page, ADA.name).click();
  await until(async () => (await composer(page).inputValue()) === "half a");
  await page.keyboard.type(" sentence");
  assert.equal(await composer(page).inputValue(), "half a sentence");
});

test("a double click on Save and a held Enter save the edit, and leave the draft behind it", async () => {
  const page = await openAsBo(world, await filled(world.daemon, 4));
  await write(page, "an old one");
  await article(page, "an old one")
    .getByText(/Sent|Delivered|Read/)
    .waitFor();
  await composer(page).fill("not finished");
  const edit = async (text) => {
    await article(page, "an old one").hover();
    await article(page, "an old one").getByRole("button", { name: "Actions" }).click();
    await page.getByRole("menuitem", { name: "Edit" }).click();
    await page.keyboard.type(text);
  };
  await edit(", better");
  await page.getByRole("button", { name: "Save" }).dblclick();
  await article(page, "an old one, better").waitFor();
  assert.equal(await composer(page).inputValue(), "not finished");
  await edit(" still");
  for (let n = 0; n < 3; n += 1) await page.keyboard.down("Enter");
  await page.keyboard.up("Enter");
  await article(page, "an old one, better still").waitFor();
  assert.equal(await composer(page).inputValue(), "not finished");
  await page.getByRole("button", { name: "Send" }).click();
  await article(page, "not finished").waitFor();
});

test("the field keeps the focus after a double click on Send, and has it again after Cancel", async () => {
  const page = await openAsBo(world, await filled(world.daemon, 4));
  const focused = () => composer(page).evaluate((field) => field === document.activeElement);
  await composer(page).fill("only once");
  await page.getByRole("button", { name: "Send" }).dblclick();
  await article(page, "only once")
    .getByText(/Sent|Delivered|Read/)
    .waitFor();
  assert.ok(await focused());
  for (const item of ["Edit", "Reply"]) {
    await article(page, "only once").hover();
    await article(page, "only once").getByRole("button", { name: "Actions" }).click();
    await page.getByRole("menuitem", { name: item }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel" }).waitFor({ state: "detached" });
    assert.ok(await focused(), item);
  }
});

test("Esc that belongs to an input method leaves what is searched for", async () => {
  const page = await openAsBo(world, await filled(world.daemon, 4));
  const search = page.getByRole("searchbox", { name: "Search messages" });
  await search.fill("Line");
  const escape = { key: "Escape", isComposing: true, bubbles: true, cancelable: true };
  await search.evaluate((field, init) => field.dispatchEvent(new KeyboardEvent("keydown", init)), escape);
  await page.getByRole("list", { name: "Search results" }).waitFor();
  assert.equal(await search.inputValue(), "Line");
  await search.press("Escape");
  assert.equal(await search.inputValue(), "");
});

test("Enter that belongs to an input method sends nothing, Safari's key code 229 included", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  await article(page, "Line 2.").first().waitFor();
  await composer(page).fill("ni");
  await composer(page).evaluate((field) => {
    for (const init of [
      { isComposing: true, keyCode: 13 },
      { isComposing: false, keyCode: 229 },
    ]) {
      field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }));
    }
  });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Input.imeSetComposition", { text: "にほん", selectionStart: 3, selectionEnd: 3 });
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  assert.equal(await article(page, "にほん").count(), 0);
  assert.equal(await log(page).getByText("ni", { exact: true }).count(), 0);
  assert.match(await composer(page).inputValue(), /^ni/);
});

test("three texts typed offline go out once, in order, after the browser was killed", async () => {
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
    for (const text of ["one", "two", "three", "not this one"]) await write(page, text);
    await page.getByRole("status").getByText("4 messages are waiting").waitFor();
    await article(page, "not this one").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("status").getByText("3 messages are waiting").waitFor();
    await page.waitForTimeout(300);
    const cdp = await first.newCDPSession(page);
    await cdp.send("Browser.crash").catch(() => undefined);
    await first.close().catch(() => undefined);

    const second = await chromium.launchPersistentContext(profile, LAUNCH);
    const again = await second.newPage();
    await again.goto(address);
    await article(again, "three")
      .getByText(/Sent|Delivered|Read/)
      .waitFor();
    const bodies = await log(again).locator("article .body").allTextContents();
    assert.deepEqual(bodies, ["one", "two", "three"]);
    await second.close();
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});

test("a message that is refused for good stops neither those behind it nor the page", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  await daemon.known("pat-9", "Paula", "patient");
  const made = await daemon.ask(BO.user, { type: "conversation.create", title: "Short-lived", members: ["pat-9"] });
  const page = await visitor(
    world.browser,
    `${as(daemon, "pat-9", { name: "Paula" })}#conversation=${made.conversation}`,
    {
      // The server refuses one of them.
      prepare: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => {
          const server = socket.connectToServer();
          socket.onMessage((text) => {
            const frame = JSON.parse(text);
            if (frame.type !== "message.send" || frame.body !== "refused") return server.send(text);
            socket.send(
              JSON.stringify({ type: "error", re: frame.id, code: "forbidden", message: "no", temporary: false }),
            );
          });
        }),
    },
  );
  await composer(page).waitFor();
  for (const text of ["before", "refused", "behind"]) await write(page, text);
  await article(page, "behind")
    .getByText(/Sent|Delivered/)
    .waitFor();
  const failed = article(page, "refused");
  await failed.getByText("Failed", { exact: true }).waitFor();
  await failed.getByText("couldn't be sent").waitFor();
  await failed.getByRole("button", { name: "Try again" }).waitFor();
  await failed.getByRole("button", { name: "Delete" }).click();
  await failed.waitFor({ state: "detached" });
  assert.ok(conversation);
});

test("Enter pressed during a switch sends to the conversation in whose composer the text was typed", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  const other = await daemon.say("pat-2", BO.user, ["I am somebody else"]);
  const page = await openAsBo(world, conversation);
  for (let round = 0; round < 20; round += 1) {
    const [name, text] = round % 2 ? ["pat-2", `for two ${round}.`] : [ADA.name, `for Ada ${round}.`];
    await row(page, name).click();
    await composer(page).fill(text);
    // Both in one task of the page: the key press is on its way while the other conversation opens.
    await page.evaluate(
      (next) => {
        const field = document.querySelector("textarea");
        const link = [...document.querySelectorAll("nav a")].find(({ textContent }) => textContent.includes(next));
        link.click();
        field.dispatchEvent(
          new KeyboardEvent("keydown", { key: "Enter", keyCode: 13, bubbles: true, cancelable: true }),
        );
      },
      round % 2 ? ADA.name : "pat-2",
    );
  }
  await page.waitForTimeout(500);
  for (const [id, wrong] of [
    [conversation, "for two"],
    [other, "for Ada"],
  ]) {
    const { messages } = await daemon.ask(BO.user, { type: "message.history", conversation: id });
    assert.ok(messages.every(({ body }) => !body.includes(wrong)));
  }
});

test("a second tap on Send leaves the field its focus, and with it a phone's keyboard", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation, { viewport: PHONE, hasTouch: true, isMobile: true });
  await composer(page).tap();
  await composer(page).fill("sent by a double tap");
  const box = await page.getByRole("button", { name: "Send", exact: true }).boundingBox();
  for (let taps = 1; taps <= 3; taps += 1) {
    await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
    await page.waitForTimeout(100);
    assert.ok(await composer(page).evaluate((field) => field === document.activeElement), `after ${taps} taps`);
  }
  await article(page, "sent by a double tap").waitFor();
  assert.equal(await article(page, "sent by a double tap").count(), 1);
});
