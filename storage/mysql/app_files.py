"""Files that are sent through chatd, in the app's own table of files as well, so that the app shows them, too."""

from collections.abc import Iterable
from typing import Protocol

import attrs

from storage.files import ATTACHMENTS_PATH, described
from storage.keyed import KeptFile
from storage.rules.unit import Unit

from .attachments import FilesTable, column_kind
from .connection import Connection
from .layout import INTEGER_TYPES, Layout
from .names import Names
from .tables import ATTACHMENT
from .values import time_text

_UPDATED = "updatedAt"


@attrs.frozen(kw_only=True)
class Sites:
    """Addresses of the app's site and of chatd's own; `write_files`: the app is to have files of chatd, too."""

    app: str = ""
    own: str = ""
    write_files: bool = False


NO_SITES = Sites()


class FilesWriter(Protocol):
    """Writes files that are sent through chatd where the app keeps its own."""

    def send(self, db: Connection, files: Iterable[KeptFile], at: int) -> None:
        """Write the files of messages that are sent at that time, ms."""
        ...

    def drop(self, db: Connection, unit: Unit) -> None:
        """Take away the files of messages that were deleted."""
        ...


@attrs.frozen
class AppFiles:
    """Writes rows of the app's table.

    `columns`: ours -> theirs; `constants`: theirs -> SQL; `site`: chatd's address.
    """

    table: str
    columns: dict[str, str]
    constants: dict[str, str]
    touched: str
    site: str

    @classmethod
    def of(cls, layout: Layout, names: Names, files: FilesTable, site: str) -> "AppFiles | str":
        """Return what writes there; or why nothing can, for people."""
        there = layout.columns[files.table]
        columns = dict(files.columns)
        columns.pop("deletedAt", None)
        if column_kind(there[columns["id"]]) in INTEGER_TYPES:  # the server counts; else nobody knows the next one
            del columns["id"]
        if "type" in columns and column_kind(there[columns["type"]]) == "enum":
            del columns["type"]
        columns |= [(_UPDATED, name) for name in there if name.replace("_", "").lower() == _UPDATED.lower()]
        constants = dict(names.constants.get(ATTACHMENT.name, {}))
        written = {*columns.values(), *constants, files.touched}
        lacking = sorted(name for name, has in there.items() if name not in written and not has.filled)
        if lacking:
            return (
                f"files are not written to the table {files.table}, as nothing tells its {', '.join(lacking)}: set "
                f'mysql.constants = ["{ATTACHMENT.name}.{lacking[0]}=..."]'
            )
        return cls(files.table, columns, constants, files.touched, site)

    def send(self, db: Connection, files: Iterable[KeptFile], at: int) -> None:
        """Insert a row for each file of a message that is sent."""
        names = [*self.columns.values(), *self.constants, self.touched]
        marks = [*("?" for _ in self.columns), *self.constants.values(), "NULL"]
        listed = ", ".join(f'"{name}"' for name in names)
        for file in files:
            values = self._values(file, at)
            statement = f'INSERT INTO "{self.table}" ({listed}) VALUES ({", ".join(marks)})'
            db.run(statement, [values[ours] for ours in self.columns])

    def drop(self, db: Connection, unit: Unit) -> None:
        """Delete the rows of files whose messages were deleted."""
        message, url = self.columns["messageId"], self.columns["url"]
        ids = ", ".join("?" * len(unit.dropped_files))
        statement = (
            f'DELETE FROM "{self.table}" WHERE "{message}" = ? AND "{url}" LIKE ? '
            f"AND SUBSTRING_INDEX(\"{url}\", '/', -1) IN ({ids})"
        )
        for stone in unit.tombstones:
            db.run(statement, (stone.id, f"%{ATTACHMENTS_PATH}%", *unit.dropped_files))

    def _values(self, file: KeptFile, at: int) -> dict[str, object]:
        return {
            **described(file, self.site),
            "messageId": file.message,
            "createdAt": time_text(at),
            _UPDATED: time_text(at),
        }
