// axe-core finds nothing on any screen, and the whole flow works by keyboard alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADA,
  article,
  as,
  BO,
  composer,
  filled,
  log,
  openAsBo,
  PHONE,
  row,
  setUp,
  visitor,
  write,
} from "./harness.mjs";
import { axe } from "./axe.mjs";

const world = setUp();

for (const [look, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["phone", { colorScheme: "light", viewport: PHONE }],
]) {
  test(`axe finds nothing on any screen (${look})`, async () => {
    const { daemon, browser } = world;
    const open = (address) => visitor(browser, address, options);
    const signIn = await open(daemon.url);
    await signIn.getByRole("form", { name: "Sign in" }).waitFor();
    await axe(signIn, "sign-in");

    const first = await open(as(daemon, `new-${look}`, { name: "Nia" }));
    await first.getByText("No conversations yet").first().waitFor();
    await axe(first, "first run");

    const conversation = await filled(daemon, 6);
    await daemon.say("pat-2", BO.user, ["unread 👍"]);
    await daemon.say(ADA.user, BO.user, ["unread here", "https://example.org/a"]);
    await daemon.ask(BO.user, { type: "message.react", conversation, seq: 2, emoji: "👍", on: true });
    await daemon.ask(BO.user, { type: "message.delete", conversation, seq: 5 });
    const page = await open(as(daemon, BO.user, BO));
    await row(page, ADA.name).waitFor();
    await axe(page, "list");
    await row(page, ADA.name).click();
    await composer(page).waitFor();
    await article(page, "unread here").first().waitFor();
    await axe(page, "conversation");
    const message = article(page, "Line 6.").first();
    await message.scrollIntoViewIfNeeded();
    await message.hover();
    await message.getByRole("button", { name: "Actions" }).click();
    await axe(page, "menu");
    await page.getByRole("menuitem", { name: "React" }).click();
    await axe(page, "react");
    await page.keyboard.press("Escape");
    await message.hover();
    await message.getByRole("button", { name: "Actions" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("alertdialog", { name: "Delete message?" }).waitFor();
    await axe(page, "delete");
    await page.getByRole("button", { name: "Cancel" }).click();
    await message.hover();
    await message.getByRole("button", { name: "Actions" }).click();
    await page.getByRole("menuitem", { name: "Reply" }).click();
    await axe(page, "reply");
    await page.context().setOffline(true);
    await write(page, "waiting");
    await page.getByRole("status").getByText("waiting").waitFor();
    await axe(page, "offline");
    await page.context().setOffline(false);
    if (look === "phone") await page.getByRole("button", { name: "Back" }).click();
    await page.getByRole("searchbox", { name: "Search messages" }).fill("Line");
    await page.getByRole("list", { name: "Search results" }).waitFor();
    await axe(page, "search");
    await page.getByRole("searchbox", { name: "Search messages" }).fill("unicorn");
    await page.getByText("Nothing found").waitFor();
    await axe(page, "search without hits");
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByRole("option").first().waitFor();
    await axe(page, "new conversation");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "New group" }).click();
    await page.getByRole("option").first().waitFor();
    await axe(page, "new group");
  });
}

test("by keyboard alone: find a person, write, reply, edit, delete, search, go back", async () => {
  const { daemon, browser } = world;
  await daemon.known(BO.user, BO.name, BO.role);
  const page = await visitor(browser, as(daemon, "key-1", { name: "Kay" }));
  await page.getByText("No conversations yet").first().waitFor();
  const tabTo = async (what, name) => {
    for (let n = 0; n < 40; n += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const { activeElement: element } = document;
        return `${element.getAttribute("aria-label") ?? ""} ${element.textContent}`;
      });
      if (at.includes(name)) return;
    }
    assert.fail(`no way to ${what} ${name}`);
  };
  await tabTo("button", "New conversation");
  await page.keyboard.press("Enter");
  await page.keyboard.type("Bo Dahl");
  await page.getByRole("option", { name: BO.name }).waitFor();
  await page.waitForTimeout(400);
  await page.keyboard.press("Enter");
  await composer(page).waitFor();
  await page.waitForTimeout(100);
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await article(page, "by keyboard")
    .getByText(/Sent|Delivered/)
    .waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.waitForFunction(() => document.activeElement.matches("article"));
  await page.keyboard.press("Shift+F10");
  await page.getByRole("menuitem", { name: "Reply" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Save" }).waitFor();
  await page.keyboard.press("End");
  await page.keyboard.type(", edited");
  await page.keyboard.press("Enter");
  await article(page, "by keyboard, edited").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Message");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("menu").waitFor();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.getByRole("alertdialog", { name: "Delete message?" }).waitFor();
  await tabTo("button", "Delete for everyone");
  await page.keyboard.press("Enter");
  await log(page).getByText("This message was deleted").waitFor();
  assert.notEqual(await page.evaluate(() => document.activeElement.tagName), "BODY");
});

test("arrows, Home, End and PageUp move by message, Esc goes back to the composer", async () => {
  const conversation = await filled(world.daemon, 30, { prefix: "Key" });
  const page = await openAsBo(world, conversation);
  await article(page, "Key 30.").waitFor();
  await article(page, "Key 30.").focus();
  const at = () =>
    page.evaluate(() => document.activeElement.querySelector(".body")?.textContent ?? document.activeElement.tagName);
  await page.keyboard.press("ArrowUp");
  assert.match(await at(), /^Key 29\./);
  await page.keyboard.press("PageUp");
  assert.match(await at(), /^Key 21\./);
  await page.keyboard.press("End");
  assert.match(await at(), /^Key 30\./);
  await page.keyboard.press("Home");
  assert.doesNotMatch(await at(), /^Key 30\.|BODY/);
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Message");
});
