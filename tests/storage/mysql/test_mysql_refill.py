"""Refill of a database that an earlier version wrote to: its reactions get one form, a few at a time."""

import contextlib
import json
from pathlib import Path

import pytest

from storage.mysql.store import MysqlStore
from storage.records import Reaction
from support import mariadb
from support.searches import bodies
from support.stores import Desk, mysql

DAY_MS = 86_400_000
OLD = [["❤", ["ada"]], ["👍", ["ben"]], ["❤️", ["ben"]]]
NEW = [["❤️", ["ada", "ben"]], ["👍", ["ben"]]]


def kept(store: MysqlStore) -> list[object]:
    with mariadb.server().session(store.database) as cursor:
        cursor.execute("SELECT reactions FROM Message WHERE reactions IS NOT NULL ORDER BY seq")
        return [json.loads(text) for (text,) in cursor.fetchall()]


def test_refill_stopped_half_way_goes_on_where_it_was(tmp_path: Path) -> None:
    with contextlib.closing(mysql(tmp_path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", *"12345")
        desk.do(*(desk.react(c, "ben", seq) for seq in range(1, 6)))
        with mariadb.server().session(store.database) as cursor:
            cursor.execute("UPDATE Message SET reactions = %s, chatdTouched = NULL", (json.dumps(OLD),))
            cursor.execute("DELETE FROM chatd_meta WHERE `key` = 'refill'")
        page = store.history(c, "ada", before=None, after=0, limit=9)
        assert page is not None
        assert {m.reactions for m in page.messages} == {(Reaction("❤️", ("ada", "ben")), Reaction("👍", ("ben",)))}
        assert store.refill(0) == 5
        assert store.refill(2) == 3
        assert kept(store) == [NEW, NEW, OLD, OLD, OLD]
    with contextlib.closing(mysql(tmp_path)) as again:
        assert again.refill(0) == 3
        assert again.refill(2) == 1
        assert again.refill(2) == again.refill(2) == 0
        assert kept(again) == [NEW] * 5
        assert not again.scan(None).waiting, "it is no external write"
    with contextlib.closing(mysql(tmp_path)) as again:
        assert again.refill(0) == 0


@pytest.mark.parametrize("limit", [1, 5, 100])
def test_refill_of_a_database_without_reactions_ends(tmp_path: Path, limit: int) -> None:
    with contextlib.closing(mysql(tmp_path)) as store:
        assert store.refill(0) == store.refill(limit) == 0


def test_search_order_of_what_an_earlier_version_kept_is_refilled_from_seqs(tmp_path: Path) -> None:
    """A clock was set back by a day between messages that had only times."""
    texts = [f"tooth {n}" for n in range(1, 8)]
    with contextlib.closing(mysql(tmp_path)) as store:
        desk = Desk(store)
        desk.now = 20_000 * DAY_MS
        other, c = desk.chat("ada", "cleo"), desk.chat("ada", "ben")
        desk.say(c, "ada", *texts[:3])
        desk.now -= DAY_MS
        desk.say(c, "ada", *texts[3:])
        desk.say(other, "ada", "elsewhere")
        with mariadb.server().session(store.database) as cursor:
            cursor.execute("UPDATE Message SET chatdActivity = NULL, chatdTouched = NULL")
            cursor.execute("DELETE FROM chatd_meta WHERE `key` = 'refillActivity'")
        first = store.search("ada", ("tooth",), conversation=c, before=None, limit=3)
        assert first is not None
        rest = store.search("ada", ("tooth",), conversation=c, before=first.next, limit=50)
        assert rest is not None
        assert [hit.message.body for hit in (*first.hits, *rest.hits)] == texts[::-1], "by seq meanwhile"
        assert sorted(bodies(store, "ada", "tooth", limit=2)) == texts, "complete meanwhile"
        assert store.refill(0) == 8
        assert store.refill(2) == 6
    with contextlib.closing(mysql(tmp_path)) as again:
        assert again.refill(0) == 6
        while again.refill(2):
            pass
        assert bodies(again, "ada", "tooth", limit=2) == texts[::-1]
        assert not again.scan(None).waiting, "it is no external write"
        with mariadb.server().session(again.database) as cursor:
            cursor.execute("SELECT COUNT(*) FROM Message WHERE chatdActivity IS NULL")
            assert cursor.fetchone() == (0,)
