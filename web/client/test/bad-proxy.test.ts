/** Polling behind a proxy that cuts, delays, repeats and reorders requests: each frame arrives once, in order. */

import { expect, it } from "vitest";
import { environment } from "../src/environment.js";
import { fallingBack } from "../src/fallback.js";
import { pollingTransport } from "../src/polling.js";
import type { Transport } from "../src/transport.js";
import { pass, useVirtualTime } from "./world.js";

useVirtualTime();

const SEED = Number(process.env.CHATD_PROXY_SEED ?? 1 + Math.floor(Math.random() * 2 ** 30));
const MANY = 200;
const LATE_MS = 8_000;
const FATES = ["cut before", "cut after", "delay", "twice", "again later"] as const;

/** Numbers from 0 to 1 that a seed decides. */
function numbers(seed: number): () => number {
  const PRIME = 2 ** 31 - 1;
  let last = seed % PRIME;
  return () => (last = (last * 48_271) % PRIME) / PRIME;
}

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status });

/** One polled session, as the protocol has it. */
class Server {
  readonly got: unknown[] = [];
  private readonly events: { n: number; frame: unknown }[] = [];
  private readonly waiting: (() => void)[] = [];

  tell(frame: unknown): void {
    this.events.push({ n: this.events.length + 1, frame });
    for (const wake of this.waiting.splice(0)) wake();
  }

  async answer({ pathname, searchParams }: URL, body: string | null): Promise<Response> {
    if (pathname === "/v1/session") return json(201, { session: "s" });
    if (body !== null) {
      const { first, frames } = JSON.parse(body) as { first: number; frames: unknown[] };
      const had = this.got.length;
      if (first > had + 1) return json(409, { acked: had });
      this.got.push(...frames.slice(had + 1 - first));
      return json(202, { acked: this.got.length });
    }
    const after = Number(searchParams.get("after"));
    if (this.events.length <= after) {
      await Promise.race([later(25_000), new Promise<void>((resolve) => this.waiting.push(resolve))]);
    }
    return json(200, { events: this.events.slice(after) });
  }
}

/** Stands before a server. `trouble`: the share of requests that have a fate; `met`: how many had which. */
class BadProxy {
  trouble = 0;
  readonly met = new Map<string, number>();

  constructor(
    private readonly server: Server,
    private readonly random: () => number,
  ) {}

  readonly fetch = async (address: string, init: RequestInit): Promise<Response> => {
    const body = typeof init.body === "string" ? init.body : null;
    const reach = () => this.server.answer(new URL(address), body);
    const fate = this.random() < this.trouble ? FATES[Math.floor(this.random() * FATES.length)] : undefined;
    if (fate) this.met.set(fate, (this.met.get(fate) ?? 0) + 1);
    if (fate === "cut before") throw new TypeError("network");
    if (fate === "delay") await later(this.random() * LATE_MS);
    if (fate === "twice") void reach();
    if (fate === "again later") void later(this.random() * LATE_MS).then(reach);
    const left = new Promise<never>((_, reject) => {
      init.signal?.addEventListener("abort", () => {
        reject(new DOMException("", "AbortError"));
      });
    });
    const answer = await Promise.race([reach(), left]);
    if (fate === "cut after") throw new TypeError("network");
    return answer;
  };
}

const brokenWebSocket: Transport = {
  connect: (events) => {
    queueMicrotask(() => {
      events.close(1006, "");
    });
    return { send: () => undefined, close: () => undefined };
  },
};

it(`delivers everything once and in order, both ways (seed ${SEED})`, async () => {
  const random = numbers(SEED);
  const server = new Server();
  const proxy = new BadProxy(server, random);
  const env = environment({ fetch: proxy.fetch, random });
  const credentials = () => Promise.resolve({});
  const polling = pollingTransport({ env, server: "https://chat.test", credentials, refusalIsFinal: true });
  const told: unknown[] = [];
  const connection = fallingBack(env, brokenWebSocket, polling).connect({
    open: () => void told.push("open"),
    frame: (text) => void told.push(JSON.parse(text)),
    close: (code, reason) => void told.push([code, reason]),
  });
  await pass();
  expect(told).toEqual(["open"]);
  proxy.trouble = 0.4;
  for (let n = 0; n < MANY; n += 1) {
    connection.send(JSON.stringify({ said: n }));
    server.tell({ told: n });
    await pass(200);
  }
  proxy.trouble = 0;
  await pass(60_000);
  const all = Array.from({ length: MANY }, (_, n) => n);
  expect(server.got).toEqual(all.map((n) => ({ said: n })));
  expect(told).toEqual(["open", ...all.map((n) => ({ told: n }))]);
  expect([...proxy.met.keys()].sort()).toEqual([...FATES].sort());
  connection.close();
});
