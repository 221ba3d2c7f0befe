/** The public face of the package: what a page holds in its hands. */

import type { ChatError, ChatErrorFields } from "./errors.js";
import type { Transport } from "./transport.js";
import type { Environment } from "./environment.js";
import type { Network } from "./network.js";
import type {
  AnyEvent,
  Attachment,
  Id,
  Info,
  Limits,
  Membership,
  Message,
  Participant,
  PresenceState,
  Replies,
  Requests,
  RequestType,
  SearchOk,
  Seq,
  User,
  UserListOk,
} from "./protocol.gen.js";

// -- how to sign in --

export type SignIn =
  /** The browser's cookie does it (the page that the server itself serves). */
  | { readonly kind: "cookie" }
  /** A token of the app; asked for anew for each `hello`, and before the session expires. */
  | { readonly kind: "token"; readonly getToken: () => Promise<string> }
  /** `chatd serve --dev` only. */
  | { readonly kind: "development"; readonly user: Id; readonly name?: string; readonly role?: User["role"] };

export interface ClientOptions {
  /** The server: http(s) or ws(s), with or without a path; default: where the page comes from. */
  readonly url?: string;
  /** Default: cookie. */
  readonly signIn?: SignIn;
  /** The name of this device in lists of sessions, at most 64 characters. */
  readonly device?: string;
  /**
   * Whether this browser's storage is one user's at a time: a sign-in of somebody else, and every sign-out, clears all
   * of it. Default: true, but false for development users, so that two of them can talk in two tabs.
   */
  readonly oneUser?: boolean;
  /** Default: a WebSocket to `url`, and, but for `createCoreClient`, long polling where the network breaks that. */
  readonly transport?: Transport | ((network: Network) => Transport);
  /** Clock, timers, random numbers, storage, page events: for tests. Default: the browser's. */
  readonly environment?: Partial<Environment>;
}

// -- what can be watched --

/** A value over time, fit for `useSyncExternalStore`: the snapshot is immutable, and the same object until it changes. */
export interface Readable<T> {
  /** Bound: may be passed as it is. Returns the function that ends it. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Bound: may be passed as it is. */
  readonly getSnapshot: () => T;
}

export interface ConnectionSnapshot {
  /**
   * `stopped`: not started, or stopped. `connecting`: on the way, `hello` included. `online`. `waiting`: lost, comes
   * back by itself. `ended`: will not come back by itself: see `ended`; after a new sign-in call `restart`.
   */
  readonly phase: "stopped" | "connecting" | "online" | "waiting" | "ended";
  /** Time it last was online, or began to try (ms, `Date.now`): a connection line appears 2 s after. Null: online. */
  readonly offlineSince: number | null;
  /** Time of the next attempt (ms, `Date.now`), while `waiting`. */
  readonly retryAt: number | null;
  /** The browser says that there is no network. */
  readonly networkDown: boolean;
  /** The server announced a restart, and has not been there since. */
  readonly goingAway: boolean;
  readonly ended: SessionEnd | null;
  /** Signed-in user; kept while the connection is lost; null before the first `hello`. */
  readonly user: User | null;
  readonly limits: Limits | null;
  /** The session's id, as calls name it. */
  readonly session: string | null;
}

export interface SessionEnd {
  /** `refused`: the server did not accept the sign-in. `revoked`: signed out elsewhere or disabled. `signed-out`: by this browser, in any tab. `incompatible`: server and client do not understand each other. */
  readonly cause: "refused" | "revoked" | "signed-out" | "incompatible";
  readonly code: number | null;
  readonly message: string;
}

export type MessageStatus = "sent" | "delivered" | "read";

/** A message of the timeline. The object stays the same until the message or its status changes. */
export interface TimelineItem {
  /** Stable from the moment of typing on: the `client_id` where there is one, else the id. */
  readonly key: string;
  readonly seq: Seq;
  readonly message: Message;
  readonly own: boolean;
  /** Status of own messages, computed from the watermarks; null for others. */
  readonly status: MessageStatus | null;
}

