// Files: staged, sent, shown; what can't be shown or sent says so in words.
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ADA, article, as, BO, composer, filled, log, openAsBo, pair, row, setUp, until, visitor } from "./harness.mjs";
import { file, input, photo, sample, sendFile, staged } from "./samples.mjs";

const world = setUp();
const PHOTO = photo();

test("a photo is shown beside the draft, sent with its words and no sooner, and large on a press", async () => {
  const { ada, bo } = await pair(world.daemon, world.browser);
  await input(ada).setInputFiles([PHOTO, photo("other.jpg")]);
  await until(async () => (await staged(ada).getByRole("img").count()) === 2);
  await staged(ada).filter({ hasText: "other.jpg" }).getByRole("button", { name: "Remove attachment" }).click();
  await composer(ada).fill("It is this one");
  await ada.waitForTimeout(500);
  assert.equal(await log(bo).getByRole("article").count(), 0);
  await ada.getByRole("button", { name: "Send" }).click();
  const came = article(bo, "It is this one");
  await came.waitFor();
  assert.equal(await staged(ada).count(), 0);
  const picture = came.getByRole("button", { name: "Show picture tooth.jpg" });
  await until(() => picture.locator("img").evaluate((image) => image.complete && image.naturalWidth > 0));
  await picture.click();
  const large = bo.getByRole("dialog", { name: "tooth.jpg" });
  await until(() => large.getByRole("img").evaluate((image) => image.naturalWidth === 640));
  const download = bo.waitForEvent("download");
  await large.getByRole("link", { name: "Download" }).click();
  assert.equal((await download).suggestedFilename(), "tooth.jpg");
  await bo.keyboard.press("Escape");
  await large.waitFor({ state: "detached" });
  await row(ada, BO.name).getByText("It is this one").waitFor();
});

test("a photo alone is a message, named in the list, spoken, and in a draft's line until it is sent", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  await daemon.say("pat-2", BO.user, ["hello from two"]);
  const page = await openAsBo(world, conversation);
  await input(page).setInputFiles(PHOTO);
  await staged(page).first().waitFor();
  await row(page, "pat-2").click();
  await article(page, "hello from two").waitFor();
  await row(page, ADA.name).getByText("tooth.jpg").waitFor();
  await row(page, ADA.name).getByText("Draft:").waitFor();
  await row(page, ADA.name).click();
  await staged(page).filter({ hasText: "tooth.jpg" }).waitFor();
  await page.reload();
  await staged(page).filter({ hasText: "tooth.jpg" }).waitFor();
  await composer(page).press("Enter");
  const sent = log(page).getByRole("article").last();
  await sent.getByRole("button", { name: "Show picture tooth.jpg" }).waitFor();
  await sent.getByText(/Sent|Delivered/).waitFor();
  assert.equal(await staged(page).count(), 0);
});

test("pictures that load late move nothing: their boxes are there before them", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 6);
  for (let n = 0; n < 8; n += 1) {
    const shape = n % 2 ? "size=(300, 640)" : "size=(640, 200)";
    await sendFile(daemon, ADA.user, conversation, photo(`p${n}.jpg`, shape), `picture ${n}`);
    await daemon.say(ADA.user, BO.user, [`below ${n}`]);
  }
  await daemon.readAll(BO.user, conversation);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const page = await openAsBo(world, conversation, {
    prepare: async (each) => {
      await each.route(/\/v1\/attachments\//, (route) =>
        route.request().resourceType() === "image" ? held.then(() => route.continue()) : route.continue(),
      );
      await each.addInitScript(() => {
        window.shifts = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) window.shifts += entry.value;
        }).observe({ type: "layout-shift", buffered: false });
      });
    },
  });
  await article(page, "below 7").waitFor();
  await log(page).hover();
  await page.mouse.wheel(0, -900);
  await page.waitForTimeout(400);
  const eye = () =>
    log(page).evaluate((view) => {
      const top = view.getBoundingClientRect();
      const rows = [...view.querySelectorAll("article")];
      const row = rows.find((each) => each.getBoundingClientRect().bottom > top.top + top.height / 3);
      return { seq: row.dataset.seq, top: row.getBoundingClientRect().top };
    });
  const loaded = () =>
    page.evaluate(() => [...document.querySelectorAll(".picture img")].filter((each) => each.naturalWidth > 0).length);
  assert.equal(await loaded(), 0);
  const before = await eye();
  await page.evaluate(() => (window.shifts = 0));
  release();
  await until(() =>
    page.evaluate(() => [...document.querySelectorAll(".picture img")].every(({ naturalWidth }) => naturalWidth > 0)),
  );
  await page.waitForTimeout(300);
  const after = await eye();
  assert.equal(after.seq, before.seq);
  assert.ok(Math.abs(after.top - before.top) <= 1, `${after.top - before.top} px`);
  assert.equal(await page.evaluate(() => window.shifts), 0);
});

