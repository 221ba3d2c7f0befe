// A shared workstation's screen: it locks by a press and by itself, shows nothing then, and keeps what was written.
import assert from "node:assert/strict";
import { test } from "node:test";

process.env.CHATD_WEB_LOCK_AFTER = "0.1"; // six seconds; before the harness starts the daemon

const { article, composer, pair, setUp, write } = await import("./harness.mjs");
const world = setUp();

const lockButton = (page) => page.getByRole("button", { name: "Lock", exact: true });
const locked = (page) => page.getByRole("form", { name: "Locked" });

async function choosePin(page, pin = "2468") {
  await lockButton(page).first().click();
  const dialog = page.getByRole("dialog", { name: "Choose a PIN" });
  await dialog.getByLabel("PIN", { exact: true }).fill(pin);
  await dialog.getByLabel("The same PIN again").fill(pin);
  await dialog.getByRole("button", { name: "Lock" }).click();
  await locked(page).waitFor();
}

async function unlock(page, pin = "2468") {
  await locked(page).getByLabel("PIN").fill(pin);
  await locked(page).getByRole("button", { name: "Unlock" }).click();
}

const everythingSaid = (page) => page.evaluate(() => `${document.title} ${document.documentElement.outerHTML}`);

test("a locked screen shows nothing, in any tab and after a reload; the PIN brings back the draft", async () => {
  const { ada, bo } = await pair(world.daemon, world.browser);
  await write(ada, "canary of the patient");
  await article(bo, "canary of the patient").waitFor();
  await composer(bo).fill("canary of a draft");
  const other = await bo.context().newPage();
  await other.goto(bo.url());
  await composer(other).waitFor();
  assert.equal(await lockButton(ada).count(), 0, "a patient has a device of their own");

  await choosePin(bo);
  await locked(other).waitFor();
  await write(ada, "canary while locked");
  await bo.waitForTimeout(500);
  for (const page of [bo, other]) {
    const said = await everythingSaid(page);
    for (const canary of ["canary", "Ada Lovelace", "(1)"]) assert.ok(!said.includes(canary), canary);
  }
  await bo.reload();
  await locked(bo).waitFor();
  assert.ok(!(await everythingSaid(bo)).includes("canary"));

  await unlock(bo, "1357");
  await locked(bo).getByRole("alert").getByText("not right").waitFor();
  await unlock(bo);
  await article(bo, "canary while locked").waitFor();
  assert.equal(await composer(bo).inputValue(), "canary of a draft");
  await composer(other).waitFor();
});

test("the screen locks itself after a while without input, and not while somebody types", async () => {
  const { bo } = await pair(world.daemon, world.browser);
  await choosePin(bo);
  await unlock(bo);
  await composer(bo).waitFor();
  for (let n = 0; n < 8; n += 1) {
    await composer(bo).press("a");
    await bo.waitForTimeout(1_000);
  }
  assert.equal(await locked(bo).count(), 0);
  await locked(bo).waitFor({ timeout: 12_000 });
  await unlock(bo);
  assert.equal(await composer(bo).inputValue(), "aaaaaaaa");
});
