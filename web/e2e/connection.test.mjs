// Connections die in every way; the page says so quietly, comes back by itself, and moves nothing.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { ADA, article, as, BO, composer, filled, openAsBo, pair, setUp, until, visitor } from "./harness.mjs";

const world = setUp();

/** A proxy that can begin to swallow everything while its connections stay open. */
async function proxyTo(port) {
  const sockets = new Set();
  const proxy = { swallow: false };
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    const swallowed = { now: false };
    sockets.add(swallowed);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.on("data", (chunk) => swallowed.now || to.write(chunk));
      from.on("close", () => swallowed.now || to.destroy());
      from.on("error", () => to.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.hole = () => sockets.forEach((each) => (each.now = true));
  proxy.close = () => server.close();
  return proxy;
}

for (const [signal, dispatch] of [
  ["visibilitychange", () => document.dispatchEvent(new Event("visibilitychange"))],
  ["online", () => window.dispatchEvent(new Event("online"))],
  ["pageshow", () => window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))],
]) {
  test(`a socket that is dead and says open is found out by ${signal}, and new messages are there within 5 s`, async () => {
    const { daemon, browser } = world;
    await filled(daemon, 2);
    const proxy = await proxyTo(daemon.port);
    try {
      const query = new URL(as(daemon, ADA.user, { ...ADA, other: BO.user })).search;
      const page = await visitor(browser, proxy.url + query);
      await composer(page).waitFor();
      await page.waitForTimeout(300);
      proxy.hole();
      const text = `while asleep, ${signal}`;
      await daemon.say(BO.user, ADA.user, [text]);
      await page.waitForTimeout(500);
      assert.equal(await article(page, text).count(), 0);
      const began = Date.now();
      await page.evaluate(dispatch);
      await article(page, text).waitFor();
      assert.ok(Date.now() - began < 5_000, `${Date.now() - began} ms`);
    } finally {
      proxy.close();
    }
  });
}

test("20 lost connections move nothing on the page, and the composer keeps focus, caret and text", async () => {
  const { daemon } = world;
  const conversation = await filled(daemon, 40, { prefix: "Steady" });
  const drops = { now: () => undefined, online: 0 };
  let down = false;
  const page = await openAsBo(world, conversation, {
    prepare: (each) =>
      each.routeWebSocket(/\/ws$/, (socket) => {
        if (down) return void socket.close({ code: 4008 });
        const server = socket.connectToServer();
        server.onMessage((text) => {
          if (JSON.parse(text).protocol === 1) drops.online += 1;
          socket.send(text);
        });
        drops.now = () => socket.close({ code: 4008 });
      }),
  });
  await article(page, "Steady 40.").waitFor();
  await composer(page).fill("a sentence that is being written");
  await composer(page).evaluate((field) => field.setSelectionRange(5, 5));
  await page.waitForTimeout(600);
  await page.evaluate(() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: false });
  });
  const line = page.getByRole("status");
  for (let n = 0; n < 20; n += 1) {
    down = n % 10 === 0; // some stay down for long enough that the line appears
    const { online } = drops;
    drops.now();
    if (down) {
      await page.waitForTimeout(1_000);
      assert.equal(await line.textContent(), "", "silent for 2 s");
      await line.getByText("Reconnecting").waitFor();
      down = false;
    }
    await page.evaluate(() => window.dispatchEvent(new Event("online"))); // the backoff grows else
    await until(() => drops.online > online);
    await until(async () => (await line.textContent()) === "");
    await page.waitForTimeout(150);
  }
  assert.equal(await page.evaluate(() => window.shift), 0);
  const state = await composer(page).evaluate((field) => [
    document.activeElement === field,
    field.selectionStart,
    field.value,
  ]);
  assert.deepEqual(state, [true, 5, "a sentence that is being written"]);
});

test("a daemon that says it restarts is named so, and what was written meanwhile goes out", async () => {
  const { daemon, browser } = world;
  const { ada, bo } = await pair(daemon, browser);
  await daemon.kill("SIGTERM");
  await ada.getByRole("status").getByText("The server is restarting").waitFor();
  await composer(ada).fill("written meanwhile");
  await ada.keyboard.press("Enter");
  await daemon.start();
  await article(bo, "written meanwhile").waitFor();
});
