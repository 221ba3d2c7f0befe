"""The SQL, written once; a dialect adds only what `sqlite/statements.py` has at its named points."""

import json
from typing import Any

from storage.records import Conversation, IssuedToken, Message, MessageVersion, Participant, Reaction, User

CONVERSATION = '"id", "kind", "pairKey", "title", "createdAt", "lastMessageAt", "lastSeq", "rev"'
PARTICIPANT = (
    '"conversationId", "userId", "role", "joinedAt", "leftAt", "fromSeq", "deliveredSeq", "deliveredAt", '
    '"readSeq", "readAt", "rev", "isMuted", "isPinned", "isArchived"'
)
SENT_MESSAGE = (
    '"conversationId", "seq", "rev", "id", "senderId", "clientId", "kind", "content", "replyToSeq", "data", "createdAt"'
)
MESSAGE = f'{SENT_MESSAGE}, "editedAt", "deletedAt"'
# "rev" is that of a message's creation, which ascends with "seq"; what clients go by is that of its last change.
READ_MESSAGE = MESSAGE.replace('"rev"', 'COALESCE("changedRev", "rev")') + ', "reactions"'
USER = '"id", "name", "role", "avatarUrl", "disabledAt", "lastSeenAt"'
TOKEN = '"jti", "userId", "issuedAt", "expiresAt", "revokedAt"'

INSERT_USER = f'INSERT INTO "User" ({USER}, "createdAt", "updatedAt")'
UPDATE_USER = (
    'UPDATE "User" SET "name" = ?, "role" = ?, "avatarUrl" = ?, "disabledAt" = ?, "lastSeenAt" = ?, "updatedAt" = ? '
    'WHERE "id" = ?'
)
INSERT_CONVERSATION = f'INSERT INTO "Conversation" ({CONVERSATION}, "updatedAt")'
INSERT_PARTICIPANT = f'INSERT INTO "ConversationParticipant" ({PARTICIPANT})'
INSERT_GROUP = f'INSERT INTO "Conversation" ({CONVERSATION}, "updatedAt", "creatorId", "clientId")'
INSERT_MESSAGE = f'INSERT INTO "Message" ({SENT_MESSAGE})'
CHANGE_MESSAGE = f'INSERT INTO "Message" ({MESSAGE}, "changedRev", "reactions")'
INSERT_VERSION = 'INSERT INTO "chatd_version" ("conversationId", "seq", "rev", "content", "at")'
INSERT_RECEIPT = 'INSERT INTO "chatd_receipt" ("conversationId", "userId", "kind", "seq", "at")'
INSERT_TOKEN = f'INSERT INTO "chatd_token" ({TOKEN})'
INSERT_CUT_OFF = 'INSERT INTO "chatd_cut_off" ("userId", "at")'
FORGET_TOKENS = 'DELETE FROM "chatd_token" WHERE "expiresAt" < ?'
SET_EPOCH = 'UPDATE "chatd_meta" SET "value" = ? WHERE "key" = \'epoch\''

