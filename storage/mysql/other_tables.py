"""Tables of the app's beside the four that chatd works on: what is new in them is ingested, too."""

from collections.abc import Iterable

import attrs

from .attachments import FilesTable
from .links import ImplicitTable
from .seen_tables import SeenTable


@attrs.frozen
class OtherTables:
    """The tables that a database has: of files, of who has read what, and of who takes part."""

    files: FilesTable | None = None
    seen: tuple[SeenTable, ...] = ()
    link: ImplicitTable | None = None

    @property
    def waiting(self) -> str:
        """Condition: the app wrote to one of them."""
        return _any([*([] if self.files is None else [self.files.waiting]), *(table.waiting for table in self.seen)])

    @property
    def waiting_of(self) -> str:
        """Condition: the app wrote to one of them for messages of conversation `c`."""
        files = [] if self.files is None else [self.files.waiting_of]
        return _any([*files, *(table.waiting_of for table in self.seen)])


NONE = OtherTables()


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions) or 'FALSE'})"
