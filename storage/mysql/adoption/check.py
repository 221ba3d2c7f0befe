"""Check of an app's tables: what they lack for chatd, and what it can't work with."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import attrs

from storage.mysql import schema
from storage.mysql.attachments import FilesTable, unfit
from storage.mysql.column_capacity import enum_values
from storage.mysql.connection import Connection
from storage.mysql.expressions import fits, present
from storage.mysql.ids import CUID_CHARS, UUID_CHARS, Form
from storage.mysql.layout import TEXT_TYPES, ByTable, Layout, folds_tables, read_layout
from storage.mysql.links import OWN_SEATS, link_of
from storage.mysql.names import Names
from storage.mysql.rows import Roles
from storage.mysql.seats import PAIR_ID
from storage.mysql.seen_tables import seen_tables
from storage.mysql.spellings import folded
from storage.mysql.tables import FLAG, ID, TIME, Column, Table, app_tables
from storage.mysql.values import is_date

from . import hints

_STATE_COLUMN = re.compile(
    r"(?:is|was)?(?:soft)?(?:deleted|removed|hidden|blocked|banned|suspended|deactivated|disabled|active|inactive|enabled|"
    r"archived|expired|left|status|state)(?:at|on|by|until|for|forall|foreveryone)?"
)
"""Names of columns that may say so."""

_SHORT_TEXT = 65_535 // 4
"""Characters that TEXT holds, whatever they are."""

_STATUSES = ("SENT", "DELIVERED", "READ")
_ROLES = ("patient", "dentist", "staff", "admin")
_ROLES_USED = 'SELECT DISTINCT u."role" FROM "User" u WHERE u."role" IS NOT NULL LIMIT 50'
_NUMBERS = ("smallint", "mediumint", "int", "bigint")
_INT_TYPES = ("int", "mediumint", "bigint")

THEIRS = {
    "User": {"id", "name", "role", "avatarUrl", "createdAt", "updatedAt", "disabledAt", "lastSeenAt",
             "deletedAt", "bannedAt", "isActive", "isBlocked", "isDeleted", "firstName", "lastName"},
    "Conversation": {"id", "title", "createdAt", "updatedAt", "lastMessageAt"},
    "ConversationParticipant": {"id", "conversationId", "userId", "joinedAt", "leftAt", "unreadCount", "isMuted",
                                "isPinned", "isArchived", "updatedAt", "deliveredAt", "readAt", "deletedAt",
                                "isActive"},
    "Message": {"id", "conversationId", "senderId", "receiverId", "content", "status", "replyToId", "createdAt",
                "updatedAt", "editedAt", "deletedAt", "isRead", "readAt", "isDeleted", "attachments"},
}  # fmt: skip
"""Columns that mean the same in an app that has them. By any other name of chatd's, an app's is something else."""

_WRITTEN_NULL = {"title", "avatarUrl", "lastMessageAt", "disabledAt", "lastSeenAt", "leftAt", "deliveredAt", "readAt",
                 "replyToId", "editedAt", "deletedAt"}  # fmt: skip

Level = Literal["missing", "narrow", "wrong", "note"]


@attrs.frozen
class Finding:
    """Something about one table, for people. `table`: by its name in the database.

    missing: adoption adds it. narrow: adoption changes it, where it may. wrong: chatd can't work with it as it is.
    """

    table: str
    level: Level
    text: str


@attrs.frozen
class _Column:
    """Description of a column in information_schema. `length`: characters; `octets`: bytes; `precision`: of a time."""

    kind: str
    type: str
    null: bool
    filled: bool
    length: int
    octets: int
    precision: int
    charset: str | None
    collation: str | None
    primary: bool
    counted: bool  # AUTO_INCREMENT


@attrs.frozen
class App:
    """The app's database: its layout, and more of the tables that are chatd's, too, by logical names."""

    layout: Layout
    begun: bool  # chatd's own columns may be there already
    adopted: bool  # to the end: no table of the app's is chatd's to make
    linked: Mapping[tuple[str, str], str]  # (table, column) -> the foreign key on it, by their names in the database
    columns: dict[str, dict[str, _Column]]
    kinds: dict[str, tuple[str, str, str, str]]  # kind of table, engine, row format, collation


def look(db: Connection, names: Names) -> App:
    """Read information_schema; nothing is changed."""
    layout = read_layout(db)
    logical: ByTable[Table] = ByTable(folds=folds_tables(db))
    for table in app_tables():
        logical[names.table(table.name)] = table
    columns: dict[str, dict[str, _Column]] = {}
    for actual, name, *facts, null, key, extra in db.run(
        "SELECT table_name, column_name, data_type, column_type, character_maximum_length, character_octet_length, "
        "datetime_precision, character_set_name, collation_name, is_nullable, column_key, extra "
        "FROM information_schema.columns WHERE table_schema = DATABASE()"
    ):
        if actual in logical:
            kind, type_, length, octets, precision, charset, collation = facts
            columns.setdefault(logical[actual].name, {})[name] = _Column(
                kind.lower(), type_, null == "YES", layout.columns[actual][name].filled, length or 0, octets or 0,
                precision or 0, charset, collation, key == "PRI", "auto_increment" in extra.lower(),
            )  # fmt: skip
    kinds = {
        logical[actual].name: (kind, engine or "", format_ or "", collation or "")
        for actual, kind, engine, format_, collation in db.run(
            "SELECT table_name, table_type, engine, row_format, table_collation FROM information_schema.tables "
            "WHERE table_schema = DATABASE()"
        )
        if actual in logical
    }
    linked = db.run(
        "SELECT table_name, column_name, constraint_name FROM information_schema.key_column_usage "
        "WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL"
    )
    keys = (
        ((names.table(logical[table].name) if table in logical else table, column), key)
        for table, column, key in linked
    )
    meta = schema.meta_of(db, layout)
    adopted = "epoch" in meta and schema.MADE_BY_CHATD not in meta
    return App(layout, "chatd_meta" in layout.columns, adopted, dict(keys), columns, kinds)


def check(
    db: Connection, app: App, names: Names, roles: Roles, *, body_chars: int, ids: Form = ""
) -> Iterator[Finding]:
    """Yield the findings, table by table. `body_chars`: the longest message that is to be held."""
    for step in (*schema.missing(app.layout, names), *schema.missing_of_others(app.layout, names)):
        yield Finding(step.table, "missing", step.part or "the table")
    yield from check_tables(app, names, ids)
    if "Message" in app.columns:
        yield from _content(app, names, body_chars)
    if "User" in app.columns:
        yield from _mapping(db, app, names, roles)
    for table in app_tables():
        yield from _unheeded(app, table, names)
    yield from _files(app, names)
    yield from _listed(app, names)
    for seen in seen_tables(app.layout, names, ids):
        lacking = ", ".join(seen.lacking)
        kept = f"chatd adds no rows, having nothing for {lacking}" if lacking else "is added to by chatd"
        yield Finding(seen.name, "note", f"tells who has read what: it counts, and {kept}")


def check_tables(app: App, names: Names, ids: Form = "") -> Iterator[Finding]:
    """Yield what of the app's tables chatd can't write to, whatever their rows and the settings of roles say."""
    for table in app_tables():
        actual = names.table(table.name)
        if actual == OWN_SEATS and link_of(app.layout, names) is None:
            yield Finding(
                actual, "wrong",
                "it stands beside an implicit many-to-many of conversations and users, which is not there any more",
            )  # fmt: skip
        if table.name not in app.columns:
            yield from () if actual == OWN_SEATS else _absent(app, table, actual, names)
            continue
        for text in _unfit_table(app, table, names):
            yield Finding(actual, "wrong", text)
        for column in table.columns:
            name = names.column(table.name, column.name)
            found = app.columns[table.name].get(name)
            if found is None:
                if column.required and name != PAIR_ID:
                    close = hints.column_for(table.name, column.name, app.columns[table.name], names)
                    hint = f', like "{table.name}.{column.name}={close}"' if close else ""
                    text = f"no column {name}; if it has another name, set it in mysql.names{hint}"
                    yield Finding(actual, "wrong", text)
            elif column.spare and not fits(column, app.layout.columns[actual][name]):
                pass  # what it says isn't understood, and chatd doesn't need it
            elif column.name in THEIRS[table.name]:
                for text in _unfit(table, column, name, found, ids):
                    yield Finding(actual, "wrong", text)
            elif not app.begun:
                yield Finding(
                    actual, "wrong",
                    f"column {name} is the app's, and chatd needs one of its own by that name: set another for it in "
                    f'mysql.names, like "{table.name}.{column.name}=chatd{column.name[0].upper()}{column.name[1:]}"',
                )  # fmt: skip
        yield from _fillers(app, table, names)
    if "Message" in app.columns:
        yield from _statuses(app, names)


def misfit(db: Connection, names: Names, ids: Form = "") -> str | None:
    """Return why chatd can't write to the tables as they are now, in one line; None where it can."""
    for finding in check_tables(look(db, names), names, ids):
        if finding.level == "wrong":
            return f"{finding.table}: {finding.text}"
    return None


