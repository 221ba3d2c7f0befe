"""The SQL, written once; a dialect adds only what `sqlite.py` has at its named points."""

import json
from typing import Any

from .records import Conversation, Message, Participant, User

CONVERSATION = '"id", "kind", "pairKey", "title", "createdAt", "lastMessageAt", "lastSeq", "rev"'
PARTICIPANT = (
    '"conversationId", "userId", "role", "joinedAt", "leftAt", "fromSeq", "deliveredSeq", "deliveredAt", '
    '"readSeq", "readAt", "rev", "isMuted", "isPinned", "isArchived"'
)
MESSAGE = (
    '"conversationId", "seq", "rev", "id", "senderId", "clientId", "kind", "content", "replyToSeq", "data", '
    '"createdAt", "editedAt", "deletedAt"'
)
USER = '"id", "name", "role", "avatarUrl", "disabledAt", "lastSeenAt"'

INSERT_USER = f'INSERT INTO "User" ({USER}, "createdAt", "updatedAt")'
UPDATE_USER = (
    'UPDATE "User" SET "name" = ?, "role" = ?, "avatarUrl" = ?, "disabledAt" = ?, "lastSeenAt" = ?, "updatedAt" = ? '
    'WHERE "id" = ?'
)
INSERT_CONVERSATION = f'INSERT INTO "Conversation" ({CONVERSATION}, "updatedAt")'
INSERT_PARTICIPANT = f'INSERT INTO "ConversationParticipant" ({PARTICIPANT})'
INSERT_MESSAGE = f'INSERT INTO "Message" ({MESSAGE})'
INSERT_RECEIPT = 'INSERT INTO "chatd_receipt" ("conversationId", "userId", "kind", "seq", "at")'

COUNT_UNREAD = (
    'SELECT COUNT(*) FROM "Message" WHERE "conversationId" = ? AND "seq" > ? AND "seq" <= ? '
    'AND "deletedAt" IS NULL AND "senderId" <> ?'
)
REV_OF_SEQ = 'SELECT "rev" FROM "Message" WHERE "conversationId" = ? AND "seq" = ?'
HISTORY_BEFORE = (
    f'SELECT {MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "seq" < ? ORDER BY "seq" DESC LIMIT ?'
)
HISTORY_AFTER = f'SELECT {MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "seq" > ? ORDER BY "seq" LIMIT ?'
SUMMARIES = (
    'SELECT c."id", p."isPinned", COALESCE(c."lastMessageAt", c."createdAt") AS "activity" '
    'FROM "ConversationParticipant" p JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE p."userId" = ? AND p."leftAt" IS NULL AND p."isArchived" = ? '
    'AND (p."isPinned", COALESCE(c."lastMessageAt", c."createdAt"), c."id") < (?, ?, ?) '
    'ORDER BY p."isPinned" DESC, "activity" DESC, c."id" DESC LIMIT ?'
)
MEMBERSHIPS = (
    'SELECT o."conversationId", c."rev", o."userId" FROM "ConversationParticipant" p '
    'JOIN "ConversationParticipant" o ON o."conversationId" = p."conversationId" AND o."leftAt" IS NULL '
    'JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE p."userId" = ? AND p."leftAt" IS NULL ORDER BY o."conversationId"'
)
RECEIPT_TIMES = (
    'SELECT p."userId", '
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    "AND r.\"kind\" = 'delivered' AND r.\"seq\" >= ? ORDER BY r.\"seq\" LIMIT 1), "
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    "AND r.\"kind\" = 'read' AND r.\"seq\" >= ? ORDER BY r.\"seq\" LIMIT 1) "
    'FROM "ConversationParticipant" p WHERE p."conversationId" = ? ORDER BY p."userId"'
)

Row = tuple[Any, ...]


def conversation(row: Row) -> Conversation:
    return Conversation(*row)


def participant(row: Row) -> Participant:
    return Participant(*row[:11], *map(bool, row[11:]))


def message(row: Row) -> Message:
    if row[9] is None:
        return Message(*row)
    whole: Row = (*row[:9], json.loads(row[9]), *row[10:])
    return Message(*whole)


def user(row: Row) -> User:
    return User(*row)


def conversation_row(c: Conversation) -> Row:
    return c.id, c.kind, c.pair, c.title, c.created_at, c.last_message_at, c.last_seq, c.rev


def participant_row(p: Participant) -> Row:
    return (p.conversation, p.user, *participant_columns(p))


def participant_columns(p: Participant) -> Row:
    """All but the key."""
    return (
        p.role, p.joined_at, p.left_at, p.from_seq, p.delivered_seq, p.delivered_at, p.read_seq, p.read_at, p.rev,
        p.muted, p.pinned, p.archived,
    )  # fmt: skip


def message_row(m: Message) -> Row:
    data = None if m.data is None else json.dumps(m.data, ensure_ascii=False)
    return (
        m.conversation, m.seq, m.rev, m.id, m.sender, m.client_id, m.kind, m.body, m.reply_to, data,
        m.sent_at, m.edited_at, m.deleted_at,
    )  # fmt: skip


def user_row(u: User) -> Row:
    return u.id, u.name, u.role, u.avatar_url, u.disabled_at, u.last_seen_at