test("text on the clipboard wins over its picture; a lone picture gets a name; nothing is sent by a paste", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const copy = (text) =>
    page.evaluate(async (said) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 20, height: 20 });
      canvas.getContext("2d").fillRect(0, 0, 9, 9);
      const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      const parts = {
        "image/png": picture,
        ...(said ? { "text/plain": new Blob([said], { type: "text/plain" }) } : {}),
      };
      await navigator.clipboard.write([new ClipboardItem(parts)]);
    }, text);
  await article(page, "Line 2.").first().waitFor();
  const before = await log(page).getByRole("article").count();
  await copy("a table of Excel");
  await composer(page).focus();
  await page.keyboard.press("Control+V");
  await until(async () => (await composer(page).inputValue()) === "a table of Excel");
  assert.equal(await staged(page).count(), 0);
  await composer(page).fill("");
  await copy(null);
  await page.keyboard.press("Control+V");
  await staged(page)
    .filter({ hasText: /Pasted picture \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.png/ })
    .waitFor();
  const pasted = await composer(page).evaluate((field) => {
    const data = new DataTransfer();
    data.items.add(new File(["one"], "notes of today.txt", { type: "text/plain" }));
    data.setData("text/plain", "notes of today.txt"); // as file managers do
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    field.dispatchEvent(event);
    return event.defaultPrevented;
  });
  assert.ok(pasted);
  await staged(page).filter({ hasText: "notes of today.txt" }).waitFor();
  await page.waitForTimeout(300);
  assert.equal(await log(page).getByRole("article").count(), before);
});

test("files that are dropped are attached, and the page stays", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  const data = await page.evaluateHandle(() => {
    const made = new DataTransfer();
    made.items.add(new File(["dropped"], "dropped.txt", { type: "text/plain" }));
    return made;
  });
  const main = page.getByRole("main");
  await main.dispatchEvent("dragenter", { dataTransfer: data });
  await page.getByText("Drop files here").waitFor();
  await main.dispatchEvent("drop", { dataTransfer: data });
  await staged(page).filter({ hasText: "dropped.txt" }).waitFor();
  await page.getByText("Drop files here").waitFor({ state: "detached" });
  await staged(page).getByText("7 B", { exact: true }).waitFor(); // the server has it
});