/** An own message that the server has not acknowledged. */
export interface OutboxItem {
  /** The `client_id`, and the `key` of the timeline item that follows. */
  readonly key: string;
  readonly conversation: Id;
  readonly body: string;
  readonly replyTo: Seq | null;
  readonly attachments: readonly Attachment[];
  /** Files that go up before it. */
  readonly files: readonly StagedFile[];
  /** Time of writing (ms, server's clock as far as known). */
  readonly createdAt: number;
  /** `failed`: refused for good, waits for `retry` or `discard`; those behind it go on. */
  readonly state: "waiting" | "failed";
  readonly error: ChatError | null;
}

/** A file that is to be sent. */
export interface StagedFile {
  readonly key: string;
  readonly conversation: Id;
  readonly name: string;
  /** Type that the browser has: may be empty, and wrong. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  readonly blob: Blob;
  /** `waiting`: for a connection, or for its turn. `ready`: the server has it. `failed`: refused for good. */
  readonly state: "waiting" | "uploading" | "ready" | "failed";
  /** Bytes that are on their way. */
  readonly sent: number;
  readonly error: ChatError | null;
}

export interface Draft {
  readonly conversation: Id;
  readonly text: string;
  readonly replyTo: Seq | null;
  /** ms, `Date.now` */
  readonly changedAt: number;
}

/** A change of an own message, until the server has it. */
export interface Edit {
  readonly conversation: Id;
  readonly seq: Seq;
  /** The message as it was when the change began, or as it was last looked at. */
  readonly base: string;
  readonly text: string;
  /** ms, `Date.now` */
  readonly changedAt: number;
  /**
   * `writing`: open in the field; at most one of a conversation. `aside`: for later, because something else came into
   * the field. `waiting`: saved, and not acknowledged.
   */
  readonly phase: "writing" | "aside" | "waiting";
  /** Reason why the server refused it; it is `writing` again, or `aside` where the field held something else. */
  readonly error: ChatErrorFields | null;
  /** Text that stands there instead of `base`, where it was refused for that. */
  readonly theirs: string | null;
}

export interface ConversationSnapshot {
  readonly id: Id;
  /** `absent`: not loaded yet: `load` it. `loading`: asked for. `ready`. `gone`: not the user's (any more), or unknown. */
  readonly state: "absent" | "loading" | "ready" | "gone";
  readonly info: Info | null;
  /** Participants in no particular order; those who left have `left_at`. */
  readonly participants: readonly Participant[];
  readonly membership: Membership | null;
  /** The user's own participant. */
  readonly me: Participant | null;
  /** The loaded range that is on show, ascending, without gaps: the newest, or that around a jump. */
  readonly items: readonly TimelineItem[];
  /** Own messages on their way, oldest first: shown below the newest. */
  readonly outbox: readonly OutboxItem[];
  /** `detached`: around a jump; newer messages are not part of it until `loadNewer` reaches them or `showNewest`. */
  readonly view: "live" | "detached";
  /** No older messages than `items`. */
  readonly atStart: boolean;
  /** No newer messages than `items`. */
  readonly atEnd: boolean;
  readonly loadingOlder: boolean;
  readonly loadingNewer: boolean;
  /** The newest seq that is known, loaded or not. */
  readonly lastSeq: number;
  /** Ids of those who type now. */
  readonly typing: readonly Id[];
}

export interface ConversationListItem {
  readonly id: Id;
  readonly info: Info;
  readonly participants: readonly Participant[];
  readonly membership: Membership;
  readonly lastMessage: TimelineItem | null;
  /** The last one on its way, which a list shows in place of `lastMessage`. */
  readonly lastOutbox: OutboxItem | null;
  readonly typing: readonly Id[];
}

export interface ConversationListSnapshot {
  /** False before the first `hello`. */
  readonly ready: boolean;
  /** All that is loaded, archived ones too (`membership.archived`): pinned first, then by newest message. */
  readonly items: readonly ConversationListItem[];
  /** True if there are more that are not archived: `loadMoreConversations`. */
  readonly more: boolean;
  /** Unread messages over all loaded conversations that are neither muted nor archived. */
  readonly unread: number;
}

/** A message that came in from somebody else, or from the system. */
export interface Incoming {
  readonly conversation: Id;
  readonly message: Message;
  /** False: caught up after an absence. */
  readonly live: boolean;
}

