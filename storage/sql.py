"""SQL statements, written once. A dialect fills the named holes, and adds what only it can say."""

import json
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from storage.columns import Columns, Decode, Row, quoted
from storage.emoji import qualified
from storage.records import Conversation, IssuedToken, Message, MessageVersion, Participant, Reaction, User

_CONVERSATION = Columns(
    Conversation,
    {
        "id": "id",
        "kind": "kind",
        "pairKey": "pair",
        "title": "title",
        "createdAt": "created_at",
        "lastMessageAt": "last_message_at",
        "lastSeq": "last_seq",
        "rev": "rev",
        "chatdActivity": "activity",
    },
)
_PARTICIPANT = Columns(
    Participant,
    {
        "conversationId": "conversation",
        "userId": "user",
        "role": "role",
        "joinedAt": "joined_at",
        "leftAt": "left_at",
        "fromSeq": "from_seq",
        "deliveredSeq": "delivered_seq",
        "deliveredAt": "delivered_at",
        "readSeq": "read_seq",
        "readAt": "read_at",
        "rev": "rev",
        "isMuted": "muted",
        "isPinned": "pinned",
        "isArchived": "archived",
    },
)
_MESSAGE = Columns(
    Message,
    {
        "conversationId": "conversation",
        "seq": "seq",
        "rev": "rev",
        "id": "id",
        "senderId": "sender",
        "clientId": "client_id",
        "kind": "kind",
        "content": "body",
        "replyToSeq": "reply_to",
        "data": "data",
        "createdAt": "sent_at",
        "editedAt": "edited_at",
        "deletedAt": "deleted_at",
        "reactions": "reactions",
    },
)
SENT_NAMES = _MESSAGE.names[: _MESSAGE.names.index("editedAt")]
_USER = Columns(
    User,
    {
        "id": "id",
        "name": "name",
        "role": "role",
        "avatarUrl": "avatar_url",
        "disabledAt": "disabled_at",
        "lastSeenAt": "last_seen_at",
    },
)
_TOKEN = Columns(
    IssuedToken,
    {
        "jti": "jti",
        "userId": "user",
        "issuedAt": "issued_at",
        "expiresAt": "expires_at",
        "revokedAt": "revoked_at",
    },
)

CONVERSATION_COLUMNS = _CONVERSATION.sql
PARTICIPANT_COLUMNS = _PARTICIPANT.sql
PARTICIPANT_VALUES = _PARTICIPANT.names[2:]
"""All of a participant's columns but the key."""
SENT_MESSAGE_COLUMNS = quoted(SENT_NAMES)
"""Columns that a message is sent with."""
USER_COLUMNS = _USER.sql
TOKEN_COLUMNS = _TOKEN.sql


def read_message(alias: str = "") -> str:
    """Return the columns of a message, as `message` takes them, of the table by that alias.

    "rev" is that of a message's creation, which ascends with "seq"; what clients go by is that of its last change.
    """
    of = f"{alias}." if alias else ""
    return ", ".join(
        f'COALESCE({of}"changedRev", {of}"rev")' if name == "rev" else f'{of}"{name}"' for name in _MESSAGE.names
    )


READ_MESSAGE = read_message()

INSERT_USER = f'INSERT INTO "User" ({USER_COLUMNS}, "createdAt", "updatedAt")'
UPDATE_USER = (
    'UPDATE "User" SET "name" = ?, "role" = ?, "avatarUrl" = ?, "disabledAt" = ?, "lastSeenAt" = ?, "updatedAt" = ? '
    'WHERE "id" = ?'
)
INSERT_CONVERSATION = f'INSERT INTO "Conversation" ({CONVERSATION_COLUMNS}, "updatedAt")'
INSERT_PARTICIPANT = f'INSERT INTO "ConversationParticipant" ({PARTICIPANT_COLUMNS})'
INSERT_GROUP = f'INSERT INTO "Conversation" ({CONVERSATION_COLUMNS}, "updatedAt", "creatorId", "clientId")'
INSERT_MESSAGE = f'INSERT {{on_clash}} INTO "Message" ({SENT_MESSAGE_COLUMNS}{{more}})'
CHANGE_MESSAGE = (
    f'INSERT INTO "Message" ({SENT_MESSAGE_COLUMNS}, "editedAt", "deletedAt", "changedRev", "reactions"{{more}})'
)
INSERT_VERSION = 'INSERT INTO "chatd_version" ("conversationId", "seq", "rev", "content", "at")'
INSERT_RECEIPT = 'INSERT INTO "chatd_receipt" ("conversationId", "userId", "kind", "seq", "at")'
INSERT_TOKEN = f'INSERT INTO "chatd_token" ({TOKEN_COLUMNS})'
INSERT_CUT_OFF = 'INSERT INTO "chatd_cut_off" ("userId", "at")'
FORGET_TOKENS = 'DELETE FROM "chatd_token" WHERE "expiresAt" < ?'
SET_EPOCH = 'UPDATE "chatd_meta" SET "value" = ? WHERE "key" = \'epoch\''

