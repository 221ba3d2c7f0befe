import type { Readable } from "./api.js";

/** A snapshot that is made when somebody looks, and made anew after `invalidate`; equal to the last, it stays the last. */
export class Store<T> implements Readable<T> {
  private readonly listeners = new Set<() => void>();
  private value: T | undefined;
  private stale = true;
  private told = true;

  constructor(private readonly make: (last: T | undefined) => T) {}

  readonly getSnapshot = (): T => {
    if (this.stale) {
      const made = this.make(this.value);
      if (!same(this.value, made)) this.value = made;
      this.stale = false;
    }
    return this.value as T;
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    const entry = () => {
      listener(); // an entry of its own: the same function may be subscribed twice
    };
    this.listeners.add(entry);
    return () => {
      this.listeners.delete(entry);
    };
  };

  get watched(): boolean {
    return this.listeners.size > 0;
  }

  /** Something that the snapshot is made of changed. Listeners hear once for all changes of the same turn. */
  invalidate(): void {
    this.stale = true;
    if (!this.told || !this.watched) return;
    this.told = false;
    queueMicrotask(() => {
      this.tell();
    });
  }

  /**
   * The same, but listeners hear before it returns. For what is typed: a field that shows the old text at the end of the
   * event gets it back from React, and with it loses the caret's place and what an input method composes.
   */
  invalidateNow(): void {
    this.stale = true;
    this.tell();
  }

  private tell(): void {
    this.told = true;
    for (const listener of [...this.listeners]) listener();
  }
}

/** The last array where the new one has the same items: keeps references stable. */
export function reuse<T>(last: readonly T[] | undefined, made: readonly T[]): readonly T[] {
  return last && last.length === made.length && last.every((item, index) => Object.is(item, made[index])) ? last : made;
}

/** Returns true if two plain objects have the same fields; anything else must be the same. */
export function same<T>(a: T | undefined, b: T): boolean {
  if (Object.is(a, b)) return true;
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
