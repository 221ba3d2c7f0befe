"""A clock that is set back or ahead, on every store: order comes from numbers, never from time."""

import contextlib
from pathlib import Path

import attrs
import pytest

from storage.contract import Store
from storage.rules.unit import MAX_STEP_BACK_MS
from support.searches import bodies, everywhere, pages
from support.stores import Desk, Kind

HOUR_MS = 3_600_000
NOON = 20_000 * 24 * HOUR_MS


def listed(store: Store, user: str = "ada") -> list[str]:
    """All pages of the list, two at a time."""
    found: list[str] = []
    after = None
    while True:
        page = store.summaries(user, archived=False, after=after, limit=2)
        found += [summary.room.conversation.id for summary in page.summaries]
        after = page.next
        if after is None:
            return found


def times(store: Store, conversation: str) -> list[int]:
    page = store.history(conversation, "ada", before=None, after=0, limit=50)
    assert page is not None
    return [m.sent_at - NOON for m in page.messages]


@pytest.fixture
def desk(store: Store) -> Desk:
    desk = Desk(store)
    desk.now = NOON
    return desk


@pytest.mark.parametrize("jump", [-HOUR_MS, -24 * HOUR_MS, 24 * HOUR_MS, -1, 0])
@pytest.mark.untraced
def test_list_is_in_the_order_of_commits_whatever_the_clock_says(
    kind: Kind, store: Store, desk: Desk, tmp_path: Path, jump: int
) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(5)]
    for c in chats:
        desk.say(c, "ada", "one")
    desk.now += jump
    for c in (chats[2], chats[0]):
        desk.say(c, "ada", "two")
    expected = [chats[n] for n in (0, 2, 4, 3, 1)]
    assert listed(store) == expected
    fresh = desk.chat("ada", "new")
    assert listed(store) == [fresh, *expected], "one without a message, too"
    desk.now -= jump
    desk.say(chats[1], "ada", "three")
    expected = [chats[1], fresh, *(chats[n] for n in (0, 2, 4, 3))]
    assert listed(store) == expected
    if kind.durable:
        store.close()
        with contextlib.closing(kind.open(tmp_path)) as again:
            desk.store = again
            desk.now -= 5 * HOUR_MS
            desk.say(chats[4], "ada", "after a restart")
            assert listed(again) == [chats[4], *(c for c in expected if c != chats[4])]


def test_time_of_a_message_is_that_of_the_one_before_where_the_clock_was_set_back(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.now = NOON + MAX_STEP_BACK_MS
    desk.say(c, "ada", "one")
    desk.now = NOON + 99
    desk.say(c, "ada", "set back", "again")
    desk.now = NOON + 2 * MAX_STEP_BACK_MS
    desk.say(c, "ada", "right")
    assert times(store, c) == [
        MAX_STEP_BACK_MS + 1, MAX_STEP_BACK_MS + 1, MAX_STEP_BACK_MS + 1, 2 * MAX_STEP_BACK_MS + 1
    ]  # fmt: skip


def test_time_of_a_message_is_honest_where_the_clock_was_wrong_before(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.now = NOON + MAX_STEP_BACK_MS + 100
    desk.say(c, "ada", "a clock that is far ahead")
    desk.now = NOON
    desk.say(c, "ada", "right", "again")
    assert times(store, c) == [MAX_STEP_BACK_MS + 101, 1, 2]


def test_system_messages_are_no_older_than_the_one_before(store: Store, desk: Desk) -> None:
    group = desk.group("ada", "ben")
    desk.people("cleo")
    desk.say(group, "ada", "one")
    last = desk.now - NOON
    desk.now -= HOUR_MS
    desk.do(desk.title(group, "ada", "Another title"), desk.add(group, "ada", "cleo"), desk.leave(group, "ben"))
    assert times(store, group) == [last] * 4


@pytest.mark.parametrize("jump", [-HOUR_MS, -24 * HOUR_MS, 24 * HOUR_MS])
def test_search_is_in_the_order_of_numbers_whatever_the_clock_says(store: Store, desk: Desk, jump: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth 1")
    desk.now += jump
    desk.say(c, "ada", "tooth 2", "tooth 3")
    desk.now -= jump
    desk.say(c, "ada", "tooth 4")
    found = store.search("ada", ("tooth",), conversation=c, before=None, limit=10)
    assert found is not None
    assert [hit.message.seq for hit in found.hits] == [4, 3, 2, 1]


@pytest.mark.parametrize("jump", [-HOUR_MS, -24 * HOUR_MS, 24 * HOUR_MS])
@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.untraced
def test_search_pages_are_in_the_order_of_commits_whatever_the_clock_says(
    store: Store, desk: Desk, jump: int, limit: int
) -> None:
    """A page has messages of both sides of a step, and ends in between."""
    one, two = desk.chat("ada", "ben"), desk.chat("ada", "cleo")
    texts = [f"tooth {n}" for n in range(12)]
    for n, text in enumerate(texts):
        if n in (3, 8):
            desk.now += jump
        if n == 6:
            desk.now -= jump
        desk.say((one, two, two)[n % 3], "ada", text)
    for _ in everywhere(store):
        assert bodies(store, "ada", "tooth", limit=limit) == texts[::-1]
        assert bodies(store, "ada", "tooth", limit=limit, conversation=one) == texts[-3::-3]


@pytest.mark.parametrize("limit", [1, 2, 5, 7])
def test_search_finds_all_messages_of_one_commit_page_by_page(store: Store, desk: Desk, limit: int) -> None:
    """Those have one time, and on MySQL one number."""
    chats = [desk.chat("ada", f"u{n}") for n in range(5)]
    desk.do(*(attrs.evolve(desk.send(c, "ada", f"tooth {n}"), at=desk.now) for n in range(3) for c in chats))
    for _ in everywhere(store):
        found = pages(store, "ada", "tooth", limit=limit)
        assert sorted(found) == sorted((c, seq, f"tooth {seq - 1}") for c in chats for seq in (1, 2, 3))
        for c in chats:
            assert [seq for conversation, seq, _ in found if conversation == c] == [3, 2, 1]


def test_search_order_is_kept_where_a_clock_is_set_back_within_a_commit(store: Store, desk: Desk) -> None:
    c, other = desk.chat("ada", "ben"), desk.chat("ada", "cleo")
    later, sooner = NOON + 9 * HOUR_MS, NOON + HOUR_MS
    desk.do(
        attrs.evolve(desk.send(c, "ada", "tooth 1"), at=later), attrs.evolve(desk.send(c, "ada", "tooth 2"), at=sooner)
    )
    desk.now = NOON + 2 * HOUR_MS
    desk.say(other, "ada", "tooth 3")
    desk.say(c, "ada", "tooth 4")
    for _ in everywhere(store):
        assert bodies(store, "ada", "tooth", limit=1) == ["tooth 4", "tooth 3", "tooth 2", "tooth 1"]


def test_owner_is_who_came_in_first_whatever_the_clock_says(store: Store, desk: Desk) -> None:
    group = desk.group("ada", "zoe")
    desk.people("ben")
    desk.say(group, "ada", "one")
    desk.now -= HOUR_MS
    desk.changed(desk.add(group, "ada", "ben"))
    desk.changed(desk.leave(group, "ada"))
    room = store.room(group)
    assert room is not None
    assert {p.user: p.role for p in room.participants if p.present} == {"zoe": "owner", "ben": "member"}
