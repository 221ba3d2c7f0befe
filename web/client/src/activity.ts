/** Activity of the user: typing, focus, messages in view. Told to the server as it happens, and never stored. */

import type { SeenWatch } from "./api.js";
import type { Environment } from "./environment.js";
import type { Unnumbered } from "./link.js";
import type { Id, Seq } from "./protocol.gen.js";

/** Between two `typing` of one conversation. */
const TYPING_EVERY_MS = 3_000;
/** Without a key press, after which typing has ended. */
const TYPING_IDLE_MS = 5_000;
/** On screen for as long, a message was seen. */
const SEEN_AFTER_MS = 500;

type Tell = (request: Unnumbered) => void;

/** Tells that the user types, rarely enough; and that it ended. */
export class Typing {
  private readonly active = new Map<Id, { toldAt: number; idle: unknown }>();

  constructor(
    private readonly env: Environment,
    private readonly tell: Tell,
  ) {}

  pressed(conversation: Id): void {
    const now = this.env.monotonic();
    const active = this.active.get(conversation);
    if (active) this.env.clearTimeout(active.idle);
    const due = !active || now - active.toldAt >= TYPING_EVERY_MS;
    if (due) this.tell({ type: "typing", conversation, active: true });
    const idle = this.env.setTimeout(() => {
      this.ended(conversation);
    }, TYPING_IDLE_MS);
    this.active.set(conversation, { toldAt: due ? now : active.toldAt, idle });
  }

  ended(conversation: Id): void {
    if (this.forget(conversation)) this.tell({ type: "typing", conversation, active: false });
  }

  /** The message itself ends it for the others. */
  sent(conversation: Id): void {
    this.forget(conversation);
  }

  /** A new connection has typed nothing: tells it of those who still do. */
  resume(): void {
    const now = this.env.monotonic();
    for (const [conversation, active] of this.active) {
      active.toldAt = now;
      this.tell({ type: "typing", conversation, active: true });
    }
  }

  clear(): void {
    for (const conversation of [...this.active.keys()]) this.forget(conversation);
  }

  private forget(conversation: Id): boolean {
    this.env.clearTimeout(this.active.get(conversation)?.idle);
    return this.active.delete(conversation);
  }
}

/** Tells what is on screen, while somebody can be looking at it. */
export class Focus {
  private wanted: Id | null = null;
  private told: Id | null = null;

  constructor(
    private readonly tell: Tell,
    private readonly attentive: () => boolean,
  ) {}

  set(conversation: Id | null): void {
    this.wanted = conversation;
    this.update();
  }

  /** The window was shown, hidden, focused or left. */
  update(): void {
    const now = this.attentive() ? this.wanted : null;
    if (now === this.told) return;
    this.told = now;
    this.tell({ type: "focus", conversation: now });
  }

  /** A new connection knows nothing. */
  resume(): void {
    this.told = null;
    this.update();
  }
}

/** Marks as seen what stayed on screen for 500 ms, while the window was visible and focused all the time. */
export class Seen implements SeenWatch {
  /** Time at which each seq came into view, ms, monotonic. */
  private readonly since = new Map<Seq, number>();
  private readonly marked = new Set<Seq>();
  private timer: unknown;

  constructor(
    private readonly env: Environment,
    private readonly attentive: () => boolean,
    private readonly mark: (seq: Seq) => void,
    private readonly ended: (seen: Seen) => void,
  ) {}

  onScreen(seqs: Iterable<Seq>): void {
    const now = this.env.monotonic();
    const shown = new Set(seqs);
    for (const seq of [...this.since.keys()]) if (!shown.has(seq)) this.since.delete(seq);
    for (const seq of [...this.marked]) if (!shown.has(seq)) this.marked.delete(seq);
    for (const seq of shown) if (!this.since.has(seq)) this.since.set(seq, now);
    this.check();
  }

  /** The window was shown, hidden, focused or left: the time on screen begins anew. */
  update(): void {
    const now = this.env.monotonic();
    for (const seq of this.since.keys()) this.since.set(seq, now);
    this.check();
  }

  stop(): void {
    this.env.clearTimeout(this.timer);
    this.since.clear();
    this.ended(this);
  }

  private check(): void {
    this.env.clearTimeout(this.timer);
    if (!this.attentive()) return;
    const now = this.env.monotonic();
    let newest = 0;
    let next = Infinity;
    for (const [seq, since] of this.since) {
      if (this.marked.has(seq)) continue;
      if (now - since >= SEEN_AFTER_MS) {
        newest = Math.max(newest, seq);
        this.marked.add(seq);
      } else {
        next = Math.min(next, since + SEEN_AFTER_MS - now);
      }
    }
    if (newest > 0) this.mark(newest);
    if (next < Infinity) {
      this.timer = this.env.setTimeout(() => {
        this.check();
      }, next);
    }
  }
}
