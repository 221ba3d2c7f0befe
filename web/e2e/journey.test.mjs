// One way through everything: a patient and a dentist talk, and nothing is lost when the daemon dies under them.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { article, composer, Daemon, launch, log, noErrors, pair, row, write } from "./harness.mjs";

const daemon = new Daemon();
let browser;

before(async () => {
  [, browser] = await Promise.all([daemon.start(), launch()]);
});
afterEach(noErrors);
after(async () => {
  await browser?.close();
  await daemon.stop();
});

test("a patient and a dentist talk, and lose nothing when the daemon is killed between them", async () => {
  const { ada, bo } = await pair(daemon, browser);
  await ada.getByRole("heading", { name: "Dr. Bo Dahl" }).waitFor();

  await composer(ada).pressSequentially("It hurts");
  await bo.getByText("Ada Lovelace is typing …").waitFor();
  await composer(ada).fill("It hurts when I bite");
  await ada.keyboard.press("Enter");
  await article(bo, "It hurts when I bite").waitFor();
  await article(ada, "It hurts when I bite")
    .getByText(/Delivered|Read/)
    .waitFor();
  await bo.bringToFront();
  await article(ada, "It hurts when I bite").getByText("Read", { exact: true }).waitFor();

  await daemon.kill();
  await write(ada, "Since yesterday");
  await write(ada, "On the left");
  await article(ada, "On the left").getByText("Waiting", { exact: true }).waitFor();
  await ada.getByRole("status").getByText("Reconnecting").waitFor();
  await daemon.start();
  await article(bo, "On the left").waitFor();
  await article(ada, "On the left")
    .getByText(/Delivered|Read/)
    .waitFor();
  const bodies = await log(bo).locator("article .body").allTextContents();
  assert.deepEqual(bodies, ["It hurts when I bite", "Since yesterday", "On the left"]);

  await write(bo, "Come at nine tomorow");
  await article(bo, "Come at nine").hover();
  await article(bo, "Come at nine").getByRole("button", { name: "Actions" }).click();
  await bo.getByRole("menuitem", { name: "Edit" }).click();
  await composer(bo).fill("Come at nine tomorrow");
  await bo.getByRole("button", { name: "Save" }).click();
  await article(ada, "Come at nine tomorrow").getByText("edited").waitFor();

  await row(bo, "Ada Lovelace").waitFor();
  await ada.getByRole("button", { name: "Sign out" }).click();
  await ada.getByRole("form", { name: "Sign in" }).waitFor();
});
