/** Frames in HTTP requests, for networks that break WebSocket: one request waits for events, others bring frames. */

import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import type { Transport, TransportConnection, TransportEvents } from "./transport.js";

/** Milliseconds for an answer with events; the server waits 25 s for some. */
const FETCH_TIMEOUT_MS = 40_000;
const SEND_TIMEOUT_MS = 15_000;
/** Without any answer for so long the session is given up; the server forgets it after 60 s. */
const LOST_MS = 45_000;
const SENT_AT_ONCE = 32;
const ABNORMAL_CLOSURE = 1006;
const CREDENTIAL_REFUSED = 4501;

export interface PollingOptions {
  readonly env: Environment;
  /** The server's address, http or https. */
  readonly server: string;
  /** The headers that sign a request in, beside the cookie. */
  readonly credentials: () => Promise<Record<string, string>>;
  /** True if a refused credential is the end; a development user may only be too far away. */
  readonly refusalIsFinal: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly waitMs: number;
}

/** Long polling of one session; its requests are repeated until they are answered, and taken once. */
export function pollingTransport(options: PollingOptions): Transport {
  return { connect: (events) => new Polled(options, events) };
}

class Polled implements TransportConnection {
  private readonly abort = new AbortController();
  private readonly path: (rest: string) => string;
  private credentials: Record<string, string> | null = null;
  private session: string | null = null;
  /** Frames that the server has not acknowledged; `acked` is the number of the last that it has. */
  private readonly unsent: string[] = [];
  private acked = 0;
  private sending = false;
  private heardAt: number;
  private over = false;

  constructor(
    private readonly options: PollingOptions,
    private readonly events: TransportEvents,
  ) {
    this.path = (rest) => new URL(`/v1/session${rest}`, options.server).href;
    this.heardAt = options.env.monotonic();
    void this.run();
    options.env.window?.addEventListener("pagehide", this.pageGoes);
  }

  send(text: string): void {
    this.unsent.push(text);
    void this.flush();
  }

  close(): void {
    if (!this.over) this.leave();
    this.over = true;
  }

  /** Ends the session at the server, too, even while the page goes. */
  private leave(): void {
    const { session } = this;
    this.stop();
    if (session === null) return;
    const init = {
      method: "DELETE",
      headers: this.credentials ?? {},
      credentials: "include",
      keepalive: true,
    } as const;
    this.options.env.fetch(this.path(`/${session}`), init).catch(() => undefined);
  }

  private readonly pageGoes = (): void => {
    this.leave();
    this.end(ABNORMAL_CLOSURE, "the page was left");
  };

  private async run(): Promise<void> {
    const opened = await this.ask("POST", "", SEND_TIMEOUT_MS).catch(() => null);
    if (this.over) return;
    const { session } = opened?.body ?? {};
    if (opened?.status !== 201 || typeof session !== "string") {
      const refused = opened?.status === 401 && this.options.refusalIsFinal;
      this.end(refused ? CREDENTIAL_REFUSED : ABNORMAL_CLOSURE, opened ? wordsOf(opened) : "the server doesn't answer");
      return;
    }
    this.session = session;
    this.heardAt = this.options.env.monotonic();
    this.events.open();
    void this.flush();
    for (let after = 0; !this.over;) {
      const answer = await this.repeat("GET", `/events?after=${after}`, FETCH_TIMEOUT_MS, [200]);
      if (!answer) return;
      for (const { n, frame } of (answer.body.events ?? []) as { n: number; frame: unknown }[]) {
        if (n !== after + 1 || this.ended()) continue;
        after = n;
        this.events.frame(JSON.stringify(frame));
      }
      const closed = answer.body.closed as { code: number; reason: string } | undefined;
      if (closed) this.end(closed.code, closed.reason);
    }
  }

