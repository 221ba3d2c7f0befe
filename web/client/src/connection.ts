import type { ConnectionSnapshot, SessionEnd, SignIn } from "./api.js";
import { backoff } from "./backoff.js";
import type { ServerClock } from "./clock.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import { type Asked, type AskOptions, Link, LinkLost, type Unnumbered } from "./link.js";
import { CLOSE, type HelloOk } from "./protocol.gen.js";
import type { Frame } from "./replica.js";
import { Store } from "./store.js";
import type { Transport } from "./transport.js";

/** Milliseconds for the network, the handshake and `hello` together. */
const CONNECT_TIMEOUT_MS = 15_000;
/** Milliseconds for a sign of life after a heartbeat's `ping`. */
const ANSWER_TIMEOUT_MS = 10_000;
/** The same after the device woke up, when a dead socket still claims to be open. */
const WAKE_TIMEOUT_MS = 3_000;
/** The same where the browser says that there is no network: most likely it is right. */
const NO_NETWORK_TIMEOUT_MS = 1_000;
/** Milliseconds after which a connection was a good one, and the backoff begins anew. */
const STEADY_MS = 30_000;
/** Milliseconds that a refused `hello` waits for the close code that says why. */
const REFUSAL_TIMEOUT_MS = 3_000;
/** Milliseconds before the end of a session at which a fresh token is asked for. */
const RENEW_BEFORE_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface ConnectionDuties {
  /** Returns the revs that `hello` names: of the conversations that are held. */
  held(): { epoch: string | null; revs: Record<string, number> };
  /** Takes a frame in, before its asker hears of it. */
  take(frame: Frame, asked: Asked | null): void;
  /** `hello` was accepted, and taken in. */
  online(hello: HelloOk): void;
  /** Called at the end of the session: the connection will not come back by itself. */
  ended(end: SessionEnd): void;
}

/** Keeps a connection until it is stopped or the server says that it is over; never gives up. */
export class Connection {
  readonly snapshot = new Store<ConnectionSnapshot>(() => this.describe());
  private phase: ConnectionSnapshot["phase"] = "stopped";
  private ended: SessionEnd | null = null;
  private link: Link | null = null;
  private hello: HelloOk | null = null;
  private offlineSince: number | null = null;
  private retryAt: number | null = null;
  private reconnectInMs: number | null = null;
  /** The server announced a restart; until the next `hello`. */
  private goingAway = false;
  private attempt = 0;
  private began = 0;
  private probeEndsAt = Infinity;
  private refusal: ChatError | null = null;
  private timers: Partial<Record<"attempt" | "connect" | "heartbeat" | "probe" | "renew", unknown>> = {};
  private queue: { resolve: (link: Link) => void; reject: (error: ChatError) => void }[] = [];

  constructor(
    private readonly env: Environment,
    private readonly clock: ServerClock,
    private readonly transport: Transport,
    private readonly signIn: SignIn,
    private readonly device: string | undefined,
    private readonly duties: ConnectionDuties,
  ) {}

  get online(): boolean {
    return this.phase === "online";
  }

  get limits(): HelloOk["limits"] | null {
    return this.hello?.limits ?? null;
  }

  // -- life --

  start(): void {
    if (this.phase !== "stopped") return;
    this.phase = "connecting";
    this.ended = null;
    this.attempt = 0;
    this.began = this.env.monotonic();
    this.offlineSince = this.env.now();
    this.snapshot.invalidate();
    // Not at once: a start that is taken back in the same turn, as React's StrictMode does, opens nothing.
    this.setTimer("attempt", 0, () => {
      this.connect();
    });
  }

  stop(): void {
    this.cut();
    this.phase = "stopped";
    this.snapshot.invalidate();
    // Not at once: what waits may go on waiting where the same turn starts anew, as React's StrictMode does.
    this.setTimer("attempt", 0, () => {
      this.rejectWaiting("the client was stopped");
    });
  }

  /** At once and with a fresh backoff, if there is no connection. */
  restart(): void {
    if (this.phase === "online" || this.phase === "stopped") return;
    this.cut();
    this.ended = null;
    this.attempt = 0;
    this.offlineSince ??= this.env.now();
    this.connect();
  }

  /** Ends the session: the connection will not come back by itself. */
  end(end: SessionEnd): void {
    this.cut();
    this.phase = "ended";
    this.ended = end;
    if (end.cause === "signed-out") this.hello = null;
    this.snapshot.invalidate();
    this.rejectWaiting(end.message);
    this.duties.ended(end);
  }

  /** The device woke up, or the network came back: what claims to be open has to prove it; else try at once. */
  wake(): void {
    this.snapshot.invalidate();
    if (this.phase === "waiting") this.restart();
    else if (this.phase === "connecting" && this.env.monotonic() - this.began > WAKE_TIMEOUT_MS) this.restart();
    else if (this.phase === "online") this.probe(this.env.onLine() ? WAKE_TIMEOUT_MS : NO_NETWORK_TIMEOUT_MS);
  }

