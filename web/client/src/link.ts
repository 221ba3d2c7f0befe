import { ChatError } from "./errors.js";
import type { AnyRequest, ErrorReply } from "./protocol.gen.js";
import type { Frame } from "./replica.js";
import type { Transport, TransportConnection } from "./transport.js";

/** The connection ended before the answer came. */
export class LinkLost extends Error {}

export interface LinkEvents {
  open(): void;
  /** An event, or an `ok` with its request, before the asker hears of it. Must not throw. */
  frame(frame: Frame, asked: Asked | null): void;
  close(code: number, reason: string): void;
}

export interface AskOptions {
  /** A page of history that is kept even where it touches nothing that is loaded. */
  readonly keepApart?: boolean;
}

export interface Asked extends AskOptions {
  readonly request: AnyRequest;
}

interface Waiting extends Asked {
  readonly resolve: (ok: Frame) => void;
  readonly reject: (error: Error) => void;
}

/** A request as its asker writes it; the id is the link's business. */
export type Unnumbered = WithoutId<AnyRequest>;
type WithoutId<R> = R extends AnyRequest ? Omit<R, "id"> : never;

/** One connection: requests out, frames in, in order. */
export class Link {
  /** Time at which something was heard last, ms, monotonic. */
  heardAt: number;
  /** Number of frames that came. */
  heard = 0;
  private readonly connection: TransportConnection;
  private readonly waiting = new Map<number | string, Waiting>();
  private nextId = 1;
  private over = false;

  constructor(
    transport: Transport,
    private readonly monotonic: () => number,
    private readonly events: LinkEvents,
  ) {
    this.heardAt = monotonic();
    this.connection = transport.connect({
      open: () => {
        events.open();
      },
      frame: (text) => {
        this.take(text);
      },
      close: (code, reason) => {
        this.end(code, reason);
      },
    });
  }

  /** Sends a request and waits for its `ok`. Rejects with a ChatError or LinkLost. */
  ask(request: Unnumbered, options: AskOptions = {}): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (this.over) {
        reject(new LinkLost());
        return;
      }
      const numbered = { ...request, id: this.nextId++ } as AnyRequest;
      this.waiting.set(numbered.id as number, { ...options, request: numbered, resolve, reject });
      this.connection.send(encode(numbered));
    });
  }

  /** Sends a request to which no answer is wanted. */
  tell(request: Unnumbered): void {
    if (!this.over) this.connection.send(encode(request));
  }

  /** Ends it from this side; `close` of the events is not called. */
  close(): void {
    if (this.over) return;
    this.connection.close();
    this.forsake();
  }

  private take(text: string): void {
    if (this.over) return;
    this.heardAt = this.monotonic();
    this.heard += 1;
    const frame = parse(text);
    if (!frame) {
      this.connection.close();
      this.end(1002, "not a frame");
      return;
    }
    const asked = isId(frame.re) ? this.waiting.get(frame.re) : undefined;
    if (frame.type === "error") {
      if (!asked) return; // of a `tell`
      this.waiting.delete(frame.re as number);
      asked.reject(ChatError.of(frame as unknown as ErrorReply));
    } else if (frame.type !== "ok") {
      this.events.frame(frame, null);
    } else if (asked) {
      this.waiting.delete(frame.re as number);
      this.events.frame(frame, asked);
      asked.resolve(frame);
    }
  }

  private end(code: number, reason: string): void {
    if (this.over) return;
    this.forsake();
    this.events.close(code, reason);
  }

  private forsake(): void {
    this.over = true;
    for (const { reject } of this.waiting.values()) reject(new LinkLost());
    this.waiting.clear();
  }
}

/** Half a surrogate pair, as a cut emoji leaves it, would end the session: it becomes U+FFFD. */
function encode(request: unknown): string {
  return JSON.stringify(request, (_, value: unknown) =>
    typeof value === "string" ? value.replace(/\p{Surrogate}/gu, "\ufffd") : value,
  );
}

function isId(re: unknown): re is number | string {
  return typeof re === "number" || typeof re === "string";
}

function parse(text: string): Frame | null {
  try {
    const frame = JSON.parse(text) as unknown;
    return typeof frame === "object" && frame !== null && typeof (frame as Frame).type === "string"
      ? (frame as Frame)
      : null;
  } catch {
    return null;
  }
}
