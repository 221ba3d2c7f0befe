// Measures what people feel of the page's speed, in headless Chromium, and prints it beside its goal (`npm run measure`).
// On a busy machine the figures say more of the machine than of the page.
import { cpus } from "node:os";
import { ADA, as, BO, composer, Daemon, launch, log, row, visitor } from "./harness.mjs";

const MESSAGES = 10_000;
const CONVERSATIONS = 10;
/** What a phone of the middle range is slower by. */
const PHONE_SLOWDOWN = 4;
const PHONE = { width: 390, height: 844 };
const SCROLL_MS = 8_000;
const SWITCHES = 60;

const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? NaN;
const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

async function throttled(page, rate) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate });
  return cdp;
}

/** The processor's time that the page's main thread took for `work`: the same on a busy machine as on an idle one. */
async function processorTime(page, work) {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const taken = async () => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value * 1_000;
  };
  const before = await taken();
  await work();
  const after = await taken();
  await cdp.detach();
  return after - before;
}

async function seed(daemon) {
  await daemon.known(ADA.user, ADA.name, ADA.role);
  await daemon.known(BO.user, BO.name, BO.role);
  const { conversation } = await daemon.ask(ADA.user, { type: "conversation.open", with: BO.user });
  let sent = 0;
  const writer = async (user) => {
    while (sent < MESSAGES) {
      const n = (sent += 1);
      const body = `Message ${n}. ${"words to fill it ".repeat((n * 7) % 19)}`;
      await daemon.ask(user, { type: "message.send", conversation, client_id: `m-${n}`, body });
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, n) => writer(n % 2 ? ADA.user : BO.user)));
  await daemon.readAll(BO.user, conversation);
  for (let n = 1; n < CONVERSATIONS; n += 1) {
    const texts = Array.from({ length: 60 }, (_, k) => `Text ${k} of ${n}. ${"more ".repeat(k % 17)}`);
    await daemon.readAll(BO.user, await daemon.say(`pat-${n + 1}`, BO.user, texts));
  }
  return conversation;
}

/** Bytes over the network, and the time until one can write, both for an empty cache. */
async function firstLoad({ daemon, browser, conversation }) {
  let bytes = 0;
  const times = [];
  const work = [];
  for (let round = 0; round < 5; round += 1) {
    bytes = 0;
    const page = await visitor(browser, `${daemon.url}/healthz`, { viewport: PHONE });
    const cdp = await throttled(page, PHONE_SLOWDOWN);
    await cdp.send("Network.enable");
    cdp.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    const began = Date.now();
    const load = async () => {
      await page.goto(`${as(daemon, BO.user, BO)}#conversation=${conversation}`, { waitUntil: "commit" });
      await composer(page).waitFor();
      await log(page).getByRole("article").last().waitFor();
    };
    work.push(await processorTime(page, load)); // slowed down by then
    times.push(Date.now() - began);
    await page.context().close();
  }
  return { bytes, usable: percentile(times, 0.5), work: percentile(work, 0.5) };
}

/** From a key press to the first task behind the frame that shows it; and what it costs. */
async function keyToPaint({ daemon, browser, conversation }) {
  const page = await visitor(browser, `${as(daemon, BO.user, BO)}#conversation=${conversation}`, { viewport: PHONE });
  await log(page).getByRole("article").first().waitFor();
  await page.waitForTimeout(1_000);
  await page.evaluate(() => {
    window.paints = [];
    addEventListener("keydown", ({ timeStamp }) => (window.pressedAt = timeStamp), true);
    addEventListener("input", () => {
      const { pressedAt } = window;
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => window.paints.push(performance.now() - pressedAt);
        port2.postMessage(null);
      });
    });
  });
  const text = "It hurts when I bite on the left side, since yesterday evening.";
  const type = () => composer(page).pressSequentially(text, { delay: 60, timeout: 120_000 });
  const work = await processorTime(page, type);
  await throttled(page, PHONE_SLOWDOWN);
  await page.evaluate(() => (window.paints = []));
  await type();
  const paints = await page.evaluate(() => window.paints);
  await page.context().close();
  return { work: (work / text.length) * PHONE_SLOWDOWN, paint: percentile(paints, 0.95) };
}

