"""The files of messages, in a table of the app's: which of its columns mean what, and what of it is shown.

No two apps name these columns alike, so they are looked for by the names that are usual. The table stays the app's:
chatd reads it, and adds nothing to it but what tells that a row is new. One that says too little is left alone.
"""

import mimetypes
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

import attrs

from storage.files import ATTACHMENTS_PATH, add_files, may_have_files
from storage.keyed import KEPT_FILE, KeptFile, row_of, select
from storage.records import Attachment, Message

from . import rows
from .connection import Connection, Row
from .ids import is_number
from .layout import INTEGER_TYPES, TEXT_TYPES, ExistingColumn, Layout
from .names import Names
from .tables import ATTACHMENT, TOUCHED

SPELLINGS = {
    "id": ("id",),
    "messageId": ("messageId",),
    "url": ("url", "fileUrl", "href"),
    "name": ("originalName", "fileName", "name", "title"),
    "type": ("mimeType", "contentType", "fileType", "type"),
    "size": ("size", "fileSize", "sizeBytes", "bytes"),
    "width": ("width", "imageWidth"),
    "height": ("height", "imageHeight"),
    "thumbnailUrl": ("thumbnailUrl", "thumbUrl", "thumbnail", "previewUrl"),
    "createdAt": ("createdAt", "uploadedAt"),
    "deletedAt": ("deletedAt",),
}
"""Usual names of these columns, the likeliest first; capital letters and underscores don't matter."""

NEEDED = ("id", "messageId", "url")

MAX_FILES_SHOWN = 50
"""Files of one message that are shown: with all that is longest in them they are less than half a frame."""

MAX_ADDRESS_BYTES = 2_048
"""Bytes of an address that is shown."""

MAX_FILE_NAME_CHARS, MAX_TYPE_CHARS = 255, 127
"""Characters of the names of a file and of a type (RFC 6838, section 4.2)."""

_NUMERIC = (*INTEGER_TYPES, "decimal")
_SQL_TYPES = {
    **dict.fromkeys(("messageId", "url", "name", "thumbnailUrl"), TEXT_TYPES),
    **dict.fromkeys(("size", "width", "height"), _NUMERIC),
    "type": (*TEXT_TYPES, "enum"),
    "id": (*TEXT_TYPES, *_NUMERIC),
}

_ADDRESS = re.compile(r"(?:https?://[^\s\x00-\x20\x7f]+|/(?![/\\])[^\s\x00-\x20\x7f]*)", re.IGNORECASE)
_PATH = re.compile(r"(?:https?://[^/?#]*)?([^?#]*)", re.IGNORECASE)
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)
_ID = re.compile(r"[!-~]{1,128}")
_UNKNOWN = "application/octet-stream"
_MIME_TYPES = mimetypes.MimeTypes()
"""Python's own table: the same on every machine."""

_SELECT_KEPT = f'{select(KEPT_FILE)} WHERE "message" IN ({{}})'

_SHOWN = ("messageId", "id", "url", "name", "type", "size", "width", "height", "thumbnailUrl")


