/**
 * The user's conversations as the server has them, by the rules of docs/protocol.md. Synchronous and pure: no I/O.
 *
 * Every frame is applied in the order received; then the one with the connection asks for what the effect says.
 * Messages on their way are not in here.
 */

import { HeldConversation, type Range } from "./held.js";
import type {
  AnyRequest,
  ChangeEvent,
  ChangeOk,
  GetOk,
  HelloOk,
  HistoryOk,
  Id,
  Info,
  Membership,
  Message,
  PresenceState,
  RevState,
  Summary,
  TypingEvent,
  User,
} from "./protocol.gen.js";

/** After which typing ends, should nobody say so. */
export const TYPING_ENDS_MS = 8_000;

/** Any frame but an error: what it is tells its `type`, and of an `ok` its request. */
export interface Frame {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Effects of a frame, and what must be asked for now; conversations by id. */
export class Effect {
  /** New or newer messages in the newest range; none where something else of the conversation changed. */
  readonly messages = new Map<Id, Message[]>();
  /** Messages that nobody here knew of, in events. */
  readonly fresh: Message[] = [];
  /** Begun, or begun anew: what was held of it before is gone. */
  readonly restarted = new Set<Id>();
  /** Not held any more: left, or void. */
  readonly dropped = new Set<Id>();
  /** Conversations where somebody began or ceased to type. */
  readonly typing = new Set<Id>();
  readonly presence = new Set<Id>();
  readonly users = new Set<Id>();
  /** Something is missing: ask `sync` with the revs held. */
  readonly sync = new Set<Id>();
  /** Not held, but there: ask `conversation.get`, and drop it where the answer is `not_found`. */
  readonly get = new Set<Id>();
}

export class Replica {
  user: User | null = null;
  epoch: string | null = null;
  readonly conversations = new Map<Id, HeldConversation>();
  readonly users = new Map<Id, User>();
  readonly presence = new Map<Id, PresenceState>();

  /** The cursors, for `hello` and `sync`. */
  revs(): Map<Id, number> {
    return new Map([...this.conversations].map(([id, held]) => [id, held.rev]));
  }

  /** Takes an event in. `now`: ms, on any clock that goes forward. */
  applyEvent(frame: Frame, now: number): Effect {
    const effect = new Effect();
    switch (frame.type) {
      case "change":
        this.change(frame as unknown as ChangeEvent, false, effect);
        break;
      case "user":
        this.takeUsers([frame.user as User], effect);
        break;
      case "presence":
        this.takePresence(presenceOf(frame as unknown as PresenceState), effect);
        break;
      case "typing":
        this.typing(frame as unknown as TypingEvent, now, effect);
        break;
    }
    return effect;
  }

  /** Takes an `ok` in, with the request that it answers. `keepApart`: of a page of history that touches nothing. */
  applyOk(frame: Frame, request: AnyRequest, keepApart = false): Effect {
    const effect = new Effect();
    const ok = frame as never;
    switch (request.type) {
      case "hello":
        this.hello(ok, effect);
        break;
      case "conversation.get":
        this.takeUsers((ok as GetOk).users, effect);
        this.summary(ok as GetOk, effect);
        break;
      case "conversation.list":
        this.takeUsers(frame.users as User[], effect);
        this.summaries(frame.conversations as Summary[], effect);
        break;
      case "message.history":
        this.history(ok, request, keepApart, effect);
        break;
      case "sync":
        this.resets(frame.revs as Record<Id, RevState>, effect);
        break;
      case "user.list":
        this.takeUsers(frame.users as User[], effect);
        break;
      case "presence.get":
        for (const state of frame.presence as PresenceState[]) this.takePresence(state, effect);
        break;
      default:
        if (typeof frame.conversation === "string" && typeof frame.rev === "number") this.change(ok, true, effect);
    }
    return effect;
  }

  /** Ends the typing whose time is over. */
  expireTyping(now: number): Effect {
    const effect = new Effect();
    for (const held of this.conversations.values()) {
      for (const [user, until] of [...held.typing]) if (until <= now) this.stopTyping(held, user, effect);
    }
    return effect;
  }

  /** Time at which `expireTyping` has something to do next; infinity if nobody types. */
  typingUntil(): number {
    let first = Infinity;
    for (const held of this.conversations.values())
      for (const until of held.typing.values()) first = Math.min(first, until);
    return first;
  }

