// Networks that break WebSocket: the page polls, and nobody who uses it notices.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { ADA, article, as, BO, composer, filled, setUp, until, visitor, write } from "./harness.mjs";

const world = setUp();

/** What the proxy does with a handshake: it says no, hangs up, or answers it and lets no frame through. */
const HANDSHAKES = {
  refuses: (near) => near.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
  "hangs up on": (near) => near.destroy(),
  "swallows all frames behind": (near, { port, head }) => {
    const far = connect(port, "127.0.0.1", () => far.write(head));
    far.once("data", (answer) => near.write(answer.subarray(0, answer.indexOf("\r\n\r\n") + 4)));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.on("close", () => other.destroy());
      one.on("error", () => other.destroy());
    }
  },
};

/** A proxy for HTTP that breaks WebSocket; `asked` counts requests by method. */
async function proxyTo(port, breakIt) {
  const asked = {};
  const upgraded = new Set();
  const server = createServer((near, answer) => {
    asked[near.method] = (asked[near.method] ?? 0) + 1;
    const { method, url: path, headers } = near;
    const far = request({ port, host: "127.0.0.1", method, path, headers }, (found) => {
      answer.writeHead(found.statusCode, found.headers);
      found.pipe(answer);
    });
    near.pipe(far);
    answer.on("close", () => far.destroy());
    far.on("error", () => answer.destroy());
  });
  server.on("upgrade", ({ url, rawHeaders }, near) => {
    upgraded.add(near);
    near.on("error", () => near.destroy());
    const lines = Array.from(
      { length: rawHeaders.length / 2 },
      (_, n) => `${rawHeaders[2 * n]}: ${rawHeaders[2 * n + 1]}`,
    );
    breakIt(near, { port, head: [`GET ${url} HTTP/1.1`, ...lines, "", ""].join("\r\n") });
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
    for (const near of upgraded) near.destroy();
  };
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, asked, close };
}

for (const [name, breakIt] of Object.entries(HANDSHAKES)) {
  test(`behind a proxy that ${name} WebSocket handshakes people talk all the same`, async () => {
    const { daemon, browser } = world;
    await filled(daemon, 2, { prefix: `Before (${name})` });
    const proxy = await proxyTo(daemon.port, breakIt);
    try {
      const query = new URL(as(daemon, ADA.user, { ...ADA, other: BO.user })).search;
      const ada = await visitor(browser, proxy.url + query);
      const bo = await visitor(browser, as(daemon, BO.user, { ...BO, other: ADA.user }));
      await article(ada, `Before (${name}) 2.`).waitFor();
      await write(ada, `it hurts (${name})`);
      await article(bo, `it hurts (${name})`).waitFor();
      const began = Date.now();
      await write(bo, `where? (${name})`);
      await article(ada, `where? (${name})`).waitFor();
      assert.ok(Date.now() - began < 2_000, `${Date.now() - began} ms`);
      await composer(bo).fill("so");
      await ada
        .getByText(/Bo.* typing|typing/)
        .first()
        .waitFor();
      assert.ok(proxy.asked.POST >= 2 && proxy.asked.GET >= 2, JSON.stringify(proxy.asked));
      const { presence } = await daemon.ask(BO.user, { type: "presence.get", users: [ADA.user] });
      assert.equal(presence[0].online, true);
      await ada.close();
      await until(
        async () => {
          const told = await daemon.ask(BO.user, { type: "presence.get", users: [ADA.user] });
          return told.presence[0].online === false;
        },
        { what: "a page that is closed ends its session, and doesn't wait for the minute" },
      );
    } finally {
      proxy.close();
    }
  });
}
