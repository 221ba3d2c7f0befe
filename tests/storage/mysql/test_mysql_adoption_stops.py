"""Adoption in batches beside an app that writes; cut short anywhere, and done again."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.contract import StoreError
from storage.mysql.adoption import adopt as adoption
from storage.mysql.adoption import backfill
from storage.mysql.connection import Connection
from storage.mysql.schema import merged
from storage.mysql.tables import TABLES
from support import mariadb, prisma_app
from support.prisma_app import App, adopt, adoption_of, fill, history, layout, served


@pytest.fixture
def app() -> Iterator[App]:
    with prisma_app.with_people() as found:
        yield found


def numbers(app: App) -> list[tuple[Any, ...]]:
    return app.run("SELECT id, seq, rev FROM Message WHERE conversationId = 'c1' ORDER BY seq")


def state(app: App) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, but for when somebody last wrote them."""
    found = {}
    for (table,) in app.run("SHOW TABLES"):
        columns = [name for name, *_ in app.run(f"SHOW COLUMNS FROM `{table}`") if name != "chatdTouched"]
        found[table] = sorted(app.run(f"SELECT `{'`, `'.join(columns)}` FROM `{table}`"), key=repr)
    return found


def empty(app: App) -> None:
    mariadb.server().empty(app.database)
    app.now, app.numbers = prisma_app.START, iter(range(1, 10_000))
    prisma_app.people(app)


def test_small_batches_end_the_same(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    created = "UPDATE User SET createdAt = updatedAt"
    fill(app)
    app.run(created)
    adopt(app)
    whole = state(app)
    assert len(whole["Message"]) == 23
    for batch, together in (1, 1), (3, 2), (4, 100):
        monkeypatch.setattr(backfill, "MESSAGES_PER_BATCH", batch)
        monkeypatch.setattr(backfill, "CONVERSATIONS_PER_BATCH", together)
        empty(app)
        fill(app)
        app.run(created)
        told: list[tuple[int, int]] = []

        def tell(done: int, total: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, total))

        adoption_of(app).apply(new_epoch=lambda: "e", progress=tell)
        found = state(app)
        assert found["chatd_meta"] == [row for row in whole["chatd_meta"] if row[0] != "adoption"]
        assert {**found, "chatd_meta": []} == {**whole, "chatd_meta": []}
        assert told[-1] == (29, 29)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert len(told) > 29 // batch


