import { describe, expect, it } from "vitest";
import { FakeServer } from "./fake-server.js";
import { C, ME, membership, OTHER, participant, THIRD } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async (messages = 0) => {
  const server = new FakeServer([ME, OTHER]);
  for (let n = 1; n <= messages; n += 1) server.write(n % 2 ? OTHER : ME, `text ${n}`);
  const { client } = new Browser().tab(server);
  await pass();
  const shown = () => client.conversation(C).getSnapshot();
  const range = () => [shown().items[0]?.seq, shown().items.at(-1)?.seq, shown().items.length];
  return { server, client, shown, range };
};

describe("snapshots", () => {
  it("are the same objects until something changes, and only what changed is new", async () => {
    const { server, client, shown } = await world(3);
    await client.load(C);
    await pass(500);
    const before = shown();
    const list = client.conversations.getSnapshot();
    expect(shown()).toBe(before);
    expect(client.conversation(C)).toBe(client.conversation(C));
    server.live[0]?.tell({ type: "presence", user: OTHER, online: true });
    await pass();
    expect([shown() === before, client.conversations.getSnapshot() === list]).toEqual([true, true]);
    expect(client.presence.getSnapshot().get(OTHER)?.online).toBe(true);
    server.change({ participants: [participant(OTHER, { delivered_seq: 2, rev: server.rev + 1 })] });
    await pass();
    const after = shown();
    expect(after).not.toBe(before);
    // Only the own message, whose status moved, is another object.
    expect(after.items.map((item, n) => item === before.items[n])).toEqual([true, false, true]);
    expect(after.items.map(({ status }) => status)).toEqual([null, "delivered", null]);
    expect(after.items).not.toBe(before.items);
  });

  it("tell their listeners once for each turn, and nobody who went", async () => {
    const { server, client } = await world();
    let heard = 0;
    const stop = client.conversation(C).subscribe(() => (heard += 1));
    const other = client.conversation(C).subscribe(() => (heard += 100));
    other();
    server.write(OTHER, "one");
    await pass();
    expect(heard).toBeGreaterThan(0);
    expect(heard).toBeLessThan(100);
    await pass(1_000);
    const before = heard;
    stop();
    server.write(OTHER, "two");
    await pass(1_000);
    expect(heard).toBe(before);
  });

  it("list pinned first, then the newest; count the unread that are neither muted nor archived", async () => {
    const { server, client } = await world();
    const [socket] = server.live;
    const begin = (id: string, minute: number, mine = membership()) => {
      const sent_at = `2026-01-01T00:0${minute}:00.000Z`;
      socket?.tell({
        type: "change",
        conversation: id,
        from: 0,
        rev: 1,
        info: { id, kind: "group", created_at: sent_at, last_seq: 0, rev: 1 },
        participants: [participant(ME), participant(THIRD)],
        membership: mine,
        users: [],
      });
    };
    begin("older", 1, membership({ unread: 2 }));
    begin("newer", 3, membership({ unread: 3 }));
    begin("pinned", 2, membership({ pinned: true, unread: 4 }));
    begin("muted", 0, membership({ muted: true, unread: 50 }));
    begin("archived", 0, membership({ archived: true, unread: 60 }));
    await pass();
    const { items, unread } = client.conversations.getSnapshot();
    expect([items.map(({ id }) => id), unread]).toEqual([["pinned", "newer", "older", "archived", C, "muted"], 9]);
    await pass(600_000);
    client.send("older", "now on top, while it waits too");
    expect(client.conversations.getSnapshot().items[1]).toMatchObject({
      id: "older",
      lastOutbox: { state: "waiting" },
    });
  });

  it("of an unknown conversation say so", async () => {
    const { server, client } = await world();
    server.refuse = ({ type }) => (type === "conversation.get" ? { code: "not_found", temporary: false } : null);
    const unknown = client.conversation("nowhere");
    expect(unknown.getSnapshot().state).toBe("absent");
    const loading = expect(client.load("nowhere")).rejects.toMatchObject({ code: "not_found" });
    expect(unknown.getSnapshot().state).toBe("loading");
    await loading;
    expect(unknown.getSnapshot().state).toBe("gone");
  });
});

