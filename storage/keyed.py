"""Rows that are kept under one key: declared once, and the same on every store.

A kind is an attrs class and a `RowKind` beside it. SQL, the memory store and the contract's tests derive from it; only
the migration that makes the table on SQLite is written by hand, because a migration never changes.
"""

import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

R = TypeVar("R")
Row = tuple[Any, ...]


@attrs.frozen(kw_only=True)
class Password:
    """A user's password. `hash`: as argon2 encodes it."""

    user: str
    hash: str
    changed_at: int


@attrs.frozen(kw_only=True)
class SignedIn:
    """A session of somebody who signed in. `hash`: of the secret in the cookie; `id`: names it to people.

    Times in ms. `seen_at`: its last use, to the hour; `agent`: the browser's name for itself, shortened.
    """

    hash: str
    id: str
    user: str
    method: str
    created_at: int
    seen_at: int
    expires_at: int
    agent: str | None = None


@attrs.frozen(kw_only=True)
class ApiKey:
    """A key of an app's backend. `hash`: of the key; `max_role`: the highest role that its tickets may have."""

    hash: str
    id: str
    name: str
    max_role: str
    created_at: int


@attrs.frozen(kw_only=True)
class SignInTicket:
    """A ticket that signs a user in once. `hash`: of the ticket; `name`, `role`: given to the user then."""

    hash: str
    user: str
    name: str | None = None
    role: str | None = None
    expires_at: int


@attrs.frozen(kw_only=True)
class Invitation:
    """An invitation that signs a user in once. `hash`: of the code; `birth_date`: asked for, `YYYY-MM-DD`.

    `wrong`: wrong birth dates so far.
    """

    hash: str
    id: str
    user: str
    birth_date: str | None = None
    wrong: int = 0
    created_by: str | None = None
    created_at: int
    expires_at: int


@attrs.frozen(kw_only=True)
class Revocation:
    """A credential that was revoked, or all of a user's: told to other daemons on the database.

    `key` begins with the time, so that keys ascend; `credential_id`: None for all.
    """

    key: str
    user: str
    credential_id: str | None = None
    expires_at: int


@attrs.frozen(kw_only=True)
class SettingsChange:
    """A user's own settings of a conversation that changed: told to other daemons on the database. `key` as above."""

    key: str
    user: str
    conversation: str
    expires_at: int


@attrs.frozen(kw_only=True)
class KeptFile:
    """A file that `user` uploaded. `blob`, `thumbnail`: hashes of contents; `place`: among the files of its message.

    Until a message has it, `conversation` and `message` are None, and it expires; from then on it doesn't.
    """

    id: str
    user: str
    name: str
    type: str
    size: int
    width: int | None = None
    height: int | None = None
    blob: str
    thumbnail: str | None = None
    thumbnail_type: str | None = None
    conversation: str | None = None
    message: str | None = None
    place: int = 0
    created_at: int
    expires_at: int | None


@attrs.frozen(kw_only=True)
class Upload:
    """A file that comes in piece by piece, by tus. `id`: of its draft; `length`: None while it isn't known.

    `metadata`: as it came. `attachment`: the file that it has become.
    """

    id: str
    user: str
    length: int | None
    metadata: str
    created_at: int
    expires_at: int
    attachment: str | None = None


@attrs.frozen(kw_only=True)
class Uploaded:
    """Bytes that a user uploaded in the day that ends at `expires_at`."""

    user: str
    bytes: int
    expires_at: int


@attrs.frozen(kw_only=True)
class LinkedIdentity:
    """Somebody whom an identity service knows, linked with a user here. `hash`: of issuer and subject."""

    hash: str
    issuer: str
    subject: str
    user: str
    created_at: int


@attrs.frozen(kw_only=True)
class SecondStep:
    """A user's second step at sign-in. `sealed`: its secret; `last_used`: which span of time the last code had."""

    user: str
    sealed: str
    last_used: int
    created_at: int


@attrs.frozen(kw_only=True)
class RecoveryCode:
    """A code that stands in for the second step, once. `hash`: of the user and the code."""

    hash: str
    user: str
    created_at: int


@attrs.frozen
class RowKind(Generic[R]):
    """A kind of row. `key`: its primary key; `finds`: fields by which rows are looked up.

    `expires`: a time, ms; a row without it never expires. `long`: texts of up to 4,096 characters; others have 255.
    """

    table: str
    row: type[R]
    key: str
    finds: tuple[str, ...] = ()
    expires: str | None = None
    long: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the row's fields, in the order of its columns."""
        return tuple(attrs.fields_dict(self.row))  # type: ignore[arg-type]  # an attrs class

    def key_of(self, row: R) -> str:
        """Return the row's key."""
        key: str = getattr(row, self.key)
        return key

    def is_text(self, field: str) -> bool:
        """Return True if the field holds text; else it holds whole numbers."""
        return str in _types_of(self, field)

    def may_be_null(self, field: str) -> bool:
        """Return True if the field may be None."""
        return type(None) in _types_of(self, field)


def _types_of(kind: RowKind[Any], field: str) -> tuple[type, ...]:
    hint = typing.get_type_hints(kind.row)[field]
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


