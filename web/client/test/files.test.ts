import { describe, expect, it } from "vitest";
import { WHOLE_BYTES } from "../src/upload.js";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

const photo = (bytes = 10) => new Blob([new Uint8Array(bytes).fill(7)], { type: "image/jpeg" });

const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  const browser = new Browser();
  const tab = browser.tab(server);
  await pass();
  const { client } = tab;
  const staged = (conversation = C) =>
    (client.staged.getSnapshot().get(conversation) ?? []).map(({ name, state }) => `${name} ${state}`);
  return { server, browser, tab, client, files: server.files, staged };
};

const sent = (server: FakeServer) =>
  server.messages.map(({ body, attachments }) => [body, ...attachments.map(({ id }) => id)].join(" "));

describe("a staged file", () => {
  it("goes up at once, is sent with the draft and no sooner, and says who sends it", async () => {
    const { server, client, files, staged } = await world();
    client.setDraft(C, "Here");
    client.attach(C, photo(), "tooth.jpg");
    expect(staged()).toEqual(["tooth.jpg uploading"]);
    await pass(5_000);
    expect([staged(), files.arrived, sent(server)]).toEqual([["tooth.jpg ready"], ["tooth.jpg"], []]);
    expect(files.headers[0]).toMatchObject({ "X-Chatd-User": ME });
    client.send(C, "Here");
    await pass();
    expect([staged(), sent(server)]).toEqual([[], ["Here a1"]]);
    expect(client.outbox.getSnapshot()).toEqual([]);
  });

  it("stays with its conversation, whatever else is sent meanwhile", async () => {
    const { server, client, files, staged } = await world();
    let release: () => void = () => undefined;
    files.hold = new Promise((resolve) => (release = resolve));
    client.attach("c2", photo(), "of-two.jpg");
    client.send(C, "to one");
    await pass();
    release();
    await pass(1_000);
    expect([sent(server), staged(), staged("c2")]).toEqual([["to one"], [], ["of-two.jpg ready"]]);
  });

  it("that is taken away ends its upload, and the next begins", async () => {
    const { client, files, staged } = await world();
    files.hold = new Promise(() => undefined);
    const key = client.attach(C, photo(), "one.jpg");
    client.attach(C, photo(), "two.jpg");
    await pass();
    files.hold = null;
    client.detach(key);
    await pass();
    expect([staged(), files.arrived]).toEqual([["two.jpg ready"], ["two.jpg"]]);
  });

  it("that is refused says so, and nothing is sent with it", async () => {
    const { server, client, files, staged } = await world();
    files.refuse = () => ({ status: 413, code: "too_large", temporary: false });
    const key = client.attach(C, photo(), "huge.jpg");
    await pass();
    expect(staged()).toEqual(["huge.jpg failed"]);
    expect(client.staged.getSnapshot().get(C)?.[0]?.error).toMatchObject({ code: "too_large" });
    expect(() => client.send(C, "with it")).toThrow("refused");
    client.detach(key);
    client.send(C, "without it");
    await pass();
    expect(sent(server)).toEqual(["without it"]);
  });

  it("that fails for now is tried again by itself", async () => {
    const { client, files, staged } = await world();
    files.refuse = () => ({ status: 503 });
    client.attach(C, photo(), "one.jpg");
    await pass(5_000);
    expect(staged()).toEqual(["one.jpg waiting"]);
    files.refuse = () => null;
    await pass(30_000);
    expect(staged()).toEqual(["one.jpg ready"]);
  });

  it("survives the browser beside its draft", async () => {
    const { server, browser, tab, client, files } = await world();
    files.down = true;
    client.attach(C, photo(), "one.jpg");
    await pass(100);
    tab.kill();
    files.down = false;
    const again = browser.tab(server);
    await pass(1_000);
    expect(
      again.client.staged
        .getSnapshot()
        .get(C)
        ?.map(({ name, state }) => [name, state]),
    ).toEqual([["one.jpg", "ready"]]);
    again.client.send(C, "");
    await pass();
    expect(sent(server)).toEqual([" a1"]);
  });

  it("that another tab gets through lets go what waited behind it here", async () => {
    const { server, browser, tab, client, files } = await world();
    let release: () => void = () => undefined;
    files.hold = new Promise((resolve) => (release = resolve));
    client.attach(C, photo(), "one.jpg");
    client.send(C, "first");
    const transfer = () => new Promise<never>(() => undefined);
    const slow = browser.tab(server, { environment: { ...browser.environment(tab), transfer } });
    await pass(11_000); // by now it would send it as well
    slow.client.send(C, "second");
    await pass();
    expect(sent(server)).toEqual([]);
    release();
    await pass(1_000);
    expect(sent(server)).toEqual(["first a1", "second"]);
    slow.kill();
  });

  it("is shown in the other tabs, and gone in them when sent", async () => {
    const { server, browser, client } = await world();
    const other = browser.tab(server);
    await pass();
    client.attach(C, photo(), "one.jpg");
    await pass();
    expect(
      other.client.staged
        .getSnapshot()
        .get(C)
        ?.map(({ state }) => state),
    ).toEqual(["ready"]);
    other.client.send(C, "from the other");
    await pass();
    expect([client.staged.getSnapshot().size, sent(server)]).toEqual([0, ["from the other a1"]]);
  });
});

