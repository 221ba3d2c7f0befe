/** A server in memory: enough of the protocol for one conversation's life, and all the ways to let a client down. */

import type { ChangeEvent, ErrorCode, Membership, Message, Participant, User } from "../src/protocol.gen.js";
import type { Transport, TransportEvents } from "../src/transport.js";
import { FakeFiles } from "./fake-files.js";
import { AT, attachment, C, info, LIMITS, membership, message, participant, user } from "./frames.js";

type Request = { type: string; id?: number } & Record<string, unknown>;
type Reply = Record<string, unknown>;

export interface Refusal {
  code: ErrorCode;
  temporary: boolean;
  retry_after?: number;
}

export class Socket {
  readonly said: Request[] = [];
  user: string | null = null;
  open = true;

  constructor(
    private readonly server: FakeServer,
    private readonly events: TransportEvents,
  ) {}

  receive(text: string): void {
    if (!this.open) return;
    const request = JSON.parse(text) as Request;
    this.said.push(request);
    this.server.said.push(request);
    if (!this.server.silent) this.server.answer(this, request);
  }

  tell(frame: Reply): void {
    const text = JSON.stringify(frame);
    queueMicrotask(() => {
      if (this.open && !this.server.silent) this.events.frame(text);
    });
  }

  close(code: number, reason = ""): void {
    queueMicrotask(() => {
      if (!this.open) return;
      this.open = false;
      this.events.close(code, reason);
    });
  }
}

export class FakeServer {
  readonly sockets: Socket[] = [];
  readonly said: Request[] = [];
  /** Every message, in order; `seq` is its index + 1. */
  readonly messages: Message[] = [];
  readonly participants = new Map<string, Participant>();
  readonly memberships = new Map<string, Membership>();
  rev = 1;
  epoch = "one";
  /** Connections fail. */
  down = false;
  /** Connections stay open and nothing comes: a network that swallows everything. */
  silent = false;
  /** What is refused, and how. */
  refuse: (request: Request) => Refusal | null = () => null;
  /** The close code that a `hello` gets instead of an `ok`. */
  refuseHello: number | null = null;
  helloExtra: Reply = {};
  readonly files = new FakeFiles();
  private expect = new Map<string, number>();

  constructor(readonly people: readonly string[]) {
    for (const id of people) {
      this.participants.set(id, participant(id));
      this.memberships.set(id, membership());
    }
  }

  /** The connections that are open. */
  get live(): Socket[] {
    return this.sockets.filter(({ open }) => open);
  }

  requests(type: string): Request[] {
    return this.said.filter((request) => request.type === type);
  }

  readonly transport: Transport = {
    connect: (events) => {
      const socket = new Socket(this, events);
      this.sockets.push(socket);
      queueMicrotask(() => {
        if (this.down) socket.close(1006);
        else if (socket.open && !this.silent) events.open();
      });
      return {
        send: (text) => {
          socket.receive(text);
        },
        close: () => {
          socket.open = false;
        },
      };
    },
  };

  answer(socket: Socket, request: Request): void {
    const { id: re, type } = request;
    const refusal = this.refuse(request);
    if (refusal) {
      socket.tell({ type: "error", re, message: `no: ${refusal.code}`, ...refusal });
    } else if (type === "hello") {
      this.hello(socket, request);
    } else {
      const ok = this.handle(socket, request);
      if (re !== undefined) socket.tell({ type: "ok", re, ...ok });
    }
  }

  /** A message of somebody who is not connected here. */
  write(sender: string | null, body: string, fields: Partial<Message> = {}): Message {
    return this.add(sender, { body, ...fields }, null);
  }

  /** Another change of the conversation. */
  change(fields: Partial<ChangeEvent>, to: readonly Socket[] = this.live): void {
    this.rev += 1;
    for (const socket of to)
      socket.tell({ type: "change", conversation: C, from: this.rev - 1, rev: this.rev, ...fields });
  }

  private hello(socket: Socket, request: Request): void {
    if (this.refuseHello !== null) {
      socket.tell({
        type: "error",
        re: request.id,
        code: "unauthorized",
        message: "no",
        temporary: this.refuseHello < 4500,
      });
      socket.close(this.refuseHello);
      return;
    }
    const renewed = socket.user !== null;
    socket.user = String(request.user ?? this.people[0]);
    const revs = (request.epoch === this.epoch ? request.revs : {}) as Record<string, number>;
    socket.tell({
      type: "ok",
      re: request.id,
      protocol: 1,
      user: user(socket.user),
      session: `s${this.sockets.length}`,
      epoch: this.epoch,
      server_time: new Date().toISOString(),
      heartbeat: 25,
      limits: LIMITS,
      ...(renewed ? {} : this.lists(socket.user, revs)),
      ...this.helloExtra,
    });
    if (!renewed && revs[C] !== undefined && !this.helloExtra.revs) this.catchUp(socket, revs[C]);
  }

