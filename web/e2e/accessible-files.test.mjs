// Files for those who don't see the page, or have no mouse.
import assert from "node:assert/strict";
import { test } from "node:test";
import { axe } from "./axe.mjs";
import { ADA, article, BO, composer, filled, log, openAsBo, PHONE, setUp } from "./harness.mjs";
import { file, input, photo, sample, sendFile, staged } from "./samples.mjs";

const world = setUp();

for (const [look, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["phone", { colorScheme: "light", viewport: PHONE, hasTouch: true }],
]) {
  test(`axe finds nothing where there are files (${look})`, async () => {
    const { daemon } = world;
    const conversation = await filled(daemon, 2);
    await sendFile(daemon, ADA.user, conversation, photo(), `here (${look})`);
    await sendFile(daemon, ADA.user, conversation, file("plan.pdf", "application/pdf", sample("pdf()")), "the plan");
    await sendFile(daemon, ADA.user, conversation, file("voice.ogg", "audio/ogg", sample("ogg()")), "listen");
    await daemon.readAll(BO.user, conversation);
    const page = await openAsBo(world, conversation, {
      ...options,
      prepare: (each) =>
        each.route(/\/v1\/attachments$/, (route) =>
          route.request().postData()?.includes("slow.jpg") ? undefined : route.continue(),
        ),
    });
    await article(page, `here (${look})`).waitFor();
    await axe(page, "pictures and cards");
    await input(page).setInputFiles([
      file("page.html", "text/html", Buffer.from("x")),
      file("fake.jpg", "image/jpeg", Buffer.from("<html>")),
      photo("slow.jpg"),
    ]);
    await staged(page).getByText("couldn't be accepted").waitFor();
    await staged(page).getByText("Uploading").waitFor();
    await axe(page, "upload running, failed, refused");
    await article(page, `here (${look})`).getByRole("button", { name: "Show picture tooth.jpg" }).click();
    await page.getByRole("dialog", { name: "tooth.jpg" }).waitFor();
    await axe(page, "a picture, large");
  });
}

test("by keyboard alone: attach, take away, look at a picture, and come back to where one was", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  await sendFile(daemon, ADA.user, conversation, photo("one.jpg"), "look at this");
  await daemon.readAll(BO.user, conversation);
  const page = await openAsBo(world, conversation);
  await article(page, "look at this").waitFor();
  await composer(page).focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Attach files");
  const chooser = page.waitForEvent("filechooser");
  await page.waitForTimeout(200); // until the browser is told not to open its own dialog
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(photo("two.jpg"));
  await staged(page).filter({ hasText: "two.jpg" }).waitFor();
  assert.ok(await composer(page).evaluate((field) => field === document.activeElement));
  await page.keyboard.press("Shift+Tab");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Remove attachment");
  await page.keyboard.press("Enter");
  await staged(page).first().waitFor({ state: "detached" });
  assert.ok(await composer(page).evaluate((field) => field === document.activeElement));

  await log(page).getByRole("article").last().focus();
  await page.keyboard.press("Tab");
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.equal(await focused(), "Show picture one.jpg");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "one.jpg" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(), "Show picture one.jpg");
});