EARLIEST = "1970-01-01"


def check_rows(db: Connection, app: App, names: Names) -> Iterator[Finding]:
    """Yield rows that chatd can't serve, or not as they are; only where `check` found nothing wrong.

    It reads every row once or twice.
    """
    for name, level, text, statement in _ROW_CHECKS:
        if names.table(name) not in app.layout.columns:
            continue
        found = db.one(statement)
        if found is not None and found[0]:
            yield Finding(names.table(name), level, text.format(found[0]))
    for table in app_tables():
        there = app.layout.columns.get(names.table(table.name), {})
        for column in table.columns:
            name = names.column(table.name, column.name)
            if column.type != TIME or name not in there:
                continue
            valid = is_date(f'"{column.name}"')
            found = db.one(f'SELECT COUNT(*) FROM "{table.name}" WHERE NOT ({valid})')
            if found is not None and found[0]:
                yield Finding(
                    names.table(table.name),
                    "note",
                    f"{found[0]} rows whose {name} is a date that no calendar has: taken for {EARLIEST}",
                )


_PLAIN = "'^[!-~]{1,128}$'"
_ROW_CHECKS: tuple[tuple[str, Level, str, str], ...] = (
    (
        "User", "wrong", "{} ids that are not 1 to 128 printable ASCII characters without space",
        f'SELECT COUNT(*) FROM "User" u WHERE u."id" NOT REGEXP {_PLAIN}',
    ),
    (
        "Conversation", "wrong", "{} ids that are not 1 to 128 printable ASCII characters without space",
        f'SELECT COUNT(*) FROM "Conversation" c WHERE c."id" NOT REGEXP {_PLAIN}',
    ),
    (
        "ConversationParticipant", "wrong",
        "{} rows name their user in other capitals than the user's id has, which chatd takes for somebody else",
        'SELECT COUNT(*) FROM "ConversationParticipant" p JOIN "User" u ON u."id" = p."userId" '
        'WHERE CAST(u."id" AS BINARY) <> CAST(p."userId" AS BINARY)',
    ),
    (
        "ConversationParticipant", "note", "{} rows of users that are not there",
        'SELECT COUNT(*) FROM "ConversationParticipant" p LEFT JOIN "User" u ON u."id" = p."userId" '
        'WHERE u."id" IS NULL',
    ),
    (
        "Message", "note", "{} messages without a sender, which chatd can't show",
        'SELECT COUNT(*) FROM "Message" m WHERE m."senderId" IS NULL',
    ),
)  # fmt: skip


