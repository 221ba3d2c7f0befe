"""Stores on apps' tables in each shape that is served, adopted once, and emptied for each test."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from storage.mysql.adoption.adopt import Adoption
from storage.mysql.store import MysqlStore

from . import mariadb, prisma_app, shapes
from .shaped_ids import ShapedIds, ShapedStore
from .stores import Kind


@attrs.frozen
class Shape:
    """An app's tables, what chatd is told of them, and what stands for a test's ids and times there."""

    name: str
    tables: Sequence[str]
    names: Mapping[str, str] = attrs.Factory(dict)
    numbered: bool = False
    coarse: bool = False

    def ids(self) -> ShapedIds:
        return ShapedIds(self.numbered, 1000 if self.coarse else 1)


SHAPES = (
    Shape("seed", shapes.with_staff(prisma_app.PLAIN)),
    Shape("int", shapes.with_staff(shapes.numbered()), numbered=True),
    Shape("bigint", shapes.with_staff(shapes.numbered("BIGINT")), numbered=True),
    Shape("pairs", shapes.with_staff(shapes.paired())),
    Shape("linked", shapes.with_staff(shapes.linked())),
    Shape("short", shapes.with_staff(shapes.short_coarse_lower()), coarse=True),
    Shape("renamed", shapes.with_staff(prisma_app.renamed()), prisma_app.RENAMED),
)


@attrs.define
class _Database:
    """An adopted database. `notes`: what `chatd_meta` had then. `test`: whose it is now."""

    name: str
    notes: list[tuple[Any, ...]]
    ids: ShapedIds
    test: str


_databases: dict[tuple[str, Path], _Database] = {}


def _database(shape: Shape, folder: Path) -> _Database:
    """The database that stands for a folder: a new one, or one that an earlier test is done with."""
    server, test = mariadb.server(), os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if (shape.name, folder) in _databases:
        return _databases[shape.name, folder]
    done = [key for key, known in _databases.items() if key[0] == shape.name and known.test != test]
    if done:
        found = _databases.pop(done[0])
        server.empty(found.name)
        with server.session(found.name) as cursor:
            cursor.executemany("INSERT INTO chatd_meta VALUES (%s, %s)", found.notes)
        found = attrs.evolve(found, ids=shape.ids(), test=test)
    else:
        found = _adopted(shape, test)
    _databases[shape.name, folder] = found
    return found


def _adopted(shape: Shape, test: str) -> _Database:
    server = mariadb.server()
    name = server.database()
    with server.session(name) as cursor:
        for statement in shape.tables:
            cursor.execute(statement)
        Adoption(server.url(name), names=shape.names).apply(new_epoch=lambda: "mysql")
        notes = mariadb.rows(cursor, "SELECT * FROM chatd_meta")
        if shape.numbered:  # ids that no text or count of a test is taken for
            for table, first in ("Conversation", 300_000_001), ("Message", 500_000_001):
                cursor.execute(f"ALTER TABLE {table} AUTO_INCREMENT = {first}")
    return _Database(name, notes, shape.ids(), test)


def done_with(shape: Shape, folder: Path) -> None:
    """Its database may stand for another folder now."""
    _databases[shape.name, folder].test = ""


def opener(shape: Shape) -> Any:
    """Return what opens a store of that shape in a folder."""

    def open(folder: Path) -> Any:
        found = _database(shape, folder)
        return ShapedStore(MysqlStore(mariadb.server().url(found.name), new_epoch=lambda: "mysql"), found.ids)

    return open


SHAPED_KINDS = tuple(Kind(f"mysql-{shape.name}", opener(shape)) for shape in SHAPES)