test("what is too large, empty, too much or of another kind is refused in words before a byte is sent", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  const sent = [];
  page.on("request", (request) => /\/v1\/(attachments|uploads)$/.test(request.url()) && sent.push(request.url()));
  const folder = mkdtempSync(join(tmpdir(), "chatd-large-"));
  try {
    const large = join(folder, "x-ray.jpg");
    closeSync(openSync(large, "w"));
    truncateSync(large, 34 * 1_048_576);
    await input(page).setInputFiles(large);
    await staged(page).getByText("This file is too large (34 MB). The limit here is 25 MB.").waitFor();
    await staged(page).getByRole("button", { name: "Dismiss" }).click();
    assert.equal(await staged(page).count(), 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const text = (name, words = "x") => file(name, "text/plain", Buffer.from(words));
  await input(page).setInputFiles([text("page.html"), text("drawing.svg"), text("nothing.txt", "")]);
  await staged(page).filter({ hasText: "page.html" }).getByText("Files of this kind (.html) can't be sent").waitFor();
  await staged(page).filter({ hasText: "drawing.svg" }).getByText("Files of this kind").waitFor();
  await staged(page).filter({ hasText: "nothing.txt" }).getByText("This file is empty.").waitFor();
  assert.deepEqual(sent, []);
  await input(page).setInputFiles(Array.from({ length: 11 }, (_, n) => text(`note-${n}.txt`)));
  await staged(page).filter({ hasText: "note-10.txt" }).getByText("at most 10 files").waitFor();
  assert.equal(await staged(page).count(), 11);
});

test("a file that the server refuses by its content says so, and can be taken away", async () => {
  const conversation = await filled(world.daemon, 2);
  const page = await openAsBo(world, conversation);
  await composer(page).fill("with words");
  await input(page).setInputFiles(file("photo.jpg", "image/jpeg", Buffer.from("<html><script>alert(1)</script>")));
  const failed = staged(page).filter({ hasText: "photo.jpg" });
  await failed.getByText("couldn't be accepted").waitFor();
  assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
  await failed.getByRole("button", { name: "Remove attachment" }).click();
  await page.getByRole("button", { name: "Send" }).click();
  await article(page, "with words").waitFor();
});

test("HEIC is a picture for all, a turned photo is upright, a PDF opens in a tab, an unplayable MOV is a card", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 2);
  await sendFile(daemon, ADA.user, conversation, file("IMG_1.HEIC", "", sample("HEIC")), "from my phone");
  await sendFile(daemon, ADA.user, conversation, photo("turned.jpg", "6, size=(640, 480)"), "turned");
  await sendFile(daemon, ADA.user, conversation, file("plan.pdf", "application/pdf", sample("pdf()")), "the plan");
  await sendFile(daemon, ADA.user, conversation, file("clip.mov", "video/quicktime", sample("movie()")), "the video");
  const page = await openAsBo(world, conversation);
  const shown = async (text) => {
    const image = article(page, text).locator(".picture img");
    return until(() =>
      image.evaluate(({ naturalWidth, naturalHeight, width, height }) =>
        naturalWidth > 0 ? { portrait: naturalHeight > naturalWidth, box: height > width } : null,
      ),
    );
  };
  assert.deepEqual(await shown("from my phone"), { portrait: true, box: true });
  assert.deepEqual(await shown("turned"), { portrait: true, box: true });

  const video = article(page, "the video");
  await video.getByText("clip.mov").waitFor();
  await video.getByRole("link", { name: "Download clip.mov" }).waitFor();
  assert.equal(await video.locator("video").count(), 0);

  const link = article(page, "the plan").getByRole("link", { name: "plan.pdf", exact: true });
  assert.deepEqual(await link.evaluate(({ target, rel }) => [target, rel]), ["_blank", "noopener"]);
  const headers = (await fetch(await link.evaluate(({ href }) => href))).headers;
  assert.equal(headers.get("content-type"), "application/pdf");
  assert.match(headers.get("content-disposition"), /^inline/);
});

test("a recording plays on while messages, reactions and older pages come and go", async () => {
  const { daemon, browser } = world;
  const conversation = await filled(daemon, 150, { prefix: "Older" });
  const recorder = await visitor(browser, as(daemon, ADA.user, ADA));
  const bytes = await recorder.evaluate(async () => {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const to = context.createMediaStreamDestination();
    tone.connect(to);
    tone.start();
    const recorder = new MediaRecorder(to.stream, { mimeType: "audio/webm;codecs=opus" });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const over = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    recorder.stop();
    await over;
    return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
  });
  await recorder.context().close();
  await sendFile(daemon, ADA.user, conversation, file("voice.webm", "audio/webm", Buffer.from(bytes)), "listen");
  await daemon.readAll(BO.user, conversation);
  const page = await openAsBo(world, conversation);
  const audio = article(page, "listen").locator("audio");
  await until(() => audio.evaluate((player) => player.readyState > 0));
  await composer(page).click();
  await audio.evaluate(async (player) => {
    window.player = player;
    player.loop = true;
    player.addEventListener("pause", () => (window.paused = true));
    await player.play();
  });
  for (let n = 0; n < 5; n += 1) await daemon.say(ADA.user, BO.user, [`meanwhile ${n}`]);
  const { messages } = await daemon.ask(BO.user, { type: "message.history", conversation });
  const { seq } = messages.find(({ body }) => body === "listen");
  await daemon.ask(ADA.user, { type: "message.react", conversation, seq, emoji: "🙏", on: true });
  await article(page, "listen").getByText("🙏").waitFor();
  await log(page).hover();
  for (let n = 0; n < 6; n += 1) {
    await page.mouse.wheel(0, -500);
    await page.waitForTimeout(100);
  }
  const heard = await page.evaluate(() => window.player.currentTime);
  await page.waitForTimeout(300);
  const now = await page.evaluate(() => ({
    same: window.player.isConnected,
    paused: window.paused === true || window.player.paused,
    time: window.player.currentTime,
  }));
  assert.deepEqual([now.same, now.paused, now.time !== heard], [true, false, true]);
});
