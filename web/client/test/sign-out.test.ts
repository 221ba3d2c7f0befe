import { describe, expect, it } from "vitest";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const COOKIE = { signIn: { kind: "cookie" } } as const;

const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  const browser = new Browser();
  const tab = browser.tab(server, COOKIE);
  await pass();
  return { server, browser, tab, client: tab.client };
};

async function leavesNothing(browser: Browser): Promise<void> {
  expect(await browser.indexedDB.databases()).toEqual([]);
  expect([[...browser.storage.keys()], [...browser.cacheNames]]).toEqual([["site"], ["of-the-site"]]);
}

describe("signing out", () => {
  it("leaves nothing in the browser, and what is not ours alone", async () => {
    const { server, browser, client } = await world();
    browser.storage.set("site", "x").set("chatd.theme", "canary");
    browser.cacheNames.add("of-the-site").add("chatd-shell");
    server.write(OTHER, "canary");
    client.setDraft(C, "canary");
    await pass(500);
    expect(await browser.indexedDB.databases()).toHaveLength(1);
    const result = await Promise.all([client.signOut(), pass()]);
    expect(result[0]).toEqual({ done: true, unsent: [], serverTold: true });
    await pass(60_000);
    await leavesNothing(browser);
    expect(browser.fetched).toEqual(["http://chat.test/v1/sign-out"]);
    expect([
      client.conversations.getSnapshot().items,
      client.drafts.getSnapshot(),
      client.users.getSnapshot().size,
    ]).toEqual([[], null, 0]);
    expect(client.connection.getSnapshot()).toMatchObject({
      phase: "ended",
      ended: { cause: "signed-out" },
      user: null,
    });
    expect(server.live).toHaveLength(0);
  });

  it("reports the unsent first and does nothing, unless they are to be discarded", async () => {
    const { server, browser, client } = await world();
    browser.storage.set("site", "x");
    browser.cacheNames.add("of-the-site");
    server.down = true;
    server.live[0]?.close(1006);
    await pass();
    client.send(C, "unsent");
    const first = await client.signOut();
    expect(first).toMatchObject({ done: false, unsent: [{ body: "unsent" }] });
    expect([client.outbox.getSnapshot().length, browser.fetched]).toEqual([1, []]);
    const second = await Promise.all([client.signOut({ discardUnsent: true }), pass()]);
    expect(second[0]).toMatchObject({ done: true, unsent: [{ body: "unsent" }] });
    await pass(1_000);
    await leavesNothing(browser);
    server.down = false;
    await pass(60_000);
    expect(server.messages).toEqual([]);
  });

  it("ends the other tabs, and they write nothing any more", async () => {
    const { server, browser, client } = await world();
    browser.storage.set("site", "x");
    browser.cacheNames.add("of-the-site");
    const other = browser.tab(server, COOKIE);
    await pass();
    other.client.setDraft(C, "canary");
    await Promise.all([client.signOut(), pass()]);
    other.page.hide();
    await pass(60_000);
    expect(other.client.connection.getSnapshot()).toMatchObject({ phase: "ended", ended: { cause: "signed-out" } });
    expect([server.live.length, other.client.conversations.getSnapshot().items]).toEqual([0, []]);
    await leavesNothing(browser);
  });

  it("says so where the server could not be reached", async () => {
    const server = new FakeServer([ME, OTHER]);
    const browser = new Browser();
    const { client } = browser.tab(server, COOKIE);
    await pass();
    browser.fetched.push = () => {
      throw new TypeError("no network");
    };
    const [result] = await Promise.all([client.signOut(), pass()]);
    expect(result).toMatchObject({ done: true, serverTold: false });
  });

  it("of a development user keeps what the other tab's user has", async () => {
    const server = new FakeServer([ME, OTHER]);
    const browser = new Browser();
    const ada = browser.tab(server);
    const bo = browser.tab(server, { signIn: { kind: "development", user: OTHER } });
    await pass();
    ada.client.setDraft(C, "Ada's");
    bo.client.setDraft(C, "Bo's");
    await pass(500);
    await Promise.all([ada.client.signOut(), pass()]);
    expect([bo.client.connection.getSnapshot().phase, bo.client.drafts.getSnapshot()?.get(C)?.text]).toEqual([
      "online",
      "Bo's",
    ]);
    bo.kill();
    const again = browser.tab(server, { signIn: { kind: "development", user: OTHER } });
    const ada2 = browser.tab(server);
    await pass(500);
    expect(again.client.drafts.getSnapshot()?.get(C)?.text).toBe("Bo's");
    expect(ada2.client.drafts.getSnapshot()?.size).toBe(0);
  });
});

it("a sign-in of somebody else clears what the last user left", async () => {
  const { server, browser, tab, client } = await world();
  client.setDraft(C, "canary");
  await pass(500);
  tab.kill();
  server.helloExtra = { user: { id: OTHER, name: OTHER, role: "dentist" } };
  browser.tab(server, COOKIE);
  await pass(1_000);
  server.helloExtra = {};
  const back = browser.tab(server, COOKIE);
  await pass(1_000);
  expect(back.client.drafts.getSnapshot()?.size).toBe(0);
});

it("a session that ends and begins again as somebody else shows nothing of the first", async () => {
  const { server, client } = await world();
  server.write(OTHER, "canary");
  await pass();
  expect(client.conversation(C).getSnapshot().items).toHaveLength(1);
  server.live[0]?.close(4503);
  await pass();
  server.helloExtra = { user: { id: "pat-2", name: "P", role: "patient" }, conversations: [], users: [], revs: {} };
  client.restart();
  await pass(1_000);
  expect(client.connection.getSnapshot()).toMatchObject({ phase: "online", user: { id: "pat-2" } });
  expect([client.conversations.getSnapshot().items, client.conversation(C).getSnapshot().state]).toEqual([
    [],
    "absent",
  ]);
});
