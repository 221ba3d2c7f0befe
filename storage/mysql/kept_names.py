"""The names of an adopted database, kept in it: settings that forget them, or say otherwise, make no second chat."""

import json
from collections.abc import Mapping

import attrs

from storage.contract import StoreError

from .connection import Connection
from .layout import Layout
from .names import Names
from .schema import meta_of
from .spellings import discovered
from .tables import ATTACHMENT

_KEY = "names"


def settled(db: Connection, layout: Layout, names: Names) -> Names:
    """Return the names to work with: the settings', those that were kept, and what the tables tell.

    Raises StoreError where the settings contradict what was kept.
    """
    kept = _kept(db, layout)
    if kept is None:
        return discovered(layout, names)
    wrong = contradictions(names, kept)
    if wrong:
        raise StoreError(
            f"mysql.names says {', '.join(f'{ours}={names.given[ours]}' for ours in wrong)}, but the database was "
            f"adopted with {', '.join(f'{ours}={_name(ours, kept)}' for ours in wrong)}: set it so, or, where the app "
            "has renamed it since, run `chatd db adopt --apply`"
        )
    return discovered(layout, names.with_given(kept))


def renamed(db: Connection, layout: Layout, names: Names) -> tuple[Names, bool]:
    """Return the names to adopt with, where the settings go before what was kept; and whether they contradict it."""
    kept = _kept(db, layout)
    if kept is None:
        return discovered(layout, names), False
    return discovered(layout, attrs.evolve(names, given={**kept, **names.given})), bool(contradictions(names, kept))


def is_kept(db: Connection, layout: Layout, names: Names) -> bool:
    """Return True if these names are the ones that were kept."""
    return _kept(db, layout) == _to_keep(names)


def keep(db: Connection, names: Names) -> None:
    """Keep the names for later starts, with the caller's transaction."""
    value = json.dumps(_to_keep(names), sort_keys=True)
    db.run('REPLACE INTO "chatd_meta" ("key", "value") VALUES (?, ?)', (_KEY, value))


def contradictions(names: Names, kept: Mapping[str, str]) -> list[str]:
    """Return the logical names for which the settings have another name than was kept."""
    return [ours for ours, theirs in _to_keep(names).items() if theirs != _name(ours, kept)]


def _kept(db: Connection, layout: Layout) -> dict[str, str] | None:
    found = meta_of(db, layout).get(_KEY)
    return None if found is None else dict(json.loads(found))


def _to_keep(names: Names) -> dict[str, str]:
    """All but the table of files, which may come and go, and is only read."""
    return {ours: theirs for ours, theirs in names.given.items() if ours.partition(".")[0] != ATTACHMENT.name}


def _name(ours: str, kept: Mapping[str, str]) -> str:
    return kept.get(ours, ours.rpartition(".")[2])
