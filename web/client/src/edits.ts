import type { Edit } from "./api.js";
import { backoff } from "./backoff.js";
import type { Database, EditRow, Write } from "./database.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import { type Unnumbered, LinkLost } from "./link.js";
import type { HistoryOk, Id, Message, Seq } from "./protocol.gen.js";
import type { Frame } from "./replica.js";
import { Store } from "./store.js";
import type { TabMessage } from "./tabs.js";

export interface EditDuties {
  online(): boolean;
  /** Asks on the connection that there is. Rejects with a ChatError or LinkLost. */
  ask(request: Unnumbered): Promise<Frame>;
  tell(message: TabMessage): void;
  /** True if the field of a conversation holds nothing else. */
  free(conversation: Id): boolean;
}

/**
 * Changes of own messages, from the first key press until the server has them: kept in storage, by message. One that
 * is saved waits for a connection. One that is refused comes back with the words and the reason.
 */
export class Edits {
  readonly all = new Store<readonly Edit[]>(() => this.sorted());
  /** Edits that are saved and not acknowledged, by conversation and seq. */
  readonly waiting = new Store<readonly Edit[]>(() => this.sorted().filter(({ phase }) => phase === "waiting"));
  private readonly rows = new Map<string, EditRow>();
  private readonly sending = new Set<string>();
  private readonly timers = new Set<unknown>();
  private user: Id | null = null;

  constructor(
    private readonly env: Environment,
    private readonly database: Database,
    private readonly duties: EditDuties,
  ) {}

  async use(user: Id): Promise<void> {
    if (this.user === user) return;
    const early = this.user === null ? [...this.rows.values()] : [];
    this.clear();
    this.user = user;
    for (const row of early) this.put({ ...row, user });
    const rows = await this.database.all("edits", user);
    if (this.user !== user) return;
    for (const row of rows) if (!this.rows.has(row.key)) this.rows.set(row.key, row);
    this.changed();
    this.flush();
  }

  /** Forgets all, in memory only. */
  clear(): void {
    this.stop();
    this.rows.clear();
    this.user = null;
    this.changed();
  }

  /** Ends all timers. */
  stop(): void {
    for (const timer of this.timers) this.env.clearTimeout(timer);
    this.timers.clear();
  }

  /** Opens a message's edit in the field; one that was laid aside goes on. `seq` null: none is open. */
  begin(conversation: Id, seq: Seq | null, body: string): void {
    for (const row of [...this.rows.values()]) {
      if (row.conversation !== conversation || row.phase !== "writing" || row.seq === seq) continue;
      if (row.text === row.base) this.remove(row.key);
      else this.put({ ...row, phase: "aside" });
    }
    if (seq === null) return;
    const key = keyOf(conversation, seq);
    const held = this.rows.get(key) ?? {
      user: this.user ?? "",
      key,
      conversation,
      seq,
      base: body,
      text: body,
      error: null,
      theirs: null,
    };
    this.put({ ...held, phase: "writing", changedAt: this.env.now() });
  }

  /** Takes what is typed. `base`: the message as the person has seen it now. */
  set(conversation: Id, seq: Seq, text: string, base?: string): void {
    const row = this.rows.get(keyOf(conversation, seq));
    if (!row) return;
    const seen = base === undefined ? {} : { base, theirs: null, error: null };
    this.put({ ...row, text, ...seen, changedAt: this.env.now() }, true);
  }

  /** Saves it, now or when there is a connection. */
  save(conversation: Id, seq: Seq): void {
    const row = this.rows.get(keyOf(conversation, seq));
    if (!row) return;
    const text = row.text.replaceAll("\0", "").trim();
    if (text === row.base) this.remove(row.key);
    else this.put({ ...row, text, phase: "waiting", error: null, theirs: null });
    this.flush();
  }

  discard(conversation: Id, seq: Seq): void {
    this.remove(keyOf(conversation, seq));
  }

  /** Sends what waits. */
  flush(): void {
    for (const { key, phase } of this.rows.values()) if (phase === "waiting") void this.send(key, 0);
  }

