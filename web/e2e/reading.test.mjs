// Read is what somebody saw: visible, focused, on screen for half a second. And it is spoken once.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADA,
  article,
  BO,
  composer,
  filled,
  openAsBo,
  pair,
  row,
  setFocused,
  setUp,
  until,
  write,
} from "./harness.mjs";

const world = setUp();

const unread = async (conversation) => {
  const { membership } = await world.daemon.ask(BO.user, { type: "conversation.get", conversation });
  return membership.unread;
};

test("a message is read only where the window is visible and focused", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 6);
  const page = await openAsBo(world, conversation);
  await setFocused(page, false);
  await daemon.say(ADA.user, BO.user, ["nobody looks"]);
  await article(page, "nobody looks").waitFor();
  await page.waitForTimeout(1_200);
  assert.equal(await unread(conversation), 1);
  await row(page, ADA.name).getByText("1 unread").waitFor();
  await setFocused(page, true);
  await until(async () => (await unread(conversation)) === 0);
});

test("a message above the view stays unread until it was on screen", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 5);
  await daemon.say(
    ADA.user,
    BO.user,
    Array.from({ length: 40 }, (_, n) => `New ${n + 1}.`),
  );
  const page = await openAsBo(world, conversation);
  await article(page, "New 1.").waitFor();
  await page.waitForTimeout(1_200);
  const left = await unread(conversation);
  assert.ok(left > 10 && left < 40, `${left} unread`);
  await page.getByRole("button", { name: "Jump to newest" }).click();
  await until(async () => (await unread(conversation)) === 0);
});

test("each message of the open conversation is spoken once, in batches; own, old and edited ones are not", async () => {
  const { daemon } = world;
  const { ada, bo } = await pair(daemon, world.browser);
  await ada.evaluate(() => {
    window.spoken = [];
    const region = document.querySelector("[data-announcer]");
    new MutationObserver(() => {
      const text = region.textContent.replace(/\u200b/g, "");
      if (text) window.spoken.push(text);
    }).observe(region, { childList: true, characterData: true, subtree: true });
  });
  const spoken = () => ada.evaluate(() => window.spoken);
  await write(bo, "It looks good.");
  await until(async () => (await spoken()).length === 1);
  assert.deepEqual(await spoken(), ["Dr. Bo Dahl: It looks good."]);
  await write(ada, "Thank you.");
  await article(bo, "It looks good.").hover();
  await article(bo, "It looks good.").getByRole("button", { name: "Actions" }).click();
  await bo.getByRole("menuitem", { name: "Edit" }).click();
  await composer(bo).fill("It looks very good.");
  await bo.keyboard.press("Enter");
  await article(ada, "It looks very good.").waitFor();
  await ada.waitForTimeout(1_500);
  assert.deepEqual(await spoken(), ["Dr. Bo Dahl: It looks good."]);
  for (const text of ["one", "two", "three", "four"]) await write(bo, text);
  await until(async () => (await spoken()).length === 2);
  assert.equal((await spoken())[1], "4 new messages");

  const cdp = await ada.context().newCDPSession(ada);
  const { nodes } = await cdp.send("Accessibility.getFullAXTree");
  const log = nodes.find((node) => node.role?.value === "log");
  assert.equal(log.name.value, "Messages");
  assert.equal(log.properties.find(({ name }) => name === "live")?.value.value ?? "off", "off");
});
