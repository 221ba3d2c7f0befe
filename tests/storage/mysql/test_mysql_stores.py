"""Several stores on one database: one order, and one of each thing."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from storage.changes import Change, Changed, Outcome
from storage.contract import Store
from storage.mysql.connection import Connection
from storage.mysql.store import MysqlStore
from support.stores import Desk, mysql


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MysqlStore]:
    with contextlib.closing(mysql(tmp_path)) as found:
        yield found


def test_two_stores_number_without_gaps(store: MysqlStore, tmp_path: Path) -> None:
    other = mysql(tmp_path)
    desk = Desk(store)
    chats = [desk.chat("ada", f"u{n}") for n in range(4)]
    outcomes: list[Outcome] = []
    start = threading.Barrier(4)

    def send(one: Store, first: int) -> None:
        mine = Desk(one, first=first)
        start.wait(30)
        for turn in range(12):
            order = chats if turn % 2 else chats[::-1]  # locks are taken in one order all the same
            changes: list[Change] = [mine.send(c, "ada", f"{first} {turn}") for c in order]
            changes += [mine.receipt(order[0], "ada", delivered=turn + 1)]
            outcomes.extend(mine.do(*changes))

    threads = [threading.Thread(target=send, args=(one, 1000 * (n + 1))) for n, one in enumerate((store, other) * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    changed = [outcome for outcome in outcomes if isinstance(outcome, Changed)]
    for c in chats:
        mine = [outcome for outcome in changed if outcome.room.id == c]
        assert sorted(m.seq for outcome in mine for m in outcome.messages) == list(range(1, 49))
        assert sorted((outcome.from_rev, outcome.rev) for outcome in mine) == [
            (n, n + 1) for n in range(1, len(mine) + 1)
        ]
        page = store.history(c, "ada", before=None, after=0, limit=100)
        assert page is not None
        assert [m.seq for m in page.messages] == list(range(1, 49))
        assert [m.rev for m in page.messages] == sorted(m.rev for m in page.messages)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    start = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        start.wait(30)
        results[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def first_of(desk: Desk, change: Change) -> Any:
    return desk.do(change)[0]


def test_two_stores_make_one_thing(store: MysqlStore, tmp_path: Path) -> None:
    """A pair, a message of one client_id in two conversations, a group of one client_id."""
    with contextlib.closing(mysql(tmp_path)) as other:
        one, two = Desk(store, first=1000), Desk(other, first=2000)
        for n in range(8):
            one.people("ada", f"u{n}")
            opened = at_once(*(partial(first_of, d, d.open("ada", f"u{n}")) for d in (one, two)))
            assert sorted(type(outcome).__name__ for outcome in opened) == ["Changed", "Unchanged"]
            (c,) = {outcome.room.id for outcome in opened}
            second = one.chat("ada", f"v{n}")
            sent = at_once(
                partial(first_of, one, one.send(second, "ada", client_id=f"k{n}")),
                partial(first_of, two, two.send(c, "ada", client_id=f"k{n}")),
            )
            assert sorted(type(outcome).__name__ for outcome in sent) == ["Changed", "Refused"]
            made = at_once(*(partial(first_of, d, d.create("ada", f"u{n}", client_id=f"g{n}")) for d in (one, two)))
            assert sorted(type(outcome).__name__ for outcome in made) == ["Changed", "Unchanged"]
            assert len({outcome.room.id for outcome in made}) == 1


def test_stores_write_before_the_locks_is_counted(store: MysqlStore, desk: Desk, tmp_path: Path) -> None:
    c = desk.chat("ada", "ben")
    ask_many = Connection.ask_many
    with contextlib.closing(mysql(tmp_path)) as other:

        def meanwhile(db: Connection, statement: str, *rest: Any, **more: Any) -> Any:
            found = ask_many(db, statement, *rest, **more)
            if statement.startswith('SELECT "pairKey"') and db is store._writer:
                db.flush()
                Desk(other, first=100).say(c, "ben", "just in time")
            return found

        with mock.patch.object(Connection, "ask_many", meanwhile):
            opened = desk.unchanged(desk.open("ada", "ben"))
    assert opened.room.last_seq == 1
    assert [membership.unread for membership in opened.memberships] == [1]


def test_read_sees_what_another_store_has_committed(store: MysqlStore, tmp_path: Path) -> None:
    with contextlib.closing(mysql(tmp_path)) as other:
        c = Desk(store).chat("ada", "ben")
        for n in range(1, 20):
            Desk(store, first=100 * n).say(c, "ada", "hi")
            room = other.room(c)
            assert room is not None
            assert room.conversation.last_seq == n
