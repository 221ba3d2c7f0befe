import type { OutboxItem } from "./api.js";
import { backoff } from "./backoff.js";
import type { Database, OutboxRow, Write } from "./database.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import { LinkLost } from "./link.js";
import type { Attachment, Id, Message, Seq } from "./protocol.gen.js";
import type { Staging } from "./staging.js";
import { Store } from "./store.js";
import type { TabMessage } from "./tabs.js";

/** After which a tab sends what another tab wrote and has not got through: that tab may be frozen. */
const ADOPT_AFTER_MS = 10_000;

interface Busy {
  timer?: unknown;
  attempt: number;
  sending: boolean;
}

interface Entry {
  readonly row: OutboxRow;
  readonly item: OutboxItem;
  /** True if this tab sends it: its own, those of its earlier life, and those that a closed tab left. */
  mine: boolean;
}

export interface NewMessage {
  /** Its `client_id`. */
  readonly key: string;
  readonly conversation: Id;
  readonly body: string;
  readonly replyTo: Seq | null;
  readonly attachments: readonly Attachment[];
  /** Keys of files that go up before it. */
  readonly files: readonly string[];
  readonly createdAt: number;
}

export interface OutboxDuties {
  online(): boolean;
  /** Sends a message on the connection that there is. Rejects with a ChatError or LinkLost. */
  send(row: OutboxRow, attachments: readonly Id[]): Promise<unknown>;
  readonly uploads: Staging["uploads"];
  readonly files: Staging["files"];
  tell(message: TabMessage): void;
  /** The entries of a conversation changed. */
  changed(conversation: Id): void;
}

/**
 * Own messages until the server has acknowledged them: kept in storage, sent in order, one at a time in a
 * conversation. Two tabs that send the same do no harm: the server takes a `client_id` once.
 */
export class Outbox {
  readonly all = new Store<readonly OutboxItem[]>(() => this.sorted().map(({ item }) => item));
  private readonly entries = new Map<string, Entry>();
  /** Sending by conversation: under way, or waiting before the next attempt. */
  private readonly busy = new Map<Id, Busy>();
  private readonly adoptions = new Set<unknown>();
  private user: Id | null = null;
  private lastOrder = 0;

  constructor(
    private readonly env: Environment,
    private readonly database: Database,
    private readonly duties: OutboxDuties,
  ) {}

  /** Works for a user from now on: what storage has of theirs comes in, what is another's goes out of sight. */
  async use(user: Id): Promise<void> {
    if (this.user === user) return;
    const early = this.user === null ? [...this.entries.values()] : [];
    this.clear();
    this.user = user;
    for (const { row } of early) this.put({ ...row, user }, true);
    const rows = await this.database.all("outbox", user);
    if (this.user !== user) return; // another user by now
    for (const row of rows) if (!this.entries.has(row.key)) this.keep(row, true);
    this.flush();
  }

  /** Forgets all, in memory only. */
  clear(): void {
    this.stop();
    const conversations = new Set([...this.entries.values()].map(({ row }) => row.conversation));
    this.entries.clear();
    this.user = null;
    this.changed(...conversations);
  }

  /** Ends all timers. */
  stop(): void {
    for (const { timer } of this.busy.values()) this.env.clearTimeout(timer);
    for (const timer of this.adoptions) this.env.clearTimeout(timer);
    this.busy.clear();
    this.adoptions.clear();
  }

  of(conversation: Id): readonly OutboxItem[] {
    return this.sorted(conversation).map(({ item }) => item);
  }

  /** `together`: what is to be stored with it, or not at all. */
  add(message: NewMessage, together: readonly Write[] = []): void {
    const order = Math.max(this.env.now(), this.lastOrder + 1);
    this.put({ ...message, user: this.user ?? "", order, error: null }, true, together);
    this.pump(message.conversation);
  }

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** One of the entry's files changed: it may be complete now, or never. */
  fileChanged(key: string): void {
    const entry = this.entries.get(key);
    if (!entry) return;
    this.keep(entry.row, false);
    const files = this.duties.files.named(filesOf(entry.row));
    const failed = files.find(({ state }) => state === "failed");
    if (failed?.error && !entry.row.error) this.refuse(key, failed.error);
    if (failed || files.every(({ state }) => state === "ready")) this.pump(entry.row.conversation);
  }

  retry(key: string): void {
    const entry = this.entries.get(key);
    if (!entry) return;
    this.put({ ...entry.row, error: null }, true);
    for (const file of filesOf(entry.row)) this.duties.files.retry(file);
    this.pump(entry.row.conversation, { atOnce: true });
  }

  discard(key: string): void {
    const entry = this.entries.get(key);
    if (entry) this.remove(entry);
  }

  /** The server has it: told by an `ok`, or by a change that lists it. */
  acknowledge(message: Message): void {
    const key = message.client_id;
    if (key == null) return;
    const entry = this.entries.get(key);
    if (entry) this.remove(entry);
  }

  /** A new connection: whatever lies here goes out, whichever tab wrote it. */
  flush(): void {
    for (const entry of this.entries.values()) entry.mine = true;
    for (const conversation of new Set([...this.entries.values()].map(({ row }) => row.conversation))) {
      this.pump(conversation, { atOnce: true });
    }
  }

  hear(message: TabMessage): void {
    if (message.user !== this.user) return;
    if (message.type === "outbox-gone") {
      const entry = this.entries.get(message.key);
      if (entry) this.drop(entry);
    } else if (message.type === "outbox") {
      this.keep(message.row, false);
      this.adoptLater(message.row.key);
    }
  }

