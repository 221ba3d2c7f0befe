"""How often something waits for the database server."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pymysql


@contextlib.contextmanager
def counted() -> Iterator[list[int]]:
    """The number of round trips so far, of all connections."""
    trips = [0]
    raw: Any = pymysql.connections.Connection
    execute = raw._execute_command

    def count(self: Any, command: int, statement: Any) -> None:
        trips[0] += 1
        execute(self, command, statement)

    with mock.patch.object(raw, "_execute_command", count):
        yield trips
