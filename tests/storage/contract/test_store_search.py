"""What a search finds, on every store: who sees what, as it is now, page by page."""

from unittest import mock

import pytest

from storage import memory
from storage.contract import Store
from storage.mysql import searching
from storage.sqlite import search as sqlite_search
from support.searches import bodies, everywhere
from support.stores import Desk

# -- who sees what --


def test_search_finds_newest_first_over_all_conversations_or_one(store: Store, desk: Desk) -> None:
    one, two, three = desk.chat("ada", "ben"), desk.chat("ada", "cleo"), desk.chat("ben", "cleo")
    for n, c in enumerate((one, two, one, three, two)):
        desk.say(c, "cleo" if c == three else "ada", f"tooth {n}")
    for _ in everywhere(store):
        assert bodies(store, "ada", "tooth") == ["tooth 4", "tooth 2", "tooth 1", "tooth 0"]
        assert bodies(store, "ben", "tooth") == ["tooth 3", "tooth 2", "tooth 0"]
        assert bodies(store, "ada", "tooth", conversation=one) == ["tooth 2", "tooth 0"]
        assert bodies(store, "nobody", "tooth") == []
        for user, conversation in (("ada", three), ("ada", "nowhere"), ("nobody", one)):
            assert store.search(user, ("tooth",), conversation=conversation, before=None, limit=5) is None


def test_search_after_leaving_finds_nothing_and_once_back_all(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.chat("ben", "cleo")  # who is nowhere at all isn't even looked for
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        desk.changed(desk.leave(c, "ben"))
        assert bodies(store, "ben", "tooth") == []
        assert store.search("ben", ("tooth",), conversation=c, before=None, limit=5) is None
        assert bodies(store, "ada", "tooth") == ["tooth"]
        desk.changed(desk.open("ben", "ada"))
        assert bodies(store, "ben", "tooth") == ["tooth"]


def test_search_after_removal_finds_nothing_and_by_a_newcomer_all(store: Store, desk: Desk) -> None:
    desk.people("ada", "ben", "cleo")
    desk.chat("ben", "cleo")
    c = desk.group("ada", "ben")
    desk.say(c, "ada", "tooth")
    desk.changed(desk.remove(c, "ada", "ben"))
    desk.changed(desk.add(c, "ada", "cleo"))
    for _ in everywhere(store):
        assert bodies(store, "ben", "tooth") == []
        assert bodies(store, "cleo", "tooth") == ["tooth"]


def test_search_finds_the_present_text_alone(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    for _ in everywhere(store):
        edited, deleted, twice = desk.say(c, "ada", "first tooth", "second tooth", "third tooth")
        store.index(1000)
        desk.do(
            desk.edit(c, "ada", edited.seq, "first molar"),
            desk.delete(c, "ada", deleted.seq),
            desk.edit(c, "ada", twice.seq, "third crown"),
            desk.edit(c, "ada", twice.seq, "third bridge"),
        )
        assert bodies(store, "ben", "tooth") == []
        assert bodies(store, "ben", "crown") == []
        assert bodies(store, "ben", "second") == []
        assert bodies(store, "ben", "molar")[0] == "first molar"
        assert bodies(store, "ben", "bridge")[0] == "third bridge"
        desk.do(desk.edit(c, "ada", edited.seq, "gone"), desk.delete(c, "ada", edited.seq))
        assert "first molar" not in bodies(store, "ben", "molar")
        assert "gone" not in bodies(store, "ben", "gone")


def test_hit_is_the_message_as_it_is_now(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        desk.changed(desk.edit(c, "ada", 1, f"tooth {desk.tick()}"))
        desk.do(desk.react(c, "ben", 1))
        history = store.history(c, "ben", before=None, after=None, limit=1)
        found = store.search("ben", ("tooth",), conversation=c, before=None, limit=1)
        assert history is not None
        assert found is not None
        assert tuple(hit.message for hit in found.hits) == history.messages


def test_system_messages_are_found_too(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.leave(c, "ben"))
    for _ in everywhere(store):
        assert len(bodies(store, "ada", "left")) == 1


# -- pages --


def test_search_pages_are_complete_while_messages_come_and_the_index_moves(store: Store, desk: Desk) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(3)]
    sent = [f"tooth {n}" for n in range(60)]
    for n, text in enumerate(sent):
        desk.say(chats[n % 3], "ada", text, "noise")

    def meanwhile() -> None:
        desk.say(chats[0], "ada", "tooth, later")
        store.index(7)

    assert bodies(store, "ada", "tooth", limit=7, between=meanwhile) == sent[::-1]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 14])
def test_search_page_that_is_the_last_says_so(store: Store, desk: Desk, count: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *["tooth"] * count)
    for _ in everywhere(store):
        sizes, before = [], None
        while True:
            page = store.search("ada", ("tooth",), conversation=None, before=before, limit=7)
            assert page is not None
            sizes.append(len(page.hits))
            before = page.next
            if before is None:
                break
        assert sizes == ([7] * ((count - 1) // 7) + [count - (count - 1) // 7 * 7] if count else [0])


@pytest.mark.parametrize("number", [-5, 0, 1, 2**53])
@pytest.mark.parametrize("rest", [("", 0), ("nowhere", 2**53), ("\0'\\{}é", -1)])
@pytest.mark.untraced
def test_search_from_a_forged_place_finds_nothing_wrong(
    store: Store, desk: Desk, number: int, rest: tuple[str, int]
) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        for conversation in None, c:
            page = store.search("ada", ("tooth",), conversation=conversation, before=(number, *rest), limit=5)
            assert page is not None
            assert len(page.hits) == (1 if number > 1 else 0)
            assert page.next is None


def test_search_call_is_bounded_and_says_where_to_go_on(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth", *["noise"] * 30)
    with (
        mock.patch.object(memory, "MESSAGES_PER_SEARCH", 10),
        mock.patch.multiple(sqlite_search, CANDIDATES_PER_CALL=10, FIRST_WINDOW=4, LARGEST_WINDOW=4),
        mock.patch.multiple(searching, MESSAGES_PER_CALL=10, MESSAGES_PER_STATEMENT=4),
    ):
        for _ in everywhere(store):
            page = store.search("ada", ("oo",), conversation=None, before=None, limit=5)
            assert page is not None
            assert page.hits == ()
            assert page.next is not None
            assert bodies(store, "ada", "oo") == ["tooth"]
            assert len(bodies(store, "ada", "noise")) == len(bodies(store, "ada", "oi")) == 30


@pytest.mark.untraced
def test_search_of_a_short_query_reaches_far_back(store: Store, desk: Desk) -> None:
    one, two = desk.chat("ada", "ben"), desk.chat("cleo", "ben")
    desk.say(one, "ada", "Zq")
    for _ in range(3):
        desk.say(two, "ben", *["noise"] * 1000)
    for _ in everywhere(store):
        for user, conversation in (("ada", None), ("ben", None), ("ada", one)):
            assert bodies(store, user, "zq", conversation=conversation) == ["Zq"]
            assert bodies(store, user, "q", conversation=conversation) == ["Zq"]
            assert bodies(store, user, "é", conversation=conversation) == []
