// Made from docs/protocol.schema.json by `npm run types`; do not edit.

/** The answer to `hello`. `heartbeat` in seconds. */
export interface HelloOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly protocol: number;
  readonly user: User;
  readonly session: string;
  readonly epoch: string;
  readonly server_time: Time;
  readonly heartbeat: number;
  readonly limits: Limits;
  readonly expires_at?: Time | null;
  readonly conversations?: readonly Summary[] | null;
  readonly cursor?: string | null;
  readonly revs?: { readonly [key: string]: RevState } | null;
  readonly users?: readonly User[] | null;
  readonly presence?: readonly PresenceState[] | null;
}

/** The answer to `ping`. */
export interface PingOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly server_time: Time;
}

/** The answer to `conversation.list`. */
export interface ListOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly conversations: readonly Summary[];
  readonly cursor: string | null;
  readonly users: readonly User[];
}

/** The answer to `conversation.get`: a summary's fields. */
export interface GetOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly conversation: Id;
  readonly info: Info;
  readonly participants: readonly Participant[];
  readonly membership: Membership;
  readonly last_message?: Message | null;
  readonly users: readonly User[];
}

/** The answer to `message.history`: messages in ascending order; `more`: there are others further on. */
export interface HistoryOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly conversation: Id;
  readonly messages: readonly Message[];
  readonly more: boolean;
}

/** The answer to `message.search`: hits, the newest first. */
export interface SearchOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly hits: readonly Hit[];
  readonly cursor: string | null;
}

/** The answer to `sync`; the events came before it. */
export interface SyncOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly revs: { readonly [key: string]: RevState };
}

/** The answer to `user.list`. */
export interface UserListOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly users: readonly User[];
  readonly cursor: string | null;
}

/** The answer to `presence.get`. */
export interface PresenceOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly presence: readonly PresenceState[];
}

/** A request that was done. `re` is the request's `id`. */
export interface Ok {
  readonly type: "ok";
  readonly re: number | string;
}

/** The answer to a request that changes a conversation; on this connection it stands for the `change` event. */
export interface ChangeOk {
  readonly type: "ok";
  readonly re: number | string;
  readonly conversation: Id;
  readonly from: Mark;
  readonly rev: Rev;
  readonly info?: Info | null;
  readonly participants?: readonly Participant[] | null;
  readonly messages?: readonly Message[] | null;
  readonly membership?: Membership | null;
  readonly users?: readonly User[] | null;
  readonly created?: boolean | null;
  readonly duplicate?: boolean | null;
}

/** A person who may sign in. */
export interface User {
  readonly id: Id;
  readonly name: string;
  readonly role: "admin" | "dentist" | "patient" | "staff";
  readonly avatar_url?: string | null;
  readonly disabled?: boolean | null;
}

/** A conversation, the same for everyone in it; `last_seq` starts at 0, `rev` at 1. */
export interface Info {
  readonly id: Id;
  readonly kind: "direct" | "group";
  readonly created_at: Time;
  readonly last_seq: Mark;
  readonly rev: Rev;
  readonly title?: string | null;
}

/** One person's part in a conversation. `from_seq`: the first seq after they last came in. */
export interface Participant {
  readonly user: Id;
  readonly role: "member" | "owner";
  readonly joined_at: Time;
  readonly from_seq: Seq;
  readonly delivered_seq: Mark;
  readonly read_seq: Mark;
  readonly rev: Rev;
  readonly left_at?: Time | null;
  readonly delivered_at?: Time | null;
  readonly read_at?: Time | null;
}

/** The caller's own settings and unread count; nobody else sees them. */
export interface Membership {
  readonly muted: boolean;
  readonly pinned: boolean;
  readonly archived: boolean;
  readonly unread: Mark;
}

/** One emoji on a message; `users` lists at most 100 of the `count` who chose it. */
export interface Reaction {
  readonly emoji: string;
  readonly count: number;
  readonly users: readonly Id[];
}

/** A file of a message; `size` in bytes, `width` and `height` in px. */
export interface Attachment {
  readonly id: Id;
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly url: string;
  readonly width?: number | null;
  readonly height?: number | null;
  readonly thumbnail_url?: string | null;
}

