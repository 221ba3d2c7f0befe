"""Ids that a database takes for one another's: where it compares them without regard to capitals or accents."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from .connection import Connection
from .tables import BYTEWISE

IDS_PER_STATEMENT = 50
"""Most ids that one statement weighs."""

_WEIGHT = "(SELECT ?, HEX(WEIGHT_STRING(? COLLATE {collation})))"


def likenesses(
    db: Connection, fresh: Collection[str], taken: Collection[str], collation: str | None
) -> Mapping[str, frozenset[str]]:
    """Return the others of each new id, of both collections, that the database can't tell from it.

    `collation`: the ids'; None where they are numbers. By what it weighs the server alone knows.
    """
    if collation in (None, BYTEWISE) or not fresh or len({*fresh, *taken}) < 2:
        return {}
    by_weight: defaultdict[str, set[str]] = defaultdict(set)
    rest = sorted({*fresh, *taken})
    while rest:
        some, rest = rest[:IDS_PER_STATEMENT], rest[IDS_PER_STATEMENT:]
        part = _WEIGHT.replace("{collation}", str(collation))
        for id, weight in db.run_many("{}", part, len(some), [id for id in some for _ in "12"], between=" UNION ALL "):
            by_weight[weight].add(id)
    return {id: frozenset(ids - {id}) for ids in by_weight.values() if len(ids) > 1 for id in ids.intersection(fresh)}
