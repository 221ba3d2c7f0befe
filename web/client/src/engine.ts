/** The parts of a client put together: frames come in here, and what they mean for each part is done. */

import { Focus, Seen, Typing } from "./activity.js";
import type { ClientOptions, Incoming, SessionEnd } from "./api.js";
import { Attention } from "./attention.js";
import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import { Database } from "./database.js";
import { environment, type Environment } from "./environment.js";
import type { Asked, AskOptions, Unnumbered } from "./link.js";
import { Mending } from "./mending.js";
import { type Network, networkOf } from "./network.js";
import { Outbox } from "./outbox.js";
import { Pages } from "./pages.js";
import type { HelloOk, Id, Message, Seq } from "./protocol.gen.js";
import { Receipts } from "./receipts.js";
import { type Effect, type Frame, Replica } from "./replica.js";
import { LastUser, wipe } from "./session.js";
import type { Staging, StagingDuties } from "./staging.js";
import { Tabs, type TabMessage } from "./tabs.js";
import type { Transport } from "./transport.js";
import { Views } from "./views.js";

const MAX_REVS = 500;
const MAX_PAGE = 200;
/** People whose presence is asked for at once. */
const MAX_PRESENCE = 200;

/** Optional parts of a client, chosen where it is made, so that a bundler drops the rest. */
export interface Parts<S extends Staging> {
  readonly transport: (network: Network) => Transport;
  readonly staging: (duties: StagingDuties) => S;
}

export class Engine<S extends Staging> {
  readonly env: Environment;
  readonly network: Network;
  readonly oneUser: boolean;
  readonly clock: ServerClock;
  readonly replica = new Replica();
  readonly database: Database;
  readonly connection: Connection;
  readonly views: Views;
  readonly pages: Pages;
  readonly mending: Mending;
  readonly outbox: Outbox;
  readonly staging: S;
  readonly receipts: Receipts;
  readonly typing: Typing;
  readonly focus: Focus;
  readonly attention: Attention;
  readonly tabs: Tabs;
  readonly incoming = new Set<(incoming: Incoming) => void>();
  readonly events = new Set<(event: Frame) => void>();
  /** Cursor at which `conversation.list` goes on; null at the end. */
  readonly cursors: { plain: string | null; archived: string | null | undefined } = {
    plain: null,
    archived: undefined,
  };