def _absent(app: App, table: Table, actual: str, names: Names) -> Iterator[Finding]:
    """A table that is not there: the app calls it otherwise, or there never was one."""
    if app.adopted:
        yield Finding(
            actual, "wrong",
            "no such table, though there was when this database was adopted: if the app has renamed it, set its name "
            f'in mysql.names, like "{table.name}=..."',
        )  # fmt: skip
        return
    shape = hints.other_shape(table.name, app.layout, names)
    if shape is not None and not app.begun:
        yield Finding(actual, "wrong", shape)
        return
    close = hints.table_for(table.name, app.layout, names)
    hint = f'like "{table.name}={close or "..."}"'
    if table.name == "User":
        yield Finding(actual, "wrong", f"no such table: if it has another name, set it in mysql.names, {hint}")
    elif not app.begun and (close or len(app.columns) > 1):
        there = close or ", ".join(sorted(app.columns))
        yield Finding(actual, "wrong", f"no such table, though there is {there}: set its name in mysql.names, {hint}")


def _unfit_table(app: App, table: Table, names: Names) -> Iterator[str]:
    kind, engine, row_format, collation = app.kinds[table.name]
    if kind != "BASE TABLE":
        yield f"a {kind.lower()}, not a table: set the name of the table behind it in mysql.names"
        return
    if engine.lower() != "innodb":
        yield f"its engine is {engine}, which has no transactions: ALTER TABLE ... ENGINE = InnoDB"
    elif row_format.lower() not in ("dynamic", "compressed"):
        yield f"its row format is {row_format}, whose indexes are too short: ALTER TABLE ... ROW_FORMAT = DYNAMIC"
    if not collation.startswith("utf8mb4_"):
        yield f"its own collation is {collation}, which new columns get: ALTER TABLE ... DEFAULT CHARACTER SET utf8mb4"
    pair = {names.column(table.name, column) for column in ("conversationId", "userId")}
    primary = [name for name, column in app.columns[table.name].items() if column.primary]
    if len(primary) != 1 and not (names.column(table.name, "id") == PAIR_ID and set(primary) == pair):
        yield f"its primary key is not one column, the id, but ({', '.join(primary)})"


