// The text never moves under the eye; the place is kept; the line where reading stopped stands still.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADA,
  article,
  as,
  BO,
  composer,
  distanceFromBottom,
  filled,
  log,
  openAsBo,
  row,
  setFocused,
  setUp,
  until,
  visitor,
  write,
} from "./harness.mjs";

const world = setUp();

/** In the page: scrolls up by wheel events of its own and watches the message at the eye for 60 frames after each. */
async function worstMove(page, scrollUp, pages) {
  let worst = 0;
  for (let n = 0; n < pages; n += 1) {
    await scrollUp();
    const moved = await log(page).evaluate(async (view) => {
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      // A wheel goes on for some frames: wait until it rests.
      for (let rest = 0, top = -1; rest < 5; rest = top === view.scrollTop ? rest + 1 : 0, top = view.scrollTop)
        await frame();
      const box = view.getBoundingClientRect();
      const eye = document
        .elementsFromPoint(box.left + box.width / 2, box.top + box.height / 3)
        .concat(
          [...view.querySelectorAll("article")].find(
            (row) => row.getBoundingClientRect().bottom > box.top + box.height / 3,
          ),
        )
        .find((element) => element?.matches?.("article"));
      const start = eye.getBoundingClientRect().top;
      let most = 0;
      for (let count = 0; count < 60; count += 1) {
        await frame();
        if (!eye.isConnected) return Infinity;
        most = Math.max(most, Math.abs(eye.getBoundingClientRect().top - start));
      }
      return most;
    });
    worst = Math.max(worst, moved);
  }
  return worst;
}

/** What the server says comes late, so that pages arrive when the wheel rests and somebody reads. */
function slowly(page) {
  return page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => setTimeout(() => socket.send(message), 250));
  });
}

test("older pages load above without moving the message under the eye (wheel)", async () => {
  const conversation = await filled(world.daemon, 600);
  const page = await openAsBo(world, conversation, { prepare: slowly });
  await article(page, "Line 590.").waitFor({ state: "attached" }); // the last is known by the list, before any page
  await log(page).hover();
  const first = () => log(page).locator("article").first().getAttribute("data-seq").then(Number);
  const began = await first();
  const worst = await worstMove(page, () => page.mouse.wheel(0, -1600), 20);
  assert.ok(worst <= 1, `moved by ${worst} px`);
  assert.ok((await first()) < began - 200, "pages were loaded");
  const rows = await log(page).locator("article").count();
  assert.ok(rows <= 260, `${rows} rows in the document`);
});

test("older pages load above without moving the message under the eye (touch)", async () => {
  const conversation = await filled(world.daemon, 10);
  const page = await openAsBo(world, conversation, {
    viewport: { width: 390, height: 700 },
    hasTouch: true,
    isMobile: true,
  });
  await article(page, "Line 10.").first().waitFor();
  const cdp = await page.context().newCDPSession(page);
  const drag = () =>
    cdp.send("Input.synthesizeScrollGesture", {
      x: 190,
      y: 300,
      yDistance: 1200,
      speed: 4000,
      gestureSourceType: "touch",
      preventFling: true,
    });
  const worst = await worstMove(page, drag, 8);
  assert.ok(worst <= 1, `moved by ${worst} px`);
});

test("the newest is followed at the bottom; further up it stays, and the button counts", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 60, { prefix: "Follow" });
  const page = await openAsBo(world, conversation);
  await article(page, "Follow 60.").waitFor();
  await daemon.say(ADA.user, BO.user, ["and down here"]);
  await article(page, "and down here").waitFor();
  await until(async () => (await distanceFromBottom(page)) <= 1);

  await log(page).hover();
  await page.mouse.wheel(0, -1000);
  const jump = page.getByRole("button", { name: "Jump to newest" });
  await jump.waitFor();
  const top = await log(page).evaluate((view) => view.scrollTop);
  await daemon.say(ADA.user, BO.user, ["unseen one", "unseen two"]);
  await page.locator(".jump").getByText("2 new messages").waitFor();
  assert.ok(Math.abs((await log(page).evaluate((view) => view.scrollTop)) - top) <= 1);
  await jump.click();
  await until(async () => (await distanceFromBottom(page)) <= 1);
  await jump.waitFor({ state: "detached" });

  await page.mouse.wheel(0, -1000);
  await jump.waitFor();
  await write(page, "my own goes to the newest");
  await until(async () => (await distanceFromBottom(page)) <= 1);
});

