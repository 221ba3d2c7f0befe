"""The same random changes to SQLite and to MySQL, side by side: the same answers, and the same in every read."""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from storage.changes import Change
from storage.contract import Store
from storage.records import Membership, Participant, User
from support import mariadb
from support.stores import ANYBODY, STAFF, Desk, mysql, sqlite_file

RUNS = 200
PARTS = 8
BATCHES = 8
USERS = ("ada", "ben", "cleo", "Ada", "ärzt")
EMOJI = ("👍", "🦷")
BODIES = ("hello", "Zähne 🦷", "a  b ", "%_'\"\\", "ß", "x" * 3000)

pytestmark = pytest.mark.untraced


def some_change(desk: Desk, rng: random.Random, conversations: list[str]) -> Change:
    """One of any kind, often one that breaks a rule."""
    user, other = rng.choice(USERS), rng.choice(USERS)
    seq, number = rng.randrange(1, 9), rng.randrange(20)
    c = rng.choice(conversations) if conversations else "none"
    made: list[Callable[[], Change]] = [
        lambda: desk.put(user, rng.choice([None, "Dr. B", "Zoë"]), rng.choice([None, "dentist"])),
        lambda: desk.see(user),
        lambda: desk.open(user, other),
        lambda: desk.create(user, other, rng.choice(USERS), client_id=rng.choice([None, f"g{number % 3}"])),
        *[lambda: desk.send(c, user, rng.choice(BODIES), client_id=rng.choice([None, f"k{number}", f"k{number} "]),
                            reply_to=rng.choice([None, None, seq]))] * 8,
        lambda: desk.edit(c, user, seq, rng.choice(BODIES)),
        lambda: desk.delete(c, user, seq, by=STAFF),
        *[lambda: desk.react(c, user, seq, rng.choice(EMOJI), on=rng.random() < 0.7)] * 2,
        *[lambda: desk.receipt(c, user, delivered=seq, read=rng.choice([None, seq]))] * 4,
        lambda: desk.settings(c, user, muted=rng.random() < 0.5, pinned=number > 9, archived=number % 2 == 0),
        lambda: desk.leave(c, user),
        lambda: desk.title(c, user, rng.choice(BODIES[:3]), by=ANYBODY),
        lambda: desk.add(c, user, other, by=ANYBODY),
        lambda: desk.remove(c, user, other, by=ANYBODY),
    ]  # fmt: skip
    return rng.choice(made)()


def state(store: Store, users: Sequence[str], conversations: list[str]) -> Iterator[tuple[str, Any]]:
    """What the store tells these users, and all that is for nobody in particular, read by read."""
    yield "users", store.all_users(after=None, limit=100)
    yield "roles", store.list_users(roles=("patient", "dentist"), but="ben", query="a", after=None, limit=9)
    for user in users:
        for archived in False, True:
            yield f"list of {user}", store.summaries(user, archived=archived, after=None, limit=50)
        yield f"memberships of {user}", sorted(store.memberships(user))
        yield (
            f"search of {user}",
            [
                hit.message
                for hit in (store.search(user, ["a"], conversation=None, before=None, limit=9) or _none()).hits
            ],
        )
        for c in conversations:
            yield f"history of {c} for {user}", store.history(c, user, before=None, after=None, limit=5)
            for rev in 0, 3, 7:
                yield f"{c} for {user} since {rev}", store.since(c, user, rev, limit=4)
            yield f"standings of {c} for {user}", store.standings(user, {c: 2})
    for c in conversations:
        yield f"room {c}", store.room(c)
        for seq in range(1, 9):
            yield f"times of {c} {seq}", store.receipt_times(c, seq)
            yield f"versions of {c} {seq}", store.versions(c, seq)


def _none() -> Any:
    raise AssertionError("a search of everything finds something, or nothing")


def plain(value: Any) -> Any:
    """As it is, but people in the order of their ids: stores have them in any."""
    if attrs.has(type(value)):
        return type(value), [plain(getattr(value, field.name)) for field in attrs.fields(type(value))]
    if isinstance(value, list | tuple):
        people = all(isinstance(each, Participant | Membership | User) for each in value)
        return [plain(each) for each in (sorted(value, key=repr) if people else value)]
    return value


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.shapes) for part in range(1, PARTS))])
def test_stores_after_the_same_changes_are_alike(tmp_path: Path, part: int) -> None:
    # One database for all of these runs: to empty it is quicker than to make another.
    for seed in range(part * RUNS // PARTS, (part + 1) * RUNS // PARTS):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with contextlib.closing(sqlite_file(folder)) as ours, contextlib.closing(mysql(tmp_path)) as theirs:
            desk = Desk(ours)
            conversations: list[str] = []
            start: list[Change] = [desk.put(user) for user in USERS]
            batches = [[*start, desk.open("ada", "ben"), desk.create("ben", "ada", "cleo")]]
            for _ in range(BATCHES):
                batch = batches.pop() if batches else [
                    some_change(desk, rng, conversations) for _ in range(rng.randrange(1, 7))
                ]  # fmt: skip
                assert plain(ours.commit(batch)) == plain(theirs.commit(batch)), (seed, batch)
                conversations = sorted({id for user in USERS for id, _, _ in ours.memberships(user)} | {*conversations})
            some = rng.sample(USERS, 2)
            both = zip(state(ours, some, conversations), state(theirs, some, conversations), strict=True)
            for (name, mine), (_, other) in both:
                assert plain(mine) == plain(other), (seed, name)
            assert not theirs.scan(None).waiting
            mariadb.server().empty(theirs.database)
            with mariadb.server().session(theirs.database) as cursor:
                cursor.execute("INSERT INTO chatd_meta VALUES ('epoch', 'mysql'), ('development', '0'), ('schema', 1)")
