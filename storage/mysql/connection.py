"""Connection to the server: its session, the statements it runs, the rows it returns.

A statement whose rows nobody looks at yet waits for the next one that somebody does: they go together, in one packet.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from .link import DriverConnection
from .names import Names
from .tables import COLLATION
from .url import Address
from .values import LITERALS

LOCK_TIMEOUT_S = 5
"""Seconds that a statement waits for a row that another transaction has locked."""

TABLE_LOCK_TIMEOUT_S = 2
"""Seconds that a statement waits for a table that is locked as a whole (`LOCK TABLES`, an ALTER that copies): short, as
whoever comes next waits behind it."""

KILL_TIMEOUT_S = 5
"""Seconds for the server to end a connection that it was told to end."""

PACKET_CHARS = 1_000_000
"""Characters in one packet of several statements, roughly, and in the rows of one INSERT; fewer where the server's
`max_allowed_packet` is below MIN_PACKET_BYTES."""

MIN_PACKET_BYTES = 4 * 1024 * 1024

_SETTINGS = {
    "completion_type": "'NO_CHAIN'",
    "foreign_key_checks": "1",
    "sql_auto_is_null": "0",
    "sql_big_selects": "1",
    "sql_safe_updates": "0",
    "sql_select_limit": "18446744073709551615",
    "unique_checks": "1",
}
"""Settings of the session that a server may have otherwise, and that would change what statements do."""

# Rows of an app's with dates that no calendar has must not fail statements that copy or touch them.
MODES = "STRICT_TRANS_TABLES,ALLOW_INVALID_DATES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ANSI_QUOTES"

Row = tuple[Any, ...]


class Rows:
    """Rows of a statement, which is sent at the latest when they are looked at."""

    def __init__(self, db: "Connection") -> None:
        self._db = db
        self.found: Sequence[Row] | None = None

    def __iter__(self) -> Iterator[Row]:
        if self.found is None:
            self._db.flush()
        assert self.found is not None, "it failed, or was given up"
        return iter(self.found)


class Connection:
    """A session of its own. Times come as integer ms. Raises PyMySQL's errors.

    `writer`: it may write, one transaction after the other; else it reads, each time one moment. `timeout_s`: seconds
    to wait for an answer, None for as long as it takes. `names` may be replaced, when the tables are known.
    """

    def __init__(self, address: Address, names: Names, *, writer: bool, timeout_s: float | None) -> None:
        self._names = names
        self._waiting: list[tuple[str, Rows]] = []
        self._length = 0  # characters
        self.packet_chars = PACKET_CHARS
        self._raw: Any = DriverConnection(
            host=address.host,
            port=address.port,
            unix_socket=address.socket,
            user=address.user,
            password=address.password.encode(),  # as the server keeps it; PyMySQL would take Latin-1
            database=address.database,
            charset="utf8mb4",
            collation=COLLATION,
            connect_timeout=max(1, int(address.connect_timeout)),
            read_timeout=timeout_s,
            write_timeout=timeout_s,
            ssl=address.tls,
            init_command=(
                f"SET time_zone = '+00:00', sql_mode = '{MODES}', innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}, "
                f"lock_wait_timeout = {TABLE_LOCK_TIMEOUT_S}, "
                + ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
            ),
            client_flag=CLIENT.FOUND_ROWS | CLIENT.MULTI_STATEMENTS,
            autocommit=not writer,
            program_name="chatd",
        )
        try:
            # A reader's moment is its transaction's; a writer's, once it has locked, each statement's.
            level = "READ COMMITTED" if writer else "REPEATABLE READ"
            self.run(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}, READ WRITE")
            if writer:
                ((packet,),) = self.run("SELECT @@max_allowed_packet")
                self.packet_chars = min(PACKET_CHARS, int(packet) // 4 - 1000)  # a character is four bytes at most
            self.name = f"chatd_{secrets.token_hex(12)}" if writer else None
            if self.name is not None:
                self.run("SELECT GET_LOCK(?, 0)", (self.name,))
                self._raw.commit()
        except BaseException:
            self.close()
            raise
        self.names = names

    @property
    def names(self) -> Names:
        """The names of tables and columns."""
        return self._names

    @names.setter
    def names(self, names: Names) -> None:
        self._names = names
        self._raw.numbers = names.numbers

    def run(self, statement: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        """Execute a statement with logical names and question marks: its rows."""
        return list(self._ask(self.names.sql(statement), values))

    def run_many(
        self, statement: str, part: str, count: int, values: Sequence[Any], *, between: str = ", "
    ) -> Sequence[Row]:
        """Execute a statement with `part` `count` times in place of `{}`, as for rows or a list."""
        return list(self.ask_many(statement, part, count, values, between=between))

    def ask_many(self, statement: str, part: str, count: int, values: Sequence[Any], *, between: str = ", ") -> Rows:
        """Queue such a statement: it runs together with later ones, in order, at `flush` at the latest."""
        head, part, tail = self.names.sql(statement.replace("{}", f"\0{part}\0")).split("\0")
        return self._ask(head + between.join([part] * count) + tail, values)

    def ask_written(self, statement: str, written: Sequence[str]) -> Rows:
        """Queue a statement whose parts hold their values already."""
        head, tail = self.names.sql(statement).split("{}")
        return self._ask_text(head + ", ".join(written) + tail)

    def _ask(self, statement: str, values: Sequence[Any]) -> Rows:
        return self._ask_text(statement % tuple([LITERALS[type(value)](value) for value in values]))

    def _ask_text(self, text: str) -> Rows:
        if self._length + len(text) > self.packet_chars:
            self.flush()
        rows = Rows(self)
        self._waiting.append((text, rows))
        self._length += len(text)
        return rows

    def flush(self) -> None:
        """Execute what waits. After the first that fails the server leaves out the rest."""
        waiting = self._forget()
        if not waiting:
            return
        with self._raw.cursor() as cursor:
            cursor.execute(";".join([text for text, _ in waiting]))
            for _, rows in waiting:
                rows.found = cursor.fetchall()
                cursor.nextset()

    def _forget(self) -> list[tuple[str, Rows]]:
        waiting, self._waiting, self._length = self._waiting, [], 0
        return waiting

    def one(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, if there is any."""
        rows = self.run(statement, values)
        return rows[0] if rows else None

    def begin_moment(self) -> None:
        """Begin a snapshot: reads are of this moment until `end_moment`."""
        self._raw.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def end_moment(self) -> None:
        self.roll_back()

    def commit(self) -> None:
        """Commit. If COMMIT itself raises, with nothing asked before it, the outcome of the transaction is unknown."""
        self.flush()
        self._raw.commit()

    def roll_back(self) -> None:
        self._forget()
        self._raw.rollback()

    def end_other(self, name: str) -> bool:
        """End the writer of this name, if it lives: whether it is certain now that it has ended.

        The server gives a name back when the transaction of its connection is over, one way or the other.
        """
        found = self.one("SELECT IS_USED_LOCK(?)", (name,))
        if found is not None and found[0] is not None:
            with suppress(pymysql.MySQLError):  # it ended by itself meanwhile
                self.run(f"KILL {int(found[0])}")
        ended = self.one("SELECT GET_LOCK(?, ?)", (name, KILL_TIMEOUT_S))
        if ended is None or ended[0] != 1:
            return False
        self.run("SELECT RELEASE_LOCK(?)", (name,))
        self._raw.commit()
        return True

    def close(self) -> None:
        """Raises nothing."""
        with suppress(Exception):
            self._raw.close()
