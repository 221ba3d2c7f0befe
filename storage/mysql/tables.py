"""The tables on MySQL and MariaDB, as data: creation, check and adoption of an app's own tables derive from it.

`User`, `Conversation`, `ConversationParticipant` and `Message` are those of the app beside chatd, as Prisma's
conventions make them: ids VARCHAR(191) made by the client, DATETIME(3) in UTC, TINYINT(1), enums in capitals,
`updatedAt` without a default. What chatd needs beyond is added to them, each column NULL or with a default, so that
an app that knows nothing of it goes on as before; chatd's own tables start with `chatd_`, and have no foreign keys,
so that they are never in the way of the app's deletions. Why it is so: docs/decisions/0009-mysql.md.

Here and in statements tables and columns have their logical names; `names.py` has those of the database.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from storage.keyed import KINDS, RowKind
from storage.keyed import column as column_of

SCHEMA = 1
"""Goes up when a program of the version before could no longer work on the tables."""

BYTEWISE = "utf8mb4_bin"
"""Ids, client ids and pairs are compared exactly. (Where the app's columns are not, `rows.py` looks again.)"""

COLLATION = "utf8mb4_unicode_ci"
"""Prisma's for text that people write."""

ID = "VARCHAR(191)"
TIME = "DATETIME(3)"
FLAG = "TINYINT(1)"
TOUCHED = "chatdTouched"
"""Time at which somebody else last wrote a row: MySQL sets it; what chatd writes leaves it (NULL in new rows), but for
conversations and what is shown of users, where it tells other daemons on the database."""


@attrs.frozen
class Column:
    """A column by its logical name. `default`: SQL.

    `required`: an app's table without it can't be adopted; any other is added where it is missing. `spare`: never
    added, and filled where the app has it. `bytewise`: compared exactly.
    """

    name: str
    type: str
    null: bool = False
    default: str | None = None
    required: bool = False
    spare: bool = False
    bytewise: bool = False


@attrs.frozen
class Index:
    """Columns that an index must begin with; its name is Prisma's."""

    columns: tuple[str, ...]
    unique: bool = False


@attrs.frozen
class Table:
    """A table by its logical name. `own`: chatd's alone. `references`: column -> table of the id that it holds."""

    name: str
    columns: tuple[Column, ...]
    primary: tuple[str, ...] = ("id",)
    indexes: tuple[Index, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    own: bool = False

    def column(self, name: str) -> Column:
        """Raises KeyError for an unknown one."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _id(name: str = "id", *, null: bool = False, required: bool = True) -> Column:
    return Column(name, ID, null=null, required=required, bytewise=True)


def _time(name: str) -> Column:
    return Column(name, TIME, null=True)


def _marks(*names: str) -> tuple[Column, ...]:
    """Return columns by which an app says, in its own way, what chatd has another column for (`expressions.py`)."""
    return tuple(Column(name, FLAG if name.startswith("is") else TIME, null=True, spare=True) for name in names)


def _now(name: str) -> Column:
    return Column(name, TIME, default="CURRENT_TIMESTAMP(3)")


def _number(name: str, *, null: bool = False) -> Column:
    return Column(name, "BIGINT", null=null)


def _exact(name: str, length: int = 191, *, null: bool = False, default: str | None = None) -> Column:
    return Column(name, f"VARCHAR({length})", null=null, default=default, bytewise=True)


_CLIENT_ID = Column("clientId", "VARBINARY(256)", null=True)
"""64 characters. Not VARCHAR: its comparisons pass over spaces at the end, whatever the collation."""

_COUNT = "INT"
TOUCHED_COLUMN = Column(
    TOUCHED, "TIMESTAMP(3)", null=True, default="CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"
)

USER = Table(
    "User",
    (
        _id(),
        Column("name", "VARCHAR(255)", null=True),
        Column("role", "ENUM('PATIENT', 'DENTIST', 'STAFF', 'ADMIN')", default="'PATIENT'"),
        Column("avatarUrl", "VARCHAR(2048)", null=True),
        _now("createdAt"),
        Column("updatedAt", TIME),
        _time("disabledAt"),
        _time("lastSeenAt"),
        Column("firstName", "VARCHAR(255)", null=True, spare=True),
        Column("lastName", "VARCHAR(255)", null=True, spare=True),
        *_marks("deletedAt", "bannedAt", "isActive", "isBlocked", "isDeleted"),
        TOUCHED_COLUMN,
    ),
    indexes=(Index((TOUCHED,)),),
)

CONVERSATION = Table(
    "Conversation",
    (
        _id(),
        Column("title", "VARCHAR(255)", null=True),
        _now("createdAt"),
        Column("updatedAt", TIME),
        _time("lastMessageAt"),
        _exact("kind", 16, null=True),
        _exact("pairKey", 383, null=True),  # two ids and a space
        Column("lastSeq", _COUNT, null=True),
        Column("rev", _COUNT, null=True),  # NULL: the app made it, and chatd has not taken it in yet
        _exact("creatorId", null=True),
        _CLIENT_ID,
        Column("chatdActivity", "BIGINT", null=True),  # NULL: the time of the newest message says where it is listed
        Column("chatdTitle", "VARBINARY(32)", null=True),  # of the title that was told: another one is the app's doing
        TOUCHED_COLUMN,
    ),
    indexes=(Index(("pairKey",), unique=True), Index(("creatorId", "clientId"), unique=True), Index((TOUCHED,))),
)

PARTICIPANT = Table(
    "ConversationParticipant",
    (
        _id(),
        _id("conversationId"),
        _id("userId"),
        _now("joinedAt"),
        _time("leftAt"),
        Column("unreadCount", _COUNT, default="0"),
        Column("isMuted", FLAG, default="0"),
        Column("isPinned", FLAG, default="0"),
        Column("updatedAt", TIME, spare=True),
        *_marks("deletedAt", "isActive"),
        Column("isArchived", FLAG, default="0"),
        _exact("role", 16, default="'member'"),
        Column("fromSeq", _COUNT, null=True),
        Column("deliveredSeq", _COUNT, null=True),
        _time("deliveredAt"),
        Column("readSeq", _COUNT, null=True),
        _time("readAt"),
        Column("rev", _COUNT, null=True),  # NULL: not ingested, or a second row of the same user
        Column("chatdUnread", _COUNT, default="0"),  # what chatd wrote to unreadCount: a lower one is the app's doing
        TOUCHED_COLUMN,
    ),
    indexes=(Index(("conversationId", "userId")), Index(("userId",)), Index((TOUCHED,))),
    references=(("conversationId", "Conversation"), ("userId", "User")),
)

MESSAGE = Table(
    "Message",
    (
        _id(),
        _id("conversationId"),
        _id("senderId"),  # never NULL: a system message bears who did what it tells
        Column("receiverId", ID, null=True, spare=True, bytewise=True),  # the other one of two
        Column("content", "TEXT", required=True),
        Column("status", "ENUM('SENT', 'DELIVERED', 'READ')", default="'SENT'"),
        _id("replyToId", null=True, required=False),
        Column("createdAt", TIME, default="CURRENT_TIMESTAMP(3)", required=True),  # old messages are numbered by it
        Column("updatedAt", TIME, spare=True),
        *_marks("isRead", "readAt", "isDeleted"),
        Column("attachments", "JSON", null=True, spare=True),
        Column("seq", _COUNT, null=True),  # NULL: the app wrote it, and chatd has not numbered it yet
        Column("rev", _COUNT, null=True),
        _CLIENT_ID,
        _exact("kind", 16, default="'text'"),
        Column("replyToSeq", _COUNT, null=True),
        Column("data", "JSON", null=True),
        _time("editedAt"),
        _time("deletedAt"),
        Column("changedRev", _COUNT, null=True),  # of the last change since; chatd_changed has those that have one
        Column("reactions", "JSON", null=True),
        Column("chatdActivity", "BIGINT", null=True),  # search goes by it; NULL: refill.py comes yet
        TOUCHED_COLUMN,
    ),
    indexes=(
        Index(("conversationId", "seq"), unique=True),
        Index(("senderId", "clientId"), unique=True),
        Index((TOUCHED,)),  # of chatd's own rows it has NULL: an entry at the end of a page that is in memory
    ),
    references=(("conversationId", "Conversation"), ("senderId", "User")),
)

ATTACHMENT = Table(  # where the app has one; attachments.py knows how its columns may be called
    "Attachment",
    (
        _id(),
        _id("messageId"),
        *(Column(name, "TEXT", spare=True) for name in ("url", "name", "type", "thumbnailUrl")),
        *(Column(name, _COUNT, spare=True) for name in ("size", "width", "height")),
        *(Column(name, TIME, spare=True) for name in ("createdAt", "deletedAt")),
        TOUCHED_COLUMN,
    ),
    indexes=(Index(("messageId",)), Index((TOUCHED,))),
)

META = Table("chatd_meta", (_exact("key", 64), Column("value", "TEXT")), primary=("key",), own=True)

CHANGED = Table(  # instead of an index on Message's changedRev, which each send would pay for
    "chatd_changed",
    (_exact("conversationId"), Column("seq", _COUNT), Column("rev", _COUNT)),
    primary=("conversationId", "seq"),
    indexes=(Index(("conversationId", "rev")),),
    own=True,
)

GONE = Table(  # messages that somebody else deleted; chatd_changed has them, too
    "chatd_gone",
    (_exact("conversationId"), Column("seq", _COUNT), _number("at")),
    primary=("conversationId", "seq"),
    own=True,
)

VERSION = Table(
    "chatd_version",
    (
        _exact("conversationId"),
        Column("seq", _COUNT),
        Column("rev", _COUNT),
        Column("content", "MEDIUMTEXT"),
        _number("at"),
    ),
    primary=("conversationId", "seq", "rev"),
    own=True,
)

RECEIPT = Table(
    "chatd_receipt",
    (_exact("conversationId"), _exact("userId"), _exact("kind", 16), Column("seq", _COUNT), _number("at")),
    primary=("conversationId", "userId", "kind", "seq"),
    own=True,
)

TOKEN = Table(
    "chatd_token",
    (
        _exact("jti"),
        _exact("userId"),
        _number("issuedAt"),
        _number("expiresAt"),
        _number("revokedAt", null=True),
    ),
    primary=("jti",),
    indexes=(Index(("userId", "issuedAt")), Index(("expiresAt",))),
    own=True,
)

CUT_OFF = Table("chatd_cut_off", (_exact("userId"), _number("at")), primary=("userId",), own=True)


def _keyed(kind: RowKind[Any]) -> Table:
    columns = tuple(
        _exact(column_of(field), 4_096 if field in kind.long else 255, null=kind.may_be_null(field))
        if kind.is_text(field)
        else _number(column_of(field), null=kind.may_be_null(field))
        for field in kind.fields
    )
    looked_up = (*kind.finds, *([kind.expires] if kind.expires else []))
    indexes = tuple(Index((column_of(field),)) for field in looked_up)
    return Table(kind.table, columns, primary=(column_of(kind.key),), indexes=indexes, own=True)


TABLES = (META, USER, CONVERSATION, PARTICIPANT, MESSAGE, CHANGED, GONE, VERSION, RECEIPT, TOKEN, CUT_OFF,
          *map(_keyed, KINDS))  # fmt: skip
"""Tables in the order in which they are made: where the first exists, the others may be chatd's own."""

BY_NAME = {table.name: table for table in (*TABLES, ATTACHMENT)}


def app_tables() -> Iterable[Table]:
    """Return the tables that an app may have made."""
    return (table for table in TABLES if not table.own)