def _unfit(table: Table, column: Column, name: str, found: _Column, ids: Form) -> Iterator[str]:
    """Return the reason that an app's column can't be used as what it has the name of."""
    if column.type == ID:
        if found.kind in _NUMBERS:
            if column.name == "id" and table.name != "User" and not found.counted:
                yield f"column {name} is a number that the server doesn't count: make it AUTO_INCREMENT"
            return
        if found.kind not in ("char", "varchar"):
            yield f"column {name} is {found.type}; chatd needs ids of text, as String makes them, or whole numbers"
            return
        theirs = column.name in ("userId", "senderId", "receiverId") or table.name == "User"
        needed = UUID_CHARS if ids == "uuid" else CUID_CHARS
        if not theirs and found.length < needed:
            yield f"column {name} is {found.type}; the ids that chatd makes have {needed} characters"
    elif column.type == TIME and found.kind not in ("datetime", "timestamp"):
        yield f"column {name} is {found.type}; chatd needs DATETIME(3), as DateTime makes it"
    elif column.type == FLAG and not found.kind.endswith("int"):
        yield f"column {name} is {found.type}; chatd needs TINYINT(1), as Boolean makes it"
    elif column.type == "INT" and found.kind not in _INT_TYPES:
        yield f"column {name} is {found.type}; chatd needs INT"
    elif column.type.startswith("VARCHAR") and found.kind not in TEXT_TYPES:
        yield f"column {name} is {found.type}; chatd needs text"
    elif column.type.startswith("ENUM") and found.kind not in ("enum", "char", "varchar"):
        yield f"column {name} is {found.type}; chatd needs an enum, or text"
    if found.charset not in (None, "utf8mb4") and column.name != "content":
        yield f"column {name} has the character set {found.charset}; chatd needs utf8mb4"
    if column.name == "id" and not found.primary and name != PAIR_ID:
        yield f"column {name} is not the primary key"
    if column.name in _WRITTEN_NULL and not found.null:
        yield f"column {name} may not be NULL, which chatd writes there: make it optional"


def _fillers(app: App, table: Table, names: Names) -> Iterator[Finding]:
    """Columns that an INSERT of chatd's would leave empty, and that may not be."""
    constants, actual = names.constants.get(table.name, {}), names.table(table.name)
    there = app.columns[table.name]
    for name in constants:
        if name not in there:
            yield Finding(actual, "wrong", f"no column {name}, which mysql.constants names")
    written = [column for column in table.columns if not column.spare or column.name in ("updatedAt", "receiverId")]
    known = {names.column(table.name, column.name) for column in written}.union(constants)
    found = [name for name, has in there.items() if name not in known and not has.filled]
    if table.name == "User":
        if found:
            yield Finding(actual, "note", f"only the app can make users: chatd has nothing for {', '.join(found)}")
        return
    for name in found:
        if (actual, name) in app.linked:
            mend = "make it optional"
        else:
            mend = f'give it one, make it optional, or set mysql.constants = ["{table.name}.{name}=..."]'
        yield Finding(actual, "wrong", f"column {name} has no default, and chatd has nothing to put there: {mend}")
    if table.name == "Message":
        receiver = there.get(names.column("Message", "receiverId"))
        if receiver is not None and not receiver.null:
            yield Finding(
                actual, "note",
                f"column {names.column('Message', 'receiverId')} may not be NULL, so nobody can write to groups, "
                'unless mysql.receiver_in_groups is "sender", or the column is made optional',
            )  # fmt: skip


def _unheeded(app: App, table: Table, names: Names) -> Iterator[Finding]:
    """Columns that may say that something is deleted, or somebody shut out, and that chatd passes over."""
    actual = names.table(table.name)
    heeded = {names.column(table.name, name) for name in present(app.layout, names, table.name)}
    ours = {names.column(table.name, column.name) for column in table.columns if not column.spare} | heeded
    for name in app.columns.get(table.name, {}):
        if name not in ours and _STATE_COLUMN.fullmatch(folded(name)):
            yield Finding(actual, "note", f"column {name} isn't heeded, whatever it says of who or what is gone")


