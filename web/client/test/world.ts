/** A browser for tests: tabs that share storage and hear each other, a window that can be hidden, time that is told. */

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { afterEach, beforeEach, vi } from "vitest";
import type { ClientOptions, EditingClient } from "../src/api.js";
import { createEditingClient } from "../src/index.js";
import type { Environment } from "../src/environment.js";
import type { FakeFiles } from "./fake-files.js";
import type { FakeServer } from "./fake-server.js";
import { ME } from "./frames.js";

globalThis.IDBKeyRange = IDBKeyRange;

export function useVirtualTime(): void {
  beforeEach(() => {
    // Not setImmediate: the storage of the tests runs on it.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_767_225_600_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** Lets time pass, and everything happen that is under way. */
export async function pass(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(0);
}

export class Page {
  readonly window = new EventTarget();
  readonly document = Object.assign(new EventTarget(), {
    visibilityState: "visible" as DocumentVisibilityState,
    focused: true,
    hasFocus: (): boolean => this.document.focused,
  });
  onLine = true;

  show(): void {
    this.document.visibilityState = "visible";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  hide(): void {
    this.document.visibilityState = "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  focus(focused: boolean): void {
    this.document.focused = focused;
    this.window.dispatchEvent(new Event(focused ? "focus" : "blur"));
  }
}

/** One browser: what its tabs share. */
export class Browser {
  indexedDB = new IDBFactory();
  readonly storage = new Map<string, string>();
  readonly cacheNames = new Set<string>();
  readonly fetched: string[] = [];
  private readonly channels = new Set<{ onmessage: ((event: MessageEvent) => void) | null; frozen: () => boolean }>();

  tab(server: FakeServer, options: ClientOptions = {}): Tab {
    return new Tab(this, server, options);
  }

  environment(tab: Tab): Partial<Environment> {
    const { storage } = this;
    return {
      random: () => 0.5,
      indexedDB: this.indexedDB,
      localStorage: {
        getItem: (key) => storage.get(key) ?? null,
        setItem: (key, value) => void storage.set(key, value),
        removeItem: (key) => void storage.delete(key),
        key: (index) => [...storage.keys()][index] ?? null,
        get length() {
          return storage.size;
        },
      },
      caches: {
        keys: () => Promise.resolve([...this.cacheNames]),
        delete: (name) => Promise.resolve(this.cacheNames.delete(name)),
      },
      channel: () => this.channel(tab),
      window: tab.page.window,
      document: tab.page.document,
      onLine: () => tab.page.onLine,
      origin: "http://chat.test",
      transfer: (request) => (tab.killed ? new Promise<never>(() => undefined) : tab.files.transfer(request)),
      fetch: (url) => {
        this.fetched.push(url);
        return Promise.resolve(new Response("{}"));
      },
    };
  }

  private channel(tab: Tab): BroadcastChannel {
    const channel = {
      onmessage: null as ((event: MessageEvent) => void) | null,
      frozen: () => tab.killed,
      postMessage: (data: unknown) => {
        const copy: unknown = structuredClone(data);
        for (const other of this.channels) {
          if (other !== channel)
            queueMicrotask(() => other.frozen() || other.onmessage?.({ data: copy } as MessageEvent));
        }
      },
      close: () => void this.channels.delete(channel),
    };
    this.channels.add(channel);
    return channel as unknown as BroadcastChannel;
  }
}

export class Tab {
  readonly page = new Page();
  readonly client: EditingClient;
  /** Where files go up. */
  readonly files: FakeFiles;
  killed = false;

  constructor(browser: Browser, server: FakeServer, options: ClientOptions) {
    this.files = server.files;
    this.client = createEditingClient({
      signIn: { kind: "development", user: ME },
      transport: {
        connect: (events) => {
          const connection = server.transport.connect(events);
          const socket = server.sockets.at(-1);
          this.cut = () => {
            if (socket) socket.open = false;
          };
          return { ...connection, send: (text) => this.killed || connection.send(text) } as typeof connection;
        },
      },
      environment: browser.environment(this),
      ...options,
    });
    this.client.start();
  }

  /** The process is gone, or frozen for good: nothing of it is heard any more. */
  kill(): void {
    this.killed = true;
    this.cut();
    this.client.stop();
  }

  private cut: () => void = () => undefined;
}
