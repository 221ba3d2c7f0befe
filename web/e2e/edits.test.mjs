// A change of an own message is never lost, and never overwrites unseen what was written elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADA, article, BO, composer, filled, openAsBo, row, setUp, until, write } from "./harness.mjs";

const world = setUp();

/** Bo's page with an own message whose edit is open; `seq` of it. */
async function editing(text) {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  const page = await openAsBo(world, conversation);
  await write(page, text);
  await article(page, text)
    .getByText(/Sent|Delivered|Read/)
    .waitFor();
  await begin(page, text);
  const { messages } = await daemon.ask(BO.user, { type: "message.history", conversation, limit: 1 });
  return { daemon, conversation, page, seq: messages[0].seq };
}

async function begin(page, text) {
  await article(page, text).hover();
  await article(page, text).getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Edit" }).click();
  await page.getByRole("button", { name: "Save" }).waitFor();
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const has = (page, text) => until(async () => (await composer(page).inputValue()) === text);

test("an edit of a message that was deleted meanwhile keeps the words, and says why", async () => {
  const { daemon, conversation, page, seq } = await editing("soon deleted");
  await composer(page).fill("words that matter");
  await daemon.ask(BO.user, { type: "message.delete", conversation, seq });
  await page.getByRole("alert").getByText("was deleted meanwhile").waitFor();
  await page.keyboard.press("Enter");
  assert.equal(await composer(page).inputValue(), "words that matter");
  await button(page, "Use as a new message").click();
  await has(page, "words that matter");
  await button(page, "Send").click();
  await article(page, "words that matter").waitFor();
});

test("an edit that the server refuses is in the field again, or beside what is typed there by then", async () => {
  const { daemon, conversation, page, seq } = await editing("refused later");
  await page.context().setOffline(true);
  await composer(page).fill("too late for this");
  await page.keyboard.press("Enter");
  await article(page, "too late for this").getByText("Waiting", { exact: true }).waitFor();
  await composer(page).fill("the next message");
  await daemon.ask(BO.user, { type: "message.delete", conversation, seq });
  await page.context().setOffline(false);
  const problem = page.getByRole("alert").filter({ hasText: "too late for this" });
  await problem.getByText("was deleted meanwhile").waitFor();
  assert.equal(await composer(page).inputValue(), "the next message");
  await problem.getByRole("button", { name: "Edit" }).click();
  await has(page, "too late for this");
  await button(page, "Cancel").click();
  await has(page, "the next message");
});

test("an edit under way is there again after a switch of conversations and after a reload", async () => {
  const { daemon, page } = await editing("long in the making");
  await daemon.say("pat-5", BO.user, ["hello from five"]);
  await composer(page).fill("half an edit");
  await row(page, "pat-5").click();
  await article(page, "hello from five").waitFor();
  assert.equal(await composer(page).inputValue(), "");
  await row(page, ADA.name).getByText("half an edit").waitFor();
  await row(page, ADA.name).click();
  await has(page, "half an edit");
  await button(page, "Save").waitFor();
  await page.reload();
  await has(page, "half an edit");
  await button(page, "Save").click();
  await article(page, "half an edit").getByText("edited").waitFor();
});

test("a message that was changed elsewhere while it is edited here: the person decides", async () => {
  const { daemon, conversation, page, seq } = await editing("first words");
  for (const [theirs, choice, saved] of [
    ["from the phone", "Keep mine", "mine"],
    ["from the tablet", "Take this text", "from the tablet"],
  ]) {
    await composer(page).fill("mine");
    await daemon.ask(BO.user, { type: "message.edit", conversation, seq, body: theirs });
    await page.getByRole("alert").getByText(theirs).waitFor();
    await composer(page).press("Enter");
    assert.equal(await composer(page).inputValue(), "mine");
    assert.ok(await button(page, "Save").isDisabled());
    await button(page, choice).click();
    await has(page, saved);
    assert.ok(await composer(page).evaluate((field) => field === document.activeElement));
    await button(page, "Save").click();
    await article(page, saved)
      .getByText(/Sent|Delivered|Read/)
      .waitFor();
    const { messages } = await daemon.ask(BO.user, { type: "message.history", conversation, limit: 1 });
    assert.equal(messages[0].body, saved);
    if (choice === "Keep mine") await begin(page, saved);
  }
});

test("an edit saved offline shows that it waits, survives a reload, and goes out", async () => {
  const { daemon, conversation, page } = await editing("written online");
  await page.context().setOffline(true);
  await composer(page).fill("changed offline");
  await page.keyboard.press("Enter");
  await article(page, "changed offline").getByText("Waiting", { exact: true }).waitFor();
  await page.getByRole("status").getByText("1 message is waiting").waitFor();
  await page.waitForTimeout(300);
  const again = await page.context().newPage();
  await page.close();
  await page.context().setOffline(false);
  await again.goto(`${daemon.url}/?as=${BO.user}#conversation=${conversation}`);
  await article(again, "changed offline")
    .getByText(/Sent|Delivered|Read/)
    .waitFor();
  const { messages } = await daemon.ask(ADA.user, { type: "message.history", conversation, limit: 1 });
  assert.equal(messages[0].body, "changed offline");
});
