import { describe, expect, it } from "vitest";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  const browser = new Browser();
  const tab = browser.tab(server);
  await pass();
  const next = async () => {
    tab.kill();
    const again = browser.tab(server);
    await pass();
    return again.client.drafts.getSnapshot()?.get(C);
  };
  return { server, browser, tab, client: tab.client, next };
};

describe("a draft", () => {
  it("is written with its first change at once, then every 300 ms", async () => {
    const { client, tab, browser, server } = await world();
    client.setDraft(C, "It h", 4);
    await pass();
    client.setDraft(C, "It hu", 4);
    await pass(200);
    client.setDraft(C, "It hurts", 4);
    let again = browser.tab(server);
    await pass();
    expect(again.client.drafts.getSnapshot()?.get(C)).toMatchObject({ text: "It h", replyTo: 4 });
    again.kill();
    await pass(100);
    tab.killed = true;
    again = browser.tab(server);
    await pass();
    expect(again.client.drafts.getSnapshot()?.get(C)).toMatchObject({ text: "It hurts", replyTo: 4 });
  });

  it("is shown before the call that sets it returns, as a field in its event asks for", async () => {
    const { client } = await world();
    const shown: (string | undefined)[] = [];
    client.drafts.subscribe(() => shown.push(client.drafts.getSnapshot()?.get(C)?.text));
    client.setDraft(C, "It h");
    client.setDraft(C, "It hu");
    expect(shown).toEqual(["It h", "It hu"]);
  });

  it.each(["pagehide", "hidden", "freeze"])("is written at once at %s", async (moment) => {
    const { client, tab, browser, server } = await world();
    client.setDraft(C, "It hurts");
    if (moment === "hidden") tab.page.hide();
    else (moment === "freeze" ? tab.page.document : tab.page.window).dispatchEvent(new Event(moment));
    tab.killed = true;
    await pass();
    const again = browser.tab(server);
    await pass();
    expect(again.client.drafts.getSnapshot()?.get(C)?.text).toBe("It hurts");
  });

  it("that is emptied is none; a reply target alone is one", async () => {
    const { client, next } = await world();
    client.setDraft(C, "x");
    await pass(300);
    client.setDraft(C, "", 3);
    expect(client.drafts.getSnapshot()?.get(C)).toMatchObject({ text: "", replyTo: 3 });
    client.setDraft(C, "");
    expect(client.drafts.getSnapshot()?.size).toBe(0);
    await pass(300);
    expect(await next()).toBeUndefined();
  });

  it("that is sent is gone, in the other tabs and in storage too", async () => {
    const { client, browser, server, next } = await world();
    const other = browser.tab(server);
    await pass();
    client.setDraft(C, "It hurts");
    await pass(300);
    expect(other.client.drafts.getSnapshot()?.get(C)?.text).toBe("It hurts");
    server.down = true;
    client.send(C, "It hurts");
    await pass();
    expect([client.drafts.getSnapshot()?.size, other.client.drafts.getSnapshot()?.size]).toEqual([0, 0]);
    expect(await next()).toBeUndefined();
  });

  it("survives the end of the session", async () => {
    const { client, server, next } = await world();
    client.setDraft(C, "It hurts");
    await pass(300);
    server.live[0]?.close(4501);
    await pass();
    expect(client.drafts.getSnapshot()?.get(C)?.text).toBe("It hurts");
    expect((await next())?.text).toBe("It hurts");
  });

  it("that is typed in two tabs at once is overwritten in neither, and the later one gets the words of both", async () => {
    const { client, browser, server } = await world();
    const other = browser.tab(server).client;
    await pass();
    const texts = () => [client, other].map(({ drafts }) => drafts.getSnapshot()?.get(C)?.text);
    client.setDraft(C, "from one");
    other.setDraft(C, "from two");
    await pass(400);
    client.setDraft(C, "from one.");
    await pass(400);
    other.setDraft(C, "from two.");
    await pass(400);
    expect(texts()).toEqual(["from one.", "from two."]);
    await pass(10_000);
    expect(texts()).toEqual(["from two.\nfrom one.", "from two.\nfrom one."]);
  });

  it("that another tab sends leaves other words that are typed here", async () => {
    const { client, browser, server } = await world();
    const other = browser.tab(server).client;
    await pass();
    client.setDraft(C, "mine");
    other.setDraft(C, "sent elsewhere");
    other.send(C, "sent elsewhere");
    await pass(5_000);
    expect(client.drafts.getSnapshot()?.get(C)?.text).toBe("mine");
  });

  it("goes on in another tab where it ended in the first", async () => {
    const { client, browser, server } = await world();
    const other = browser.tab(server).client;
    await pass();
    client.setDraft(C, "It hu");
    await pass(400);
    other.setDraft(C, "It hurts");
    await pass(400);
    expect(client.drafts.getSnapshot()?.get(C)?.text).toBe("It hu");
    await pass(4_000);
    expect(client.drafts.getSnapshot()?.get(C)?.text).toBe("It hurts");
  });

  it("of somebody else who is signed in in another tab is none of this one's", async () => {
    const { client, browser, server } = await world();
    const other = browser.tab(server, { signIn: { kind: "development", user: OTHER } }).client;
    await pass();
    other.setDraft(C, "a secret");
    client.setDraft(C, "mine");
    other.setDraft(C, "a secret.");
    await pass(10_000);
    expect(client.drafts.getSnapshot()?.get(C)?.text).toBe("mine");
    expect(other.drafts.getSnapshot()?.get(C)?.text).toBe("a secret.");
  });
});