export interface SignOutResult {
  /** False: nothing was done, because messages are unsent; ask the user, then pass `discardUnsent`. */
  readonly done: boolean;
  readonly unsent: readonly OutboxItem[];
  /** True if the server ended the session (the cookie); false when it could not be reached. */
  readonly serverTold: boolean;
}

export interface RequestOptions {
  /** Ends the waiting (not a request that is already on its way). */
  readonly signal?: AbortSignal;
}

type Fields<T extends RequestType> = Omit<Requests[T], "type" | "id">;

/**
 * A client: one connection, a replica of the user's conversations, an outbox. Construct it anywhere (also while
 * rendering on a server): nothing happens before `start`.
 *
 * Requests wait for a connection, are repeated where one was lost before the answer, and reject with a ChatError.
 */
export interface CoreClient {
  // -- life --

  /** Begins, or goes on. Twice is once. */
  start(): void;
  /** Closes the connection and ends all work; `start` goes on where it was. */
  stop(): void;
  /** Comes back after `ended`, with a new sign-in; or tries at once while `waiting`. */
  restart(): void;
  /**
   * Ends the session and leaves nothing in the browser: IndexedDB, caches, localStorage; other tabs are told. Where
   * messages are unsent, nothing is done unless `discardUnsent`.
   */
  signOut(options?: { readonly discardUnsent?: boolean }): Promise<SignOutResult>;

  // -- what to show --

  readonly connection: Readable<ConnectionSnapshot>;
  readonly conversations: Readable<ConversationListSnapshot>;
  /** One conversation; the same object for the same id. */
  conversation(id: Id): Readable<ConversationSnapshot>;
  /** All people known, by id. */
  readonly users: Readable<ReadonlyMap<Id, User>>;
  readonly presence: Readable<ReadonlyMap<Id, PresenceState>>;
  /** All own messages on their way, oldest first. */
  readonly outbox: Readable<readonly OutboxItem[]>;
  /** New messages of others, as they come in; for notifications and announcements. */
  onIncoming(listener: (incoming: Incoming) => void): () => void;
  /** All events, also those that the client itself has no use for. */
  onEvent(
    listener: (event: AnyEvent | { readonly type: string; readonly [field: string]: unknown }) => void,
  ): () => void;
  /** The server's time, ms since 1970, whatever this device's clock says. */
  serverNow(): number;

  // -- conversations --

  /** Loads a conversation that is not held, and the newest page of messages where there is none yet. */
  load(conversation: Id): Promise<void>;
  /** Finds or creates the direct conversation with a user; its newest messages are loaded. */
  open(user: Id): Promise<Id>;
  create(title: string, members: readonly Id[]): Promise<Id>;
  rename(conversation: Id, title: string): Promise<void>;
  add(conversation: Id, user: Id): Promise<void>;
  remove(conversation: Id, user: Id): Promise<void>;
  leave(conversation: Id): Promise<void>;
  setMembership(
    conversation: Id,
    change: { readonly muted?: boolean; readonly pinned?: boolean; readonly archived?: boolean },
  ): Promise<void>;
  /** The next page of the list. */
  loadMoreConversations(options?: { readonly archived?: boolean }): Promise<void>;

  // -- messages --

  /**
   * Puts a message into the outbox, at once and for good; it goes out in order, now or at the next online start. The
   * conversation's draft is gone with it. Returns its key. Throws a ChatError (`bad_request`) for an empty or too long
   * text.
   */
  send(
    conversation: Id,
    body: string,
    options?: { readonly replyTo?: Seq | null; readonly attachments?: readonly Attachment[] },
  ): string;
  /** Sends a failed one again, or a waiting one at once. */
  retry(key: string): void;
  /** Takes one back that the server has not acknowledged. One that is just under way may have gone out all the same. */
  discard(key: string): void;
  edit(conversation: Id, seq: Seq, body: string): Promise<Message>;
  delete(conversation: Id, seq: Seq): Promise<Message>;
  react(conversation: Id, seq: Seq, emoji: string, on: boolean): Promise<Message>;
  /** Extends the range on show; resolves without asking at its end, or where the same is already asked for. */
  loadOlder(conversation: Id, limit?: number): Promise<void>;
  loadNewer(conversation: Id, limit?: number): Promise<void>;
  /** Shows the messages around a seq, without loading those between. */
  jumpTo(conversation: Id, seq: Seq): Promise<void>;
  /** Shows the newest messages again. */
  showNewest(conversation: Id): void;
  /** Forgets loaded messages below `seq`, to keep memory bounded; `loadOlder` brings them again. */
  forgetBelow(conversation: Id, seq: Seq): void;
  search(
    query: string,
    options?: { readonly conversation?: Id; readonly cursor?: string; readonly limit?: number } & RequestOptions,
  ): Promise<SearchOk>;