  private readonly lastUser: LastUser;
  private readonly watches = new Set<Seen>();
  /** Rev up to which changes were missed and come now, by conversation. */
  private readonly missed = new Map<Id, number>();
  /** New messages of conversations that are being loaded because of them. */
  private readonly unplaced = new Map<Id, readonly Message[]>();
  private readonly presenceWanted = new Set<Id>();
  private typingTimer: unknown;
  private presenceTimer: unknown;
  private storage: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly options: ClientOptions,
    parts: Parts<S>,
  ) {
    this.env = environment(options.environment);
    this.network = networkOf(this.env, options);
    const { signIn } = this.network;
    this.oneUser = options.oneUser ?? signIn.kind !== "development";
    this.clock = new ServerClock(() => this.env.now());
    this.database = new Database(this.env);
    this.lastUser = new LastUser(this.env, signIn);
    this.tabs = new Tabs(this.env, (message) => {
      this.hear(message);
    });
    this.connection = this.makeConnection(parts);
    this.views = new Views(this.replica, {
      outbox: (id) => this.outbox.of(id),
      loads: (id) => this.mending.loads(id) || this.pages.loads(id),
      more: () => this.cursors.plain !== null,
    });
    const maxPage = () => this.connection.limits?.max_page ?? MAX_PAGE;
    this.pages = new Pages(this.replica, this.views, (request, more) => this.ask(request, more), maxPage);
    this.staging = this.makeStaging(parts);
    this.outbox = this.makeOutbox();
    this.mending = this.makeMending();
    this.receipts = new Receipts(this.env, this.replica, this.duties);
    this.typing = new Typing(this.env, this.duties.tell);
    this.attention = this.makeAttention();
    this.focus = new Focus(this.duties.tell, () => this.attention.attentive());
  }

  get me(): Id {
    return this.replica.user?.id ?? "";
  }

  // -- life --

  start(): void {
    this.tabs.open();
    this.attention.open();
    this.connection.start();
    const user = this.lastUser.get();
    if (user !== null) this.useStorage(user);
  }

  stop(): void {
    this.attention.close();
    this.staging.save();
    this.connection.stop();
    this.rest();
    this.tabs.close();
    void this.database.close();
  }

  /** Settles when the stored state of the user is in memory. */
  async stored(): Promise<void> {
    await this.storage;
  }

  ask(request: Unnumbered, options?: AskOptions & { signal?: AbortSignal }): Promise<Frame> {
    return this.connection.ask(request, options);
  }

  watch(conversation: Id): Seen {
    const seen = new Seen(
      this.env,
      () => this.attention.attentive(),
      (seq: Seq) => {
        this.receipts.seen(conversation, seq);
      },
      (ended) => {
        this.watches.delete(ended);
      },
    );
    this.watches.add(seen);
    return seen;
  }

  /** Leaves nothing of the user in this browser, or of anybody where it is one user's. */
  async signedOut(): Promise<void> {
    const user = this.oneUser ? null : this.me || this.lastUser.get();
    this.tabs.tell({ type: "signed-out", user });
    this.end();
    await wipe(this.env, this.database, user);
  }

  /** The conversation is not the user's, or not any more. */
  gone(id: Id): void {
    const effect = this.replica.drop(id);
    this.views.of(id).gone = true;
    this.unplaced.delete(id);
    this.views.note(effect);
    this.views.changed(id);
  }

  wantPresence(users: Iterable<Id>): void {
    for (const user of users) {
      if (user !== this.me && !this.replica.presence.has(user)) this.presenceWanted.add(user);
    }
    if (!this.presenceWanted.size || this.presenceTimer !== undefined || !this.connection.online) return;
    this.presenceTimer = this.env.setTimeout(() => {
      this.presenceTimer = undefined;
      const asked = [...this.presenceWanted].slice(0, MAX_PRESENCE);
      for (const user of asked) this.presenceWanted.delete(user);
      // Refused or lost: it was only a nicety, and the next `hello` brings most of it.
      this.duties.ask({ type: "presence.get", users: asked }).catch(() => undefined);
      this.wantPresence([]);
    }, 50);
  }

  // -- frames --

  private take(frame: Frame, asked: Asked | null): void {
    const hello = asked?.request.type === "hello" && Array.isArray(frame.conversations);
    if (hello) this.beforeHello(frame as unknown as HelloOk);
    const effect = asked
      ? this.replica.applyOk(frame, asked.request, asked.keepApart)
      : this.replica.applyEvent(frame, this.env.monotonic());
    this.acknowledge(frame.messages);
    this.mending.note(effect);
    this.note(effect);
    if (asked) this.placed(effect);
    else this.listenTo(frame, effect);
    for (const id of effect.restarted)
      this.began(id, { withPresence: hello || asked?.request.type === "conversation.list" });
  }

  private note(effect: Effect): void {
    for (const id of effect.dropped) if (!effect.get.has(id)) this.views.of(id).gone = true;
    this.views.note(effect);
    for (const id of [...effect.messages.keys(), ...effect.restarted]) this.receipts.arrived(id);
    if (effect.typing.size) this.expireTyping();
  }

  /** A conversation began, or began anew: a page that shows it is filled, and its people may be online. */
  private began(id: Id, { withPresence }: { withPresence: boolean }): void {
    const held = this.replica.conversations.get(id);
    if (!withPresence && held?.info.kind === "direct") this.wantPresence(held.participants.keys());
    if (this.views.of(id).store.watched) this.pages.load(id).catch(() => undefined);
  }

  private beforeHello(hello: HelloOk): void {
    this.mending.forgetSync();
    this.missed.clear();
    const { user: before, epoch } = this.replica;
    if (before && before.id !== hello.user.id) this.forget();
    if (this.replica.epoch === null || epoch !== hello.epoch) {
      this.cursors.plain = hello.cursor ?? null;
      this.cursors.archived = undefined;
    }
    for (const [id, { rev, reset }] of Object.entries(hello.revs ?? {})) {
      const held = this.replica.conversations.get(id);
      if (!reset && held && held.rev < rev) this.missed.set(id, rev);
    }
  }

  private online(): void {
    const { id } = this.replica.user ?? { id: "" };
    if (this.oneUser && this.lastUser.get() !== id) void this.database.forget(id, { others: true });
    this.lastUser.set(id);
    this.useStorage(id);
    this.views.list.invalidate(); // empty, and known to be so
    this.mending.resume();
    this.staging.resume();
    this.outbox.flush();
    this.receipts.resume();
    this.typing.resume();
    this.focus.resume();
    this.wantPresence([]);
  }

  private acknowledge(messages: unknown): void {
    if (!Array.isArray(messages)) return;
    for (const message of messages as Message[]) if (message.sender === this.me) this.outbox.acknowledge(message);
  }

  /** Tells the page of an event. */
  private listenTo(frame: Frame, effect: Effect): void {
    if (frame.type === "change") {
      const id = frame.conversation as Id;
      const until = this.missed.get(id) ?? 0;
      const live = (frame.rev as number) > until && !this.mending.catchesUp(id);
      if (!live && (frame.rev as number) >= until) this.missed.delete(id);
      for (const message of effect.fresh) this.tellIncoming(message, live);
      if (effect.get.has(id) && !effect.dropped.has(id) && Array.isArray(frame.messages)) {
        this.unplaced.set(id, [...(this.unplaced.get(id) ?? []), ...(frame.messages as Message[])]);
      }
    }
    tellAll(this.events, frame);
  }

  /** Places the messages because of which conversations were loaded. */
  private placed(effect: Effect): void {
    for (const id of effect.restarted) {
      const held = this.replica.conversations.get(id);
      const read = held?.participants.get(this.me)?.read_seq ?? Infinity;
      for (const message of this.unplaced.get(id) ?? []) {
        const changedOnly = message.edited_at != null || message.reactions.length > 0;
        if (message.seq > read && !changedOnly) this.tellIncoming(message, true);
      }
      this.unplaced.delete(id);
    }
  }

  private tellIncoming(message: Message, live: boolean): void {
    if (message.sender === this.me || message.deleted_at != null) return;
    tellAll(this.incoming, { conversation: message.conversation, message, live });
  }

  private expireTyping(): void {
    this.env.clearTimeout(this.typingTimer);
    const until = this.replica.typingUntil();
    if (until === Infinity) return;
    this.typingTimer = this.env.setTimeout(
      () => {
        this.views.note(this.replica.expireTyping(this.env.monotonic()));
        this.expireTyping();
      },
      Math.max(0, until - this.env.monotonic()),
    );
  }

  // -- storage, and other tabs --

  private useStorage(user: Id): void {
    const { outbox, staging } = this;
    this.storage = Promise.all([outbox.use(user), staging.use(user)]).then(() => {
      staging.prune((message) => outbox.has(message));
      outbox.flush();
    });
  }

  private hear(message: TabMessage): void {
    if (message.type !== "signed-out") {
      this.staging.hear(message);
      this.outbox.hear(message);
      return;
    }
    const mine = message.user === null || message.user === (this.me || this.lastUser.get());
    if (!mine) return;
    this.end();
    void this.database.close();
  }

  private end(): void {
    this.forget();
    this.connection.end({ cause: "signed-out", code: null, message: "signed out" });
  }

  /** Nothing of the user stays in memory. */
  private forget(): void {
    this.replica.clear();
    this.outbox.clear();
    this.staging.clear();
    this.mending.clear();
    this.unplaced.clear();
    this.presenceWanted.clear();
    this.cursors.plain = null;
    this.rest();
    this.views.clear();
  }

  /** No timer runs on. */
  private rest(): void {
    this.mending.stop();
    this.outbox.stop();
    this.staging.stop();
    this.receipts.clear();
    this.typing.clear();
    this.env.clearTimeout(this.typingTimer);
    this.env.clearTimeout(this.presenceTimer);
    this.presenceTimer = undefined;
  }

  // -- making the parts --

  private readonly duties = {
    online: () => this.connection.online,
    ask: (request: Unnumbered) => this.connection.askOnce(request),
    tell: (request: Unnumbered) => {
      this.connection.tell(request);
    },
  };

  private readonly tellTabs = (message: TabMessage) => {
    this.tabs.tell(message);
  };

  private makeConnection(parts: Parts<S>): Connection {
    const { network, options } = this;
    const { transport: chosen = parts.transport } = options;
    const transport = typeof chosen === "function" ? chosen(network) : chosen;
    return new Connection(this.env, this.clock, transport, network.signIn, options.device, {
      held: () => {
        const revs = [...this.replica.revs()].slice(0, this.connection.limits?.max_revs ?? MAX_REVS);
        return { epoch: this.replica.epoch, revs: Object.fromEntries(revs) };
      },
      take: (frame, asked) => {
        this.take(frame, asked);
      },
      online: () => {
        this.online();
      },
      ended: (_end: SessionEnd) => {
        this.rest();
      },
    });
  }

  private makeOutbox(): Outbox {
    return new Outbox(this.env, this.database, {
      online: this.duties.online,
      uploads: this.staging.uploads,
      files: this.staging.files,
      send: ({ conversation, key, body, replyTo }, attachments) =>
        this.duties.ask({
          type: "message.send",
          conversation,
          client_id: key,
          body,
          reply_to: replyTo ?? undefined,
          attachments: attachments.length ? attachments : undefined,
        }),
      tell: this.tellTabs,
      changed: (conversation) => {
        this.views.changed(conversation);
      },
    });
  }

  private makeStaging({ staging }: Parts<S>): S {
    return staging({
      network: this.network,
      database: this.database,
      online: this.duties.online,
      ask: this.duties.ask,
      serverNow: () => this.clock.serverNow(),
      tell: this.tellTabs,
      fileChanged: (message) => {
        this.outbox.fileChanged(message);
      },
    });
  }

  private makeMending(): Mending {
    return new Mending(this.env, this.replica, {
      online: this.duties.online,
      ask: this.duties.ask,
      maxRevs: () => this.connection.limits?.max_revs ?? MAX_REVS,
      gone: (id) => {
        this.gone(id);
      },
      fill: async (id) => {
        const held = this.replica.conversations.get(id);
        if (held) await this.pages.newest(held);
      },
    });
  }

  private makeAttention(): Attention {
    return new Attention(this.env, {
      woke: () => {
        this.connection.wake();
      },
      hiding: () => {
        this.staging.save();
      },
      changed: () => {
        this.focus.update();
        for (const watch of this.watches) watch.update();
      },
    });
  }
}

/** Calls a listener; its error is the page's, and is no fault of the frame. */
function tellAll<T>(listeners: ReadonlySet<(value: T) => void>, value: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(value);
    } catch (error) {
      console.error("chatd: a listener failed", error);
    }
  }
}