/** One entry of a conversation. `sender` null: the system. `status`: on the caller's own messages in replies. */
export interface Message {
  readonly conversation: Id;
  readonly seq: Seq;
  readonly rev: Rev;
  readonly id: Id;
  readonly sender?: Id | null;
  readonly kind: "system" | "text";
  readonly body: string;
  readonly sent_at: Time;
  readonly client_id?: string | null;
  readonly reply_to?: Seq | null;
  readonly attachments: readonly Attachment[];
  readonly reactions: readonly Reaction[];
  readonly edited_at?: Time | null;
  readonly deleted_at?: Time | null;
  readonly status?: "delivered" | "read" | "sent" | null;
  readonly data?: { readonly [key: string]: unknown } | null;
}

/** A conversation as a list shows it. */
export interface Summary {
  readonly conversation: Id;
  readonly info: Info;
  readonly participants: readonly Participant[];
  readonly membership: Membership;
  readonly last_message?: Message | null;
}

/** A message that a search found; `snippet`: the part of its text with the words. */
export interface Hit {
  readonly conversation: Id;
  readonly message: Message;
  readonly snippet: string;
}

/** The server's rev of a conversation that the client named; `reset`: forget what you hold of it. */
export interface RevState {
  readonly rev: Mark;
  readonly reset: boolean;
}

/** State of somebody's connections: a live one, or when the last one was lost. */
export interface PresenceState {
  readonly user: Id;
  readonly online: boolean;
  readonly last_seen?: Time | null;
}

/** Limits of this server: bytes, Unicode code points, counts. */
export interface Limits {
  readonly max_frame_bytes: number;
  readonly max_body_chars: number;
  readonly max_revs: number;
  readonly max_page: number;
  readonly max_participants: number;
  readonly max_attachment_bytes: number;
  readonly max_attachments: number;
}

/** The `code` of an `error` reply. */
export type ErrorCode = "bad_request" | "unauthorized" | "forbidden" | "not_found" | "conflict" | "too_large" | "rate_limited" | "unavailable" | "internal";

/** printable ASCII without space; opaque, compared exactly */
export type Id = string;

/** a message's place in its conversation */
export type Seq = number;

/** a watermark: a seq, or 0 before the first message */
export type Mark = number;

/** the number of a durable change */
export type Rev = number;

/** RFC 3339, UTC, milliseconds */
export type Time = string;

/** A request that had no effect, or (`unavailable`, `internal`) perhaps one. `retry_after` in seconds. */
export interface ErrorReply {
  readonly type: "error";
  readonly re?: number | string | null;
  readonly code: ErrorCode;
  readonly message: string;
  readonly temporary: boolean;
  readonly retry_after?: number | null;
}

/** Signs in and names what the client holds; has an `id`. `user`, `name`, `role`: development mode only. */
export interface HelloRequest {
  readonly type: "hello";
  readonly id: number | string;
  readonly token?: string | null;
  readonly user?: Id | null;
  readonly name?: string | null;
  readonly role?: "admin" | "dentist" | "patient" | "staff" | null;
  readonly device?: string | null;
  readonly epoch?: string | null;
  readonly revs?: { readonly [key: string]: Rev } | null;
}

/** Asks for a sign of life: browsers cannot see WebSocket pings. */
export interface PingRequest {
  readonly type: "ping";
  readonly id?: number | string | null;
}

/** Finds or creates the one direct conversation with a user. */
export interface ConversationOpenRequest {
  readonly type: "conversation.open";
  readonly id?: number | string | null;
  readonly with: Id;
}

/** Makes a group, with the caller as its owner. */
export interface ConversationCreateRequest {
  readonly type: "conversation.create";
  readonly id?: number | string | null;
  readonly title: string;
  readonly members: readonly Id[];
  readonly client_id?: string | null;
}

/** A page of the caller's conversations. */
export interface ConversationListRequest {
  readonly type: "conversation.list";
  readonly id?: number | string | null;
  readonly cursor?: string | null;
  readonly limit?: number | null;
  readonly archived?: boolean | null;
}