  // -- asking --

  /** Sends a request as soon as there is a connection, again on the next where one was lost. Rejects with a ChatError. */
  async ask(request: Unnumbered, options: AskOptions & { signal?: AbortSignal } = {}): Promise<Frame> {
    for (;;) {
      const link = await this.linked(options.signal);
      try {
        return await link.ask(request, options);
      } catch (error) {
        if (!(error instanceof LinkLost)) throw error;
      }
    }
  }

  /** Sends a request on the connection that there is. Rejects with a ChatError or LinkLost. */
  askOnce(request: Unnumbered): Promise<Frame> {
    return this.link && this.online ? this.link.ask(request) : Promise.reject(new LinkLost());
  }

  /** Sends a request without wanting an answer; forgotten where there is no connection. */
  tell(request: Unnumbered): void {
    if (this.online) this.link?.tell(request);
  }

  private linked(signal: AbortSignal | undefined): Promise<Link> {
    if (signal?.aborted) return Promise.reject(aborted());
    if (this.link && this.online) return Promise.resolve(this.link);
    if (this.ended) return Promise.reject(closed(this.ended.message));
    return new Promise((resolve, reject) => {
      const entry = { resolve, reject };
      this.queue.push(entry);
      signal?.addEventListener("abort", () => {
        this.queue = this.queue.filter((other) => other !== entry);
        reject(aborted());
      });
    });
  }

  private rejectWaiting(message: string): void {
    for (const { reject } of this.queue.splice(0)) reject(closed(message));
  }

  // -- the life of one connection --

  private connect(): void {
    this.phase = "connecting";
    this.retryAt = null;
    this.refusal = null;
    this.began = this.env.monotonic();
    this.snapshot.invalidate();
    this.setTimer("connect", CONNECT_TIMEOUT_MS, () => {
      this.lost(1006, "the server doesn't answer");
    });
    try {
      const link: Link = new Link(this.transport, () => this.env.monotonic(), {
        open: () => void this.greet(link),
        frame: (frame, asked) => {
          this.take(frame, asked);
        },
        close: (code, reason) => {
          if (this.link === link) this.lost(code, reason);
        },
      });
      this.link = link;
    } catch (error) {
      this.lost(1006, String(error)); // an address that is none, or one that the page's policy forbids
    }
  }

  private async greet(link: Link): Promise<void> {
    let token: string | undefined;
    try {
      if (this.signIn.kind === "token") token = await this.signIn.getToken();
    } catch (error) {
      if (this.link !== link) return;
      if (error instanceof ChatError && !error.temporary) this.refused(error);
      else this.lost(1006, "no token could be had");
      return;
    }
    if (this.link !== link) return;
    const asked = this.env.monotonic();
    try {
      const hello = (await link.ask(this.greeting(token))) as unknown as HelloOk;
      if (this.link === link) this.greeted(link, hello, this.env.monotonic() - asked);
    } catch (error) {
      if (this.link !== link || !(error instanceof ChatError)) return;
      this.refusal = error;
      if (error.code === "bad_request") this.refused(error);
      else
        this.setTimer("connect", REFUSAL_TIMEOUT_MS, () => {
          if (error.temporary) this.lost(CLOSE.too_many, error.message);
          else this.refused(error);
        });
    }
  }

  private greeting(token: string | undefined): Unnumbered {
    const { epoch, revs } = this.duties.held();
    const held = epoch !== null && Object.keys(revs).length > 0 ? { epoch, revs } : epoch !== null ? { epoch } : {};
    const { signIn, device } = this;
    const who = signIn.kind === "development" ? { user: signIn.user, name: signIn.name, role: signIn.role } : { token };
    return { type: "hello", ...who, device, ...held };
  }

  private greeted(link: Link, hello: HelloOk, tripMs: number): void {
    this.clearTimer("connect");
    this.clock.learn(hello.server_time, tripMs);
    this.hello = hello;
    this.phase = "online";
    this.offlineSince = null;
    this.reconnectInMs = null;
    this.goingAway = false;
    this.snapshot.invalidate();
    this.listen(link, hello.heartbeat * 1000);
    this.renewLater(link, hello);
    this.duties.online(hello);
    for (const { resolve } of this.queue.splice(0)) resolve(link);
  }

  private take(frame: Frame, asked: Asked | null): void {
    if (frame.type === "going_away" && typeof frame.reconnect_in === "number") {
      this.reconnectInMs = frame.reconnect_in * 1000;
      this.goingAway = true;
      this.snapshot.invalidate();
    }
    try {
      this.duties.take(frame, asked);
    } catch (error) {
      console.error("chatd: a frame that could not be taken in", error);
      this.lost(1002, "a frame that could not be taken in");
    }
  }

