import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import { LinkLost, type Unnumbered } from "./link.js";
import type { Id } from "./protocol.gen.js";
import type { Effect, Frame, Replica } from "./replica.js";

export interface MendingDuties {
  online(): boolean;
  /** On the connection that there is. Rejects with a ChatError or LinkLost. */
  ask(request: Unnumbered): Promise<Frame>;
  maxRevs(): number;
  /** The conversation is not the user's (any more). */
  gone(id: Id): void;
  /** A conversation that began without its newest message: a list needs it. */
  fill(id: Id): Promise<void>;
}

/** Asks for what is missing: one request at a time, again where one failed for now. */
export class Mending {
  private readonly toSync = new Set<Id>();
  private readonly syncing = new Set<Id>();
  private readonly toGet = new Set<Id>();
  private readonly toFill = new Set<Id>();
  private running = false;
  private attempt = 0;
  private timer: unknown;

  constructor(
    private readonly env: Environment,
    private readonly replica: Replica,
    private readonly duties: MendingDuties,
  ) {}

  /** Returns true if the conversation is asked for, or will be. */
  loads(id: Id): boolean {
    return this.toGet.has(id);
  }

  /** Returns true if changes that come for the conversation were missed. */
  catchesUp(id: Id): boolean {
    return this.syncing.has(id);
  }

  note(effect: Effect): void {
    for (const id of effect.sync) if (!this.syncing.has(id)) this.toSync.add(id);
    for (const id of effect.get) this.toGet.add(id);
    for (const id of effect.restarted) {
      this.toGet.delete(id);
      const held = this.replica.conversations.get(id);
      if (held && held.messages.size === 0 && held.lastSeq > 0) this.toFill.add(id);
    }
    void this.run();
  }

  /** Before a new connection's `hello` is noted, which tells what moved. */
  forgetSync(): void {
    this.toSync.clear();
    this.syncing.clear();
  }

  /** A new connection is ready. */
  resume(): void {
    this.stop();
    this.attempt = 0;
    void this.run();
  }

  stop(): void {
    this.env.clearTimeout(this.timer);
    this.timer = undefined;
  }

  clear(): void {
    this.stop();
    for (const ids of [this.toSync, this.syncing, this.toGet, this.toFill]) ids.clear();
  }

  private async run(): Promise<void> {
    if (this.running || this.timer !== undefined || !this.duties.online()) return;
    this.running = true;
    try {
      while (await this.step()) this.attempt = 0;
    } catch (error) {
      if (error instanceof ChatError) this.retryAfter(error.retryAfter);
      else if (!(error instanceof LinkLost)) throw error;
    } finally {
      this.running = false;
    }
  }

  private retryAfter(seconds: number | null): void {
    const ms = seconds === null ? backoff(this.attempt++, this.env.random) : seconds * 1000;
    this.timer = this.env.setTimeout(() => {
      this.timer = undefined;
      void this.run();
    }, ms);
  }

  private async step(): Promise<boolean> {
    return (await this.syncSome()) || (await this.getOne()) || (await this.fillOne());
  }

  private async syncSome(): Promise<boolean> {
    const held = this.replica.revs();
    const ids = [...this.toSync].filter((id) => held.has(id)).slice(0, this.duties.maxRevs());
    if (!ids.length) {
      this.toSync.clear();
      return false;
    }
    for (const id of ids) {
      this.toSync.delete(id);
      this.syncing.add(id);
    }
    const revs = Object.fromEntries(ids.map((id) => [id, held.get(id) ?? 1]));
    try {
      await this.duties.ask({ type: "sync", epoch: this.replica.epoch ?? "", revs });
    } catch (error) {
      for (const id of ids) this.toSync.add(id);
      throw error;
    } finally {
      for (const id of ids) this.syncing.delete(id);
    }
    return true;
  }

  private async getOne(): Promise<boolean> {
    for (const id of [...this.toGet]) if (this.replica.conversations.has(id)) this.toGet.delete(id);
    const [id] = this.toGet;
    if (id === undefined) return false;
    try {
      await this.duties.ask({ type: "conversation.get", conversation: id });
    } catch (error) {
      if (!(error instanceof ChatError) || error.temporary) throw error;
      this.toGet.delete(id);
      this.duties.gone(id);
    }
    this.toGet.delete(id);
    return true;
  }

  private async fillOne(): Promise<boolean> {
    const [id] = this.toFill;
    if (id === undefined) return false;
    const held = this.replica.conversations.get(id);
    if (held && held.messages.size === 0 && held.lastSeq > 0) await this.duties.fill(id);
    this.toFill.delete(id);
    return true;
  }
}