/** One conversation's summary. */
export interface ConversationGetRequest {
  readonly type: "conversation.get";
  readonly id?: number | string | null;
  readonly conversation: Id;
}

/** Gives a group another title. */
export interface ConversationUpdateRequest {
  readonly type: "conversation.update";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly title: string;
}

/** Brings a user into a group. */
export interface ConversationAddRequest {
  readonly type: "conversation.add";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly user: Id;
}

/** Takes a user out of a group. */
export interface ConversationRemoveRequest {
  readonly type: "conversation.remove";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly user: Id;
}

/** Takes the caller out of a conversation. */
export interface ConversationLeaveRequest {
  readonly type: "conversation.leave";
  readonly id?: number | string | null;
  readonly conversation: Id;
}

/** Changes the caller's own settings of a conversation. */
export interface MembershipSetRequest {
  readonly type: "membership.set";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly muted?: boolean | null;
  readonly pinned?: boolean | null;
  readonly archived?: boolean | null;
}

/** Sends a text; `client_id` makes a repeat harmless. `reply_to`: a seq of this conversation. */
export interface MessageSendRequest {
  readonly type: "message.send";
  readonly id?: number | string | null;
  readonly conversation: Id;
  /** unique per sender: makes a repeat harmless */
  readonly client_id: string;
  /** 1 to `limits.max_body_chars` code points; may be empty with attachments */
  readonly body: string;
  readonly reply_to?: Seq | null;
  readonly attachments?: readonly Id[] | null;
}

/** Replaces the text of the caller's own message. */
export interface MessageEditRequest {
  readonly type: "message.edit";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly seq: Seq;
  /** 1 to `limits.max_body_chars` code points; may be empty with attachments */
  readonly body: string;
}

/** Leaves a tombstone in a message's place. */
export interface MessageDeleteRequest {
  readonly type: "message.delete";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly seq: Seq;
}

/** Puts an emoji on a message, or takes it off. */
export interface MessageReactRequest {
  readonly type: "message.react";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly seq: Seq;
  readonly emoji: string;
  readonly on: boolean;
}

/** A page of messages: before or after a seq (exclusive), or the newest. */
export interface MessageHistoryRequest {
  readonly type: "message.history";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly before?: Mark | null;
  readonly after?: Mark | null;
  readonly limit?: number | null;
}

/** Messages in which all words of `query` occur. */
export interface MessageSearchRequest {
  readonly type: "message.search";
  readonly id?: number | string | null;
  readonly query: string;
  readonly conversation?: Id | null;
  readonly cursor?: string | null;
  readonly limit?: number | null;
}

/** Moves the caller's watermarks forward; `read` implies `delivered`. */
export interface ReceiptRequest {
  readonly type: "receipt";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly delivered?: Mark | null;
  readonly read?: Mark | null;
}

/** Asks for all that changed since the given revs. */
export interface SyncRequest {
  readonly type: "sync";
  readonly id?: number | string | null;
  readonly epoch: string;
  readonly revs: { readonly [key: string]: Rev };
}

/** Says that the caller types, or stopped. */
export interface TypingRequest {
  readonly type: "typing";
  readonly id?: number | string | null;
  readonly conversation: Id;
  readonly active: boolean;
}

/** Says what this connection has on screen; null: nothing. */
export interface FocusRequest {
  readonly type: "focus";
  readonly id?: number | string | null;
  readonly conversation?: Id | null;
}

/** A page of the users whom the caller may reach, by name; `query`: a part of it. */
export interface UserListRequest {
  readonly type: "user.list";
  readonly id?: number | string | null;
  readonly query?: string | null;
  readonly role?: "admin" | "dentist" | "patient" | "staff" | null;
  readonly cursor?: string | null;
  readonly limit?: number | null;
}

/** Asks for the presence of users. */
export interface PresenceGetRequest {
  readonly type: "presence.get";
  readonly id?: number | string | null;
  readonly users: readonly Id[];
}

