import { expect, it, vi } from "vitest";
import { createCoreClient, webSocketOrPolling } from "../src/index.js";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";
import { Browser, pass, useVirtualTime } from "./world.js";

useVirtualTime();

/** A client of everything in one tab, and one without drafts and files in another. */
const world = async () => {
  const server = new FakeServer([ME, OTHER]);
  const browser = new Browser();
  const tab = browser.tab(server);
  const client = createCoreClient({
    signIn: { kind: "development", user: ME },
    transport: server.transport,
    environment: browser.environment(tab),
  });
  client.start();
  await pass();
  return { server, browser, tab, client };
};

it("sends, receives and reads", async () => {
  const { server, client } = await world();
  const incoming: string[] = [];
  client.onIncoming(({ message }) => incoming.push(message.body));
  await client.load(C);
  client.send(C, "It hurts");
  await pass();
  server.write(OTHER, "Since when?");
  await pass();
  client.markSeen(C, 2);
  await pass(200);
  const { items, outbox } = client.conversation(C).getSnapshot();
  expect([items.map(({ message }) => message.body), outbox]).toEqual([["It hurts", "Since when?"], []]);
  expect(incoming).toEqual(["Since when?"]);
  expect(server.requests("receipt").at(-1)).toMatchObject({ read: 2 });
  expect(() => client.send(C, " ")).toThrow("empty");
});

it("leaves drafts, files and messages with files to those who have them", async () => {
  const { server, tab, client } = await world();
  let release: () => void = () => undefined;
  tab.files.hold = new Promise((resolve) => (release = resolve));
  tab.client.attach(C, new Blob(["7"]), "tooth.jpg");
  tab.client.send(C, "Here");
  tab.client.setDraft(C, "And");
  await pass(11_000); // by now any tab would send what another left
  client.send(C, "From beside");
  await pass();
  expect(client.outbox.getSnapshot().map(({ body }) => body)).toEqual(["Here"]);
  release();
  await pass(1_000);
  expect(server.messages.map(({ body, attachments }) => [body, attachments.length])).toEqual([
    ["From beside", 0],
    ["Here", 1],
  ]);
  expect(tab.client.drafts.getSnapshot()?.get(C)?.text).toBe("And");
  expect(await client.signOut()).toMatchObject({ done: true });
});

it("polls where it is told to, and only there", async () => {
  const { browser, tab } = await world();
  vi.stubGlobal(
    "WebSocket",
    class {
      onclose: ((event: { code: number; reason: string }) => void) | null = null;
      constructor() {
        queueMicrotask(() => this.onclose?.({ code: 1006, reason: "" }));
      }
    },
  );
  const asked = async (transport?: typeof webSocketOrPolling) => {
    browser.fetched.length = 0;
    const client = createCoreClient({
      signIn: { kind: "development", user: ME },
      environment: browser.environment(tab),
      ...(transport ? { transport } : {}),
    });
    client.start();
    await pass(100);
    client.stop();
    return browser.fetched.map((url) => new URL(url).pathname);
  };
  expect(await asked()).toEqual([]);
  expect(await asked(webSocketOrPolling)).toContain("/v1/session");
  vi.unstubAllGlobals();
});
