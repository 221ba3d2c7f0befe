// Roles and names that scripts drive the page by, where the other tests don't already do so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADA, article, as, BO, composer, filled, openAsBo, row, setUp, visitor, write } from "./harness.mjs";

const world = setUp();

test("a row of the list says name, last line and unread messages as words apart", async () => {
  const { daemon, browser } = world;
  await filled(daemon, 2);
  await daemon.say(ADA.user, BO.user, ["It hurts", "when I bite"]);
  const page = await visitor(browser, as(daemon, BO.user, BO));
  const link = row(page, ADA.name);
  await link.getByText("2 unread", { exact: true }).waitFor();
  assert.match(await link.textContent(), /\bAda Lovelace\b.*\bwhen I bite 2 unread\b/);
  const nodes = await link.evaluate((element) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) found.push(walker.currentNode.data);
    return found;
  });
  assert.ok(nodes.includes("2 unread"), nodes.join("|"));
});

test("a second press of Actions closes the menu, by mouse and by touch; it says whether it is open", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation, { hasTouch: true });
  await write(page, "Come at nine");
  const sent = article(page, "Come at nine");
  await sent.getByText(/Sent|Delivered|Read/).waitFor();
  assert.match(await sent.textContent(), /Come at nine \d\d:\d\d (Sent|Delivered|Read)$/);
  const actions = sent.getByRole("button", { name: "Actions" });
  for (const press of [() => actions.click(), () => actions.tap()]) {
    for (let round = 0; round < 2; round += 1) {
      await press();
      await page.getByRole("menuitem", { name: "Reply" }).waitFor();
      assert.equal(await actions.getAttribute("aria-expanded"), "true");
      await press();
      await page.getByRole("menu").waitFor({ state: "detached" });
      await page.waitForTimeout(100);
      assert.equal(await page.getByRole("menu").count(), 0);
      assert.equal(await actions.getAttribute("aria-expanded"), null);
    }
  }
  await actions.click();
  await page.getByRole("menuitem", { name: "React" }).click();
  await page.getByRole("menuitem", { name: "React with 👍" }).click();
  await sent.getByText("👍").waitFor();
});

test("who goes offline reads so within three seconds, and is back at once", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  // The two of them have the lines of the tests before this one, too.
  await article(page, "Line 2.").last().waitFor();
  await page.context().setOffline(true);
  await page.getByRole("status").filter({ hasText: "You're offline" }).waitFor({ timeout: 4_000 });
  await composer(page).fill("typed offline");
  await page.keyboard.press("Enter");
  await article(page, "typed offline").getByText("Waiting", { exact: true }).waitFor();
  await page.context().setOffline(false);
  await article(page, "typed offline")
    .getByText(/Sent|Delivered|Read/)
    .waitFor({ timeout: 5_000 });
});