@attrs.frozen
class FilesTable:
    """A table that can be used. `columns`: those that were found, ours -> theirs. `ready`: new rows can be told.

    `site`: the address of the app's site, where its relative addresses are paths.
    """

    table: str
    columns: Mapping[str, str]
    touched: str
    ready: bool
    site: str = ""

    @classmethod
    def of(cls, layout: Layout, names: Names) -> "FilesTable | None":
        """Return the table of a database; None where there is none of use."""
        table = names.table(ATTACHMENT.name)
        there = layout.columns.get(table)
        if there is None or unfit(layout, names) is not None:
            return None
        columns = dict(_found(layout, names))
        touched = names.column(ATTACHMENT.name, TOUCHED)
        return cls(table, columns, touched, touched in there)

    def names(self, names: Names) -> Names:
        """The names with what was found."""
        return names.with_given({f"{ATTACHMENT.name}.{ours}": theirs for ours, theirs in self.columns.items()})

    @property
    def lacking(self) -> list[str]:
        """Columns of what could be shown that the table lacks."""
        return [ours for ours in _SHOWN if ours not in self.columns]

    # -- reading --

    def put(self, db: Connection, messages: Iterable[Message]) -> list[Message]:
        """The messages with their files: one statement more, where there is any that may have some."""
        found = list(messages)
        ids = may_have_files(found)
        if not ids:
            return found
        files: defaultdict[str, list[Attachment]] = defaultdict(list)
        for message, *row in rows.many(db, self._select, ids):
            file = shown(row, self.site)
            of = str(message)  # may be a number
            if file is not None and len(files[of]) < MAX_FILES_SHOWN:
                files[of].append(file)
        return [attrs.evolve(m, attachments=tuple(files[m.id])) if files.get(m.id) else m for m in found]

    @property
    def _select(self) -> str:
        shown = ", ".join(f'f."{self.columns[ours]}"' if ours in self.columns else "NULL" for ours in _SHOWN)
        there = f' AND f."{self.columns["deletedAt"]}" IS NULL' if "deletedAt" in self.columns else ""
        order = ", ".join(f'f."{self.columns[ours]}"' for ours in ("createdAt", "id") if ours in self.columns)
        of = f'f."{self.columns["messageId"]}" IN ({{}})'
        return f'SELECT {shown} FROM "{self.table}" f WHERE {of}{there} ORDER BY {order}'

    # -- what the app wrote --

    @property
    def waiting(self) -> str:
        """Condition: the app wrote files."""
        return rows.any_touched(self.table, self.touched)

    @property
    def waiting_of(self) -> str:
        """Condition: the app wrote files of messages of conversation `c`."""
        return rows.any_touched_of(self.table, self.touched, self.columns["messageId"])

    def find(self, db: Connection, limit: int, conversation: str | None = None) -> list[tuple[str | None, "FileRow"]]:
        """Return files that the app wrote, with their conversation, in one or all; those of no message, too."""
        values: tuple[Any, ...] = (limit,) if conversation is None else (conversation, limit)
        only = "" if conversation is None else 'AND m."conversationId" = ? '
        found = db.run(
            f'SELECT m."conversationId", f."{self.columns["id"]}", m."id" FROM "{self.table}" f '
            f'LEFT JOIN "Message" m ON m."id" = f."{self.columns["messageId"]}" '
            f'WHERE f."{self.touched}" IS NOT NULL {only}ORDER BY f."{self.touched}" LIMIT ?',
            values,
        )
        return [(conversation, FileRow(id, message)) for conversation, id, message in found]

    def hold(self, db: Connection, files: Iterable["FileRow"]) -> list["FileRow"]:
        """Lock them; not those that the app is still at."""
        known = {file.id: file for file in files}
        id = self.columns["id"]
        locked = f'SELECT f."{id}" FROM "{self.table}" f WHERE f."{id}" IN ({{}}) FOR UPDATE SKIP LOCKED'
        return [known[id] for (id,) in rows.many(db, locked, known) if id in known]

    def taken(self, db: Connection, files: Collection["FileRow"]) -> None:
        """Mark the files as ingested."""
        statement = f'UPDATE "{self.table}" SET "{self.touched}" = NULL WHERE "{self.columns["id"]}" IN ({{}})'
        rows.for_each(db, statement, [file.id for file in files])

    def forget(self, db: Connection, limit: int) -> int:
        """Mark up to `limit` waiting rows as ingested: what nobody has seen is no news. Return how many."""
        db.run(f'UPDATE "{self.table}" SET "{self.touched}" = NULL WHERE "{self.touched}" IS NOT NULL LIMIT {limit}')
        ((count,),) = db.run("SELECT ROW_COUNT()")
        return int(count)


@attrs.frozen
class FileRow:
    """A row that the app wrote, and the message that it is of, if there is one."""

    id: Any
    message: str | None


class FilesReader(Protocol):
    """Puts files of the app's to messages."""

    def put(self, db: Connection, messages: Iterable[Message]) -> list[Message]:
        """Return the messages with their files."""
        ...


