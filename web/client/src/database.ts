/** Database of what survives the tab: the outbox, the drafts, the files of both, and edits, for all users of this browser. */

import type { Draft, Edit } from "./api.js";
import type { Environment } from "./environment.js";
import type { Attachment, Id, Seq } from "./protocol.gen.js";
import type { ChatErrorFields } from "./errors.js";

const NAME = "chatd";
const VERSION = 3;

export interface OutboxRow {
  readonly user: Id;
  readonly key: string;
  readonly conversation: Id;
  readonly body: string;
  readonly replyTo: Seq | null;
  readonly attachments: readonly Attachment[];
  /** Keys of its files; absent in what an older page wrote. */
  readonly files?: readonly string[];
  /** Its files went up a second time, as the server had forgotten the first. */
  readonly renewed?: boolean;
  readonly createdAt: number;
  /** The order within the outbox. */
  readonly order: number;
  readonly error: ChatErrorFields | null;
}

export interface DraftRow extends Draft {
  readonly user: Id;
}

/** A file with its bytes. */
export interface FileRow {
  readonly user: Id;
  readonly key: string;
  readonly conversation: Id;
  /** The outbox entry that it belongs to; null: it stands beside the draft. */
  readonly message: string | null;
  readonly order: number;
  readonly blob: Blob;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** Address at which a large upload goes on. */
  readonly location: string | null;
  /** The id that the server gave it, once it has all of it. */
  readonly attachment: Id | null;
  readonly error: ChatErrorFields | null;
}

export interface EditRow extends Edit {
  readonly user: Id;
  readonly key: string;
}

export interface Rows {
  readonly outbox: OutboxRow;
  readonly drafts: DraftRow;
  readonly files: FileRow;
  readonly edits: EditRow;
}

const STORES = ["outbox", "drafts", "files", "edits"] as const;

type StoreName = keyof Rows;

/** One change; those of one `write` happen together or not at all. */
export type Write =
  | { readonly [N in StoreName]: { readonly store: N; readonly put: Rows[N] } }[StoreName]
  | { readonly store: StoreName; readonly delete: readonly [user: Id, key: string] };

/**
 * Reads and writes in the order asked. Where the browser has no storage (or is out of space) everything goes on
 * without: then the outbox lives as long as the tab.
 */
export class Database {
  private opening: Promise<IDBDatabase | null> | null = null;

  constructor(private readonly env: Pick<Environment, "indexedDB">) {}

  async all<N extends StoreName>(store: N, user: Id): Promise<Rows[N][]> {
    const rows = await this.use((db) => settled(db.transaction(store).objectStore(store).getAll(of(user))));
    return (rows ?? []) as Rows[N][];
  }

  async write(...writes: Write[]): Promise<void> {
    const stores = [...new Set(writes.map(({ store }) => store))];
    await this.use((db) => {
      const transaction = db.transaction(stores, "readwrite");
      for (const write of writes) {
        const store = transaction.objectStore(write.store);
        if ("put" in write) store.put(write.put);
        else store.delete([...write.delete]);
      }
      return finished(transaction);
    });
  }

  /** Forgets all that belongs to a user; `others`: all that belongs to anybody else. */
  async forget(user: Id, { others = false } = {}): Promise<void> {
    await this.use((db) => {
      const transaction = db.transaction(STORES, "readwrite");
      for (const name of STORES) {
        const store = transaction.objectStore(name);
        if (!others) {
          store.delete(of(user));
          continue;
        }
        store.delete(IDBKeyRange.upperBound([user], true));
        store.delete(IDBKeyRange.lowerBound([user, []], true));
      }
      return finished(transaction);
    });
  }

  /** Nothing is left of it, in the other tabs either: they let go as soon as they are asked to. */
  async destroy(): Promise<void> {
    const factory = this.env.indexedDB;
    await this.close();
    if (!factory) return;
    await new Promise<void>((resolve) => {
      const request = factory.deleteDatabase(NAME);
      request.onsuccess =
        request.onerror =
        request.onblocked =
          () => {
            resolve();
          };
    });
  }

  async close(): Promise<void> {
    const { opening } = this;
    this.opening = null;
    (await opening)?.close();
  }

  private async use<T>(work: (db: IDBDatabase) => Promise<T>): Promise<T | null> {
    try {
      const db = await this.open();
      return db && (await work(db));
    } catch (error) {
      this.opening = null; // closed under us, or no space: the next one tries anew
      console.warn("chatd: the browser's storage failed", error);
      return null;
    }
  }

  private open(): Promise<IDBDatabase | null> {
    const factory = this.env.indexedDB;
    if (!factory) return Promise.resolve(null);
    return (this.opening ??= openDatabase(factory, () => {
      this.opening = null;
    }));
  }
}

function openDatabase(factory: IDBFactory, lost: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(NAME, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) {
        request.result.createObjectStore("outbox", { keyPath: ["user", "key"] });
        request.result.createObjectStore("drafts", { keyPath: ["user", "conversation"] });
      }
      if (oldVersion < 2) request.result.createObjectStore("files", { keyPath: ["user", "key"] });
      request.result.createObjectStore("edits", { keyPath: ["user", "key"] });
    };
    request.onsuccess = () => {
      const db = request.result;
      db.onclose = lost;
      db.onversionchange = () => {
        db.close();
        lost();
      };
      resolve(db);
    };
    request.onerror = request.onblocked = () => {
      reject(request.error ?? new Error("blocked"));
    };
  });
}

/** The keys of a user's rows: in IndexedDB's order an array comes after every string. */
const of = (user: Id) => IDBKeyRange.bound([user], [user, []]);

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error("failed"));
    };
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => {
      resolve();
    };
    transaction.onerror = transaction.onabort = () => {
      reject(transaction.error ?? new Error("aborted"));
    };
  });
}
