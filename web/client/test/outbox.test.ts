import { describe, expect, it } from "vitest";
import { FakeServer, type Refusal } from "./fake-server.js";
import { C, ME, OTHER, participant } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  const browser = new Browser();
  const tab = browser.tab(server);
  await pass();
  return { server, browser, tab, client: tab.client };
};

const bodies = (server: FakeServer) => server.messages.map(({ body }) => body);
const refusing =
  (word: string, refusal: Refusal) =>
  ({ type, body }: { type: string; body?: unknown }): Refusal | null =>
    type === "message.send" && String(body).includes(word) ? refusal : null;

describe("a message", () => {
  it("is shown at once, is acknowledged, and keeps its key through all states", async () => {
    const { server, client } = await world();
    const conversation = client.conversation(C);
    const key = client.send(C, "It hurts");
    expect(conversation.getSnapshot().outbox).toMatchObject([{ key, body: "It hurts", state: "waiting" }]);
    await pass();
    const states = () => conversation.getSnapshot().items.map((item) => [item.key, item.status]);
    expect([conversation.getSnapshot().outbox.length, states()]).toEqual([0, [[key, "sent"]]]);
    server.change({ participants: [participant(OTHER, { delivered_seq: 1, rev: server.rev + 1 })] });
    await pass();
    expect(states()).toEqual([[key, "delivered"]]);
    server.change({ participants: [participant(OTHER, { delivered_seq: 1, read_seq: 1, rev: server.rev + 1 })] });
    await pass();
    expect(states()).toEqual([[key, "read"]]);
  });

  it("of ten in a row goes out one after the other, in order", async () => {
    const { server, client } = await world();
    for (let n = 0; n < 10; n += 1) client.send(C, `text ${n}`);
    await pass();
    expect(bodies(server)).toEqual(Array.from({ length: 10 }, (_, n) => `text ${n}`));
    expect(client.outbox.getSnapshot()).toEqual([]);
  });

  it("typed offline survives the end of the browser, and is sent once, in order, at the next start", async () => {
    const { server, browser, tab } = await world();
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    for (const body of ["one", "two", "three"]) tab.client.send(C, body);
    await pass(100);
    tab.kill();
    await pass();
    server.down = false;
    const again = browser.tab(server);
    await pass(1_000);
    expect(bodies(server)).toEqual(["one", "two", "three"]);
    again.kill();
    browser.tab(server);
    await pass(1_000);
    expect(bodies(server)).toHaveLength(3);
    expect(server.requests("message.send")).toHaveLength(3);
  });

  it("typed offline goes out in order as soon as there is a connection again", async () => {
    const { server, client } = await world();
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    for (const body of ["one", "two", "three"]) client.send(C, body);
    expect(client.outbox.getSnapshot().map(({ state }) => state)).toEqual(["waiting", "waiting", "waiting"]);
    server.down = false;
    await pass(1_000);
    expect([bodies(server), server.requests("message.send").length]).toEqual([["one", "two", "three"], 3]);
  });

  it("that failed for now and happened all the same is done when its change comes", async () => {
    const { server, client } = await world();
    server.refuse = refusing("one", { code: "unavailable", temporary: true, retry_after: 60 });
    const key = client.send(C, "one");
    await pass();
    server.write(ME, "one", { client_id: key });
    await pass();
    expect(client.outbox.getSnapshot()).toEqual([]);
    await pass(120_000);
    expect(server.requests("message.send")).toHaveLength(1);
  });

  it("is shown as waiting by the next start, before there is a connection", async () => {
    const { server, browser, tab } = await world();
    server.down = true;
    server.live[0]?.close(1006);
    tab.client.send(C, "one");
    await pass();
    tab.kill();
    const again = browser.tab(server);
    await pass();
    expect(again.client.outbox.getSnapshot()).toMatchObject([{ body: "one", state: "waiting" }]);
  });

  it("whose answer was lost is sent again, and there once", async () => {
    const { server, client } = await world();
    const [socket] = server.live;
    if (socket) socket.tell = () => undefined; // the server takes it, and the answer is lost
    client.send(C, "once");
    await pass();
    expect(client.outbox.getSnapshot()).toHaveLength(1);
    socket?.close(1006);
    await pass(1_000);
    expect([bodies(server), client.outbox.getSnapshot()]).toEqual([["once"], []]);
    expect(client.conversation(C).getSnapshot().items).toHaveLength(1);
  });

  it("that fails for now holds up those behind it, and goes out when the server says", async () => {
    const { server, client } = await world();
    server.refuse = refusing("one", { code: "rate_limited", temporary: true, retry_after: 5 });
    client.send(C, "one");
    client.send(C, "two");
    await pass(4_900);
    expect([bodies(server), server.requests("message.send").length]).toEqual([[], 1]);
    server.refuse = () => null;
    await pass(200);
    expect(bodies(server)).toEqual(["one", "two"]);
  });

  it("that keeps failing for now is tried with a growing wait, for ever", async () => {
    const { server, client } = await world();
    server.refuse = refusing("one", { code: "unavailable", temporary: true });
    client.send(C, "one");
    for (let minute = 0; minute < 30; minute += 1) await pass(60_000);
    const tries = server.requests("message.send").length;
    expect(tries).toBeGreaterThan(50);
    expect(tries).toBeLessThan(140);
    server.refuse = () => null;
    await pass(60_000);
    expect(bodies(server)).toEqual(["one"]);
  });

  it("that is refused for good stops nothing but itself, with the reason; retried or discarded", async () => {
    const { server, client, browser, tab } = await world();
    server.refuse = refusing("bad", { code: "forbidden", temporary: false });
    client.send(C, "bad 1");
    client.send(C, "good");
    client.send(C, "bad 2");
    await pass();
    expect(bodies(server)).toEqual(["good"]);
    const failed = client.outbox.getSnapshot();
    expect(failed).toMatchObject([
      { body: "bad 1", state: "failed", error: { code: "forbidden", message: "no: forbidden" } },
      { body: "bad 2", state: "failed" },
    ]);
    tab.kill();
    server.refuse = () => null;
    const again = browser.tab(server);
    await pass(60_000);
    expect(bodies(server)).toEqual(["good"]); // not by itself
    const [first, second] = failed.map(({ key }) => key);
    again.client.retry(String(first));
    again.client.discard(String(second));
    await pass();
    expect([bodies(server), again.client.outbox.getSnapshot()]).toEqual([["good", "bad 1"], []]);
  });

  it("that is discarded while it waits is never sent", async () => {
    const { server, browser, client, tab } = await world();
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    client.discard(client.send(C, "regretted"));
    await pass();
    tab.kill();
    server.down = false;
    browser.tab(server);
    await pass(60_000);
    expect(server.requests("message.send")).toEqual([]);
  });

  it("of one conversation does not hold up another's", async () => {
    const { server, client } = await world();
    server.refuse = refusing("one", { code: "unavailable", temporary: true });
    client.send("elsewhere", "one");
    client.send(C, "two");
    await pass();
    expect(bodies(server)).toEqual(["two"]);
  });

  it.each([
    ["", "empty"],
    ["  \n", "empty"],
    ["x".repeat(10_001), "10001"],
  ])("with %j is refused at once", async (body, words) => {
    const { client } = await world();
    expect(() => client.send(C, body)).toThrow(words);
    expect(client.outbox.getSnapshot()).toEqual([]);
  });

  it("counts code points, not halves of emoji", async () => {
    const { server, client } = await world();
    client.send(C, "🦷".repeat(10_000));
    await pass();
    expect(server.messages).toHaveLength(1);
  });

  it("goes out where the browser has no storage", async () => {
    const server = new FakeServer([ME, OTHER]);
    const browser = new Browser();
    browser.indexedDB = null as never;
    const { client } = browser.tab(server);
    await pass();
    client.send(C, "one");
    await pass();
    expect([bodies(server), client.outbox.getSnapshot()]).toEqual([["one"], []]);
  });
});

