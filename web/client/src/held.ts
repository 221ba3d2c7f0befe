/** State held of one conversation. The objects in it are the wire's own and never changed, only replaced. */

import type { MessageStatus } from "./api.js";
import type { Id, Info, Membership, Message, Participant, Seq } from "./protocol.gen.js";

/** Seqs `low` to `high`, both included; empty where `high < low`. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** A range apart from the newest messages, around a jump; kept current as the newest are. */
export interface Apart extends Range {
  readonly messages: Map<Seq, Message>;
}

/**
 * Held are all messages from `low` to `lastSeq`, as of `rev`, the cursor; `low` is 1 when none is missing. Within a
 * catch-up of several events one that was changed lately may come after those that follow it.
 */
export class HeldConversation {
  readonly participants = new Map<Id, Participant>();
  readonly messages = new Map<Seq, Message>();
  /** Typing users, and until when (ms, on the clock that `Replica.apply` is given). */
  readonly typing = new Map<Id, number>();
  apart: Apart | null = null;
  private list: readonly Participant[] | null = null;

  constructor(
    public rev: number,
    public info: Info,
    public membership: Membership,
    public low: number,
    public lastSeq: number,
  ) {}

  get id(): Id {
    return this.info.id;
  }

  /** All participants; the same array until one of them changes. */
  get everyone(): readonly Participant[] {
    return (this.list ??= [...this.participants.values()]);
  }

  takeInfo(info: Info | null | undefined): void {
    if (info && info.rev >= this.info.rev) this.info = info;
  }

  takeParticipants(participants: Iterable<Participant>): void {
    for (const participant of participants) {
      const held = this.participants.get(participant.user);
      if (held && participant.rev < held.rev) continue;
      this.participants.set(participant.user, participant);
      this.list = null;
    }
  }

  /** Keeps what is in a loaded range, the copy with the higher rev; returns what is new or newer. */
  takeMessages(messages: Iterable<Message>): Message[] {
    const taken: Message[] = [];
    for (const message of messages) {
      const { seq } = message;
      if (seq >= this.low && isNewer(message, this.messages.get(seq))) {
        const kept = withoutStatus(message);
        this.messages.set(seq, kept);
        taken.push(kept);
      } else if (this.apart && seq >= this.apart.low && seq <= this.apart.high) {
        if (isNewer(message, this.apart.messages.get(seq))) this.apart.messages.set(seq, withoutStatus(message));
      }
    }
    return taken;
  }

  /** The messages that nobody here knew of; from now on they count as known. */
  takeNew(messages: Iterable<Message>): Message[] {
    const fresh = new Map<Seq, Message>();
    for (const message of messages) if (message.seq > this.lastSeq) fresh.set(message.seq, message);
    for (const seq of fresh.keys()) this.lastSeq = Math.max(this.lastSeq, seq);
    return [...fresh.values()];
  }

  /** Takes a page that covers a range; one that does not touch what is loaded is kept apart, if so wished. */
  takePage(messages: readonly Message[], covered: Range, keepApart: boolean): Message[] {
    if (covered.high >= this.low - 1) this.low = Math.min(this.low, covered.low);
    else if (keepApart) this.widenApart(covered);
    const taken = this.takeMessages(messages);
    this.joinApart();
    return taken;
  }

  /** Forgets the messages below `seq`, but never the newest. */
  forgetBelow(seq: Seq): void {
    const low = Math.min(seq, this.lastSeq);
    if (low <= this.low) return;
    for (const held of [...this.messages.keys()]) if (held < low) this.messages.delete(held);
    this.low = low;
  }

  private widenApart({ low, high }: Range): void {
    const apart = this.apart;
    const touches = apart && low <= apart.high + 1 && high >= apart.low - 1;
    this.apart = touches
      ? { low: Math.min(low, apart.low), high: Math.max(high, apart.high), messages: apart.messages }
      : { low, high, messages: new Map() };
  }

  /** One range again, once the two touch. */
  private joinApart(): void {
    const apart = this.apart;
    if (!apart || apart.high < this.low - 1) return;
    this.apart = null;
    this.low = Math.min(this.low, apart.low);
    for (const [seq, message] of apart.messages) {
      if (isNewer(message, this.messages.get(seq))) this.messages.set(seq, message);
    }
  }
}

/** Returns true if the first is to take the place of the second. */
function isNewer(message: Message, held: Message | undefined): boolean {
  return !held || message.rev > held.rev;
}

/** `status` is as of its reply; the watermarks know better. */
function withoutStatus(message: Message): Message {
  if (message.status == null) return message;
  const { status: _, ...rest } = message;
  return rest;
}

/**
 * How far a message has come, for its sender. What counts is the other present participants who came before the
 * message or have read it.
 */
export function statusOf(message: Message, participants: Iterable<Participant>): MessageStatus {
  const { seq, sender } = message;
  let others = 0;
  let delivered = true;
  let read = true;
  for (const p of participants) {
    if (p.left_at != null || p.user === sender || (p.from_seq > seq && p.read_seq < seq)) continue;
    others += 1;
    delivered &&= p.delivered_seq >= seq;
    read &&= p.read_seq >= seq;
  }
  if (!others || !delivered) return "sent";
  return read ? "read" : "delivered";
}
