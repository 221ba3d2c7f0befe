/** Files that are to be sent: staged beside a draft, then part of a message, until the server has acknowledged that. */

import type { StagedFile } from "./api.js";
import { backoff } from "./backoff.js";
import type { Database, FileRow, Write } from "./database.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import type { Id } from "./protocol.gen.js";
import { reuse, Store } from "./store.js";
import type { TabMessage } from "./tabs.js";
import type { Outgoing, UploadEvents } from "./upload.js";

/** Between two snapshots of a progress. */
const PROGRESS_MS = 100;
/** After which a file without its message is taken for left behind. */
const LOST_AFTER_MS = 60_000;
const NONE: readonly StagedFile[] = [];

interface Entry {
  row: FileRow;
  file: StagedFile;
  /** True if this tab uploads it. */
  mine: boolean;
}

export interface FilesDuties {
  online(): boolean;
  /** Rejects with a ChatError where the file is refused, with any other error where nothing answered. */
  upload(file: Outgoing, events: UploadEvents): Promise<Id>;
  tell(message: TabMessage): void;
  /** A file of a conversation changed; `message`: the outbox entry that it belongs to. */
  changed(conversation: Id, message: string | null): void;
}

/**
 * Kept in storage with their bytes, uploaded one at a time, those of messages before those of drafts. A file belongs to
 * the conversation in which it was staged, whatever is on screen when its upload ends.
 */
export class Files {
  readonly drafts = new Store<ReadonlyMap<Id, readonly StagedFile[]>>((last) => this.byConversation(last));
  private readonly entries = new Map<string, Entry>();
  private user: Id | null = null;
  private loaded = false;
  private lastOrder = 0;
  private running: { readonly key: string; readonly stop: AbortController } | null = null;
  private attempt = 0;
  private timer: unknown;

  constructor(
    private readonly env: Environment,
    private readonly database: Database,
    private readonly duties: FilesDuties,
  ) {}

  // -- life --

  async use(user: Id): Promise<void> {
    if (this.user === user) return;
    const early = this.user === null ? [...this.entries.values()] : [];
    this.clear();
    this.user = user;
    for (const { row } of early) this.put({ ...row, user }, true);
    const rows = await this.database.all("files", user);
    if (this.user !== user) return; // another user by now
    this.loaded = true;
    for (const row of rows) if (!this.entries.has(row.key)) this.keep(row, true);
    this.pump();
  }

  /** Forgets all, in memory only. */
  clear(): void {
    this.stop();
    const gone = [...this.entries.values()];
    this.entries.clear();
    this.user = null;
    this.loaded = false;
    for (const { row } of gone) this.changed(row);
    this.drafts.invalidate();
  }

  /** Ends the upload that runs, and all timers; what has arrived at the server counts. */
  stop(): void {
    this.env.clearTimeout(this.timer);
    this.timer = undefined;
    this.running?.stop.abort();
    this.running = null;
  }

  /** A new connection: what lies here goes out. */
  flush(): void {
    for (const entry of this.entries.values()) entry.mine = true;
    this.attempt = 0;
    this.env.clearTimeout(this.timer);
    this.timer = undefined;
    this.pump();
  }

  hear(message: TabMessage): void {
    if (message.user !== this.user) return;
    if (message.type === "file-gone") {
      const entry = this.entries.get(message.key);
      if (entry) this.drop(entry);
    } else if (message.type === "file") {
      this.keep(message.row, false);
    }
  }

  // -- beside a draft --

  ofDraft(conversation: Id): readonly StagedFile[] {
    return this.drafts.getSnapshot().get(conversation) ?? NONE;
  }

  add(conversation: Id, blob: Blob, name: string): string {
    const key = this.env.uniqueId();
    const order = Math.max(this.env.now(), this.lastOrder + 1);
    const { type, size } = blob;
    const rest = { message: null, location: null, attachment: null, error: null };
    this.put({ user: this.user ?? "", key, conversation, order, blob, name, type, size, ...rest }, true);
    this.pump();
    return key;
  }

  remove(key: string): void {
    const entry = this.entries.get(key);
    if (!entry) return;
    this.drop(entry);
    if (this.user === null) return;
    void this.database.write({ store: "files", delete: [this.user, key] });
    this.duties.tell({ type: "file-gone", user: this.user, key });
  }

  retry(key: string): void {
    const entry = this.entries.get(key);
    if (!entry?.row.error) return;
    this.put({ ...entry.row, error: null }, true);
    this.pump();
  }

  /** The draft's files become those of a message; returns what has to be written together with it. */
  spend(conversation: Id, message: string): { readonly keys: readonly string[]; readonly writes: Write[] } {
    const writes: Write[] = [];
    const keys: string[] = [];
    for (const { key } of this.ofDraft(conversation)) {
      const entry = this.entries.get(key);
      if (!entry) continue;
      const row = { ...entry.row, message };
      this.keep(row, true);
      this.duties.tell({ type: "file", user: row.user, row });
      keys.push(key);
      writes.push({ store: "files", put: row });
    }
    return { keys, writes: this.user === null ? [] : writes };
  }

  // -- of a message --

  /** The id that the server gave a file; null until it has all of it; "" where the file is gone from this browser. */
  attachmentOf(key: string): Id | null {
    const entry = this.entries.get(key);
    return entry ? entry.row.attachment : this.loaded ? "" : null;
  }

  named(keys: readonly string[]): readonly StagedFile[] {
    return keys.flatMap((key) => this.entries.get(key)?.file ?? []);
  }