/** From Enter to the message on screen, and to its tick. */
async function sendToTick({ daemon, browser }) {
  const page = await visitor(browser, as(daemon, BO.user, { ...BO, other: "pat-2" }));
  await log(page).getByRole("article").first().waitFor();
  await page.waitForTimeout(1_000);
  const shown = [];
  const ticked = [];
  for (let n = 0; n < 30; n += 1) {
    const text = `measured ${n}`;
    await composer(page).fill(text);
    const [at, tick] = await page.evaluate(
      (body) =>
        new Promise((resolve) => {
          const began = performance.now();
          let seen = null;
          const look = () => {
            const found = [...document.querySelectorAll("article")].findLast(({ textContent }) =>
              textContent.includes(body),
            );
            if (found) seen ??= performance.now() - began;
            if (!/(Sent|Delivered|Read)\s*$/.test(found?.textContent ?? "")) return;
            watch.disconnect();
            resolve([seen, performance.now() - began]);
          };
          const watch = new MutationObserver(look);
          watch.observe(document.body, { subtree: true, childList: true, characterData: true });
          document
            .querySelector("[data-composer]")
            .dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
        }),
      `measured ${n}`,
    );
    shown.push(at);
    ticked.push(tick);
  }
  await page.context().close();
  return { shown: percentile(shown, 0.95), tick: percentile(ticked, 0.95) };
}

/** From a press on a row of the list to the frame with the other conversation. */
async function switching({ daemon, browser }) {
  const page = await visitor(browser, as(daemon, BO.user, BO));
  const names = Array.from({ length: 4 }, (_, n) => `pat-${n + 3}`);
  for (const name of names) {
    await row(page, name).click();
    await log(page).getByRole("article").nth(40).waitFor();
  }
  const change = (name) =>
    page.evaluate(
      (wanted) =>
        new Promise((resolve) => {
          const link = [...document.querySelectorAll("nav a")].find(({ textContent }) => textContent.includes(wanted));
          const began = performance.now();
          link.click();
          const look = () => {
            const heading = document.querySelector("main h1")?.textContent;
            if (heading !== wanted || document.querySelectorAll("main article").length < 10) {
              requestAnimationFrame(look);
              return;
            }
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => resolve(performance.now() - began);
            port2.postMessage(null);
          };
          requestAnimationFrame(look);
        }),
      name,
    );
  const times = [];
  const work = await processorTime(page, async () => {
    for (let n = 0; n < SWITCHES; n += 1) {
      times.push(await change(names[n % names.length]));
      await page.waitForTimeout(30);
    }
  });
  await page.context().close();
  return { shown: percentile(times, 0.95), work: work / SWITCHES };
}

/** Times between frames while the wheel turns upward through the whole history. */
async function scrolling({ daemon, browser, conversation }) {
  const page = await visitor(browser, `${as(daemon, BO.user, BO)}#conversation=${conversation}`);
  await log(page).getByRole("article").first().waitFor();
  await page.waitForTimeout(1_000);
  await log(page).hover();
  await page.evaluate(() => {
    window.frames_ms = [];
    let last = performance.now();
    const frame = (now) => {
      window.frames_ms.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const end = Date.now() + SCROLL_MS;
  while (Date.now() < end) {
    await page.mouse.wheel(0, -400);
    await page.waitForTimeout(16);
  }
  const found = await page.evaluate(() => ({
    frames: window.frames_ms,
    nodes: document.querySelectorAll("*").length,
    top: Number(document.querySelector("article")?.dataset.seq),
  }));
  await page.context().close();
  return { frame: percentile(found.frames, 0.95), nodes: found.nodes, passed: MESSAGES - found.top };
}

const daemon = await new Daemon().start();
const browser = await launch();
try {
  const world = { daemon, browser, conversation: await seed(daemon) };
  const load = await firstLoad(world);
  const key = await keyToPaint(world);
  const send = await sendToTick(world);
  const change = await switching(world);
  const scroll = await scrolling(world);
  const machine = `${cpus().length} x ${cpus()[0].model.trim()}, Chromium ${browser.version()}, headless`;
  const rows = [
    ["measured", "figure", "goal"],
    ["first load, compressed", `${(load.bytes / 1_000).toFixed(1)} kB`, "120 kB"],
    [`first load until one can write, CPU ${PHONE_SLOWDOWN}x slower`, ms(load.usable), "1,000 ms"],
    [`first load, processor's time, ${PHONE_SLOWDOWN}x slower`, ms(load.work), "1,000 ms"],
    [`key press, processor's time, ${PHONE_SLOWDOWN}x slower`, ms(key.work), "16 ms"],
    [`key press until painted, p95, CPU ${PHONE_SLOWDOWN}x slower`, ms(key.paint), "the next frame"],
    ["Enter until on screen, p95", ms(send.shown), "16 ms"],
    ["Enter until its tick, p95", ms(send.tick), "100 ms"],
    ["switch of conversation, p95", ms(change.shown), "50 ms"],
    ["switch of conversation, processor's time", ms(change.work), "50 ms"],
    [`frame while scrolling, p95 (${scroll.passed} of ${MESSAGES} messages)`, ms(scroll.frame), "20 ms"],
    ["elements in the document after it", String(scroll.nodes), "3,000"],
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((each) => each[column].length)));
  console.log(`${machine}\n`);
  for (const [index, each] of rows.entries()) {
    console.log(`| ${each.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`);
    if (index === 0) console.log(`| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  }
} finally {
  await browser.close();
  await daemon.stop();
}
