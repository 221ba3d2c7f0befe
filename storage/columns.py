"""Columns of a record, declared once: the list in SQL, the record of a row and the row of a record derive from it."""

import re
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from storage.value import maker

Record = TypeVar("Record")
Row = tuple[Any, ...]

Decode = Callable[[Any], Any]
"""Makes the value of a field of what the database has in its column."""


@attrs.frozen
class Columns(Generic[Record]):
    """Columns, in order, of the fields of a record."""

    record: type[Record]
    fields: Mapping[str, str]  # column -> field

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.fields)

    @property
    def sql(self) -> str:
        """The columns as a list in a statement."""
        return quoted(self.fields)

    def maker(self, **decode: Decode) -> Callable[[Row], Record]:
        """Return what makes a record of a row. `decode`: by field. Further columns of the row are left alone.

        Compiled, as attrs compiles `__init__`: a loop over the fields takes three times as long.
        """
        values = {f"{field}_of": function for field, function in decode.items()}
        parts = [
            f"{field}={field}_of(row[{place}])" if field in decode else f"{field}=row[{place}]"
            for place, field in enumerate(self.fields.values())
        ]
        made: Callable[[Row], Record] = eval(  # of names in this program's own text
            f"lambda row: record({', '.join(parts)})", {"record": maker(self.record), **values}
        )
        return made

    def getter(self) -> Callable[[Record], Row]:
        """Return what makes a row of a record."""
        return attrgetter(*self.fields.values())


_HOLE = re.compile(r"\{(\w+)\}")


def fill(template: str, **parts: str) -> str:
    """Return the statement with each named hole filled; `{}` stays. Raises ValueError for a hole or part without the
    other, so that a changed template never leaves a condition out unseen."""
    holes = set(_HOLE.findall(template))
    if holes != parts.keys():
        raise ValueError(f"holes {sorted(holes)} for parts {sorted(parts)}: {template}")
    return _HOLE.sub(lambda hole: parts[hole[1]], template)


def quoted(names: Iterable[str]) -> str:
    """Return the names as a list in a statement."""
    return ", ".join(f'"{name}"' for name in names)
