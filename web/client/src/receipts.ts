import { backoff } from "./backoff.js";
import type { Environment } from "./environment.js";
import { ChatError } from "./errors.js";
import type { HeldConversation } from "./held.js";
import type { Unnumbered } from "./link.js";
import type { Id, Seq } from "./protocol.gen.js";
import type { Frame, Replica } from "./replica.js";

/** Milliseconds in which arrivals are gathered into one acknowledgement. */
const GATHER_MS = 100;

interface Marks {
  delivered: Seq;
  read: Seq;
  sending: boolean;
  attempt: number;
  timer?: unknown;
}

export interface ReceiptDuties {
  online(): boolean;
  /** On the connection that there is. Rejects with a ChatError or LinkLost. */
  ask(request: Unnumbered): Promise<Frame>;
}

/** Moves the user's watermarks: `delivered` as messages come in, `read` as the page says. Forward only. */
export class Receipts {
  private readonly marks = new Map<Id, Marks>();

  constructor(
    private readonly env: Environment,
    private readonly replica: Replica,
    private readonly duties: ReceiptDuties,
  ) {}

  /** Something came in for a conversation. */
  arrived(id: Id): void {
    const held = this.replica.conversations.get(id);
    if (!held) return;
    const marks = this.of(id);
    marks.delivered = Math.max(marks.delivered, held.lastSeq);
    this.plan(id, marks);
  }

  seen(id: Id, seq: Seq): void {
    const marks = this.of(id);
    marks.read = Math.max(marks.read, seq);
    this.plan(id, marks);
  }

  /** A new connection. */
  resume(): void {
    for (const id of this.replica.conversations.keys()) this.arrived(id);
  }

  clear(): void {
    for (const { timer } of this.marks.values()) this.env.clearTimeout(timer);
    this.marks.clear();
  }

  private of(id: Id): Marks {
    let marks = this.marks.get(id);
    if (!marks) this.marks.set(id, (marks = { delivered: 0, read: 0, sending: false, attempt: 0 }));
    return marks;
  }

  private plan(id: Id, marks: Marks, ms = GATHER_MS): void {
    if (marks.sending || marks.timer !== undefined || !this.duties.online() || !this.wanted(id, marks)) return;
    marks.timer = this.env.setTimeout(() => {
      delete marks.timer;
      void this.send(id, marks);
    }, ms);
  }

  private async send(id: Id, marks: Marks): Promise<void> {
    const wanted = this.wanted(id, marks);
    if (!wanted || !this.duties.online()) return;
    marks.sending = true;
    let waitMs = GATHER_MS;
    try {
      await this.duties.ask({ type: "receipt", conversation: id, ...wanted });
      marks.attempt = 0;
    } catch (error) {
      if (error instanceof ChatError && !error.temporary) this.marks.delete(id);
      waitMs = backoff(marks.attempt++, this.env.random);
      if (error instanceof ChatError && error.retryAfter !== null) waitMs = error.retryAfter * 1000;
    }
    marks.sending = false;
    if (this.marks.get(id) === marks) this.plan(id, marks, waitMs);
  }

  /** Returns what is above the stored watermarks and tells others something. */
  private wanted(id: Id, marks: Marks): { read?: Seq; delivered?: Seq } | null {
    const held = this.replica.conversations.get(id);
    const me = held?.participants.get(this.replica.user?.id ?? "");
    if (!held || !me) return null;
    const read = Math.min(marks.read, held.lastSeq);
    const delivered = Math.min(marks.delivered, held.lastSeq);
    if (read > me.read_seq && this.foreign(held, me.read_seq, read)) return { read };
    if (delivered > me.delivered_seq && this.foreign(held, me.delivered_seq, delivered)) return { delivered };
    return null;
  }

  /** Returns true if a message of somebody else may be among those above `after`, up to `last`. */
  private foreign(held: HeldConversation, after: Seq, last: Seq): boolean {
    if (after + 1 < held.low) return true;
    for (let seq = after + 1; seq <= last; seq += 1) {
      const message = held.messages.get(seq);
      if (!message || (message.sender != null && message.sender !== this.replica.user?.id)) return true;
    }
    return false;
  }
}
