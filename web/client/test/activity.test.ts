import { describe, expect, it } from "vitest";
import type { Incoming } from "../src/api.js";
import { FakeServer } from "./fake-server.js";
import { C, ME, message, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async (options = {}) => {
  const server = new FakeServer([ME, OTHER]);
  const tab = new Browser().tab(server, options);
  await pass();
  const receipts = () => server.requests("receipt").map(({ read, delivered }) => ({ read, delivered }));
  return { server, receipts, page: tab.page, client: tab.client };
};

describe("typing", () => {
  const told = (server: FakeServer) => server.requests("typing").map(({ active, id }) => [active, id]);

  it("is told at most every 3 s, and its end after 5 s of idleness", async () => {
    const { server, client } = await world();
    for (let n = 0; n < 40; n += 1) {
      client.typing(C);
      await pass(100);
    }
    expect(told(server)).toEqual([
      [true, undefined],
      [true, undefined],
    ]);
    await pass(4_800);
    expect(told(server)).toHaveLength(2);
    await pass(200);
    expect(told(server).at(-1)).toEqual([false, undefined]);
    await pass(60_000);
    expect(told(server)).toHaveLength(3);
  });

  it("ends once when the composer is left, and with the message itself", async () => {
    const { server, client } = await world();
    client.typing(C);
    client.stopTyping(C);
    client.stopTyping(C);
    expect(told(server).map(([active]) => active)).toEqual([true, false]);
    client.typing(C);
    client.send(C, "It hurts");
    await pass(60_000);
    expect(told(server).map(([active]) => active)).toEqual([true, false, true]);
  });

  it("that goes on while a connection is made is told to the new one", async () => {
    const { server, client } = await world();
    server.live[0]?.close(1006);
    await pass();
    client.typing(C);
    await pass(3_000);
    client.typing(C);
    await pass(2_000);
    expect(server.live).toHaveLength(1);
    expect(told(server)).toEqual([[true, undefined]]);
  });

  it("that ended before there was a connection is not told to it", async () => {
    const { server, client } = await world();
    server.live[0]?.close(1006);
    await pass();
    client.typing(C);
    client.stopTyping(C);
    await pass(30_000);
    expect(server.live).toHaveLength(1);
    expect(told(server)).toEqual([]);
  });

  it("of others is seen, and dropped after 8 s", async () => {
    const { server, client } = await world();
    server.live[0]?.tell({ type: "typing", conversation: C, user: OTHER, active: true });
    await pass(7_900);
    expect(client.conversation(C).getSnapshot().typing).toEqual([OTHER]);
    await pass(100);
    expect(client.conversation(C).getSnapshot().typing).toEqual([]);
  });
});

describe("receipts", () => {
  it("say delivered on arrival, once for all that came at once", async () => {
    const { server, receipts } = await world();
    for (let n = 0; n < 5; n += 1) server.write(OTHER, `text ${n}`);
    await pass(1_000);
    expect(receipts()).toEqual([{ delivered: 5 }]);
  });

  it("say nothing about own and system messages", async () => {
    const { server, client, receipts } = await world();
    client.send(C, "mine");
    server.write(null, "Bo was added");
    await pass(1_000);
    client.markSeen(C, 2);
    await pass(1_000);
    expect(receipts()).toEqual([]);
  });

  it("say read for what was seen, forward only, and nothing twice", async () => {
    const { server, client, receipts } = await world();
    for (let n = 0; n < 5; n += 1) server.write(OTHER, `text ${n}`);
    client.markSeen(C, 3);
    await pass(1_000);
    client.markSeen(C, 2);
    client.markSeen(C, 3);
    await pass(1_000);
    expect(receipts().filter(({ read }) => read)).toEqual([{ read: 3 }]);
    expect(client.conversation(C).getSnapshot().me?.read_seq).toBe(3);
  });

  it("of a time without connection are sent on the next", async () => {
    const { server, client, receipts } = await world();
    server.write(OTHER, "hello");
    await pass(500);
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    client.markSeen(C, 1);
    await pass(1_000);
    expect(receipts()).toEqual([{ delivered: 1 }]);
    server.down = false;
    await pass(30_000);
    expect(receipts()).toEqual([{ delivered: 1 }, { read: 1 }]);
  });

  it("that fail for now are repeated, those refused for good are not", async () => {
    const { server, receipts } = await world();
    server.refuse = ({ type }) => (type === "receipt" ? { code: "unavailable", temporary: true } : null);
    server.write(OTHER, "hello");
    await pass(10_000);
    expect(receipts().length).toBeGreaterThan(2);
    server.refuse = ({ type }) => (type === "receipt" ? { code: "forbidden", temporary: false } : null);
    await pass(60_000);
    const before = receipts().length;
    await pass(60_000);
    expect(receipts()).toHaveLength(before);
  });
});

describe("what was on screen", () => {
  const ready = async () => {
    const all = await world();
    for (let n = 0; n < 9; n += 1) all.server.write(OTHER, `text ${n}`);
    await pass(500);
    const read = () => all.receipts().flatMap(({ read }) => (read ? [read] : []));
    return { ...all, watch: all.client.seen(C), read };
  };

  it("for 500 ms in a visible and focused window is read", async () => {
    const { watch, read } = await ready();
    watch.onScreen([1, 2, 3]);
    await pass(499);
    await pass(0);
    expect(read()).toEqual([]);
    await pass(200);
    expect(read()).toEqual([3]);
  });

  it("for less is not", async () => {
    const { watch, read } = await ready();
    watch.onScreen([1, 2, 3, 4]);
    await pass(300);
    watch.onScreen([1, 2]);
    await pass(300);
    watch.onScreen([]);
    await pass(2_000);
    expect(read()).toEqual([2]);
  });

  it.each(["hidden", "not focused"])("of a window that is %s is not, and counts anew afterwards", async (state) => {
    const { watch, read, page } = await ready();
    const away = () => {
      if (state === "hidden") page.hide();
      else page.focus(false);
    };
    const back = () => {
      if (state === "hidden") page.show();
      else page.focus(true);
    };
    watch.onScreen([1, 2]);
    await pass(400);
    away();
    await pass(10_000);
    expect(read()).toEqual([]);
    back();
    await pass(400);
    expect(read()).toEqual([]);
    await pass(300);
    expect(read()).toEqual([2]);
  });

  it("after the list is gone is not", async () => {
    const { watch, read } = await ready();
    watch.onScreen([1]);
    watch.stop();
    await pass(2_000);
    expect(read()).toEqual([]);
  });
});

describe("focus", () => {
  it("is told while somebody can be looking, and again to each connection", async () => {
    const { server, client, page } = await world();
    const told = () => server.requests("focus").map(({ conversation }) => conversation);
    client.setFocus(C);
    client.setFocus(C);
    page.focus(false);
    page.focus(true);
    page.hide();
    expect(told()).toEqual([C, null, C, null]);
    page.show();
    server.live[0]?.close(1006);
    await pass(1_000);
    expect(told()).toEqual([C, null, C, null, C, C]);
    client.setFocus(null);
    expect(told().at(-1)).toBe(null);
  });
});

describe("what comes in", () => {
  it("is told once: of others, live or caught up, never own or old", async () => {
    const { server, client } = await world();
    const told: Incoming[] = [];
    const stop = client.onIncoming((incoming) => told.push(incoming));
    const gist = () => told.splice(0).map(({ message: { body }, live }) => [body, live]);
    client.send(C, "mine");
    server.write(OTHER, "live");
    await pass();
    expect(gist()).toEqual([["live", true]]);
    server.change({ messages: [message(2, { rev: server.rev + 1, body: "edited" })] });
    await client.loadOlder(C);
    await pass();
    expect(gist()).toEqual([]);
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    server.write(OTHER, "missed");
    server.down = false;
    await pass(30_000);
    server.write(OTHER, "live again");
    await pass();
    expect(gist()).toEqual([
      ["missed", false],
      ["live again", true],
    ]);
    stop();
    server.write(OTHER, "unheard");
    await pass();
    expect(gist()).toEqual([]);
  });

  it("passes on events that the client has no use for", async () => {
    const { server, client } = await world();
    const told: string[] = [];
    client.onEvent(({ type }) => told.push(type));
    server.live[0]?.tell({ type: "call", call: {} });
    await pass();
    expect(told).toEqual(["call"]);
  });
});
