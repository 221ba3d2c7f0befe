import { describe, expect, it } from "vitest";
import type { Client } from "../src/api.js";
import { FakeServer } from "./fake-server.js";
import { C, info, ME, message, OTHER, participant, summary, THIRD } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async (replies: Record<string, object> = {}) => {
  const server = new FakeServer([ME, OTHER]);
  const handle = server.answer.bind(server);
  server.answer = (socket, request) => {
    const ok = replies[request.type];
    if (ok) socket.tell({ type: "ok", re: request.id, ...ok });
    else handle(socket, request);
  };
  const { client } = new Browser().tab(server);
  await pass();
  return { server, client };
};

const CHANGED = { conversation: C, from: 1, rev: 1, messages: [message(1, { sender: ME })] };

describe("each method asks what the protocol says", () => {
  it.each<[string, (client: Client) => Promise<unknown>, object]>([
    ["conversation.update", (client) => client.rename(C, "Recall"), { conversation: C, title: "Recall" }],
    ["conversation.add", (client) => client.add(C, THIRD), { conversation: C, user: THIRD }],
    ["conversation.remove", (client) => client.remove(C, THIRD), { conversation: C, user: THIRD }],
    ["conversation.leave", (client) => client.leave(C), { conversation: C }],
    ["membership.set", (client) => client.setMembership(C, { muted: true }), { conversation: C, muted: true }],
    ["message.edit", (client) => client.edit(C, 1, "x\0y"), { conversation: C, seq: 1, body: "xy" }],
    ["message.delete", (client) => client.delete(C, 1), { conversation: C, seq: 1 }],
    ["message.react", (client) => client.react(C, 1, "👍", true), { conversation: C, seq: 1, emoji: "👍", on: true }],
    [
      "message.search",
      (client) => client.search("pain", { conversation: C, limit: 5 }),
      { query: "pain", conversation: C, limit: 5 },
    ],
    ["user.list", (client) => client.listUsers({ query: "bo", role: "dentist" }), { query: "bo", role: "dentist" }],
    ["presence.get", (client) => client.getPresence([OTHER]), { users: [OTHER] }],
    ["ping", (client) => client.request("ping", {}), {}],
  ])("%s", async (type, ask, fields) => {
    const { server, client } = await world({
      ...Object.fromEntries(["update", "add", "remove", "leave"].map((name) => [`conversation.${name}`, CHANGED])),
      ...Object.fromEntries(["edit", "delete", "react"].map((name) => [`message.${name}`, CHANGED])),
      "membership.set": CHANGED,
    });
    await ask(client);
    const asked = server.requests(type).at(-1);
    expect(asked).toEqual({ type, id: asked?.id, ...fields });
  });
});

it("a conversation that is opened is loaded, and the presence of its people asked for", async () => {
  const opened = summary({
    conversation: "c2",
    info: info({ id: "c2", rev: 4 }),
    participants: [participant(ME), participant(THIRD)],
  });
  const { server, client } = await world({
    "conversation.open": { ...opened, from: 4, rev: 4, created: false, users: [] },
  });
  expect(await client.open(THIRD)).toBe("c2");
  expect(client.conversation("c2").getSnapshot().state).toBe("ready");
  await pass(100);
  expect(server.requests("presence.get").map(({ users }) => users)).toEqual([[THIRD]]);
});

it("a group that is made twice because an answer was lost has one name for both", async () => {
  const { server, client } = await world();
  server.silent = true;
  const made = client.create("Recall", [OTHER]);
  server.silent = false;
  server.live[0]?.close(1006);
  await pass(1_000);
  await made;
  const [first, second] = server.requests("conversation.create");
  expect(first?.client_id).toBeTruthy();
  expect(second?.client_id).toBe(first?.client_id);
});

it("the list goes on where it ended, page by page, archived ones on their own", async () => {
  const page = (id: string, cursor: string | null) => ({
    conversations: [summary({ conversation: id, info: info({ id }) })],
    cursor,
    users: [],
  });
  const { server, client } = await world();
  server.helloExtra = { cursor: "after-50" };
  server.epoch = "two";
  server.live[0]?.close(1006);
  await pass(1_000);
  const list = client.conversations.getSnapshot;
  expect(list().more).toBe(true);
  const pages = [page("c51", "after-100"), page("c101", null), page("old", null)];
  const handle = server.answer.bind(server);
  server.answer = (socket, request) => {
    if (request.type === "conversation.list") socket.tell({ type: "ok", re: request.id, ...pages.shift() });
    else handle(socket, request);
  };
  for (let n = 0; n < 3; n += 1) await client.loadMoreConversations();
  await client.loadMoreConversations({ archived: true });
  await client.loadMoreConversations({ archived: true });
  expect(server.requests("conversation.list").map(({ cursor, archived }) => [cursor, archived])).toEqual([
    ["after-50", false],
    ["after-100", false],
    [undefined, true],
  ]);
  expect([
    list().more,
    list()
      .items.map(({ id }) => id)
      .sort(),
  ]).toEqual([false, [C, "c101", "c51", "old"]]);
});
