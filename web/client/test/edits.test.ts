import { describe, expect, it } from "vitest";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  server.write(ME, "It hurts");
  server.write(ME, "a lot");
  const browser = new Browser();
  const tab = browser.tab(server);
  await pass();
  const { client } = tab;
  client.beginEdit(C, 1, "It hurts");
  client.setEdit(C, 1, "It hurts here");
  const edit = () => client.edits.getSnapshot()[0];
  return { server, browser, tab, client, edit };
};

describe("an edit of a message", () => {
  it("is shown before the call returns, and goes out when it is saved", async () => {
    const { server, client, edit } = await world();
    const shown: (string | undefined)[] = [];
    client.edits.subscribe(() => shown.push(edit()?.text));
    client.setEdit(C, 1, "It hurts there");
    expect(shown).toEqual(["It hurts there"]);
    client.saveEdit(C, 1);
    expect(client.waitingEdits.getSnapshot()).toHaveLength(1);
    await pass();
    expect(server.messages[0]?.body).toBe("It hurts there");
    expect(client.edits.getSnapshot()).toEqual([]);
  });

  it("that changes nothing is none", async () => {
    const { server, client } = await world();
    client.setEdit(C, 1, "It hurts");
    client.saveEdit(C, 1);
    await pass();
    expect(client.edits.getSnapshot()).toEqual([]);
    expect(server.requests("message.edit")).toEqual([]);
  });

  it("is there again after the page was gone, with the text as typed", async () => {
    const { server, browser, tab } = await world();
    await pass();
    tab.kill();
    const again = browser.tab(server);
    await pass();
    expect(again.client.edits.getSnapshot()).toMatchObject([{ seq: 1, text: "It hurts here", phase: "writing" }]);
  });

  it("that was saved offline waits, survives the page, and goes out once", async () => {
    const { server, browser, tab } = await world();
    server.down = true;
    for (const socket of server.live) socket.close(1006);
    await pass();
    tab.client.saveEdit(C, 1);
    await pass();
    expect(tab.client.waitingEdits.getSnapshot()).toMatchObject([{ seq: 1, text: "It hurts here" }]);
    tab.kill();
    server.down = false;
    const again = browser.tab(server);
    await pass();
    expect(server.messages[0]?.body).toBe("It hurts here");
    expect(again.client.edits.getSnapshot()).toEqual([]);
    expect(server.requests("message.edit")).toHaveLength(1);
  });

  it.each(["forbidden", "bad_request", "not_found"] as const)(
    "that is refused (%s) comes back with the words",
    async (code) => {
      const { server, client, edit } = await world();
      server.refuse = ({ type }) => (type === "message.edit" ? { code, temporary: false } : null);
      client.saveEdit(C, 1);
      await pass();
      expect(edit()).toMatchObject({ text: "It hurts here", phase: "writing", error: { code } });
      client.beginEdit(C, null);
      expect(edit()).toMatchObject({ text: "It hurts here", phase: "aside" });
    },
  );

  it("of a message that was deleted meanwhile comes back, and asks for nothing", async () => {
    const { server, client, edit } = await world();
    server.delete(1);
    client.saveEdit(C, 1);
    await pass();
    expect(edit()).toMatchObject({ text: "It hurts here", error: { code: "conflict" }, theirs: null });
    expect(server.requests("message.edit")).toEqual([]);
  });

  it("that is refused while a draft is typed leaves the field to that", async () => {
    const { server, client, edit } = await world();
    server.refuse = ({ type }) => (type === "message.edit" ? { code: "forbidden", temporary: false } : null);
    client.saveEdit(C, 1);
    client.setDraft(C, "next");
    await pass();
    expect(edit()).toMatchObject({ text: "It hurts here", phase: "aside", error: { code: "forbidden" } });
  });

  it("that waits holds a sign-out up, unless it is to be discarded", async () => {
    const { server, browser, client } = await world();
    server.down = true;
    for (const socket of server.live) socket.close(1006);
    await pass();
    client.saveEdit(C, 1);
    expect(await client.signOut()).toEqual({ done: false, unsent: [], serverTold: false });
    expect(client.waitingEdits.getSnapshot()).toMatchObject([{ text: "It hurts here" }]);
    const [result] = await Promise.all([client.signOut({ discardUnsent: true }), pass(60_000)]);
    expect(result).toMatchObject({ done: true });
    server.down = false;
    const again = browser.tab(server);
    await pass();
    expect([client.edits.getSnapshot(), again.client.edits.getSnapshot()]).toEqual([[], []]);
    expect(server.messages[0]?.body).toBe("It hurts");
  });

  it("that fails for a moment is tried again", async () => {
    const { server, client } = await world();
    server.refuse = ({ type }) =>
      type === "message.edit" ? { code: "unavailable", temporary: true, retry_after: 2 } : null;
    client.saveEdit(C, 1);
    await pass();
    expect(client.waitingEdits.getSnapshot()).toHaveLength(1);
    server.refuse = () => null;
    await pass(2_000);
    expect(server.messages[0]?.body).toBe("It hurts here");
  });

  it("overwrites nothing that was written elsewhere while it waited, until that was seen", async () => {
    const { server, client, edit } = await world();
    server.silent = true;
    for (const socket of server.live) socket.close(1006);
    await pass();
    client.saveEdit(C, 1);
    server.edit(1, "from the phone");
    server.silent = false;
    await pass(60_000);
    expect(server.messages[0]?.body).toBe("from the phone");
    expect(edit()).toMatchObject({ text: "It hurts here", phase: "writing", theirs: "from the phone" });
    client.setEdit(C, 1, "It hurts here", "from the phone");
    client.saveEdit(C, 1);
    await pass();
    expect(server.messages[0]?.body).toBe("It hurts here");
  });

  it("is laid aside for the edit of another message, and goes on where it was", async () => {
    const { client, edit } = await world();
    client.beginEdit(C, 2, "a lot");
    expect(edit()).toMatchObject({ seq: 1, phase: "aside" });
    client.discardEdit(C, 2);
    client.beginEdit(C, 1, "It hurts");
    expect(edit()).toMatchObject({ text: "It hurts here", phase: "writing" });
  });

  it("that another tab saved or gave up is gone here; one that is typed here stays", async () => {
    const { server, browser, client } = await world();
    const other = browser.tab(server).client;
    await pass();
    other.setEdit(C, 1, "the other tab's");
    client.discardEdit(C, 1);
    await pass();
    expect(other.edits.getSnapshot()).toMatchObject([{ text: "the other tab's" }]);
    other.saveEdit(C, 1);
    await pass();
    expect(client.edits.getSnapshot()).toEqual([]);
    expect(server.messages[0]?.body).toBe("the other tab's");
  });
});