def _content(app: App, names: Names, chars: int) -> Iterator[Finding]:
    table, name = names.table("Message"), names.column("Message", "content")
    found = app.columns["Message"].get(name)
    if found is None:
        return
    if found.kind not in TEXT_TYPES:
        yield Finding(table, "wrong", f"column {name} is {found.type}; chatd needs text")
    elif wider(app, names, chars) is None:
        return
    elif (found.filled and not found.null) or any(name in index for index in app.layout.indexes.get(table, ())):
        yield Finding(
            table, "wrong",
            f"column {name} is {found.type}; chatd needs TEXT, to hold {chars} characters of any kind, and can't "
            "change a column that has a default or is in an index",
        )  # fmt: skip
    else:
        yield Finding(table, "narrow", f"column {name} is {found.type}, and can't hold {chars} characters of any kind")


def wider(app: App, names: Names, chars: int) -> str | None:
    """The part of ALTER TABLE that makes `content` hold so many characters of any kind; None where it does already."""
    name = names.column("Message", "content")
    found = app.columns.get("Message", {}).get(name)
    if found is None or found.kind not in TEXT_TYPES:
        return None
    holds = found.length if found.kind.endswith("char") else found.octets // 4
    if found.charset == "utf8mb4" and holds >= chars:
        return None
    wide = "TEXT" if chars <= _SHORT_TEXT and found.kind not in ("mediumtext", "longtext") else "LONGTEXT"
    collation = found.collation if found.charset == "utf8mb4" else "utf8mb4_unicode_ci"
    return (
        f'MODIFY COLUMN "{name}" {wide} CHARACTER SET utf8mb4 COLLATE {collation} '
        f"{'NULL' if found.null else 'NOT NULL'}"
    )


def _statuses(app: App, names: Names) -> Iterator[Finding]:
    name = names.column("Message", "status")
    found = app.columns["Message"].get(name)
    if found is None:
        return
    exact = (found.collation or "").endswith(("_bin", "_cs"))
    values = {value if exact else value.upper() for value in enum_values(found.type)}
    lacking = [s for s in _STATUSES if s not in values] if found.kind == "enum" else []
    if lacking:
        yield Finding(names.table("Message"), "wrong", f"column {name} is {found.type}, without {', '.join(lacking)}")
    elif found.kind in ("char", "varchar") and found.length < max(map(len, _STATUSES)):
        yield Finding(names.table("Message"), "wrong", f"column {name} is {found.type}, too short for DELIVERED")


def _files(app: App, names: Names) -> Iterator[Finding]:
    """Yield findings on the app's table of files, where it has one."""
    table = names.table("Attachment")
    reason, files = unfit(app.layout, names), FilesTable.of(app.layout, names)
    if reason is not None:
        yield Finding(table, "note", f"messages are shown without files: {reason}")
    elif files is not None:
        used = ", ".join(f"{ours} is {theirs}" for ours, theirs in files.columns.items() if ours != theirs)
        lacking = f"; nothing tells {', '.join(files.lacking)}" if files.lacking else ""
        yield Finding(table, "note", f"messages are shown with its files{used and f': {used}'}{lacking}")


def _listed(app: App, names: Names) -> Iterator[Finding]:
    if "attachments" in present(app.layout, names, "Message"):
        column = names.column("Message", "attachments")
        yield Finding(names.table("Message"), "note", f"messages are shown with the files that {column} lists")


def _mapping(db: Connection, app: App, names: Names, roles: Roles) -> Iterator[Finding]:
    table, name = names.table("User"), names.column("User", "role")
    found = app.columns["User"].get(name)
    if found is None:
        yield Finding(table, "note", f"no column {name}: all users are patients, until their sign-in says otherwise")
        return
    if found.kind not in ("enum", "char", "varchar"):
        return
    if found.kind == "enum":
        values: Iterable[str] = enum_values(found.type)
    else:
        values = [role for (role,) in db.run(_ROLES_USED)]
    unmapped = [value for value in values if value not in roles.known()]
    if unmapped:
        examples = ", ".join(f'"{value}=patient"' for value in unmapped)
        yield Finding(
            table, "wrong",
            f"column {name}: what are {', '.join(unmapped)} to chatd? Set it in mysql.roles, like [{examples}]",
        )  # fmt: skip
    elif found.kind == "enum":
        without = [role for role in _ROLES if roles.theirs(role) not in values]
        if "patient" in without:  # what new users are, where nothing else is said
            yield Finding(table, "wrong", f"column {name} has no value for patient: set one in mysql.roles")
        elif without:
            yield Finding(
                table, "note", f"column {name} has no value for {', '.join(without)}: users can't become those"
            )