describe("the loaded range", () => {
  it("begins with the newest page and grows with each older one, asked for once", async () => {
    const { server, client, shown, range } = await world(120);
    expect(range()).toEqual([120, 120, 1]);
    await client.load(C);
    expect([range(), shown().atStart, shown().atEnd]).toEqual([[70, 120, 51], false, true]);
    const asked = [client.loadOlder(C), client.loadOlder(C)];
    expect(shown().loadingOlder).toBe(true);
    await Promise.all(asked);
    expect([range(), shown().loadingOlder]).toEqual([[20, 120, 101], false]);
    expect(server.requests("message.history")).toHaveLength(2);
    await client.loadOlder(C);
    expect([range(), shown().atStart]).toEqual([[1, 120, 120], true]);
    await client.loadOlder(C);
    await client.loadNewer(C);
    expect(server.requests("message.history")).toHaveLength(3);
  });

  it("of a large conversation brings the watermarks, which its changes do not list", async () => {
    const { server, client, shown } = await world(2);
    for (let n = 0; n < 60; n += 1) server.participants.set(`p-${n}`, participant(`p-${n}`));
    await client.load(C);
    expect(server.requests("conversation.get")).toHaveLength(0);
    server.live[0]?.close(1006);
    await pass(1_000);
    for (const id of server.participants.keys()) {
      server.participants.set(id, participant(id, { delivered_seq: 2, read_seq: 2, rev: server.rev }));
    }
    await client.load(C);
    expect([shown().items.at(-1)?.status, server.requests("conversation.get").length]).toEqual(["read", 1]);
  });

  it("jumps 5,000 messages back without loading those between; a live message is not glued on", async () => {
    const { server, client, shown, range } = await world(5_100);
    await client.load(C);
    const before = server.requests("message.history").length;
    await client.jumpTo(C, 100);
    expect([range(), shown().view, shown().atEnd]).toEqual([[75, 124, 50], "detached", false]);
    expect(server.requests("message.history")).toHaveLength(before + 1);
    server.write(OTHER, "live");
    await pass();
    expect([range(), shown().lastSeq]).toEqual([[75, 124, 50], 5_101]);
    await client.loadOlder(C);
    await client.loadNewer(C);
    expect(range()).toEqual([25, 174, 150]);
    client.showNewest(C);
    expect([shown().view, shown().items.at(-1)?.message.body]).toEqual(["live", "live"]);
    await client.jumpTo(C, 5_090);
    expect([shown().view, server.requests("message.history").length]).toEqual(["live", before + 3]);
  });

  it("joins the two once they touch, and goes on live", async () => {
    const { server, client, shown, range } = await world(140);
    await client.load(C);
    await client.jumpTo(C, 30);
    expect(range()).toEqual([5, 54, 50]);
    await client.loadNewer(C);
    expect([range(), shown().view, shown().atEnd]).toEqual([[5, 140, 136], "live", true]);
    server.write(OTHER, "live");
    await pass();
    expect(range()).toEqual([5, 141, 137]);
  });

  it("shows the last of two jumps, whichever comes in last", async () => {
    const { client, range } = await world(2_000);
    await client.load(C);
    await Promise.all([client.jumpTo(C, 100), client.jumpTo(C, 1_000)]);
    expect(range()).toEqual([975, 1_024, 50]);
  });

  it("stays with the newest where they were asked for during a jump", async () => {
    const { client, shown } = await world(2_000);
    await client.load(C);
    const jump = client.jumpTo(C, 100);
    client.showNewest(C);
    await jump;
    expect(shown().view).toBe("live");
  });

  it("is filled again after a reset while it is on show", async () => {
    const { server, client, range } = await world(60);
    client.conversation(C).subscribe(() => undefined);
    await client.load(C);
    server.epoch = "two"; // a restored backup
    server.live[0]?.close(1006);
    await pass(1_000);
    expect(range()).toEqual([10, 60, 51]);
  });

  it("is let go below a seq, to keep memory bounded", async () => {
    const { client, shown, range } = await world(60);
    await client.load(C);
    client.forgetBelow(C, 50);
    expect([range(), shown().atStart]).toEqual([[50, 60, 11], false]);
    await client.loadOlder(C);
    expect(range()).toEqual([1, 60, 60]);
  });
});

describe("a gap", () => {
  const losing = async (server: FakeServer) => {
    server.write(OTHER, "lost");
    for (const open of [false, true]) {
      for (const socket of server.sockets) socket.open = open; // what is under way at this moment is lost
      await Promise.resolve();
    }
    server.write(OTHER, "heard");
    server.write(OTHER, "heard too");
    await pass();
  };

  it("is closed by one sync, and nothing is lost or doubled", async () => {
    const { server, client, shown } = await world(1);
    await client.load(C);
    await losing(server);
    expect(server.requests("sync")).toMatchObject([{ revs: { [C]: 2 }, epoch: "one" }]);
    expect(shown().items.map(({ message }) => message.body)).toEqual(["text 1", "lost", "heard", "heard too"]);
  });

  it("whose sync fails for now is asked for again, and not after a new connection closed it", async () => {
    const { server, shown } = await world(1);
    server.refuse = ({ type }) => (type === "sync" ? { code: "unavailable", temporary: true, retry_after: 10 } : null);
    await losing(server);
    expect(shown().items).toHaveLength(1);
    await pass(10_000);
    expect(server.requests("sync")).toHaveLength(2);
    server.live[0]?.close(1006);
    await pass(60_000);
    expect([shown().items.length, server.requests("sync").length]).toEqual([4, 2]);
  });

  it("that hello tells of is closed on the new connection", async () => {
    const { server, shown } = await world(1);
    server.epoch = "two";
    server.helloExtra = { conversations: [], revs: {} };
    server.live[0]?.close(1006);
    await pass(1_000);
    expect([server.requests("conversation.get").length, shown().state]).toEqual([1, "ready"]);
  });
});
