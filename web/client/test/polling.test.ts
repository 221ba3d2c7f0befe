import { describe, expect, it } from "vitest";
import { environment } from "../src/environment.js";
import { pollingTransport } from "../src/polling.js";
import { pass, useVirtualTime } from "./world.js";

useVirtualTime();

interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: { first: number; frames: unknown[] } | null;
  answer(status: number, body?: unknown, headers?: Record<string, string>): void;
  fail(): void;
  aborted: boolean;
}

/** A server that answers when the test says so. */
const setUp = async ({ refusalIsFinal = true } = {}) => {
  const asked: Asked[] = [];
  const told: unknown[] = [];
  const page = new EventTarget() as Window;
  let tokens = 0;
  const transport = pollingTransport({
    env: environment({
      window: page,
      random: () => 0.5,
      fetch: (url, init) =>
        new Promise((resolve, reject) => {
          const each: Asked = {
            method: init.method ?? "GET",
            path: new URL(url).pathname + new URL(url).search,
            headers: init.headers as Record<string, string>,
            body: typeof init.body === "string" ? (JSON.parse(init.body) as Asked["body"]) : null,
            answer: (status, body = {}, headers = {}) => {
              resolve(new Response(status === 204 ? null : JSON.stringify(body), { status, headers }));
            },
            fail: () => {
              reject(new TypeError("network"));
            },
            aborted: false,
          };
          init.signal?.addEventListener("abort", () => {
            each.aborted = true;
            reject(new DOMException("", "AbortError"));
          });
          asked.push(each);
        }),
    }),
    server: "https://chat.test",
    credentials: () => Promise.resolve({ Authorization: `Bearer ${(tokens += 1)}` }),
    refusalIsFinal,
  });
  const connection = transport.connect({
    open: () => void told.push("open"),
    frame: (text) => void told.push(JSON.parse(text)),
    close: (code, reason) => void told.push([code, reason]),
  });
  await pass();
  const last = (method: string) => {
    const found = asked.filter((each) => each.method === method).at(-1);
    if (!found) throw new Error(`no ${method} was asked`);
    return found;
  };
  return { asked, told, connection, last, page };
};

const opened = async () => {
  const world = await setUp();
  world.last("POST").answer(201, { session: "s" });
  await pass();
  return world;
};

describe("long polling", () => {
  it("opens a session, and acknowledges what came by asking for the rest", async () => {
    const { told, last } = await opened();
    expect([told, last("GET").path]).toEqual([["open"], "/v1/session/s/events?after=0"]);
    last("GET").answer(200, { events: [{ n: 1, frame: { a: 1 } }, { n: 2, frame: { b: 1 } }] }); // prettier-ignore
    await pass();
    expect([told, last("GET").path]).toEqual([["open", { a: 1 }, { b: 1 }], "/v1/session/s/events?after=2"]);
    last("GET").answer(200, { events: [{ n: 2, frame: { b: 1 } }, { n: 3, frame: { c: 1 } }] }); // prettier-ignore
    await pass();
    expect(told.slice(3)).toEqual([{ c: 1 }]);
  });

  it("numbers frames, gathers them while one request is under way, and sends again what was lost", async () => {
    const { connection, last } = await opened();
    connection.send('{"x":1}');
    await pass();
    connection.send('{"x":2}');
    connection.send('{"x":3}');
    await pass();
    expect(last("POST").body).toEqual({ first: 1, frames: [{ x: 1 }] });
    last("POST").fail();
    await pass(1_000);
    expect(last("POST").body).toEqual({ first: 1, frames: [{ x: 1 }] });
    last("POST").answer(202, { acked: 1 });
    await pass();
    expect(last("POST").body).toEqual({ first: 2, frames: [{ x: 2 }, { x: 3 }] });
    last("POST").answer(202, { acked: 2 }); // there was no room for the other
    await pass();
    expect(last("POST").body).toEqual({ first: 3, frames: [{ x: 3 }] });
  });

  it.each([
    [200, { events: [{ n: 1, frame: { a: 1 } }], closed: { code: 4503, reason: "gone" } }, [{ a: 1 }, [4503, "gone"]]],
    [410, { code: "unavailable", message: "too slow", close: 4008 }, [[4008, "too slow"]]],
    [404, { code: "not_found", message: "no such session" }, [[1006, "no such session"]]],
  ])("ends with %d as the server says", async (status, body, expected) => {
    const { told, last, asked } = await opened();
    last("GET").answer(status, body);
    await pass(60_000);
    expect([told.slice(1), asked.length]).toEqual([expected, 2]);
  });

  it("waits as long as it is told to, and gives up after 45 s without an answer", async () => {
    const { told, last, asked } = await opened();
    last("GET").answer(429, { code: "rate_limited", message: "later" }, { "retry-after": "5" });
    await pass(4_900);
    expect(asked.length).toBe(2);
    await pass(200);
    expect(asked.length).toBe(3);
    for (let n = 0; n < 30 && told.length === 1; n += 1) {
      last("GET").fail();
      await pass(5_000);
    }
    expect(told).toEqual(["open", [1006, "the connection broke"]]);
  });

  it("gets a fresh token where one is not accepted any more", async () => {
    const { told, last, asked } = await opened();
    expect(last("GET").headers.Authorization).toBe("Bearer 1");
    last("GET").answer(401, { code: "unauthorized", message: "expired" });
    await pass();
    expect([asked.length, last("GET").headers.Authorization]).toEqual([3, "Bearer 2"]);
    last("GET").answer(401, { code: "unauthorized", message: "expired" });
    await pass();
    expect(told).toEqual(["open", [1006, "expired"]]);
  });

  it.each([
    [true, 4501],
    [false, 1006],
  ])("takes a refused credential for the end only where it is final: %s", async (refusalIsFinal, code) => {
    const { told, last } = await setUp({ refusalIsFinal });
    last("POST").answer(401, { code: "unauthorized", message: "no" });
    await pass();
    expect(told).toEqual([[code, "no"]]);
  });

  it("ends its session when it is closed, and when the page goes", async () => {
    const first = await opened();
    first.connection.close();
    await pass();
    expect([first.last("DELETE").path, first.last("GET").aborted, first.told]).toEqual([
      "/v1/session/s",
      true,
      ["open"],
    ]);
    const second = await opened();
    second.page.dispatchEvent(new Event("pagehide"));
    await pass();
    expect([second.last("DELETE").path, second.told]).toEqual(["/v1/session/s", ["open", [1006, "the page was left"]]]);
  });
});
