/** Objects of the protocol for tests: what matters is given, the rest is plain. */

import type {
  Attachment,
  ChangeEvent,
  HelloOk,
  Info,
  Membership,
  Message,
  Participant,
  Summary,
  User,
} from "../src/protocol.gen.js";
import type { Frame } from "../src/replica.js";

export const AT = "2026-01-01T00:00:00.000Z";
export const [ME, OTHER, THIRD] = ["pat-1", "den-1", "den-2"] as const;
export const C = "c1";

export const LIMITS: HelloOk["limits"] = {
  max_frame_bytes: 262_144,
  max_body_chars: 10_000,
  max_revs: 500,
  max_page: 200,
  max_participants: 500,
  max_attachment_bytes: 26_214_400,
  max_attachments: 10,
};

export function attachment(id: string): Attachment {
  return { id, name: `${id}.jpg`, type: "image/jpeg", size: 1, url: `/v1/attachments/${id}` };
}

export function user(id: string, name = id): User {
  return { id, name, role: "patient" };
}

export function participant(id: string, fields: Partial<Participant> = {}): Participant {
  return {
    user: id,
    role: "member",
    joined_at: AT,
    from_seq: 1,
    delivered_seq: 0,
    read_seq: 0,
    rev: 1,
    ...fields,
  };
}

export function message(seq: number, fields: Partial<Message> = {}): Message {
  return {
    conversation: C,
    seq,
    rev: seq + 1,
    id: `m${seq}`,
    sender: OTHER,
    kind: "text",
    body: `text ${seq}`,
    sent_at: AT,
    attachments: [],
    reactions: [],
    ...fields,
  };
}

export function info(fields: Partial<Info> = {}): Info {
  return { id: C, kind: "direct", created_at: AT, last_seq: 0, rev: 1, ...fields };
}

export function membership(fields: Partial<Membership> = {}): Membership {
  return { muted: false, pinned: false, archived: false, unread: 0, ...fields };
}

export function summary(fields: Partial<Summary> = {}): Summary {
  return {
    conversation: C,
    info: info(),
    participants: [participant(ME), participant(OTHER)],
    membership: membership(),
    ...fields,
  };
}

export function change(from: number, rev: number, fields: Partial<ChangeEvent> = {}): Frame {
  return { type: "change", conversation: C, from, rev, ...fields };
}

export function hello(fields: Partial<HelloOk> = {}): Frame {
  return {
    type: "ok",
    re: 1,
    protocol: 1,
    user: user(ME),
    session: "s",
    epoch: "one",
    server_time: AT,
    heartbeat: 25,
    limits: LIMITS,
    conversations: [],
    users: [],
    presence: [],
    revs: {},
    ...fields,
  };
}
