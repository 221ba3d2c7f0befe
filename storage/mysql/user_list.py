"""A page of users by name. Names in ASCII are folded and sorted by the server, all others here, by `search.fold`:
the server's own folding knows too little.
"""

import heapq
from collections.abc import Callable, Collection
from typing import Any

from storage import sql
from storage.records import User
from storage.search import fold

from . import rows
from .connection import Connection, Row
from .loading import USERS
from .rows import Roles

_SHOWN = 'COALESCE(NULLIF("name", \'\'), "id")'
_IS_ASCII = f"LENGTH({_SHOWN}) = CHAR_LENGTH({_SHOWN})"
# As bytes: the order of code points, where a collation would pass over spaces at the end.
_FOLDED = f"CAST(LOWER({_SHOWN}) AS BINARY)"

Place = tuple[Any, ...]
"""Folded name and id."""


def list_users(
    db: Connection,
    roles: Roles,
    make_user: Callable[[Row], User],
    *,
    of: Collection[str],
    but: str,
    query: str | None,
    after: Place | None,
    limit: int,
) -> tuple[list[User], Place | None]:
    """Return the page as `AccountStore.list_users` promises, within the caller's snapshot. `of`: chatd's roles."""
    condition, values = _listed(roles, of, but)
    part = "" if query is None else fold(query)
    found = _ascii(db, condition, values, part, after, limit + 1) if part.isascii() else {}
    others = _others(db, condition, values, part, after, limit + 1)
    places = heapq.nsmallest(limit + 1, [*found, *others])
    wanted = [id for _, id in places[:limit]]
    users = {id: make_user(row) for (_, id), row in found.items()}
    users |= {row[0]: make_user(row) for row in rows.many(db, USERS, [id for id in wanted if id not in users])}
    return [users[id] for id in wanted], places[limit - 1] if len(places) > limit else None


def _listed(roles: Roles, of: Collection[str], but: str) -> tuple[str, list[Any]]:
    names, others = roles.all_of(of)
    conditions, values = ["FALSE"], []
    if names:
        conditions.append(f'"role" IN ({", ".join("?" * len(names))})')
        values += names
    if others:
        known = roles.known()
        conditions.append(f"COALESCE(\"role\", '') NOT IN ({', '.join('?' * len(known))})")
        values += known
    return f'({" OR ".join(conditions)}) AND "id" <> ? AND "disabledAt" IS NULL', [*values, but]


def _ascii(
    db: Connection, condition: str, values: list[Any], part: str, after: Place | None, limit: int
) -> dict[Place, Row]:
    """The first rows of those with names in ASCII, by place."""
    statement = f'SELECT {sql.USER_COLUMNS}, {_SHOWN} FROM "User" WHERE {condition} AND {_IS_ASCII}'
    given = list(values)
    if part:
        statement += f" AND LOCATE(?, {_FOLDED}) > 0"
        given.append(part)
    if after is not None:
        statement += f' AND ({_FOLDED} > ? OR ({_FOLDED} = ? AND "id" > ?))'
        given += [after[0], *after]
    found = db.run(f'{statement} ORDER BY {_FOLDED}, "id" LIMIT ?', (*given, limit))
    return {(fold(row[-1]), row[0]): row[:-1] for row in found}


def _others(
    db: Connection, condition: str, values: list[Any], part: str, after: Place | None, limit: int
) -> list[Place]:
    """The first places of those with other names."""
    statement = f'SELECT "id", {_SHOWN} FROM "User" WHERE {condition} AND NOT ({_IS_ASCII})'
    places = ((fold(name), id) for id, name in db.run(statement, values))
    return heapq.nsmallest(limit, (place for place in places if part in place[0] and (after is None or place > after)))