  private async flush(): Promise<void> {
    if (this.sending || this.session === null) return;
    this.sending = true;
    while (this.unsent.length > 0 && !this.over) {
      const first = this.acked + 1;
      const some = this.unsent.slice(0, SENT_AT_ONCE);
      const body = `{"first":${first},"frames":[${some.join(",")}]}`;
      const answer = await this.repeat("POST", "/frames", SEND_TIMEOUT_MS, [202, 409, 410], body);
      const acked = answer?.body.acked;
      // After 410 the events that are left say why.
      if (typeof acked !== "number" || acked < this.acked || acked >= first + some.length) break;
      if (acked === this.acked) await this.sleep(1_000); // there was no room for them
      this.unsent.splice(0, acked - this.acked);
      this.acked = acked;
    }
    this.sending = false;
  }

  /** Asks until one of these answers comes; null: the session is over. */
  private async repeat(
    method: string,
    rest: string,
    timeoutMs: number,
    good: readonly number[],
    body?: string,
  ): Promise<Answer | null> {
    const { env } = this.options;
    const began = env.monotonic();
    for (let attempt = 0; !this.over; attempt += 1) {
      const answer = await this.ask(method, `/${this.session}${rest}`, timeoutMs, body).catch(() => null);
      if (this.ended()) return null;
      if (answer && good.includes(answer.status)) {
        this.heardAt = env.monotonic();
        return answer;
      }
      const { close } = answer?.body ?? {};
      if (answer?.status === 410 && typeof close === "number") this.end(close, wordsOf(answer));
      else if (answer?.status === 401 || answer?.status === 404) this.end(ABNORMAL_CLOSURE, wordsOf(answer));
      else if (env.monotonic() - Math.max(began, this.heardAt) > LOST_MS)
        this.end(ABNORMAL_CLOSURE, "the connection broke");
      else await this.sleep(answer?.waitMs || 250 + Math.min(backoff(attempt, env.random), 5_000));
    }
    return null;
  }

  /** Asks once; with a fresh credential where the one at hand is not accepted any more. */
  private async ask(method: string, rest: string, timeoutMs: number, body?: string): Promise<Answer> {
    const known = this.credentials;
    this.credentials ??= await this.options.credentials();
    const answer = await this.askOnce(method, rest, timeoutMs, this.credentials, body);
    if (answer.status !== 401 || known === null) return answer;
    this.credentials = await this.options.credentials();
    return this.askOnce(method, rest, timeoutMs, this.credentials, body);
  }

  private async askOnce(
    method: string,
    rest: string,
    timeoutMs: number,
    credentials: Record<string, string>,
    body?: string,
  ): Promise<Answer> {
    const { env } = this.options;
    const late = new AbortController();
    const stop = () => {
      late.abort();
    };
    this.abort.signal.addEventListener("abort", stop);
    const timer = env.setTimeout(stop, timeoutMs);
    try {
      const headers = body === undefined ? credentials : { ...credentials, "Content-Type": "application/json" };
      const init: RequestInit = { method, headers, credentials: "include", cache: "no-store", signal: late.signal };
      const response = await env.fetch(this.path(rest), body === undefined ? init : { ...init, body });
      const told = (await response.json().catch(() => ({}))) as Answer["body"];
      const waitMs = Math.min(Number(response.headers.get("retry-after")) || 0, 60) * 1_000;
      return { status: response.status, body: told, waitMs };
    } finally {
      env.clearTimeout(timer);
      this.abort.signal.removeEventListener("abort", stop);
    }
  }

  private sleep(ms: number): Promise<void> {
    const { env } = this.options;
    return new Promise((resolve) => {
      const done = () => {
        env.clearTimeout(timer);
        this.abort.signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = env.setTimeout(done, ms);
      this.abort.signal.addEventListener("abort", done);
    });
  }

  /** A call, for what may have happened meanwhile. */
  private ended(): boolean {
    return this.over;
  }

  private end(code: number, reason: string): void {
    if (this.over) return;
    this.stop();
    this.over = true;
    this.events.close(code, reason);
  }

  private stop(): void {
    this.options.env.window?.removeEventListener("pagehide", this.pageGoes);
    this.abort.abort();
  }
}

function wordsOf({ status, body }: Answer): string {
  return typeof body.message === "string" ? body.message : `the server answered ${status}`;
}