  hear(message: TabMessage): void {
    if (message.user !== this.user) return;
    if (message.type !== "edit" && message.type !== "edit-gone") return;
    const key = message.type === "edit" ? message.row.key : message.key;
    const mine = this.rows.get(key);
    if (mine?.phase === "writing" && mine.text !== mine.base) return; // what is typed here stays here
    if (message.type === "edit-gone") this.rows.delete(key);
    else if (message.row.phase === "writing")
      this.rows.delete(key); // it has its field in that tab
    else this.rows.set(key, message.row);
    this.changed();
  }

  private async send(key: string, attempt: number): Promise<void> {
    const row = this.rows.get(key);
    if (row?.phase !== "waiting" || this.sending.has(key) || !this.duties.online()) return;
    this.sending.add(key);
    let outcome: "done" | "lost" | ChatError;
    let theirs: string | null = null;
    try {
      theirs = await this.apply(row);
      outcome = theirs === null ? "done" : refusal("conflict", "changed meanwhile");
    } catch (error) {
      if (!(error instanceof LinkLost) && !(error instanceof ChatError)) throw error;
      outcome = error instanceof LinkLost ? "lost" : error;
    } finally {
      this.sending.delete(key);
    }
    const now = this.rows.get(key);
    if (now?.phase !== "waiting") return; // taken up again, or given up
    if (now.text !== row.text) return this.send(key, 0);
    if (outcome === "done") this.remove(key);
    else if (outcome === "lost") void this.send(key, 0);
    else if (outcome.temporary || outcome.code === "unauthorized" || outcome.code === "closed") {
      const waitMs = outcome.retryAfter === null ? backoff(attempt, this.env.random) : outcome.retryAfter * 1000;
      const timer = this.env.setTimeout(() => {
        this.timers.delete(timer);
        void this.send(key, attempt + 1);
      }, waitMs);
      this.timers.add(timer);
    } else this.refuse({ ...now, theirs }, outcome);
  }

  /**
   * Looks at the message first: what was written elsewhere while this waited is not to be overwritten unseen. Returns
   * that, or null.
   */
  private async apply({ conversation, seq, base, text }: EditRow): Promise<string | null> {
    const page = await this.duties.ask({ type: "message.history", conversation, after: seq - 1, limit: 1 });
    const found = (page as unknown as HistoryOk).messages.find((message: Message) => message.seq === seq);
    if (!found) throw refusal("not_found", "no such message");
    if (found.deleted_at != null) throw refusal("conflict", "deleted meanwhile");
    if (found.body === text) return null;
    if (found.body !== base) return found.body;
    await this.duties.ask({ type: "message.edit", conversation, seq, body: text });
    return null;
  }

  /** Puts it back into the field, unless something else is written there. */
  private refuse(row: EditRow, { code, message, temporary, retryAfter }: ChatError): void {
    const busy = this.sorted().some((each) => each.conversation === row.conversation && each.phase === "writing");
    const phase = !busy && this.duties.free(row.conversation) ? "writing" : "aside";
    this.put({ ...row, phase, error: { code, message, temporary, retryAfter } });
  }

  private put(row: EditRow, typed = false): void {
    this.rows.set(row.key, row);
    this.write({ store: "edits", put: row });
    if (!typed) this.duties.tell({ type: "edit", user: row.user, row });
    this.changed(typed);
  }

  private remove(key: string): void {
    const row = this.rows.get(key);
    if (!row) return;
    this.rows.delete(key);
    this.write({ store: "edits", delete: [row.user, key] });
    this.duties.tell({ type: "edit-gone", user: row.user, key });
    this.changed();
  }

  private write(write: Write): void {
    if (this.user !== null) void this.database.write(write);
  }

  private changed(typed = false): void {
    if (typed) {
      this.all.invalidateNow();
      return;
    }
    this.all.invalidate();
    this.waiting.invalidate();
  }

  private sorted(): EditRow[] {
    return [...this.rows.values()].sort((a, b) => a.changedAt - b.changedAt);
  }
}

function keyOf(conversation: Id, seq: Seq): string {
  return `${conversation} ${seq}`;
}

function refusal(code: "conflict" | "not_found", message: string): ChatError {
  return new ChatError({ code, message, temporary: false });
}