  private lists(who: string, revs: Record<string, number>): Reply {
    return {
      conversations: [this.summary(who)],
      users: this.people.map((id): User => user(id)),
      presence: [],
      revs: Object.fromEntries(Object.keys(revs).map((id) => [id, { rev: id === C ? this.rev : 0, reset: id !== C }])),
    };
  }

  private summary(who: string) {
    return {
      conversation: C,
      info: info({ last_seq: this.messages.length, rev: this.rev }),
      participants: [...this.participants.values()],
      membership: this.memberships.get(who) ?? membership(),
      last_message: this.messages.at(-1) ?? null,
    };
  }

  private catchUp(socket: Socket, from: number): void {
    socket.tell({
      type: "change",
      conversation: C,
      from,
      rev: this.rev,
      messages: this.messages.filter(({ rev }) => rev > from),
      participants: [...this.participants.values()].filter(({ rev }) => rev > from),
      membership: this.memberships.get(socket.user ?? ""),
    });
  }

  private handle(socket: Socket, request: Request): Reply {
    switch (request.type) {
      case "ping":
        return { server_time: new Date().toISOString() };
      case "message.send":
        return this.send(socket, request);
      case "message.edit":
        return this.edit(Number(request.seq), String(request.body), socket);
      case "message.history":
        return this.history(request);
      case "receipt":
        return this.receipt(socket, request);
      case "conversation.get":
        return { ...this.summary(socket.user ?? ""), users: [] };
      case "sync":
        this.catchUp(socket, (request.revs as Record<string, number>)[C] ?? 0);
        return { revs: { [C]: { rev: this.rev, reset: false } } };
      case "presence.get":
        return { presence: [] };
      case "user.list":
        return { users: [], cursor: null };
      default:
        return {};
    }
  }

  private send(socket: Socket, request: Request): Reply {
    const key = String(request.client_id);
    const known = this.expect.get(key);
    if (known !== undefined) {
      return { conversation: C, from: this.rev, rev: this.rev, messages: [this.messages[known - 1]], duplicate: true };
    }
    const attachments = ((request.attachments ?? []) as string[]).map((id) => attachment(id));
    const fields = {
      body: String(request.body),
      client_id: key,
      reply_to: request.reply_to as number | undefined,
      attachments,
    };
    const made = this.add(socket.user, fields, request.id === undefined ? null : socket);
    this.expect.set(key, made.seq);
    return { conversation: C, from: this.rev - 1, rev: this.rev, messages: [made], duplicate: false };
  }

  /** An edit, here or of another device. */
  edit(seq: number, body: string, asker: Socket | null = null): Reply {
    const made = { ...(this.messages[seq - 1] as Message), body, edited_at: AT, rev: this.rev + 1 };
    this.replace(made, asker);
    return { conversation: C, from: this.rev - 1, rev: this.rev, messages: [made] };
  }

  delete(seq: number): void {
    this.replace({ ...(this.messages[seq - 1] as Message), body: "", deleted_at: AT, rev: this.rev + 1 }, null);
  }

  private replace(made: Message, asker: Socket | null): void {
    this.messages[made.seq - 1] = made;
    this.change(
      { messages: [made] },
      this.live.filter((socket) => socket !== asker && socket.user !== null),
    );
  }

  private add(sender: string | null, fields: Partial<Message>, asker: Socket | null): Message {
    const made = message(this.messages.length + 1, { rev: this.rev + 1, sender, ...fields });
    this.messages.push(made);
    this.change(
      { messages: [made] },
      this.live.filter((socket) => socket !== asker && socket.user !== null),
    );
    return made;
  }

  private history(request: Request): Reply {
    const limit = Number(request.limit ?? 50);
    if (request.after !== undefined) {
      const rest = this.messages.slice(Number(request.after));
      return { conversation: C, messages: rest.slice(0, limit), more: rest.length > limit };
    }
    const before = request.before === undefined ? this.messages.length : Number(request.before) - 1;
    const rest = this.messages.slice(0, before);
    return { conversation: C, messages: rest.slice(-limit), more: rest.length > limit };
  }

  private receipt(socket: Socket, request: Request): Reply {
    const who = socket.user ?? "";
    const held = this.participants.get(who) ?? participant(who);
    const read = Math.max(held.read_seq, Number(request.read ?? 0));
    const delivered = Math.max(held.delivered_seq, read, Number(request.delivered ?? 0));
    this.rev += 1;
    const moved = { ...held, read_seq: read, delivered_seq: delivered, read_at: AT, rev: this.rev };
    this.participants.set(who, moved);
    const event = { conversation: C, from: this.rev - 1, rev: this.rev, participants: [moved] };
    for (const other of this.live) if (other !== socket) other.tell({ type: "change", ...event });
    return request.read === undefined ? event : { ...event, membership: membership() };
  }
}