  /** Forgets a conversation: it is not the user's (any more). */
  drop(id: Id): Effect {
    const effect = new Effect();
    this.forget(id, effect);
    return effect;
  }

  /** Returns to the state before any `hello`. */
  clear(): void {
    this.user = this.epoch = null;
    for (const held of [this.conversations, this.users, this.presence]) held.clear();
  }

  // -- a connection begins --

  private hello(frame: HelloOk, effect: Effect): void {
    this.user = frame.user;
    if (!frame.conversations) {
      this.takeUsers([frame.user], effect);
      return; // the session was renewed; the connection goes on
    }
    const held = new Set(this.conversations.keys());
    if (this.epoch !== null && this.epoch !== frame.epoch) {
      for (const id of held) {
        this.forget(id, effect);
        effect.get.add(id);
      }
      for (const user of this.users.keys()) effect.users.add(user);
      this.users.clear();
    }
    this.epoch = frame.epoch;
    this.takeUsers([frame.user, ...(frame.users ?? [])], effect);
    for (const conversation of this.conversations.values()) {
      for (const user of [...conversation.typing.keys()]) this.stopTyping(conversation, user, effect);
    }
    this.allPresence(frame.presence ?? [], effect);
    const named = frame.revs ?? {};
    this.resets(named, effect);
    const current = this.summaries(frame.conversations, effect);
    // A conversation that wasn't named is not fed: it may have moved unseen.
    for (const id of this.conversations.keys()) {
      if (held.has(id) && !Object.hasOwn(named, id) && !current.has(id)) effect.sync.add(id);
    }
  }

  private allPresence(states: readonly PresenceState[], effect: Effect): void {
    const before = new Map(this.presence);
    this.presence.clear();
    for (const state of states) this.presence.set(state.user, presenceOf(state));
    for (const user of new Set([...before.keys(), ...this.presence.keys()])) {
      const was = before.get(user);
      if (was?.online !== (this.presence.get(user)?.online ?? false)) effect.presence.add(user);
    }
  }

  private resets(revs: Record<Id, RevState>, effect: Effect): void {
    for (const [id, { reset }] of Object.entries(revs)) {
      if (!reset) continue;
      this.forget(id, effect);
      effect.get.add(id);
    }
  }

  // -- summaries and pages --

  /** Takes summaries in; returns which of the conversations are now held as of their newest rev. */
  private summaries(summaries: readonly Summary[], effect: Effect): Set<Id> {
    const current = new Set<Id>();
    for (const summary of summaries) {
      if (this.summary(summary, effect).rev >= summary.info.rev) current.add(summary.conversation);
    }
    return current;
  }

  private summary(summary: Summary | GetOk, effect: Effect): HeldConversation {
    const { conversation: id, info, membership, last_message: last } = summary;
    const held = this.conversations.get(id) ?? this.begin(info.rev, info, membership, last ? [last] : [], effect);
    // Ahead of the cursor, a catch-up brings the messages: the last one alone would leave a hole.
    held.takeInfo(info);
    held.takeParticipants(summary.participants);
    held.membership = membership;
    note(held.id, [], effect);
    return held;
  }

  /** Starts a conversation (anew), with the newest messages where there are some. */
  private begin(
    rev: number,
    info: Info,
    membership: Membership,
    messages: readonly Message[],
    effect: Effect,
  ): HeldConversation {
    const seqs = new Set(messages.map(({ seq }) => seq));
    let low = info.last_seq + 1;
    while (seqs.has(low - 1)) low -= 1;
    const held = new HeldConversation(rev, info, membership, low, info.last_seq);
    this.conversations.set(info.id, held);
    effect.restarted.add(info.id);
    effect.dropped.delete(info.id);
    effect.get.delete(info.id);
    note(held.id, held.takeMessages(messages), effect);
    return held;
  }

  private history(
    page: HistoryOk,
    request: Extract<AnyRequest, { type: "message.history" }>,
    keepApart: boolean,
    effect: Effect,
  ): void {
    const held = this.conversations.get(page.conversation);
    if (held) note(held.id, held.takePage(page.messages, coveredBy(page, request), keepApart), effect);
  }

  // -- changes --

  private change(frame: ChangeEvent | ChangeOk, answers: boolean, effect: Effect): void {
    this.takeUsers(frame.users ?? [], effect);
    const held = this.conversations.get(frame.conversation);
    if (this.hasLeft(frame, held)) this.forget(frame.conversation, effect);
    else if (!held || (frame.from === 0 && frame.rev >= held.rev)) this.startBy(frame, answers, effect);
    else if (frame.from > held.rev) effect.sync.add(held.id);
    else this.takeChange(held, frame, answers, effect);
  }