  // -- what the user does --

  /** The user saw messages up to `seq`: moves the read watermark, now or when online again. See `seen`. */
  markSeen(conversation: Id, seq: Seq): void;
  /**
   * Watches what is on screen, and marks what stayed there for 500 ms in a visible and focused window. The page says
   * what is on screen at each change of it.
   */
  seen(conversation: Id): SeenWatch;
  /** Call at each key press: others learn of it at most every 3 s, and of the end after 5 s of idleness. */
  typing(conversation: Id): void;
  /** The text was emptied or the composer left. */
  stopTyping(conversation: Id): void;
  /** Conversation on screen; the server is told while the window is visible and focused. */
  setFocus(conversation: Id | null): void;

  // -- people, and all else --

  listUsers(
    options?: {
      readonly query?: string;
      readonly role?: User["role"];
      readonly cursor?: string;
      readonly limit?: number;
    } & RequestOptions,
  ): Promise<UserListOk>;
  getPresence(users: readonly Id[]): Promise<void>;
  /** Any request of the protocol, for which there is no method here. */
  request<T extends RequestType>(type: T, fields: Fields<T>, options?: RequestOptions): Promise<Replies[T]>;
}

/** A client with drafts and files as well. */
export interface Client extends CoreClient {
  /** Drafts by conversation; null until they are read from storage. */
  readonly drafts: Readable<ReadonlyMap<Id, Draft> | null>;
  /** Files beside the drafts, by conversation. */
  readonly staged: Readable<ReadonlyMap<Id, readonly StagedFile[]>>;
  /**
   * Stages a file beside the conversation's draft: it goes up at once, is sent with the draft, and survives the browser.
   * Returns its key. The caller has looked at its size (`limits.max_attachment_bytes`).
   */
  attach(conversation: Id, file: Blob, name: string): string;
  /** Takes a staged file away; what runs of its upload ends. */
  detach(key: string): void;
  /** Tries a staged file again that was refused. */
  retryFile(key: string): void;
  /**
   * An address under which the browser gets a file by itself: for pictures, players and tabs. Good for some minutes,
   * where the session is no cookie.
   */
  fileUrl(file: Attachment, which?: "whole" | "thumbnail"): string | Promise<string>;
  /**
   * Kept in storage 300 ms after the last change, and when the page is hidden. An empty one without reply target is none.
   * Listeners of `drafts` hear before it returns: a field that shows the draft keeps its caret. Call it in the field's event.
   */
  setDraft(conversation: Id, text: string, replyTo?: Seq | null): void;
}

/** A client that keeps edits under way as well. */
export interface EditingClient extends Client {
  /** Changes of own messages, oldest first; like drafts they survive the browser, and listeners hear at once. */
  readonly edits: Readable<readonly Edit[]>;
  /** Edits that wait, of all `edits`; unmoved by what is typed. */
  readonly waitingEdits: Readable<readonly Edit[]>;
  /** Opens the edit of a message in place of another one, which is kept; `seq` null: of none. */
  beginEdit(conversation: Id, seq: Seq | null, body?: string): void;
  /** `base`: the message as the person has seen it now, where it was changed elsewhere meanwhile. */
  setEdit(conversation: Id, seq: Seq, text: string, base?: string): void;
  /**
   * Saves it, now or when online again. Where the message was changed elsewhere since (it is no more `base`), nothing is
   * overwritten: the edit comes back with `conflict`.
   */
  saveEdit(conversation: Id, seq: Seq): void;
  discardEdit(conversation: Id, seq: Seq): void;
}

export interface SeenWatch {
  /** The seqs that are on screen now. */
  onScreen(seqs: Iterable<Seq>): void;
  /** Call when the list goes. */
  stop(): void;
}