describe("two tabs", () => {
  it("that flush the same outbox at once send each message once, and both are done", async () => {
    const { server, browser, tab } = await world();
    const other = browser.tab(server);
    await pass();
    server.down = true;
    for (const socket of server.live) socket.close(1006);
    await pass();
    for (const body of ["one", "two", "three"]) tab.client.send(C, body);
    await pass();
    expect(other.client.outbox.getSnapshot().map(({ body }) => body)).toEqual(["one", "two", "three"]);
    server.down = false;
    await pass(60_000);
    expect(bodies(server)).toEqual(["one", "two", "three"]);
    expect([tab.client.outbox.getSnapshot(), other.client.outbox.getSnapshot()]).toEqual([[], []]);
  });

  it("send what a third that died left behind, within 15 s", async () => {
    const { server, browser, tab } = await world();
    const other = browser.tab(server);
    await pass();
    server.refuse = refusing("left", { code: "unavailable", temporary: true, retry_after: 3 });
    tab.client.send(C, "left behind");
    await pass();
    tab.kill();
    server.refuse = () => null;
    await pass(15_000);
    expect([bodies(server), other.client.outbox.getSnapshot()]).toEqual([["left behind"], []]);
  });

  it("leave the sending to the one that wrote, while it lives", async () => {
    const { server, browser, tab } = await world();
    const other = browser.tab(server);
    await pass();
    tab.client.send(C, "mine");
    await pass(60_000);
    expect(server.requests("message.send")).toHaveLength(1);
    server.refuse = refusing("first", { code: "unavailable", temporary: true, retry_after: 5 });
    tab.client.send(C, "first");
    await pass();
    other.client.send(C, "second");
    await pass();
    expect(server.requests("message.send").map(({ body }) => body)).toEqual(["mine", "first", "second"]);
  });

  it("forget what was acknowledged, the one without a connection too", async () => {
    const { server, browser, tab } = await world();
    const other = browser.tab(server);
    await pass();
    server.down = true;
    server.live[1]?.close(1006);
    await pass();
    tab.client.send(C, "mine");
    expect(tab.client.outbox.getSnapshot()).toHaveLength(1);
    await pass();
    expect([tab.client.outbox.getSnapshot(), other.client.outbox.getSnapshot()]).toEqual([[], []]);
  });

  it("of two users never see each other's", async () => {
    const { server, browser, tab } = await world();
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    const other = browser.tab(server, { signIn: { kind: "development", user: OTHER } });
    await pass();
    tab.client.send(C, "secret");
    tab.client.setDraft(C, "draft");
    await pass(1_000);
    expect(other.client.outbox.getSnapshot()).toEqual([]);
    tab.kill();
    server.down = false;
    await pass(60_000);
    expect([other.client.outbox.getSnapshot(), other.client.drafts.getSnapshot()?.size, server.messages]).toEqual([
      [],
      0,
      [],
    ]);
  });
});