  private adoptLater(key: string): void {
    const timer = this.env.setTimeout(() => {
      this.adoptions.delete(timer);
      const entry = this.entries.get(key);
      if (!entry) return;
      entry.mine = true;
      this.pump(entry.row.conversation);
    }, ADOPT_AFTER_MS);
    this.adoptions.add(timer);
  }

  // -- sending --

  /** Sends the first of a conversation that waits, if none is under way. `atOnce`: also before its time. */
  private pump(conversation: Id, { atOnce = false } = {}): void {
    const busy = this.busy.get(conversation) ?? { attempt: 0, sending: false };
    if (busy.sending || (busy.timer !== undefined && !atOnce) || !this.duties.online()) return;
    this.env.clearTimeout(busy.timer);
    delete busy.timer;
    const able = (row: OutboxRow) => this.duties.uploads || filesOf(row).length === 0;
    const next = this.sorted(conversation).find(({ row, mine }) => mine && !row.error && able(row));
    if (!next) {
      this.busy.delete(conversation);
      return;
    }
    const attachments = this.attachmentsOf(next.row);
    if (!attachments) {
      this.busy.delete(conversation); // until its files are up
      return;
    }
    busy.sending = true;
    this.busy.set(conversation, busy);
    void this.send(next, attachments, busy);
  }

  /** Null: some are still on their way up. A file that is gone altogether is refused by the server's `not_found`. */
  private attachmentsOf(row: OutboxRow): readonly Id[] | null {
    const ids = row.attachments.map(({ id }) => id);
    const keys = filesOf(row);
    this.duties.files.own(keys);
    for (const key of keys) {
      const id = this.duties.files.attachmentOf(key);
      if (id === null) return null;
      ids.push(id);
    }
    return ids;
  }

  private async send({ row }: Entry, attachments: readonly Id[], busy: Busy): Promise<void> {
    let waitMs: number | null = null;
    try {
      await this.duties.send(row, attachments); // what came was taken in, and `acknowledge` called
      busy.attempt = 0;
      const left = this.entries.get(row.key);
      if (left) this.remove(left);
    } catch (error) {
      if (error instanceof LinkLost) {
        if (this.busy.get(row.conversation) === busy) this.busy.delete(row.conversation);
        if (this.duties.online()) this.pump(row.conversation);
        return;
      }
      if (!(error instanceof ChatError)) throw error;
      if (error.temporary || error.code === "unauthorized" || error.code === "closed") {
        waitMs = error.retryAfter === null ? backoff(busy.attempt, this.env.random) : error.retryAfter * 1000;
        busy.attempt += 1;
      } else if (error.code === "not_found" && !row.renewed && filesOf(row).length > 0) {
        this.put({ ...row, renewed: true }, true);
        this.duties.files.again(filesOf(row)); // the server keeps them for a day, and they lay here for longer
      } else {
        this.refuse(row.key, error);
      }
    }
    if (this.busy.get(row.conversation) !== busy) return; // stopped meanwhile
    busy.sending = false;
    if (waitMs === null) {
      this.pump(row.conversation);
      return;
    }
    busy.timer = this.env.setTimeout(() => {
      this.pump(row.conversation, { atOnce: true });
    }, waitMs);
  }

  private refuse(key: string, { code, message, temporary, retryAfter }: ChatError): void {
    const entry = this.entries.get(key);
    if (entry) this.put({ ...entry.row, error: { code, message, temporary, retryAfter } }, true);
  }

  // -- keeping --

  private put(row: OutboxRow, mine: boolean, together: readonly Write[] = []): void {
    this.keep(row, mine);
    if (this.user === null) return;
    void this.database.write({ store: "outbox", put: row }, ...together);
    this.duties.tell({ type: "outbox", user: row.user, row });
  }

  private keep(row: OutboxRow, mine: boolean): void {
    const { key, conversation, body, replyTo, attachments, createdAt, error } = row;
    const item: OutboxItem = {
      key,
      conversation,
      body,
      replyTo,
      attachments,
      files: this.duties.files.named(filesOf(row)),
      createdAt,
      state: error ? "failed" : "waiting",
      error: error && new ChatError(error),
    };
    this.entries.set(key, { row, item, mine: mine || (this.entries.get(key)?.mine ?? false) });
    this.lastOrder = Math.max(this.lastOrder, row.order);
    this.changed(conversation);
  }

  private remove(entry: Entry): void {
    this.drop(entry);
    const { user, key } = entry.row;
    for (const file of filesOf(entry.row)) this.duties.files.remove(file);
    if (this.user === null) return;
    void this.database.write({ store: "outbox", delete: [user, key] });
    this.duties.tell({ type: "outbox-gone", user, key });
  }

  private drop({ row }: Entry): void {
    this.entries.delete(row.key);
    this.changed(row.conversation);
    this.pump(row.conversation); // what waited behind its files
  }

  private changed(...conversations: Id[]): void {
    this.all.invalidate();
    for (const conversation of conversations) this.duties.changed(conversation);
  }

  private sorted(conversation?: Id): Entry[] {
    return [...this.entries.values()]
      .filter(({ row }) => conversation === undefined || row.conversation === conversation)
      .sort((a, b) => a.row.order - b.row.order || (a.row.key < b.row.key ? -1 : 1));
  }
}

const filesOf = ({ files = [] }: OutboxRow): readonly string[] => files;