def test_app_writes_meanwhile(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes behind the last number waits for the daemon; nothing is numbered twice, nothing is lost."""
    monkeypatch.setattr(backfill, "MESSAGES_PER_BATCH", 2)
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", *map(str, range(5)))

    def write(done: int, total: int) -> None:
        if len(app.run("SELECT id FROM Message")) < 10:
            app.say("c1", "bo", "meanwhile")
        if done == 2:
            app.conversation("c0", "ada", "eve")  # behind us in the order of ids
            app.conversation("c9", "ada", "eve")

    adoption_of(app).apply(new_epoch=lambda: "e", progress=write)
    numbered = [seq for _, seq, _ in numbers(app) if seq is not None]
    assert numbered == list(range(1, len(numbered) + 1))
    assert 5 < len(numbered) < 10, "some came in time, some did not"
    left = app.run("SELECT COUNT(*), COUNT(chatdTouched) FROM Message WHERE seq IS NULL")
    assert left == [(10 - len(numbered),) * 2], "the daemon's look for what was touched finds them"
    with served(app) as store:
        assert len(history(store, "c1", "ada")) == len(numbered)
        room = store.room("c1")
        assert room is not None
        assert room.conversation.last_seq == len(numbered)
    assert app.run("SELECT id, kind, pairKey FROM Conversation WHERE id <> 'c1' ORDER BY id") == [
        ("c0", None, None), ("c9", "direct", "ada eve"),
    ]  # fmt: skip


def test_rows_that_the_app_holds_are_waited_for(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.mysql.connection.LOCK_TIMEOUT_S", 1)
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one")
    adoption_of(app).apply(new_epoch=lambda: "e")
    app.run("DELETE FROM chatd_meta WHERE `key` = 'epoch'")
    app.run("UPDATE Conversation SET rev = NULL, lastSeq = NULL, pairKey = NULL")
    app.run("UPDATE Message SET seq = NULL")
    app.run("BEGIN")
    app.run("UPDATE Conversation SET updatedAt = NOW(3)")
    waited = threading.Event()

    def let_go(seconds: float) -> None:
        waited.set()
        app.run("COMMIT")

    monkeypatch.setattr("storage.mysql.adoption.backfill.time.sleep", let_go)
    adopt(app)
    assert waited.is_set()
    assert numbers(app) == [("m003", 1, 2)]
    app.run("UPDATE Conversation SET rev = NULL, pairKey = NULL")
    app.run("DELETE FROM chatd_meta WHERE `key` = 'epoch'")
    app.run("BEGIN")
    app.run("UPDATE Conversation SET updatedAt = NOW(3)")
    monkeypatch.setattr("storage.mysql.adoption.backfill.time.sleep", lambda seconds: None)
    monkeypatch.setattr(backfill, "MAX_ATTEMPTS", 2)
    with pytest.raises(StoreError, match="other programs hold on to the rows of a conversation: run this again"):
        adopt(app)
    app.run("COMMIT")
    adopt(app)


# -- cut short --


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def killed_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The connection's statements and commits, up to that many; the list is empty where it was never so many."""
    left = [count]

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return work(*args, **options)

        return run

    with monkeypatch.context() as patch:
        for name in "run", "run_many", "commit":
            patch.setattr(Connection, name, counted(getattr(Connection, name)))
        with contextlib.suppress(Killed):
            yield left
            left.clear()


@pytest.mark.untraced
def test_killed_at_any_statement_of_the_rows(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then done again: the same end as if nothing had been. A long conversation and a short one, of one pair."""
    monkeypatch.setattr(backfill, "MESSAGES_PER_BATCH", 3)
    adopt(app)
    expected: dict[str, list[tuple[Any, ...]]] = {}
    for count in range(1000):
        empty(app)
        app.conversation("c2", "ada", "bo")
        app.say("c2", "bo", "1", "2", status="READ")
        app.say("c2", "ada", "3", "4")
        app.unread("c2", "bo", 1)
        app.conversation("c1", "ada", "bo")
        app.say("c1", "eve", "newest")
        app.run("UPDATE User SET createdAt = updatedAt")
        with killed_after(count if expected else 999, monkeypatch) as left:
            adopt(app)
        if not expected:
            expected = state(app)
            continue
        if not left:
            break
        if not app.run("SELECT 1 FROM chatd_meta WHERE `key` = 'epoch'"):
            with pytest.raises(StoreError, match=r"there are an app's tables: `chatd db adopt`"), served(app):
                pass
        adopt(app)
        assert state(app) == expected, count
    else:
        raise AssertionError("never done")
    assert count > 50


@pytest.mark.untraced
def test_killed_before_any_statement_to_the_tables(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conversation("c1", "ada", "bo")
    app.say("c1", "ada", "one")
    whole = adoption_of(app).examine()
    statements = [statement.what for statement in merged(whole.steps)]
    assert len(statements) == 5 + sum(table.own for table in TABLES) - 1
    for left in range(len(statements) - 1, 0, -1):  # the first is chatd_meta's
        announced: list[str] = []

        def announce(what: str, announced: list[str] = announced) -> None:
            announced.append(what)
            if len(announced) == 2:
                raise Killed

        with contextlib.suppress(Killed):
            adoption_of(app).apply(new_epoch=lambda: "e", announce=announce)  # one statement further each time
        if left == 1:
            break
        assert announced == statements[-left:][:2]
        with pytest.raises(StoreError, match=r"`chatd db adopt`"), served(app):
            pass
        found = adoption_of(app).examine()
        assert (found.migration(), found.fragment()) == (whole.migration(), whole.fragment())
    with prisma_app.app() as other:
        adopt(other)
        assert layout(app) == layout(other)
    with served(app) as store:
        assert history(store, "c1", "bo") == ["one"]


def test_second_time_changes_nothing(app: App) -> None:
    """What the app has written since is a daemon's, which may be at it just now."""
    fill(app)
    adopt(app)
    app.say(app.conversation("new", "ada", "eve"), "ada", "since")
    before = state(app), layout(app)
    adoption_of(app).apply(new_epoch=lambda: "other")
    assert (state(app), layout(app)) == before
    assert adoption_of(app).examine().steps == ()


def test_two_at_once(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told; what it would do the first does."""
    monkeypatch.setattr(adoption, "UPGRADE_LOCK_TIMEOUT_S", 0)

    def also(what: str) -> None:
        with pytest.raises(StoreError, match="another program is upgrading or adopting it"):
            adopt(app)

    adoption_of(app).apply(new_epoch=lambda: "e", announce=also)
