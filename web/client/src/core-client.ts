import type {
  ClientOptions,
  ConversationSnapshot,
  CoreClient,
  Incoming,
  Readable,
  RequestOptions,
  SeenWatch,
  SignOutResult,
} from "./api.js";
import { Engine, type Parts } from "./engine.js";
import { ChatError } from "./errors.js";
import type { AskOptions, Unnumbered } from "./link.js";
import type {
  Attachment,
  ChangeOk,
  Id,
  ListOk,
  Message,
  Replies,
  Requests,
  RequestType,
  SearchOk,
  Seq,
  User,
  UserListOk,
} from "./protocol.gen.js";
import type { Frame } from "./replica.js";
import { endSession } from "./session.js";
import type { Staging } from "./staging.js";

const MAX_BODY_CHARS = 10_000;
const LIST_PAGE = 50;

/** The public face of the engine: one method for each thing that a page does. */
export class CoreChatClient<S extends Staging = Staging> implements CoreClient {
  readonly connection;
  readonly conversations;
  readonly users;
  readonly presence;
  readonly outbox;
  protected readonly engine: Engine<S>;

  constructor(options: ClientOptions, parts: Parts<S>) {
    const engine = (this.engine = new Engine(options, parts));
    this.connection = engine.connection.snapshot;
    this.conversations = engine.views.list;
    this.users = engine.views.users;
    this.presence = engine.views.presence;
    this.outbox = engine.outbox.all;
  }

  // -- life --

  start(): void {
    this.engine.start();
  }

  stop(): void {
    this.engine.stop();
  }

  restart(): void {
    this.engine.connection.restart();
  }

  async signOut({ discardUnsent = false } = {}): Promise<SignOutResult> {
    const { engine } = this;
    await engine.stored();
    const unsent = this.outbox.getSnapshot();
    if (unsent.length > 0 && !discardUnsent) return { done: false, unsent, serverTold: false };
    const serverTold = await endSession(engine.network);
    await engine.signedOut();
    return { done: true, unsent, serverTold };
  }

  conversation(id: Id): Readable<ConversationSnapshot> {
    return this.engine.views.of(id).store;
  }

  onIncoming(listener: (incoming: Incoming) => void): () => void {
    return added(this.engine.incoming, listener);
  }

  onEvent(listener: (event: Frame) => void): () => void {
    return added(this.engine.events, listener);
  }

  serverNow(): number {
    return this.engine.clock.serverNow();
  }

  // -- conversations --

  async load(conversation: Id): Promise<void> {
    const { pages, replica, views } = this.engine;
    try {
      await pages.load(conversation);
    } catch (error) {
      if (error instanceof ChatError && error.code === "not_found") this.engine.gone(conversation);
      throw error;
    } finally {
      views.changed(conversation);
    }
    const held = replica.conversations.get(conversation);
    if (held) this.engine.wantPresence(held.participants.keys());
  }

  async open(user: Id): Promise<Id> {
    const { conversation } = await this.change({ type: "conversation.open", with: user });
    await this.load(conversation);
    return conversation;
  }

  async create(title: string, members: readonly Id[]): Promise<Id> {
    const client_id = this.engine.env.uniqueId(); // a repeat after a lost connection makes no second group
    return (await this.change({ type: "conversation.create", title, members, client_id })).conversation;
  }

  async rename(conversation: Id, title: string): Promise<void> {
    await this.change({ type: "conversation.update", conversation, title });
  }

  async add(conversation: Id, user: Id): Promise<void> {
    await this.change({ type: "conversation.add", conversation, user });
  }

  async remove(conversation: Id, user: Id): Promise<void> {
    await this.change({ type: "conversation.remove", conversation, user });
  }

  async leave(conversation: Id): Promise<void> {
    await this.change({ type: "conversation.leave", conversation });
  }

  async setMembership(
    conversation: Id,
    { muted, pinned, archived }: { muted?: boolean; pinned?: boolean; archived?: boolean },
  ): Promise<void> {
    await this.change({ type: "membership.set", conversation, muted, pinned, archived });
  }

  async loadMoreConversations({ archived = false } = {}): Promise<void> {
    const { cursors, views } = this.engine;
    const which = archived ? "archived" : "plain";
    const cursor = cursors[which];
    if (cursor === null) return;
    const page = (await this.ask({
      type: "conversation.list",
      cursor,
      archived,
      limit: LIST_PAGE,
    })) as unknown as ListOk;
    if (cursors[which] !== cursor) return; // asked twice, or begun anew meanwhile
    cursors[which] = page.cursor ?? null;
    views.list.invalidate();
  }

