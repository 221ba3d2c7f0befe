/** All that the client takes from the world around it, so that tests can give it another. */

import type { TransferAnswer, TransferRequest } from "./transfer.js";

export interface Environment {
  /** ms since 1970; may jump. */
  now(): number;
  /** ms on a clock that only goes forward. */
  monotonic(): number;
  setTimeout(work: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Returns a number in [0, 1). */
  random(): number;
  /** A string that nobody else makes. */
  uniqueId(): string;
  readonly indexedDB: IDBFactory | null;
  readonly localStorage: Pick<Storage, "getItem" | "setItem" | "removeItem" | "key" | "length"> | null;
  readonly caches: Pick<CacheStorage, "keys" | "delete"> | null;
  /** Null where tabs cannot talk to each other. */
  channel(name: string): BroadcastChannel | null;
  readonly window: EventTarget | null;
  readonly document: (EventTarget & Pick<Document, "visibilityState" | "hasFocus">) | null;
  /** True if there may be a network. */
  onLine(): boolean;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** A request whose way out can be watched; default: an XMLHttpRequest. Rejects where no answer came. */
  transfer?(request: TransferRequest): Promise<TransferAnswer>;
  /** Address of the page; null outside of a browser. */
  readonly origin: string | null;
}

/** The browser's own, looked up at each use and so not before `start`; what is missing or forbidden is null. */
const browser: Environment = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (work, ms) => setTimeout(work, ms),
  clearTimeout: (timer) => {
    clearTimeout(timer as ReturnType<typeof setTimeout>);
  },
  random: () => Math.random(),
  uniqueId,
  get indexedDB() {
    return allowed(() => globalThis.indexedDB);
  },
  get localStorage() {
    return allowed(() => globalThis.localStorage);
  },
  get caches() {
    return allowed(() => globalThis.caches);
  },
  channel: (name) => allowed(() => new BroadcastChannel(name)),
  get window() {
    return typeof window === "undefined" ? null : window;
  },
  get document() {
    return typeof document === "undefined" ? null : document;
  },
  onLine: () => typeof navigator === "undefined" || navigator.onLine !== false,
  fetch: (url, init) => fetch(url, init),
  get origin() {
    return typeof location === "undefined" ? null : location.origin;
  },
};

/** The browser's environment with some of it replaced. */
export function environment(replaced: Partial<Environment> = {}): Environment {
  return Object.create(browser, Object.getOwnPropertyDescriptors(replaced)) as Environment;
}

/** Browsers throw at the mere look at storage that is switched off. */
function allowed<T>(look: () => T | undefined): T | null {
  try {
    return look() ?? null;
  } catch {
    return null;
  }
}

/** 128 random bits; `crypto.randomUUID` is there in secure contexts only, and a clinic's http address is none. */
function uniqueId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