describe("a message with files", () => {
  it("written offline goes out once, in order, after the browser was killed", async () => {
    const { server, browser, tab, client, files } = await world();
    server.down = files.down = true;
    server.live[0]?.close(1006);
    await pass();
    client.send(C, "one");
    client.attach(C, photo(), "tooth.jpg");
    client.send(C, "");
    client.send(C, "three");
    await pass(100);
    expect(client.outbox.getSnapshot().map(({ body, files: with_ }) => [body, with_.length])).toEqual([
      ["one", 0],
      ["", 1],
      ["three", 0],
    ]);
    tab.kill();
    await pass();
    server.down = files.down = false;
    const again = browser.tab(server);
    await pass(1_000);
    expect([sent(server), files.arrived]).toEqual([["one", " a1", "three"], ["tooth.jpg"]]);
    expect(again.client.outbox.getSnapshot()).toEqual([]);
    const third = browser.tab(server);
    await pass(60_000);
    expect([server.messages.length, third.client.outbox.getSnapshot().length]).toEqual([3, 0]);
  });

  it("fails alone where a file is refused; the next goes on, and a retry tries the file again", async () => {
    const { server, client, files } = await world();
    let release: () => void = () => undefined;
    files.hold = new Promise((resolve) => (release = resolve));
    files.refuse = () => ({ status: 415, code: "bad_request", temporary: false });
    client.attach(C, photo(), "page.html");
    const key = client.send(C, "with it");
    client.send(C, "behind it");
    await pass();
    expect(sent(server)).toEqual([]);
    release();
    await pass();
    expect(sent(server)).toEqual(["behind it"]);
    expect(client.outbox.getSnapshot()).toMatchObject([{ key, state: "failed" }]);
    files.refuse = () => null;
    client.retry(key);
    await pass();
    expect(sent(server)).toEqual(["behind it", "with it a1"]);
  });

  it("whose attachment the server has forgotten sends the file up again, once", async () => {
    const { server, client, files } = await world();
    client.attach(C, photo(), "old.jpg");
    await pass();
    server.refuse = ({ type, attachments }) =>
      type === "message.send" && (attachments as string[]).includes("a1")
        ? { code: "not_found", temporary: false }
        : null;
    client.send(C, "a day later");
    await pass();
    expect([sent(server), files.arrived.length]).toEqual([["a day later a2"], 2]);
    server.refuse = ({ type }) => (type === "message.send" ? { code: "not_found", temporary: false } : null);
    client.attach(C, photo(), "gone.jpg");
    client.send(C, "not mine any more");
    await pass(60_000);
    expect(files.arrived.length).toBe(4);
    expect(client.outbox.getSnapshot()).toMatchObject([{ state: "failed", error: { code: "not_found" } }]);
  });

  it("that is taken back leaves no file in the browser", async () => {
    const { server, browser, tab, client, files } = await world();
    files.down = true;
    client.attach(C, photo(), "one.jpg");
    const key = client.send(C, "no");
    await pass();
    client.discard(key);
    await pass();
    tab.kill();
    files.down = false;
    browser.tab(server);
    await pass(60_000);
    expect([files.arrived, server.messages]).toEqual([[], []]);
  });
});

describe("a large file", () => {
  const large = 3 * WHOLE_BYTES;

  it("goes on where a lost connection left off, and arrives whole", async () => {
    const { client, files, staged } = await world();
    files.cuts = [1_000, 2_000_000];
    client.attach(C, photo(large), "scan.pdf");
    await pass(60_000);
    expect([staged(), files.arrived]).toEqual([["scan.pdf ready"], ["scan.pdf"]]);
    const [upload] = [...files.uploads.values()];
    expect([files.uploads.size, upload?.parts.reduce((sum, { length }) => sum + length, 0)]).toEqual([1, large]);
    expect(files.asked.filter((line) => line.startsWith("HEAD"))).toHaveLength(2);
  });

  it("goes on after the browser was killed, under the same address", async () => {
    const { server, browser, tab, client, files } = await world();
    files.cuts = [3_000_000];
    client.attach(C, photo(large), "scan.pdf");
    await pass(50);
    tab.kill();
    const again = browser.tab(server);
    await pass(60_000);
    expect([files.uploads.size, files.arrived]).toEqual([1, ["scan.pdf"]]);
    expect(again.client.staged.getSnapshot().get(C)?.[0]?.state).toBe("ready");
  });

  it("is there once where the answer to its last part was lost", async () => {
    const { client, files, staged } = await world();
    files.swallow = true;
    client.attach(C, photo(large), "scan.pdf");
    await pass(100);
    files.swallow = false;
    await pass(60_000);
    expect([staged(), files.arrived]).toEqual([["scan.pdf ready"], ["scan.pdf"]]);
  });

  it("begins anew where the server has forgotten it", async () => {
    const { client, files, staged } = await world();
    files.cuts = [10];
    client.attach(C, photo(large), "scan.pdf");
    await pass(50);
    files.uploads.clear();
    await pass(60_000);
    expect([staged(), files.arrived]).toEqual([["scan.pdf ready"], ["scan.pdf"]]);
  });
});