  // -- messages --

  send(
    conversation: Id,
    body: string,
    { replyTo = null, attachments = [] }: { replyTo?: Seq | null; attachments?: readonly Attachment[] } = {},
  ): string {
    const { env, outbox, staging, typing, clock, connection } = this.engine;
    const text = body.replaceAll("\0", "");
    const length = [...text].length;
    const most = connection.limits?.max_body_chars ?? MAX_BODY_CHARS;
    if (length > most) throw badRequest(`a message has at most ${most} characters, this one has ${length}`);
    const staged = staging.ofDraft(conversation);
    if (!text.trim() && attachments.length + staged.length === 0) throw badRequest("the message is empty");
    if (staged.some(({ state }) => state === "failed")) throw badRequest("a file of the message was refused");
    typing.sent(conversation);
    const key = env.uniqueId();
    const { keys, writes } = staging.spend(conversation, key);
    const message = { key, conversation, body: text, replyTo, attachments, files: keys, createdAt: clock.serverNow() };
    outbox.add(message, writes);
    return key;
  }

  retry(key: string): void {
    this.engine.outbox.retry(key);
  }

  discard(key: string): void {
    this.engine.outbox.discard(key);
  }

  edit(conversation: Id, seq: Seq, body: string): Promise<Message> {
    return this.changedMessage({ type: "message.edit", conversation, seq, body: body.replaceAll("\0", "") });
  }

  delete(conversation: Id, seq: Seq): Promise<Message> {
    return this.changedMessage({ type: "message.delete", conversation, seq });
  }

  react(conversation: Id, seq: Seq, emoji: string, on: boolean): Promise<Message> {
    return this.changedMessage({ type: "message.react", conversation, seq, emoji, on });
  }

  loadOlder(conversation: Id, limit?: number): Promise<void> {
    return this.engine.pages.older(conversation, limit);
  }

  loadNewer(conversation: Id, limit?: number): Promise<void> {
    return this.engine.pages.newer(conversation, limit);
  }

  jumpTo(conversation: Id, seq: Seq): Promise<void> {
    return this.engine.pages.jumpTo(conversation, seq);
  }

  showNewest(conversation: Id): void {
    this.engine.pages.showNewest(conversation);
  }

  forgetBelow(conversation: Id, seq: Seq): void {
    this.engine.pages.forgetBelow(conversation, seq);
  }

  search(
    query: string,
    { signal, ...where }: { conversation?: Id; cursor?: string; limit?: number } & RequestOptions = {},
  ): Promise<SearchOk> {
    return this.request("message.search", { query, ...where }, { signal });
  }

  // -- what the user does --

  markSeen(conversation: Id, seq: Seq): void {
    this.engine.receipts.seen(conversation, seq);
  }

  seen(conversation: Id): SeenWatch {
    return this.engine.watch(conversation);
  }

  typing(conversation: Id): void {
    this.engine.typing.pressed(conversation);
  }

  stopTyping(conversation: Id): void {
    this.engine.typing.ended(conversation);
  }

  setFocus(conversation: Id | null): void {
    this.engine.focus.set(conversation);
  }

  // -- people, and all else --

  listUsers({
    signal,
    ...which
  }: {
    query?: string;
    role?: User["role"];
    cursor?: string;
    limit?: number;
  } & RequestOptions = {}): Promise<UserListOk> {
    return this.request("user.list", which, { signal });
  }

  async getPresence(users: readonly Id[]): Promise<void> {
    await this.ask({ type: "presence.get", users });
  }

  async request<T extends RequestType>(
    type: T,
    fields: Omit<Requests[T], "type" | "id">,
    options?: RequestOptions,
  ): Promise<Replies[T]> {
    return (await this.ask({ ...fields, type } as unknown as Unnumbered, options)) as unknown as Replies[T];
  }

  private ask(request: Unnumbered, options?: AskOptions & RequestOptions): Promise<Frame> {
    return this.engine.ask(request, options);
  }

  private async change(request: Unnumbered): Promise<ChangeOk> {
    return (await this.ask(request)) as unknown as ChangeOk;
  }

  private async changedMessage(request: Unnumbered): Promise<Message> {
    const [message] = (await this.change(request)).messages ?? [];
    if (!message) throw new ChatError({ code: "internal", message: "the server named no message", temporary: false });
    return message;
  }
}

function added<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

function badRequest(message: string): ChatError {
  return new ChatError({ code: "bad_request", message, temporary: false });
}
