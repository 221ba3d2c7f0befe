"""Files that an app lists in a JSON column of its messages: read, and written where the app is to have chatd's, too.

Understood are an address, an object that has one, and a list of either; an object's members have the names that columns
of a table of files may have (`attachments.py`). Other values aren't shown.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from storage.columns import fill
from storage.files import ATTACHMENTS_PATH, described, may_have_files
from storage.keyed import KeptFile
from storage.records import Attachment, Message
from storage.rules.unit import Unit
from storage.value import copy_with

from . import rows
from .attachments import MAX_FILES_SHOWN, SPELLINGS, shown
from .connection import Connection
from .expressions import present
from .layout import Layout
from .names import Names
from .spellings import folded
from .tables import TOUCHED

MAX_LIST_CHARS = 200_000
"""Characters of a list that is looked at."""

_SELECT = (
    'SELECT "id", "attachments" FROM "Message" WHERE "attachments" IS NOT NULL '
    f'AND CHAR_LENGTH("attachments") <= {MAX_LIST_CHARS} AND "id" IN ({{}})'
)
_WRITE = f'UPDATE "Message" SET "attachments" = ?, "{TOUCHED}" = "{TOUCHED}" WHERE "id" = ?'
_CLEAR = (
    f'UPDATE "Message" SET "attachments" = {{empty}}, "{TOUCHED}" = "{TOUCHED}" WHERE "id" = ? '
    f"AND \"attachments\" LIKE '%{ATTACHMENTS_PATH}%'"
)
_MEMBERS = ("id", "url", "name", "type", "size", "width", "height", "thumbnailUrl")


@attrs.frozen
class ListedFiles:
    """A JSON column of messages. `site`: the app's address, for paths; `empty`: SQL for no files."""

    site: str
    empty: str

    @classmethod
    def of(cls, layout: Layout, names: Names, site: str) -> "ListedFiles | None":
        """Return the column of a database; None where there is none."""
        if "attachments" not in present(layout, names, "Message"):
            return None
        has = layout.columns[names.table("Message")][names.column("Message", "attachments")]
        return cls(site, "NULL" if has.null else "'[]'")

    def put(self, db: Connection, messages: Iterable[Message]) -> list[Message]:
        """Return the messages with their files."""
        found = list(messages)
        lists: dict[str, str] = dict(rows.many(db, _SELECT, may_have_files(found)))
        files = {id: tuple(self._files(id, text)) for id, text in lists.items()}
        return [
            copy_with(m, attachments=(*m.attachments, *files[m.id])[:MAX_FILES_SHOWN]) if files.get(m.id) else m
            for m in found
        ]

    def _files(self, message: str, text: str) -> Iterator[Attachment]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):  # MariaDB's JSON is a text, which the app may have filled otherwise
            return
        for place, one in enumerate(value if isinstance(value, list) else [value]):
            file = shown(_row(one, f"{message}-{place + 1}"), self.site)
            if file is not None:
                yield file


@attrs.frozen
class ListedFilesWriter:
    """Writes files that are sent through chatd. `site`: chatd's own address."""

    listed: ListedFiles
    site: str

    def send(self, db: Connection, files: Iterable[KeptFile], at: int) -> None:  # noqa: ARG002
        """Write the lists of messages that are sent."""
        by_message: defaultdict[str | None, list[KeptFile]] = defaultdict(list)
        for file in files:
            by_message[file.message].append(file)
        for message, some in by_message.items():
            value = [self._object(file) for file in sorted(some, key=lambda file: file.place)]
            db.run(_WRITE, (json.dumps(value), message))

    def drop(self, db: Connection, unit: Unit) -> None:
        """Empty the lists of messages that were deleted, where they are chatd's."""
        for stone in unit.tombstones:
            db.run(fill(_CLEAR, empty=self.listed.empty), (stone.id,))

    def _object(self, file: KeptFile) -> dict[str, Any]:
        found = described(file, self.site)
        return {member: value for member, value in found.items() if value is not None}


def _row(one: Any, id: str) -> list[Any]:
    """Return what `attachments.shown` takes, of an item of a list; nothing where it is none."""
    if isinstance(one, str):
        one = {"url": one}
    members = {folded(str(key)): value for key, value in one.items()} if isinstance(one, Mapping) else {}
    found = [_member(members, name) for name in _MEMBERS]
    return [found[0] or id, *found[1:]]


def _member(members: Mapping[str, Any], name: str) -> Any:
    for spelling in map(folded, SPELLINGS[name]):
        value = members.get(spelling)
        if name in ("size", "width", "height"):
            if isinstance(value, int | float) and 0 <= value < 2**53:
                return int(value)
        elif isinstance(value, str):
            return value
        elif name == "id" and isinstance(value, int):
            return str(value)
    return None