  /** Files of messages that are no more, because the browser ended in between, go. */
  prune(isThere: (message: string) => boolean): void {
    const old = this.env.now() - LOST_AFTER_MS; // another tab may just be sending
    for (const { row } of [...this.entries.values()]) {
      if (row.message !== null && row.order < old && !isThere(row.message)) this.remove(row.key);
    }
  }

  /** Takes over the uploads of these files: the tab that sends the message uploads them. */
  own(keys: readonly string[]): void {
    for (const key of keys) {
      const entry = this.entries.get(key);
      if (entry) entry.mine = true;
    }
    this.pump();
  }

  /** The server doesn't know the attachments (any more): the files go up anew. */
  again(keys: readonly string[]): void {
    for (const key of keys) {
      const entry = this.entries.get(key);
      if (entry) this.put({ ...entry.row, attachment: null, location: null, error: null }, true);
    }
    this.pump();
  }

  // -- uploading --

  private pump(): void {
    if (this.running || this.timer !== undefined || !this.duties.online()) return;
    const waiting = [...this.entries.values()].filter(({ row, mine }) => mine && !row.attachment && !row.error);
    waiting.sort((a, b) => rank(a) - rank(b) || a.row.order - b.row.order);
    const [next] = waiting;
    if (next) void this.run(next.row);
  }

  private async run(row: FileRow): Promise<void> {
    const stop = new AbortController();
    const running = (this.running = { key: row.key, stop });
    const current = () => (this.running === running ? this.entries.get(row.key) : undefined);
    let toldAt = -Infinity;
    this.show(row.key, 0);
    try {
      const attachment = await this.duties.upload(row, {
        signal: stop.signal,
        onProgress: (sent) => {
          const now = this.env.monotonic();
          if (now - toldAt < PROGRESS_MS || !current()) return;
          toldAt = now;
          this.show(row.key, Math.min(sent, row.size));
        },
        onLocation: (location) => {
          const entry = current();
          if (entry) this.put({ ...entry.row, location }, true);
        },
      });
      const entry = current();
      if (entry) this.put({ ...entry.row, attachment, location: null }, true);
      this.attempt = 0;
    } catch (error) {
      if (this.running === running) this.failed(row.key, error);
    }
    if (this.running !== running) return; // stopped meanwhile
    this.running = null;
    this.pump();
  }

  private failed(key: string, error: unknown): void {
    const entry = this.entries.get(key);
    const refused = error instanceof ChatError && !error.temporary && error.code !== "unauthorized";
    if (entry && refused) {
      const { code, message, temporary, retryAfter } = error;
      this.put({ ...entry.row, error: { code, message, temporary, retryAfter } }, true);
      return;
    }
    if (!entry) return; // taken back
    const asked = error instanceof ChatError ? error.retryAfter : null;
    const wait = asked === null ? backoff(this.attempt++, this.env.random) : asked * 1_000;
    this.timer = this.env.setTimeout(() => {
      this.timer = undefined;
      this.pump();
    }, wait);
    this.refresh(entry, "waiting");
  }

  // -- keeping --

  private put(row: FileRow, mine: boolean): void {
    this.keep(row, mine);
    if (this.user === null) return;
    void this.database.write({ store: "files", put: row });
    this.duties.tell({ type: "file", user: row.user, row });
  }

  private keep(row: FileRow, mine: boolean): void {
    const before = this.entries.get(row.key);
    const uploading = this.running?.key === row.key;
    const state = row.error ? "failed" : row.attachment !== null ? "ready" : uploading ? "uploading" : "waiting";
    const sent = state === "ready" ? row.size : state === "uploading" ? (before?.file.sent ?? 0) : 0;
    const file = fileOf(row, state, sent);
    this.entries.set(row.key, { row, file, mine: mine || (before?.mine ?? false) });
    this.lastOrder = Math.max(this.lastOrder, row.order);
    this.changed(row);
  }

  private show(key: string, sent: number): void {
    const entry = this.entries.get(key);
    if (entry) this.refresh(entry, "uploading", sent);
  }

  private refresh(entry: Entry, state: StagedFile["state"], sent = entry.file.sent): void {
    entry.file = fileOf(entry.row, state, sent);
    this.changed(entry.row);
  }

  private drop({ row }: Entry): void {
    this.entries.delete(row.key);
    if (this.running?.key === row.key) {
      this.stop();
      this.changed(row);
      this.pump();
    } else {
      this.changed(row);
    }
  }

  private changed({ conversation, message }: FileRow): void {
    this.drafts.invalidate();
    this.duties.changed(conversation, message);
  }

  private byConversation(last: ReadonlyMap<Id, readonly StagedFile[]> | undefined) {
    const found = new Map<Id, readonly StagedFile[]>();
    const sorted = [...this.entries.values()].sort((a, b) => a.row.order - b.row.order);
    for (const { row, file } of sorted) {
      if (row.message !== null) continue;
      found.set(row.conversation, [...(found.get(row.conversation) ?? []), file]);
    }
    for (const [conversation, files] of found) found.set(conversation, reuse(last?.get(conversation), files));
    return found;
  }
}

const rank = ({ row }: Entry) => (row.message === null ? 1 : 0);

function fileOf(row: FileRow, state: StagedFile["state"], sent: number): StagedFile {
  const { key, conversation, name, type, size, blob, error } = row;
  return { key, conversation, name, type, size, blob, state, sent, error: error && new ChatError(error) };
}
