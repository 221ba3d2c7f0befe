import { describe, expect, it, vi } from "vitest";
import { ChatError, createClient } from "../src/index.js";
import { socketUrl } from "../src/transport.js";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const started = async (server = new FakeServer([ME, OTHER]), options = {}) => {
  const tab = new Browser().tab(server, options);
  await pass();
  return { server, ...tab, client: tab.client, page: tab.page, state: () => tab.client.connection.getSnapshot() };
};

describe("the connection", () => {
  it("does nothing before start, wherever it is made", () => {
    const server = new FakeServer([ME]);
    createClient({ transport: server.transport });
    expect([server.sockets.length, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it("opens one socket over 100 starts and stops, and none after the last stop", async () => {
    const { client, server } = await started();
    for (let n = 0; n < 100; n += 1) {
      client.stop();
      client.start();
    }
    await pass(100);
    client.start();
    await pass(100);
    expect([server.live.length, server.sockets.length]).toEqual([1, 2]);
    client.stop();
    await pass(60_000);
    expect([server.live.length, server.sockets.length, vi.getTimerCount()]).toEqual([0, 2, 0]);
  });

  it("comes back for ever, with a growing wait that is told", async () => {
    const { server, state } = await started();
    server.down = true;
    server.live[0]?.close(1006);
    const waits: number[] = [];
    for (let n = 0; n < 40; n += 1) {
      await pass();
      const { phase, retryAt } = state();
      expect(phase).toBe("waiting");
      waits.push((retryAt ?? 0) - Date.now());
      await pass(waits.at(-1));
    }
    expect(waits.slice(0, 4)).toEqual([250, 500, 1000, 2000]);
    expect(waits.at(-1)).toBe(15_000);
    server.down = false;
    await pass(15_000);
    expect([state().phase, state().offlineSince]).toEqual(["online", null]);
  });

  it("begins a fresh backoff after a connection that was a good one", async () => {
    const { server, state } = await started();
    for (const [life, wait] of [
      [1_000, 250],
      [1_000, 500],
      [31_000, 250],
    ] as const) {
      await pass(life);
      server.live[0]?.close(4008);
      await pass();
      expect((state().retryAt ?? 0) - Date.now()).toBe(wait);
      await pass(wait);
    }
  });

  it.each([
    [4501, "refused"],
    [4503, "revoked"],
    [4500, "incompatible"],
  ])("does not come back after %d: the session is over, %s", async (code, cause) => {
    const { server, state, client } = await started();
    const waiting = expect(client.listUsers()).resolves.toBeDefined();
    await waiting;
    server.live[0]?.close(code);
    await pass(120_000);
    expect([state().phase, state().ended?.cause, state().ended?.code, server.sockets.length]).toEqual([
      "ended",
      cause,
      code,
      1,
    ]);
    await expect(client.listUsers()).rejects.toMatchObject({ code: "closed" });
  });

  it.each([1000, 1001, 1006, 1009, 1011, 4008, 4010, 4011, 4012, 4013, 4029, 4499])(
    "comes back after %d",
    async (code) => {
      const { server, state } = await started();
      server.live[0]?.close(code);
      await pass(30_000);
      expect([state().phase, server.sockets.length]).toEqual(["online", 2]);
    },
  );

  it("asks for a token for each hello, and again after it expired", async () => {
    const getToken = vi.fn(() => Promise.resolve(`token-${getToken.mock.calls.length}`));
    const { server, state } = await started(undefined, { signIn: { kind: "token", getToken } });
    server.refuseHello = 4011;
    server.live[0]?.close(4011);
    await pass(250);
    expect(state().phase).toBe("waiting");
    server.refuseHello = null;
    await pass(30_000);
    expect(state().phase).toBe("online");
    expect(server.requests("hello").map(({ token }) => token)).toEqual(["token-1", "token-2", "token-3"]);
  });

  it("renews the session before it expires, without a new connection", async () => {
    const server = new FakeServer([ME, OTHER]);
    server.helloExtra = { expires_at: new Date(Date.now() + 600_000).toISOString() };
    const getToken = vi.fn(() => Promise.resolve("t"));
    await started(server, { signIn: { kind: "token", getToken } });
    await pass(530_000);
    expect(server.requests("hello")).toHaveLength(1);
    await pass(10_000);
    expect([server.requests("hello").length, server.sockets.length]).toEqual([2, 1]);
  });

  it("waits and tries again where no token can be had, and ends where there will be none", async () => {
    let failure: Error = new Error("the app is down");
    const getToken = () => Promise.reject(failure);
    const { state, server } = await started(undefined, { signIn: { kind: "token", getToken } });
    expect(state().phase).toBe("waiting");
    failure = new ChatError({ code: "unauthorized", message: "signed out of the app", temporary: false });
    await pass(1_000);
    expect([state().phase, state().ended?.message]).toEqual(["ended", "signed out of the app"]);
    expect(server.requests("hello")).toHaveLength(0);
  });

  it("waits as long as a server that goes away says, unless the user comes back before", async () => {
    const { server, state, page } = await started();
    server.live[0]?.tell({ type: "going_away", reconnect_in: 7 });
    await pass();
    expect(state().goingAway).toBe(true);
    server.live[0]?.close(1001);
    await pass(6_900);
    expect(state().phase).toBe("waiting");
    await pass(100);
    expect([state().phase, state().goingAway]).toEqual(["online", false]);
    server.live[0]?.tell({ type: "going_away", reconnect_in: 7 });
    server.live[0]?.close(1001);
    await pass();
    page.show();
    await pass();
    expect(state().phase).toBe("online");
  });

  it.each(["online", "pageshow", "resume", "visibilitychange"])(
    "behind a dead socket reconnects 3 s after %s, with a fresh backoff",
    async (name) => {
      const { server, state, page } = await started();
      server.silent = true;
      const target = name === "online" || name === "pageshow" ? page.window : page.document;
      target.dispatchEvent(new Event(name));
      await pass(2_900);
      expect([server.requests("ping").length, server.sockets.length, state().phase]).toEqual([1, 1, "online"]);
      server.silent = false;
      const [dead] = server.live;
      if (dead) dead.tell = () => undefined;
      await pass(100);
      expect([server.sockets.length, state().phase]).toEqual([2, "online"]);
    },
  );

  it("tries with a fresh backoff after a wake-up behind a dead socket", async () => {
    const { server, state, page } = await started();
    for (const wait of [250, 500, 1_000]) {
      server.live[0]?.close(1006);
      await pass(wait);
    }
    server.silent = true;
    page.show();
    server.down = true;
    await pass(3_000);
    expect([state().phase, (state().retryAt ?? 0) - Date.now()]).toEqual(["waiting", 250]);
  });

  it("notices by its clock that the device slept, and gives a dead socket 3 s", async () => {
    const { server } = await started();
    vi.setSystemTime(Date.now() + 3_600_000);
    server.silent = true;
    await pass(25_000);
    expect(server.sockets.length).toBe(1);
    await pass(3_000);
    expect(server.sockets.length).toBe(2);
  });

  it("gives a silent socket 1 s where the browser says that there is no network", async () => {
    const { server, state, page } = await started();
    server.silent = true;
    page.onLine = false;
    const wentOff = Date.now();
    page.window.dispatchEvent(new Event("offline"));
    await pass(999);
    expect(state().offlineSince).toBeNull();
    await pass(1);
    expect([server.sockets.length, state().offlineSince]).toEqual([2, wentOff]);
  });

  it("keeps a socket that answers the ping of a wake-up", async () => {
    const { server, page } = await started();
    page.window.dispatchEvent(new Event("online"));
    page.document.dispatchEvent(new Event("resume"));
    await pass(10_000);
    expect([server.requests("ping").length, server.sockets.length]).toEqual([1, 1]);
  });

  it("tries at once when the network comes back, whatever the wait", async () => {
    const { server, state, page } = await started();
    server.down = true;
    server.live[0]?.close(1006);
    for (let n = 0; n < 20; n += 1) await pass(15_000);
    server.down = false;
    page.onLine = false;
    page.window.dispatchEvent(new Event("offline"));
    page.onLine = true;
    page.window.dispatchEvent(new Event("online"));
    await pass();
    expect(state().phase).toBe("online");
  });

  it("notices a server that fell silent by its heartbeat", async () => {
    const { server, state } = await started();
    const [dead] = server.live;
    if (dead) dead.tell = () => undefined;
    await pass(25_000);
    expect(server.requests("ping")).toHaveLength(1);
    await pass(10_000);
    expect([server.sockets.length, state().phase]).toEqual([2, "online"]);
  });

  it("gives up an attempt that leads nowhere, and tries again", async () => {
    const { server, state } = await started();
    server.silent = true;
    server.live[0]?.close(1006);
    await pass(300);
    expect(state().phase).toBe("connecting");
    await pass(15_000);
    expect(state().phase).not.toBe("online");
    server.silent = false;
    await pass(60_000);
    expect(state().phase).toBe("online");
  });

  it("repeats a request whose answer was lost with the connection, and ends the waiting by signal", async () => {
    const { server, client } = await started();
    server.silent = true;
    const asked = client.search("pain");
    server.silent = false;
    server.live[0]?.close(1006);
    await pass(30_000);
    await asked;
    expect(server.requests("message.search")).toHaveLength(2);
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    const controller = new AbortController();
    const refused = expect(client.search("pain", { signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    controller.abort();
    await refused;
  });

  it("goes on with what waits where it is stopped and started in one turn, and rejects it where it stays stopped", async () => {
    const { server, client } = await started();
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    const waiting = client.search("pain");
    client.stop();
    client.start();
    server.down = false;
    await pass(1_000);
    await waiting;
    server.silent = true;
    const lost = expect(client.search("pain")).rejects.toMatchObject({ code: "closed" });
    client.stop();
    await pass();
    await lost;
  });

  it("rejects with the server's words: code, temporary, when to try again", async () => {
    const { server, client } = await started();
    server.refuse = ({ type }) =>
      type === "message.edit" ? { code: "rate_limited", temporary: true, retry_after: 2 } : null;
    const error = await client.edit(C, 1, "x").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ChatError);
    expect(error).toMatchObject({ code: "rate_limited", temporary: true, retryAfter: 2, message: "no: rate_limited" });
  });

  it("is not disturbed by a listener that throws", async () => {
    const { server, client, state } = await started();
    const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const told: string[] = [];
    client.onIncoming(() => {
      throw new Error("a mistake of the page");
    });
    client.onIncoming(({ message }) => told.push(message.body));
    server.write(OTHER, "hello");
    await pass(1_000);
    expect([told, state().phase, server.sockets.length, said.mock.calls.length]).toEqual([["hello"], "online", 1, 1]);
  });

  it("starts over where a frame is none", async () => {
    const { server, state } = await started();
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    server.live[0]?.tell({ type: "change", conversation: C, from: 1, rev: 2, messages: 7 });
    await pass(1_000);
    expect([server.sockets.length, state().phase]).toEqual([2, "online"]);
  });

  it("knows the server's time, whatever the clock of the device says", async () => {
    const server = new FakeServer([ME]);
    server.helloExtra = { server_time: "2030-05-05T00:00:00.000Z" };
    const { client } = await started(server);
    expect(client.serverNow()).toBe(Date.parse("2030-05-05T00:00:00.000Z"));
  });

  it("keeps half an emoji from ending the session", async () => {
    const { server, client } = await started();
    void client.search("😀".slice(0, 1));
    await pass();
    expect(server.requests("message.search")[0]?.query).toBe("\ufffd");
  });
});

it.each([
  ["http://127.0.0.1:3001", "ws://127.0.0.1:3001/ws"],
  ["https://chat.example/", "wss://chat.example/ws"],
  ["wss://chat.example/chat/ws", "wss://chat.example/chat/ws"],
])("the socket of %s is %s", (server, socket) => {
  expect(socketUrl(server)).toBe(socket);
});