def with_files(
    db: Connection, messages: Iterable[Message], files: FilesTable | None, listed: FilesReader | None = None
) -> list[Message]:
    """The messages with the files that chatd keeps, and with what the app's table or column has for them."""
    found = list(messages)
    kept = rows.many(db, _SELECT_KEPT, may_have_files(found))
    if files is not None:
        found = files.put(db, found)
    if listed is not None:
        found = listed.put(db, found)
    own = [row_of(KEPT_FILE, row) for row in kept]
    return add_files([_without(m, own) for m in found], own) if own else found


def _without(message: Message, own: Collection[KeptFile]) -> Message:
    """The message without the app's rows of files that chatd keeps itself (`app_files.py`)."""
    ends = tuple(ATTACHMENTS_PATH + file.id for file in own)
    others = tuple(file for file in message.attachments if not file.url.endswith(ends))
    return message if len(others) == len(message.attachments) else attrs.evolve(message, attachments=others)


def unfit(layout: Layout, names: Names) -> str | None:
    """Return, for people, the reason that the table can't be used; None where it can, or isn't there."""
    table = names.table(ATTACHMENT.name)
    there = layout.columns.get(table)
    if there is None:
        return "there is no such table" if ATTACHMENT.name in names.given else None
    columns = dict(_found(layout, names))
    lacking = [ours for ours in NEEDED if ours not in columns]
    if lacking:
        usual = "; ".join(f"{ours}: {' or '.join(SPELLINGS[ours])}" for ours in lacking)
        return f"no column that could be its {' and '.join(lacking)} (usual are {usual}; set others in mysql.names)"
    if not any(index[:1] == (columns["id"],) for index in layout.indexes.get(table, ())):
        return f"{columns['id']} is no key of it"
    return None


def _found(layout: Layout, names: Names) -> Iterator[tuple[str, str]]:
    """Ours and theirs: the column that the settings name, else the first by a usual name; of a fitting type."""
    there = layout.columns[names.table(ATTACHMENT.name)]
    messages = layout.columns.get(names.table("Message"), {}).get(names.column("Message", "id"))
    kinds = _SQL_TYPES if messages is None or not is_number(messages.type) else {**_SQL_TYPES, "messageId": _NUMERIC}
    folded = {_folded(name): name for name in there}
    for ours, spellings in SPELLINGS.items():
        given = names.given.get(f"{ATTACHMENT.name}.{ours}")
        theirs = [given] if given is not None else [folded[s] for s in map(_folded, spellings) if s in folded]
        for name in theirs:
            if name in there and column_kind(there[name]) in kinds.get(ours, (column_kind(there[name]),)):
                yield ours, name
                break


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def column_kind(has: ExistingColumn) -> str:
    return re.split(r"[( ]", has.type.lower())[0]


def shown(row: Row | list[Any], site: str = "") -> Attachment | None:
    """Return the file of the columns' values but the first; None for one without an address that a browser may follow.

    `site`: the app's, in front of addresses that are paths there.
    """
    id, url, name, type_, size, width, height, thumbnail = row
    id = str(id)
    if not _is_address(url) or not _ID.fullmatch(id):
        return None
    name = _printable(name or "") or _printable(_end_of(url)) or "file"
    if type_ is None or len(type_) > MAX_TYPE_CHARS or not _TYPE.fullmatch(type_):  # an app may have "IMAGE" there
        type_ = _MIME_TYPES.guess_type(name)[0] or _UNKNOWN
    return Attachment(
        id=id,
        name=name,
        type=type_,
        size=max(0, int(size or 0)),
        url=_whole(url, site),
        width=int(width or 0) or None,
        height=int(height or 0) or None,
        thumbnail_url=_whole(thumbnail, site) if _is_address(thumbnail) else None,
    )


def _whole(address: str, site: str) -> str:
    return site + address if address.startswith("/") else address


def _end_of(url: str) -> str:
    """The last part of an address's path, as people would read it."""
    found = _PATH.match(url)
    return unquote(found[1].rpartition("/")[2]) if found else ""


def _printable(name: str) -> str:
    return "".join(filter(str.isprintable, name))[:MAX_FILE_NAME_CHARS]


def _is_address(text: str | None) -> bool:
    """Return True for an address of the web or a path of the app's site: nothing that a browser would run."""
    return text is not None and len(text.encode()) <= MAX_ADDRESS_BYTES and _ADDRESS.fullmatch(text) is not None