  private lost(code: number, reason: string): void {
    const retryAfterMs = this.refusal?.retryAfter == null ? 0 : this.refusal.retryAfter * 1000;
    const end = endOf(code, reason, this.refusal);
    if (end) {
      this.end(end);
      return;
    }
    if (this.phase === "online" && this.env.monotonic() - this.began > STEADY_MS) this.attempt = 0;
    this.offlineSince ??= this.env.now();
    this.cut();
    this.waitFor(this.reconnectInMs ?? retryAfterMs + backoff(this.attempt++, this.env.random));
    this.reconnectInMs = null;
  }

  private refused(error: ChatError): void {
    const cause = error.code === "bad_request" ? "incompatible" : "refused";
    this.end({ cause, code: null, message: error.message });
  }

  private waitFor(ms: number): void {
    this.phase = "waiting";
    this.retryAt = this.env.now() + ms;
    this.snapshot.invalidate();
    this.setTimer("attempt", ms, () => {
      this.connect();
    });
  }

  private cut(): void {
    for (const name of Object.keys(this.timers) as (keyof typeof this.timers)[]) this.clearTimer(name);
    const link = this.link;
    this.link = null;
    this.probeEndsAt = Infinity;
    this.retryAt = null;
    link?.close();
  }

  // -- signs of life --

  private listen(link: Link, intervalMs: number): void {
    const wall = this.env.now();
    this.setTimer("heartbeat", intervalMs, () => {
      // A timer that comes much too late: the device slept, and the socket may be dead.
      const slept = this.env.now() - wall > intervalMs + ANSWER_TIMEOUT_MS;
      if (slept || this.env.monotonic() - link.heardAt >= intervalMs) {
        this.probe(slept ? WAKE_TIMEOUT_MS : ANSWER_TIMEOUT_MS);
      }
      this.listen(link, intervalMs);
    });
  }

  private probe(timeoutMs: number): void {
    const { link } = this;
    const asked = this.env.monotonic();
    if (!link || this.probeEndsAt <= asked + timeoutMs) return;
    this.probeEndsAt = asked + timeoutMs;
    const heard = link.heard;
    const since = this.env.now();
    link.ask({ type: "ping" }).then(
      ({ server_time: time }) => {
        if (typeof time === "string") this.clock.learn(time, this.env.monotonic() - asked);
      },
      () => undefined, // an error is a sign of life as well
    );
    this.setTimer("probe", timeoutMs, () => {
      this.probeEndsAt = Infinity;
      if (this.link !== link || link.heard !== heard) return;
      this.offlineSince ??= since; // nothing was heard from then on
      this.cut();
      this.attempt = 0;
      this.connect();
    });
  }

  // -- a session that ends --

  private renewLater(link: Link, { expires_at: expiresAt }: HelloOk): void {
    if (this.signIn.kind !== "token" || !expiresAt) return;
    const left = Date.parse(expiresAt) - this.clock.serverNow();
    const ms = Math.max(left - RENEW_BEFORE_MS, left / 2, 1_000);
    this.setTimer("renew", ms, () => void this.renew(link));
  }

  /** Shows a fresh token; if that fails, the server closes the connection in its time, and it begins anew. */
  private async renew(link: Link): Promise<void> {
    if (this.signIn.kind !== "token") return;
    try {
      const token = await this.signIn.getToken();
      if (this.link !== link) return;
      const hello = (await link.ask({ type: "hello", token })) as unknown as HelloOk;
      this.renewLater(link, hello);
    } catch {
      return;
    }
  }

  // -- the rest --

  private describe(): ConnectionSnapshot {
    const { phase, offlineSince, retryAt, ended, hello } = this;
    return {
      phase,
      offlineSince: phase === "stopped" ? null : offlineSince,
      retryAt: phase === "waiting" ? retryAt : null,
      networkDown: !this.env.onLine(),
      goingAway: this.goingAway,
      ended,
      user: hello?.user ?? null,
      limits: hello?.limits ?? null,
      session: hello?.session ?? null,
    };
  }

  private setTimer(name: keyof typeof this.timers, ms: number, work: () => void): void {
    this.clearTimer(name);
    this.timers[name] = this.env.setTimeout(work, Math.min(ms, LONGEST_TIMER_MS));
  }

  private clearTimer(name: keyof typeof this.timers): void {
    if (this.timers[name] !== undefined) this.env.clearTimeout(this.timers[name]);
    delete this.timers[name];
  }
}

/** Returns what a close code says of the session; null: come back. */
function endOf(code: number, reason: string, refusal: ChatError | null): SessionEnd | null {
  if (code < 4500 || code > 4999) return null;
  const cause = code === CLOSE.refused ? "refused" : code === CLOSE.revoked ? "revoked" : "incompatible";
  return { cause, code, message: refusal?.message ?? (reason || "the session is over") };
}

const closed = (message: string) => new ChatError({ code: "closed", message, temporary: false });
const aborted = () => new ChatError({ code: "aborted", message: "the caller gave up", temporary: false });
