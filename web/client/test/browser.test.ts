// @vitest-environment happy-dom
/** The client in the environment that it finds in a browser, nothing of it replaced but the network. */

import "fake-indexeddb/auto";
import { expect, it, vi } from "vitest";
import { createClient } from "../src/index.js";
import { FakeServer } from "./fake-server.js";
import { C, ME, OTHER } from "./frames.js";

it("works with the browser's own clock, storage, events and channels", async () => {
  const server = new FakeServer([ME, OTHER]);
  const fetched = vi.spyOn(globalThis, "fetch").mockResolvedValue(new Response("{}"));
  const client = createClient({ url: "http://chat.test", transport: server.transport });
  const other = createClient({ url: "http://chat.test", transport: server.transport });
  client.start();
  other.start();
  await vi.waitFor(() => {
    expect(client.connection.getSnapshot().phase).toBe("online");
    expect(other.drafts.getSnapshot()).not.toBeNull();
  });
  expect(localStorage.getItem("chatd.user")).toBe(ME);

  client.setDraft(C, "It hurts");
  await vi.waitFor(() => {
    expect(other.drafts.getSnapshot()?.get(C)?.text).toBe("It hurts");
  });
  client.send(C, "It hurts");
  await vi.waitFor(() => {
    expect([client.outbox.getSnapshot().length, other.drafts.getSnapshot()?.size]).toEqual([0, 0]);
    expect(
      other
        .conversation(C)
        .getSnapshot()
        .items.map(({ message }) => message.body),
    ).toEqual(["It hurts"]);
  });

  window.dispatchEvent(new Event("online"));
  expect(server.requests("ping")).toHaveLength(2);

  expect(await client.signOut()).toMatchObject({ done: true, serverTold: true });
  expect(fetched.mock.calls[0]?.[0]).toBe("http://chat.test/v1/sign-out");
  await vi.waitFor(() => {
    expect(other.connection.getSnapshot().ended?.cause).toBe("signed-out");
  });
  expect([localStorage.length, await indexedDB.databases()]).toEqual([0, []]);
  client.stop();
  other.stop();
});