  private hasLeft(frame: ChangeEvent | ChangeOk, held: HeldConversation | undefined): boolean {
    const mine = held?.participants.get(this.me);
    return (frame.participants ?? []).some(
      (p) => p.user === this.me && p.left_at != null && (!mine || p.rev >= mine.rev),
    );
  }

  /** A conversation that isn't held, or starts anew: that takes a whole one. */
  private startBy(frame: ChangeEvent | ChangeOk, answers: boolean, effect: Effect): void {
    const { conversation: id, from, rev, info, membership, participants, messages } = frame;
    if ((from !== 0 && !answers) || !info || !membership || !participants?.length) {
      effect.get.add(id);
      return;
    }
    this.begin(rev, info, membership, messages ?? [], effect).takeParticipants(participants);
    if (!answers) effect.fresh.push(...(messages ?? []));
  }

  private takeChange(held: HeldConversation, frame: ChangeEvent | ChangeOk, answers: boolean, effect: Effect): void {
    const messages = frame.messages ?? [];
    const fresh = held.takeNew(messages);
    for (const { sender } of fresh) if (sender != null) this.stopTyping(held, sender, effect);
    const unread = fresh.filter((m) => m.sender != null && m.sender !== this.me && m.deleted_at == null).length;
    if (!frame.membership) {
      if (unread) held.membership = { ...held.membership, unread: held.membership.unread + unread };
    } else if (frame.rev >= held.rev) {
      held.membership = frame.membership;
    }
    held.takeInfo(frame.info);
    held.takeParticipants(frame.participants ?? []);
    held.rev = Math.max(held.rev, frame.rev);
    note(held.id, held.takeMessages(messages), effect);
    if (!answers) effect.fresh.push(...fresh);
  }

  private get me(): Id {
    return this.user?.id ?? "";
  }

  private forget(id: Id, effect: Effect): void {
    if (this.conversations.delete(id)) effect.dropped.add(id);
  }

  // -- people --

  private takeUsers(users: Iterable<User>, effect: Effect): void {
    for (const user of users) {
      if (sameUser(this.users.get(user.id), user)) continue;
      this.users.set(user.id, user);
      effect.users.add(user.id);
    }
  }

  private takePresence(state: PresenceState, effect: Effect): void {
    const held = this.presence.get(state.user);
    if (held && held.online === state.online && (held.last_seen ?? null) === (state.last_seen ?? null)) return;
    this.presence.set(state.user, state);
    effect.presence.add(state.user);
  }

  private typing({ conversation, user, active }: TypingEvent, now: number, effect: Effect): void {
    const held = this.conversations.get(conversation);
    if (!held) return;
    if (!active) {
      this.stopTyping(held, user, effect);
      return;
    }
    if (!held.typing.has(user)) effect.typing.add(held.id);
    held.typing.set(user, now + TYPING_ENDS_MS);
  }

  private stopTyping(held: HeldConversation, user: Id, effect: Effect): void {
    if (held.typing.delete(user)) effect.typing.add(held.id);
  }
}

/** The seqs that a page of history tells all about. */
function coveredBy(page: HistoryOk, request: Extract<AnyRequest, { type: "message.history" }>): Range {
  const { messages, more } = page;
  if (request.after != null) {
    const last = messages.at(-1);
    return { low: request.after + 1, high: more && last ? last.seq : Infinity };
  }
  const first = messages[0];
  return { low: more && first ? first.seq : 1, high: request.before == null ? Infinity : request.before - 1 };
}

function note(id: Id, messages: readonly Message[], effect: Effect): void {
  const noted = effect.messages.get(id);
  if (noted) noted.push(...messages);
  else effect.messages.set(id, [...messages]);
}

function presenceOf({ user, online, last_seen }: PresenceState): PresenceState {
  return last_seen == null ? { user, online } : { user, online, last_seen };
}

function sameUser(a: User | undefined, b: User): boolean {
  return (
    !!a &&
    a.name === b.name &&
    a.role === b.role &&
    (a.avatar_url ?? null) === (b.avatar_url ?? null) &&
    (a.disabled ?? null) === (b.disabled ?? null)
  );
}
