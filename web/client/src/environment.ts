/** All that the client takes from the world around it, so that tests can give it another. */

export interface Environment {
  /** ms since 1970; may jump. */
  now(): number;
  /** ms on a clock that only goes forward. */
  monotonic(): number;
  setTimeout(work: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** In [0, 1). */
  random(): number;
  /** A string that nobody else makes. */
  uniqueId(): string;
  readonly indexedDB: IDBFactory | null;
  readonly localStorage: Storage | null;
  readonly caches: CacheStorage | null;
  /** Null where tabs cannot talk to each other. */
  channel(name: string): BroadcastChannel | null;
  readonly window: EventTarget | null;
  readonly document: (EventTarget & Pick<Document, "visibilityState" | "hasFocus">) | null;
  /** Whether there may be a network. */
  onLine(): boolean;
  readonly fetch: typeof fetch;
}
