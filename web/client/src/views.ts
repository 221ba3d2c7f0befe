/** Snapshots of the replica and the outbox, as a page shows them; references stay the same where nothing changed. */

import type {
  ConversationListItem,
  ConversationListSnapshot,
  ConversationSnapshot,
  OutboxItem,
  TimelineItem,
} from "./api.js";
import { type HeldConversation, statusOf } from "./held.js";
import type { Id, Message, Participant, PresenceState, Seq, User } from "./protocol.gen.js";
import type { Effect, Replica } from "./replica.js";
import { reuse, same, Store } from "./store.js";

const NOTHING: readonly never[] = [];

export interface ViewSources {
  outbox(id: Id): readonly OutboxItem[];
  /** True if the conversation is asked for. */
  loads(id: Id): boolean;
  /** True if there are more conversations to load. */
  more(): boolean;
}

/** One conversation's snapshots, and what a page decides about them. */
export class ConversationView {
  readonly store: Store<ConversationSnapshot>;
  detached = false;
  loadingOlder = false;
  loadingNewer = false;
  /** Known not to be the user's. */
  gone = false;
  private readonly items = new Map<Seq, { item: TimelineItem; participants: readonly Participant[] }>();
  private listItem: ConversationListItem | undefined;

  constructor(
    readonly id: Id,
    private readonly replica: Replica,
    private readonly sources: ViewSources,
  ) {
    this.store = new Store((last) => this.describe(last));
  }

  /** Returns the conversation as a list shows it; null where nothing is held. */
  inList(): ConversationListItem | null {
    const held = this.replica.conversations.get(this.id);
    if (!held) return null;
    const last = newestOf(held);
    const made: ConversationListItem = {
      id: this.id,
      info: held.info,
      participants: held.everyone,
      membership: held.membership,
      lastMessage: last && this.itemOf(held, last),
      lastOutbox: this.sources.outbox(this.id).at(-1) ?? null,
      typing: reuse(this.listItem?.typing, [...held.typing.keys()]),
    };
    if (!same(this.listItem, made)) this.listItem = made;
    return this.listItem ?? made;
  }

  private describe(last: ConversationSnapshot | undefined): ConversationSnapshot {
    const held = this.replica.conversations.get(this.id);
    if (!held) this.items.clear();
    const apart = this.detached ? held?.apart : null;
    const low = apart?.low ?? held?.low ?? 1;
    const high = apart?.high ?? held?.lastSeq ?? 0;
    const participants = held?.everyone ?? NOTHING;
    return {
      id: this.id,
      state: held ? "ready" : this.sources.loads(this.id) ? "loading" : this.gone ? "gone" : "absent",
      info: held?.info ?? null,
      participants,
      membership: held?.membership ?? null,
      me: participants.find(({ user }) => user === this.me) ?? null,
      items: reuse(last?.items, held ? this.itemsOf(held, apart?.messages ?? held.messages, low, high) : NOTHING),
      outbox: reuse(last?.outbox, this.sources.outbox(this.id)),
      view: apart ? "detached" : "live",
      atStart: held !== undefined && low <= 1,
      atEnd: held !== undefined && !apart,
      loadingOlder: this.loadingOlder,
      loadingNewer: this.loadingNewer,
      lastSeq: held?.lastSeq ?? 0,
      typing: reuse(last?.typing, held ? [...held.typing.keys()] : NOTHING),
    };
  }

  private itemsOf(
    held: HeldConversation,
    messages: ReadonlyMap<Seq, Message>,
    low: Seq,
    high: Seq,
  ): readonly TimelineItem[] {
    const items: TimelineItem[] = [];
    for (let seq = low; seq <= high; seq += 1) {
      const message = messages.get(seq); // absent for a moment within a catch-up
      if (message) items.push(this.itemOf(held, message));
    }
    if (this.items.size > 2 * items.length + 100) this.trim(low, high);
    return items;
  }

  private trim(low: Seq, high: Seq): void {
    for (const seq of [...this.items.keys()]) if (seq < low || seq > high) this.items.delete(seq);
  }

  private itemOf(held: HeldConversation, message: Message): TimelineItem {
    const { seq } = message;
    const participants = held.everyone;
    const kept = this.items.get(seq);
    if (kept?.item.message === message && (!kept.item.own || kept.participants === participants)) return kept.item;
    const own = message.sender != null && message.sender === this.me;
    const status = own ? statusOf(message, participants) : null;
    const made: TimelineItem = { key: own ? (message.client_id ?? message.id) : message.id, seq, message, own, status };
    const item = kept && same(kept.item, made) ? kept.item : made;
    this.items.set(seq, { item, participants });
    return item;
  }

  private get me(): Id {
    return this.replica.user?.id ?? "";
  }
}

/** All snapshots that are made of the replica. */
export class Views {
  readonly list: Store<ConversationListSnapshot>;
  readonly users: Store<ReadonlyMap<Id, User>>;
  readonly presence: Store<ReadonlyMap<Id, PresenceState>>;
  private readonly views = new Map<Id, ConversationView>();

  constructor(
    private readonly replica: Replica,
    private readonly sources: ViewSources,
  ) {
    this.list = new Store((last) => this.describe(last));
    this.users = new Store<ReadonlyMap<Id, User>>(() => new Map(replica.users));
    this.presence = new Store<ReadonlyMap<Id, PresenceState>>(() => new Map(replica.presence));
  }

  of(id: Id): ConversationView {
    let view = this.views.get(id);
    if (!view) this.views.set(id, (view = new ConversationView(id, this.replica, this.sources)));
    return view;
  }

  /** Shows the effects of a frame. */
  note(effect: Effect): void {
    for (const id of effect.restarted) Object.assign(this.of(id), { gone: false, detached: false });
    for (const ids of [effect.messages.keys(), effect.restarted, effect.dropped, effect.typing, effect.get]) {
      for (const id of ids) this.changed(id);
    }
    if (effect.users.size) this.users.invalidate();
    if (effect.presence.size) this.presence.invalidate();
  }

  changed(id: Id): void {
    this.views.get(id)?.store.invalidate();
    this.list.invalidate();
  }

  /** Another user, or none: nothing that was known is. */
  clear(): void {
    for (const view of this.views.values()) {
      Object.assign(view, { gone: false, detached: false });
      view.store.invalidate();
    }
    for (const store of [this.list, this.users, this.presence]) store.invalidate();
  }

  private describe(last: ConversationListSnapshot | undefined): ConversationListSnapshot {
    const items = [...this.replica.conversations.keys()]
      .map((id) => this.of(id).inList())
      .filter((item) => item !== null)
      .map((item) => ({ item, at: newestTime(item) }))
      .sort((a, b) => order(a.item) - order(b.item) || b.at - a.at || (a.item.id < b.item.id ? -1 : 1))
      .map(({ item }) => item);
    let unread = 0;
    for (const { membership } of items) if (!membership.archived && !membership.muted) unread += membership.unread;
    return {
      ready: this.replica.epoch !== null,
      items: reuse(last?.items, items),
      more: this.sources.more(),
      unread,
    };
  }
}

const order = ({ membership }: ConversationListItem) => (membership.pinned ? 0 : 1);

function newestTime({ lastMessage, lastOutbox, info }: ConversationListItem): number {
  return Math.max(Date.parse(lastMessage?.message.sent_at ?? info.created_at), lastOutbox?.createdAt ?? 0);
}

function newestOf(held: HeldConversation): Message | null {
  for (let seq = held.lastSeq; seq >= held.low; seq -= 1) {
    const message = held.messages.get(seq);
    if (message) return message;
  }
  return null;
}