CREDENTIALS = (
    'SELECT (SELECT "at" FROM "chatd_cut_off" WHERE "userId" = u."id"), t."jti", t."userId", t."issuedAt", '
    f't."expiresAt", t."revokedAt", {", ".join(f"u.{column}" for column in USER.split(", "))} '
    'FROM "User" u LEFT JOIN "chatd_token" t ON t."jti" = ? WHERE u."id" = ?'
)
ALL_USERS = f'SELECT {USER} FROM "User" WHERE "id" > ? ORDER BY "id" LIMIT ?'
TOKENS = f'SELECT {TOKEN} FROM "chatd_token" WHERE ("issuedAt", "jti") > (?, ?) ORDER BY "issuedAt", "jti" LIMIT ?'
TOKENS_OF = (
    f'SELECT {TOKEN} FROM "chatd_token" WHERE "userId" = ? AND ("issuedAt", "jti") > (?, ?) '
    'ORDER BY "issuedAt", "jti" LIMIT ?'
)
# Of the keys k("one", "two"):
MESSAGE_SENT = (
    f'SELECT {READ_MESSAGE} FROM k CROSS JOIN "Message" m ON m."senderId" = k."one" AND m."clientId" = k."two"'
)
MESSAGE_AT = (
    f'SELECT {READ_MESSAGE} FROM k CROSS JOIN "Message" m ON m."conversationId" = k."one" AND m."seq" = k."two"'
)
GROUP_MADE = (
    'SELECT c."creatorId", c."clientId", c."id" FROM k '
    'CROSS JOIN "Conversation" c ON c."creatorId" = k."one" AND c."clientId" = k."two"'
)
COUNT_UNREAD = (
    'SELECT COUNT(*) FROM "Message" WHERE "conversationId" = ? AND "seq" > ? AND "seq" <= ? '
    'AND "deletedAt" IS NULL AND "senderId" <> ?'
)
COUNT_TEXTS = (  # of the spans k("low", "high"): for each that has any, how many texts of whom
    'SELECT k."low", m."senderId", COUNT(*) FROM k CROSS JOIN "Message" m '
    'ON m."conversationId" = ? AND m."seq" > k."low" AND m."seq" <= k."high" '
    'WHERE m."deletedAt" IS NULL AND m."senderId" IS NOT NULL GROUP BY k."low", m."senderId"'
)
REV_OF_SEQ = 'SELECT "rev" FROM "Message" WHERE "conversationId" = ? AND "seq" = ?'
HISTORY_BEFORE = (
    f'SELECT {READ_MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "seq" < ? ORDER BY "seq" DESC LIMIT ?'
)
HISTORY_AFTER = f'SELECT {READ_MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "seq" > ? ORDER BY "seq" LIMIT ?'
NEW_SINCE = (  # behind the last seq that was there
    f'SELECT {READ_MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "seq" > ? AND "changedRev" IS NULL '
    'ORDER BY "seq" LIMIT ?'
)
CHANGED_SINCE = (
    f'SELECT {READ_MESSAGE} FROM "Message" WHERE "conversationId" = ? AND "changedRev" > ? '
    'ORDER BY "changedRev" LIMIT ?'
)
COUNT_CHANGED = (  # up to that seq, and to a limit
    "SELECT COUNT(*) FROM "
    '(SELECT 1 FROM "Message" WHERE "conversationId" = ? AND "changedRev" > ? AND "seq" <= ? LIMIT ?) x'
)
VERSIONS = (
    'SELECT "seq", "rev", "content", "at" FROM "chatd_version" WHERE "conversationId" = ? AND "seq" = ? ORDER BY "rev"'
)
SUMMARIES = (
    'SELECT c."id", p."isPinned", COALESCE(c."lastMessageAt", c."createdAt") AS "activity" '
    'FROM "ConversationParticipant" p JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE p."userId" = ? AND p."leftAt" IS NULL AND p."isArchived" = ? '
    'AND (p."isPinned", COALESCE(c."lastMessageAt", c."createdAt"), c."id") < (?, ?, ?) '
    'ORDER BY p."isPinned" DESC, "activity" DESC, c."id" DESC LIMIT ?'
)
SIZES = 'SELECT "conversationId", COUNT(*) FROM "ConversationParticipant" WHERE "conversationId"'
MEMBERSHIPS = (
    'SELECT o."conversationId", c."rev", o."userId" FROM "ConversationParticipant" p '
    'JOIN "ConversationParticipant" o ON o."conversationId" = p."conversationId" AND o."leftAt" IS NULL '
    'JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE p."userId" = ? AND p."leftAt" IS NULL ORDER BY o."conversationId"'
)
RECEIPT_TIMES = (
    'SELECT p."userId", '
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    'AND r."kind" = \'delivered\' AND r."seq" >= ? ORDER BY r."seq" LIMIT 1), '
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    'AND r."kind" = \'read\' AND r."seq" >= ? ORDER BY r."seq" LIMIT 1) '
    'FROM "ConversationParticipant" p WHERE p."conversationId" = ? ORDER BY p."userId"'
)

Row = tuple[Any, ...]


def conversation(row: Row) -> Conversation:
    return Conversation(*row)


def participant(row: Row) -> Participant:
    return Participant(*row[:11], *map(bool, row[11:]))


def message(row: Row) -> Message:
    """From the columns of READ_MESSAGE."""
    data = None if row[9] is None else json.loads(row[9])
    reactions = () if row[13] is None else tuple(Reaction(emoji, tuple(users)) for emoji, users in json.loads(row[13]))
    whole: Row = (*row[:9], data, *row[10:13], reactions)
    return Message(*whole)


def version(row: Row) -> MessageVersion:
    return MessageVersion(*row)


def user(row: Row) -> User:
    return User(*row)


def token(row: Row) -> IssuedToken:
    return IssuedToken(*row)


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


def sent_message_row(m: Message) -> Row:
    """For INSERT_MESSAGE: what a message is sent with."""
    data = None if m.data is None else json.dumps(m.data, ensure_ascii=False)
    return (
        m.conversation, m.seq, m.rev, m.id, m.sender, m.client_id, m.kind, m.body, m.reply_to, data, m.sent_at
    )  # fmt: skip


def message_row(m: Message) -> Row:
    return (*sent_message_row(m), m.edited_at, m.deleted_at)


def changed_message_row(m: Message) -> Row:
    """For CHANGE_MESSAGE."""
    reactions = [(reaction.emoji, reaction.users) for reaction in m.reactions]
    return (*message_row(m), m.rev, json.dumps(reactions, ensure_ascii=False) if reactions else None)


def user_row(u: User) -> Row:
    return u.id, u.name, u.role, u.avatar_url, u.disabled_at, u.last_seen_at


def token_row(t: IssuedToken) -> Row:
    return t.jti, t.user, t.issued_at, t.expires_at, t.revoked_at
