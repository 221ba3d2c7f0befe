"""The random walk against the model on apps' tables in other shapes: the same promises hold there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings

from storage.mysql.adoption.adopt import Adoption
from storage.mysql.store import MysqlStore
from support import mariadb, prisma_app, shapes
from support.mysql_walk import MysqlStores

WALKS = settings(max_examples=4, stateful_step_count=15, deadline=None, print_blob=True)
"""Few: the walk on chatd's own tables has more, and here only what is written otherwise is new."""


class ShapedStores(MysqlStores):
    tables: ClassVar[Sequence[str]]
    _urls: ClassVar[dict[str, str]] = {}  # folder -> its database

    def open(self) -> Any:
        folder, server = str(Path(self.folder.name)), mariadb.server()
        if folder not in self._urls:
            name = server.database()
            with server.session(name) as cursor:
                for statement in self.tables:
                    cursor.execute(statement)
            self._urls[folder] = server.url(name)
            Adoption(self._urls[folder]).apply(new_epoch=lambda: "mysql")
        return MysqlStore(self._urls[folder], new_epoch=lambda: "mysql")

    def give_back(self) -> None:
        """Nobody else takes it: it ends with the server."""


class PairedStores(ShapedStores):
    tables = shapes.with_staff(shapes.paired())


class LowerStores(ShapedStores):
    tables = shapes.with_staff(shapes.lower_statuses())


class PlainStores(ShapedStores):
    tables = shapes.with_staff(prisma_app.PLAIN)


for _case in PairedStores, LowerStores, PlainStores:
    _case.TestCase.settings = WALKS
TestPairedStores = PairedStores.TestCase
TestLowerStores = LowerStores.TestCase
TestPlainStores = PlainStores.TestCase
