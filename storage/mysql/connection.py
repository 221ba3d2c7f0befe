"""One connection to the server: how its session is set, how statements run, what comes back."""

import datetime
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.constants import CLIENT, FIELD_TYPE
from pymysql.converters import conversions, escape_string

from .names import Names
from .tables import COLLATION
from .url import Address

LOCK_WAIT = 5
"""Seconds that a statement waits for a row that another transaction has locked."""

OLD_ENDS = 5
"""Seconds for the server to end a connection that it was told to end."""

_MODES = (
    "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES"
)
_EPOCH = datetime.datetime(1970, 1, 1)
_MILLISECOND = datetime.timedelta(milliseconds=1)

Row = tuple[Any, ...]


def time_text(at: int | None) -> str | None:
    """A time in ms as DATETIME(3) in UTC takes it."""
    return None if at is None else (_EPOCH + at * _MILLISECOND).isoformat(" ", "milliseconds")


def time_of(text: str) -> int:
    """A DATETIME or TIMESTAMP in ms; 0 for a date that no calendar has ("0000-00-00")."""
    try:
        return (datetime.datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except ValueError:
        return 0


_LITERALS: dict[type, Callable[[Any], str]] = {
    str: lambda text: f"'{escape_string(text)}'",  # backslashes escape: no sql_mode of ours says otherwise
    int: str,
    bool: lambda flag: "1" if flag else "0",
    type(None): lambda _: "NULL",
}
"""How values are written in a statement. PyMySQL's own way is the same, and four times as slow."""

_CONVERSIONS: dict[Any, Any] = {**conversions, FIELD_TYPE.DATETIME: time_of, FIELD_TYPE.TIMESTAMP: time_of}


class Connection:
    """A session of its own. Times come as integer ms. Raises PyMySQL's errors.

    `writer`: it may write, one transaction after the other; else it reads, each time one moment. `patience`: seconds
    to wait for an answer, None for as long as it takes.
    """

    def __init__(self, address: Address, names: Names, *, writer: bool, patience: float | None) -> None:
        self._names = names
        self._raw: Any = pymysql.connect(
            host=address.host,
            port=address.port,
            unix_socket=address.socket,
            user=address.user,
            password=address.password,
            database=address.database,
            charset="utf8mb4",
            collation=COLLATION,
            connect_timeout=max(1, int(address.connect_timeout)),
            read_timeout=patience,
            write_timeout=patience,
            ssl=address.tls,
            conv=_CONVERSIONS,
            init_command=f"SET time_zone = '+00:00', sql_mode = '{_MODES}', innodb_lock_wait_timeout = {LOCK_WAIT}",
            client_flag=CLIENT.FOUND_ROWS,
            autocommit=not writer,
            program_name="chatd",
        )
        try:
            # A reader's moment is its transaction's; a writer's, once it has locked, each statement's.
            level = "READ COMMITTED" if writer else "REPEATABLE READ"
            self.run(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
            self.name = f"chatd_{secrets.token_hex(12)}" if writer else None
            if self.name is not None:
                self.run("SELECT GET_LOCK(?, 0)", (self.name,))
                self._raw.commit()
        except BaseException:
            self.close()
            raise

    def run(self, statement: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Execute a statement with logical names and question marks: its rows."""
        return self._execute(self._names.sql(statement), values)

    def _execute(self, statement: str, values: Sequence[Any]) -> Sequence[Row]:
        with self._raw.cursor() as cursor:
            cursor.execute(statement % tuple([_LITERALS[type(value)](value) for value in values]))
            rows: Sequence[Row] = cursor.fetchall()
            return rows

    def run_many(
        self, statement: str, part: str, count: int, values: Sequence[Any], *, between: str = ", "
    ) -> Sequence[Row]:
        """The same with `part` so many times in place of `{}`, as for rows to insert or the values of a list."""
        head, part, tail = self._names.sql(statement.replace("{}", f"\0{part}\0")).split("\0")
        return self._execute(head + between.join([part] * count) + tail, values)

    def one(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, if there is any."""
        rows = self.run(statement, values)
        return rows[0] if rows else None

    def begin_moment(self) -> None:
        """What is read from now on is of this moment, until `end_moment`."""
        self._raw.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def end_moment(self) -> None:
        self._raw.rollback()

    def commit(self) -> None:
        """If this raises, what came of the transaction is unknown."""
        self._raw.commit()

    def roll_back(self) -> None:
        self._raw.rollback()

    def end_other(self, name: str) -> bool:
        """End the writer of this name, if it lives: whether it is certain now that it has ended.

        The server gives a name back when the transaction of its connection is over, one way or the other.
        """
        found = self.one("SELECT IS_USED_LOCK(?)", (name,))
        if found is not None and found[0] is not None:
            with suppress(pymysql.MySQLError):  # it ended by itself meanwhile
                self.run(f"KILL {int(found[0])}")
        ended = self.one("SELECT GET_LOCK(?, ?)", (name, OLD_ENDS))
        if ended is None or ended[0] != 1:
            return False
        self.run("SELECT RELEASE_LOCK(?)", (name,))
        self._raw.commit()
        return True

    def close(self) -> None:
        """Raises nothing."""
        with suppress(Exception):
            self._raw.close()