PASSWORD = RowKind("chatd_password", Password, key="user")
SIGNED_IN = RowKind("chatd_session", SignedIn, key="hash", finds=("user", "id"), expires="expires_at")
API_KEY = RowKind("chatd_api_key", ApiKey, key="hash", finds=("id",))
TICKET = RowKind("chatd_ticket", SignInTicket, key="hash", finds=("user",), expires="expires_at")
INVITATION = RowKind("chatd_invitation", Invitation, key="hash", finds=("user", "id"), expires="expires_at")
REVOCATION = RowKind("chatd_revocation", Revocation, key="key", expires="expires_at")
SETTINGS_CHANGE = RowKind("chatd_settings_change", SettingsChange, key="key", expires="expires_at")
KEPT_FILE = RowKind(
    "chatd_attachment", KeptFile, key="id", finds=("message", "blob", "thumbnail"), expires="expires_at"
)
UPLOAD = RowKind("chatd_upload", Upload, key="id", finds=("user",), expires="expires_at", long=("metadata",))
UPLOADED = RowKind("chatd_uploaded", Uploaded, key="user", expires="expires_at")
LINKED_IDENTITY = RowKind("chatd_identity", LinkedIdentity, key="hash", finds=("user",))
SECOND_STEP = RowKind("chatd_second_step", SecondStep, key="user")
RECOVERY_CODE = RowKind("chatd_recovery_code", RecoveryCode, key="hash", finds=("user",))

KINDS: tuple[RowKind[Any], ...] = (
    PASSWORD,
    SIGNED_IN,
    API_KEY,
    TICKET,
    INVITATION,
    REVOCATION,
    SETTINGS_CHANGE,
    KEPT_FILE,
    UPLOAD,
    UPLOADED,
    LINKED_IDENTITY,
    SECOND_STEP,
    RECOVERY_CODE,
)
BY_ROW: dict[type, RowKind[Any]] = {kind.row: kind for kind in KINDS}


class KeyedRows(Protocol):
    """Keyed rows of a store, inside a transaction, for rules and reads."""

    def get(self, kind: RowKind[R], key: str) -> R | None:
        """Return the row under this key; nobody else changes it until the transaction ends."""
        ...

    def find(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        """Return rows whose `field` is `value` (None: all), by key, from behind `after`."""
        ...

    def put(self, kind: RowKind[R], row: R) -> None:
        """Keep the row, in place of one under its key."""
        ...

    def delete(self, kind: RowKind[Any], keys: Sequence[str]) -> None:
        """Forget the rows under these keys."""
        ...

    def forget(self, kind: RowKind[Any], before: int) -> None:
        """Forget the rows that expired before this time (ms)."""
        ...


class MemoryRows:
    """Rows in dicts."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {kind.table: {} for kind in KINDS}

    def get(self, kind: RowKind[R], key: str) -> R | None:
        return self._rows[kind.table].get(key)

    def find(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        rows = self._rows[kind.table]
        keys = sorted(key for key in rows if key > after)
        return [rows[key] for key in keys if field is None or getattr(rows[key], field) == value][:limit]

    def put(self, kind: RowKind[R], row: R) -> None:
        self._rows[kind.table][kind.key_of(row)] = row

    def delete(self, kind: RowKind[Any], keys: Sequence[str]) -> None:
        for key in keys:
            self._rows[kind.table].pop(key, None)

    def forget(self, kind: RowKind[Any], before: int) -> None:
        assert kind.expires is not None
        rows = self._rows[kind.table]
        times = {key: getattr(row, kind.expires) for key, row in rows.items()}
        self.delete(kind, [key for key, time in times.items() if time is not None and time < before])


class StatementRunner(Protocol):
    """Runs a statement with `?` for values, and returns its rows."""

    def __call__(self, statement: str, values: Sequence[Any]) -> Iterable[Row]: ...


def column(field: str) -> str:
    """Return the column of a field: `expires_at` is in `expiresAt`, `user` in `userId`."""
    first, *more = ("user_id" if field == "user" else field).split("_")
    return first + "".join(word.capitalize() for word in more)


class SqlRows:
    """Rows in tables. `lock` ends a SELECT of rows that are about to change; `replace` begins an upsert."""

    def __init__(self, run: StatementRunner, *, lock: str = "", replace: str = "INSERT OR REPLACE INTO") -> None:
        self._run = run
        self._lock = lock
        self._replace = replace

    def get(self, kind: RowKind[R], key: str) -> R | None:
        statement = f"{select(kind)} WHERE {_quoted(kind.key)} = ?{self._lock}"
        found = [row_of(kind, row) for row in self._run(statement, (key,))]
        # A collation may take other keys for the same.
        return next((row for row in found if kind.key_of(row) == key), None)

    def find(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        condition = "" if field is None else f" AND {_quoted(field)} = ?"
        values = (after,) if field is None else (after, value)
        key = _quoted(kind.key)
        statement = f"{select(kind)} WHERE {key} > ?{condition} ORDER BY {key} LIMIT ?{self._lock}"
        rows = self._run(statement, (*values, limit))
        return [row_of(kind, row) for row in rows]

    def put(self, kind: RowKind[R], row: R) -> None:
        columns = ", ".join(map(_quoted, kind.fields))
        holes = ", ".join("?" * len(kind.fields))
        statement = f'{self._replace} "{kind.table}" ({columns}) VALUES ({holes})'
        self._run(statement, [getattr(row, field) for field in kind.fields])

    def delete(self, kind: RowKind[Any], keys: Sequence[str]) -> None:
        for key in keys:
            self._run(f'DELETE FROM "{kind.table}" WHERE {_quoted(kind.key)} = ?', (key,))

    def forget(self, kind: RowKind[Any], before: int) -> None:
        assert kind.expires is not None
        self._run(f'DELETE FROM "{kind.table}" WHERE {_quoted(kind.expires)} < ?', (before,))


def row_of(kind: RowKind[R], values: Row) -> R:
    """Return the row of the values of `select`."""
    return kind.row(**dict(zip(kind.fields, values, strict=True)))


def _quoted(field: str) -> str:
    return f'"{column(field)}"'


def select(kind: RowKind[Any]) -> str:
    """Return the statement for all rows of a kind, without a condition."""
    return f'SELECT {", ".join(map(_quoted, kind.fields))} FROM "{kind.table}"'