/** Brings a client from rev `from` to rev `rev`; what it lists are whole objects to put in place of the old. */
export interface ChangeEvent {
  readonly type: "change";
  readonly conversation: Id;
  readonly from: Mark;
  readonly rev: Rev;
  readonly info?: Info | null;
  readonly participants?: readonly Participant[] | null;
  readonly messages?: readonly Message[] | null;
  readonly membership?: Membership | null;
  readonly users?: readonly User[] | null;
}

/** A name, role or picture changed. */
export interface UserEvent {
  readonly type: "user";
  readonly user: User;
}

/** Somebody types, or stopped. */
export interface TypingEvent {
  readonly type: "typing";
  readonly conversation: Id;
  readonly user: Id;
  readonly active: boolean;
}

/** Somebody came or went. */
export interface PresenceEvent {
  readonly type: "presence";
  readonly user: Id;
  readonly online: boolean;
  readonly last_seen?: Time | null;
}

/** A shutdown is near; `reconnect_in` in seconds, different for each connection. */
export interface GoingAwayEvent {
  readonly type: "going_away";
  readonly reconnect_in: number;
}

/** Each request by its `type`. */
export interface Requests {
  readonly "hello": HelloRequest;
  readonly "ping": PingRequest;
  readonly "conversation.open": ConversationOpenRequest;
  readonly "conversation.create": ConversationCreateRequest;
  readonly "conversation.list": ConversationListRequest;
  readonly "conversation.get": ConversationGetRequest;
  readonly "conversation.update": ConversationUpdateRequest;
  readonly "conversation.add": ConversationAddRequest;
  readonly "conversation.remove": ConversationRemoveRequest;
  readonly "conversation.leave": ConversationLeaveRequest;
  readonly "membership.set": MembershipSetRequest;
  readonly "message.send": MessageSendRequest;
  readonly "message.edit": MessageEditRequest;
  readonly "message.delete": MessageDeleteRequest;
  readonly "message.react": MessageReactRequest;
  readonly "message.history": MessageHistoryRequest;
  readonly "message.search": MessageSearchRequest;
  readonly "receipt": ReceiptRequest;
  readonly "sync": SyncRequest;
  readonly "typing": TypingRequest;
  readonly "focus": FocusRequest;
  readonly "user.list": UserListRequest;
  readonly "presence.get": PresenceGetRequest;
}

/** The `ok` of each request, by the request's `type`. */
export interface Replies {
  readonly "hello": HelloOk;
  readonly "ping": PingOk;
  readonly "conversation.list": ListOk;
  readonly "conversation.get": GetOk;
  readonly "message.history": HistoryOk;
  readonly "message.search": SearchOk;
  readonly "sync": SyncOk;
  readonly "user.list": UserListOk;
  readonly "presence.get": PresenceOk;
  readonly "typing": Ok;
  readonly "focus": Ok;
  readonly "conversation.open": ChangeOk;
  readonly "conversation.create": ChangeOk;
  readonly "conversation.update": ChangeOk;
  readonly "conversation.add": ChangeOk;
  readonly "conversation.remove": ChangeOk;
  readonly "conversation.leave": ChangeOk;
  readonly "membership.set": ChangeOk;
  readonly "message.send": ChangeOk;
  readonly "message.edit": ChangeOk;
  readonly "message.delete": ChangeOk;
  readonly "message.react": ChangeOk;
  readonly "receipt": ChangeOk;
}

/** Each event by its `type`. */
export interface Events {
  readonly "change": ChangeEvent;
  readonly "user": UserEvent;
  readonly "typing": TypingEvent;
  readonly "presence": PresenceEvent;
  readonly "going_away": GoingAwayEvent;
}

export type RequestType = keyof Requests;

export type AnyRequest = Requests[RequestType];

export type AnyEvent = Events[keyof Events];

export type AnyOk = Replies[RequestType];

/** Close codes of the server. */
export const CLOSE = {
  done: 1000,
  going_away: 1001,
  broken: 1002,
  binary: 1003,
  not_utf8: 1007,
  too_large: 1009,
  internal: 1011,
  too_slow: 4008,
  no_hello: 4010,
  token_expired: 4011,
  silent: 4012,
  overloaded: 4013,
  too_many: 4029,
  not_an_object: 4500,
  refused: 4501,
  revoked: 4503,
} as const;