test("whoever is taken to an older message in the same moment as something is drawn stays there", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 50);
  const page = await openAsBo(world, conversation);
  await article(page, "Line 50.").waitFor();
  await until(async () => (await distanceFromBottom(page)) < 2);
  await log(page).evaluate((view) => {
    const row = view.querySelector("article");
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true }); // draws the tab stop anew
  });
  await page.waitForTimeout(500);
  assert.ok((await distanceFromBottom(page)) > 300);
});

test("the place is kept across a switch and a reload; what was read elsewhere opens at the newest", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 80, { prefix: "Place" });
  const other = await daemon.say("pat-2", BO.user, ["another one"]);
  const page = await openAsBo(world, conversation);
  await article(page, "Place 80.").waitFor();
  await log(page).hover();
  await page.mouse.wheel(0, -1500);
  await page.getByRole("button", { name: "Jump to newest" }).waitFor();
  await page.waitForTimeout(500);
  const eye = () =>
    log(page).evaluate((view) => {
      const line = view.getBoundingClientRect().top + view.clientHeight / 3;
      const at = [...view.querySelectorAll("article")].find((each) => each.getBoundingClientRect().bottom > line);
      return [at.dataset.seq, Math.round(at.getBoundingClientRect().top)].join(" ");
    });
  const before = await eye();
  await row(page, "pat-2").click();
  await article(page, "another one").waitFor();
  await row(page, ADA.name).click();
  await log(page).locator("article").nth(20).waitFor();
  await until(async () => (await eye()) === before, { what: `the same place, ${before}` });
  await page.reload();
  await until(async () => (await eye().catch(() => "")) === before, {
    what: `the same place after a reload, ${before}`,
  });

  await row(page, "pat-2").click();
  await article(page, "another one").waitFor();
  await daemon.say(ADA.user, BO.user, ["read elsewhere"]);
  await daemon.readAll(BO.user, conversation);
  await row(page, ADA.name).getByText("unread").waitFor({ state: "detached" });
  await row(page, ADA.name).click();
  await until(async () => (await distanceFromBottom(page)) <= 1);
  assert.notEqual(other, conversation);
});

test("the line where reading stopped stands still until one sends, and is set anew while nobody looks", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 4, { prefix: "Old" });
  const page = await openAsBo(world, conversation);
  await article(page, "Old 4.").waitFor();
  const line = page.getByText("New messages", { exact: true });
  await write(page, "now there is none");
  await line.waitFor({ state: "detached" });
  await setFocused(page, false);
  await daemon.say(ADA.user, BO.user, ["first unseen", "second unseen"]);
  await article(page, "second unseen").waitFor();
  const after = () => line.evaluate((p) => p.closest(".divider").nextElementSibling.textContent);
  assert.match(await after(), /first unseen/);
  await setFocused(page, true);
  await until(async () => {
    const { membership } = await daemon.ask(BO.user, { type: "conversation.get", conversation });
    return membership.unread === 0;
  });
  await daemon.say(ADA.user, BO.user, ["third, seen"]);
  await article(page, "third, seen").waitFor();
  assert.match(await after(), /first unseen/, "receipts don't move it");
  await page.keyboard.press("Escape");
  await line.waitFor({ state: "detached" });
});

test("a conversation opens at the first unread message, under the line", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 30, { prefix: "Before" });
  await daemon.readAll(BO.user, conversation);
  await daemon.say(
    ADA.user,
    BO.user,
    Array.from({ length: 70 }, (_, n) => `Unread ${n + 1}.`),
  );
  const page = await visitor(world.browser, `${as(daemon, BO.user, BO)}#conversation=${conversation}`);
  await composer(page).waitFor();
  await article(page, "Unread 1.").waitFor();
  const third = await page.getByText("New messages", { exact: true }).evaluate((line) => {
    const view = line.closest("[role=log]").getBoundingClientRect();
    return (line.getBoundingClientRect().top - view.top) / view.height;
  });
  assert.ok(third > 0.2 && third < 0.45, `${third} down the view`);
});

test("a hit far back is shown a third down, and nothing between is fetched", async () => {
  const { daemon } = world;
  const page = await visitor(world.browser, as(daemon, BO.user, BO));
  await row(page, ADA.name).click();
  await composer(page).waitFor();
  await page.getByRole("searchbox", { name: "Search messages" }).fill("Line 5.");
  const hits = page.getByRole("list", { name: "Search results" });
  await hits.getByRole("button").filter({ hasText: "Line 5." }).last().click();
  const found = article(page, /Line 5\./).first();
  await found.waitFor();
  await until(() => found.evaluate((each) => each.classList.contains("highlighted")));
  assert.ok((await log(page).locator("article").count()) < 200);
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await until(async () => (await distanceFromBottom(page)) <= 1);
});