CREDENTIALS = (
    'SELECT (SELECT o."at" FROM "chatd_cut_off" o WHERE o."userId" = u."id"), t."jti", t."userId", t."issuedAt", '
    f't."expiresAt", t."revokedAt", {", ".join(f"u.{column}" for column in USER_COLUMNS.split(", "))} '
    'FROM "User" u LEFT JOIN "chatd_token" t ON t."jti" = ? WHERE u."id" = ?'
)
ALL_USERS = f'SELECT {USER_COLUMNS} FROM "User" WHERE "id" > ? ORDER BY "id" LIMIT ?'
TOKENS = (
    f'SELECT {TOKEN_COLUMNS} FROM "chatd_token" WHERE ("issuedAt", "jti") > (?, ?) ORDER BY "issuedAt", "jti" LIMIT ?'
)
TOKENS_OF = (
    f'SELECT {TOKEN_COLUMNS} FROM "chatd_token" WHERE "userId" = ? AND ("issuedAt", "jti") > (?, ?) '
    'ORDER BY "issuedAt", "jti" LIMIT ?'
)
# Of the keys k("one", "two"):
MESSAGE_SENT = 'SELECT {message} FROM k CROSS JOIN "Message" m ON m."senderId" = k."one" AND m."clientId" = k."two"'
MESSAGE_AT = 'SELECT {message} FROM k CROSS JOIN "Message" m ON m."conversationId" = k."one" AND m."seq" = k."two"'
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
HISTORY_BEFORE = 'SELECT {message} FROM "Message" WHERE "conversationId" = ? AND "seq" < ? ORDER BY "seq" DESC LIMIT ?'
HISTORY_AFTER = 'SELECT {message} FROM "Message" WHERE "conversationId" = ? AND "seq" > ? ORDER BY "seq" LIMIT ?'
NEW_SINCE = (  # behind the last seq that was there
    'SELECT {message} FROM "Message" WHERE "conversationId" = ? AND "seq" > ? AND "changedRev" IS NULL '
    'ORDER BY "seq" LIMIT ?'
)
CHANGED_SINCE = (
    'SELECT {message} FROM "Message" WHERE "conversationId" = ? AND "changedRev" > ? ORDER BY "changedRev" LIMIT ?'
)
COUNT_CHANGED = (  # up to that seq, and to a limit
    "SELECT COUNT(*) FROM "
    '(SELECT 1 FROM "Message" WHERE "conversationId" = ? AND "changedRev" > ? AND "seq" <= ? LIMIT ?) x'
)
VERSIONS = (
    'SELECT "seq", "rev", "content", "at" FROM "chatd_version" WHERE "conversationId" = ? AND "seq" = ? ORDER BY "rev"'
)
SUMMARIES = (
    'SELECT c."id", p."isPinned", {activity} AS "activity" '
    'FROM "ConversationParticipant" p JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE {mine} AND p."leftAt" IS NULL AND p."isArchived" = ? '
    'AND (p."isPinned", {activity}, c."id") < (?, ?, ?) '
    'ORDER BY p."isPinned" DESC, "activity" DESC, c."id" DESC LIMIT ?'
)
SIZES = 'SELECT "conversationId", COUNT(*) FROM "ConversationParticipant" WHERE "conversationId"'
MEMBERSHIPS = (
    'SELECT o."conversationId", c."rev", o."userId" FROM "ConversationParticipant" p '
    'JOIN "ConversationParticipant" o ON o."conversationId" = p."conversationId" AND {present} '
    'JOIN "Conversation" c ON c."id" = p."conversationId" '
    'WHERE {mine} AND p."leftAt" IS NULL ORDER BY o."conversationId"'
)
RECEIPT_TIMES = (
    'SELECT p."userId", '
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    'AND r."kind" = \'delivered\' AND r."seq" >= ? ORDER BY r."seq" LIMIT 1), '
    '(SELECT r."at" FROM "chatd_receipt" r WHERE r."conversationId" = p."conversationId" AND r."userId" = p."userId" '
    'AND r."kind" = \'read\' AND r."seq" >= ? ORDER BY r."seq" LIMIT 1) '
    'FROM "ConversationParticipant" p WHERE {counted} ORDER BY p."userId"'
)


def _data(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _reactions(text: str | None) -> tuple[Reaction, ...]:
    return () if text is None else reactions_of(json.loads(text))


def reactions_of(pairs: Iterable[tuple[str, Iterable[str]]]) -> tuple[Reaction, ...]:
    """Return the reactions; those to two forms of one emoji are one, and each user counts once."""
    found: dict[str, dict[str, None]] = {}
    for emoji, users in pairs:
        found.setdefault(qualified(emoji), {}).update(dict.fromkeys(users))
    return tuple(Reaction(emoji, tuple(users)) for emoji, users in found.items())


def message_maker(**decode: Decode) -> Callable[[Row], Message]:
    """Return what makes messages of rows of READ_MESSAGE, in a dialect with other values in some columns."""
    return _MESSAGE.maker(data=_data, reactions=_reactions, **decode)


conversation = _CONVERSATION.maker()
participant = _PARTICIPANT.maker(muted=bool, pinned=bool, archived=bool)
message = message_maker()
user = _USER.maker()
token = _TOKEN.maker()
conversation_row = _CONVERSATION.getter()
participant_row = _PARTICIPANT.getter()
user_row = _USER.getter()
token_row = _TOKEN.getter()


def version(row: Row) -> MessageVersion:
    return MessageVersion(*row)


def sent_message_row(m: Message) -> Row:
    """Return the row of INSERT_MESSAGE."""
    row = _sent_row(m)
    if m.data is None:  # the hot path
        return row
    return (*row[:_DATA], json.dumps(m.data, ensure_ascii=False), *row[_DATA + 1 :])


_DATA = SENT_NAMES.index("data")
_sent_row: Callable[[Message], Row] = attrgetter(*(_MESSAGE.fields[name] for name in SENT_NAMES))


def changed_message_row(m: Message) -> Row:
    """Return the row of CHANGE_MESSAGE."""
    return (*sent_message_row(m), m.edited_at, m.deleted_at, m.rev, reactions_text(m.reactions))


def reactions_text(reactions: Iterable[Reaction]) -> str | None:
    """Return the value of the column "reactions"."""
    pairs = [(reaction.emoji, reaction.users) for reaction in reactions]
    return json.dumps(pairs, ensure_ascii=False) if pairs else None
