"""What is read of conversations, on every store: history, lists, what was missed, where one stands."""

import threading

import attrs
import pytest

from storage.bounds import MAX_CHANGED_OBJECTS
from storage.changes import OpenDirect
from storage.contract import Store
from storage.records import Standing, Summary
from support.shown import listed, settings, unread
from support.stores import Desk, Replica, by_user, shared

# -- history --


def test_history_page_by_page(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *"1234567")

    def page(before: int | None, after: int | None, limit: int) -> tuple[list[int], bool]:
        found = store.history(c, "ben", before=before, after=after, limit=limit)
        assert found is not None
        assert {p.user for p in found.participants} == {"ada", "ben"}
        return [m.seq for m in found.messages], found.more

    assert page(None, None, 3) == ([5, 6, 7], True)
    assert page(5, None, 3) == ([2, 3, 4], True)
    assert page(2, None, 3) == ([1], False)
    assert page(4, None, 3) == ([1, 2, 3], False)
    assert page(1, None, 3) == page(0, None, 3) == ([], False)
    assert page(99, None, 3) == ([5, 6, 7], True)
    assert page(None, None, 7) == ([1, 2, 3, 4, 5, 6, 7], False)
    assert page(None, 0, 3) == ([1, 2, 3], True)
    assert page(None, 4, 3) == ([5, 6, 7], False)
    assert page(None, 5, 1) == ([6], True)
    assert page(None, 7, 3) == page(None, 99, 3) == ([], False)
    assert page(2**53, None, 1) == ([7], True)
    assert page(None, 2**53, 1) == ([], False)


def test_history_of_an_empty_conversation(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    for before, after in ((None, None), (1, None), (None, 0)):
        page = store.history(c, "ada", before=before, after=after, limit=1)
        assert page is not None
        assert (page.messages, page.more) == ((), False)


# -- lists --


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 50])
@pytest.mark.untraced
def test_list_has_the_pinned_first_then_by_activity(desk: Desk, store: Store, limit: int) -> None:
    a, b, c, d, e, f, g = (desk.chat("ada", f"u{n}") for n in range(7))
    desk.say(b, "u1", "newest but two")
    desk.say(d, "ada", "newest but one")
    desk.say(a, "u0", "newest")
    desk.do(*(desk.settings(id, "ada", pinned=True) for id in (b, e)))
    desk.do(*(desk.settings(id, "ada", archived=True) for id in (c, g)))
    assert listed(store, "ada", limit=limit) == [b, e, a, d, f]
    assert listed(store, "ada", archived=True, limit=limit) == [g, c]
    desk.changed(desk.leave(f, "u5"))
    assert listed(store, "ada", limit=limit) == [b, e, f, a, d], "what the system says counts"
    assert listed(store, "u5", limit=limit) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6])
def test_list_of_conversations_of_the_same_moment(desk: Desk, store: Store, limit: int) -> None:
    desk.people("ada", *(f"u{n}" for n in range(6)))
    desk.do(*(OpenDirect(f"c{n}", "ada", f"u{n}", 7) for n in (3, 1, 5, 0, 2, 4)))
    assert listed(store, "ada", limit=limit) == ["c5", "c4", "c3", "c2", "c1", "c0"]


def test_list_at_the_beginning_of_time(store: Store) -> None:
    desk = Desk(store)
    old = desk.chat("ada", "ben")
    new = desk.chat("ada", "cleo")
    desk.do(attrs.evolve(desk.send(new, "ada"), at=0))
    assert listed(store, "ada") == listed(store, "ada", limit=1) == [new, old]


def test_summary_has_all_that_a_list_shows(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    found = store.summary(c, "ada")
    assert found is not None
    assert found[0].last_message is None
    desk.say(c, "ada", "one", "two")
    desk.changed(desk.settings(c, "ben", pinned=True))
    room = store.room(c)
    assert room is not None
    found = store.summary(c, "ben")
    assert found is not None
    summary, users = found
    assert summary.room.conversation == room.conversation
    assert set(summary.room.participants) == set(room.participants)
    assert summary.membership == settings("ben", 2, pinned=True)
    assert summary.last_message is not None
    assert summary.last_message.body == "two"
    assert users == store.users(["ada", "ben"])
    page = store.summaries("ben", archived=False, after=None, limit=5)
    assert page.summaries == (summary,)
    assert page.users == users
    assert page.next is None


def test_list_of_nobody_is_empty(store: Store) -> None:
    page = store.summaries("nobody", archived=False, after=None, limit=5)
    assert (page.summaries, page.users, page.next) == ((), {}, None)


def test_memberships_are_those_of_the_present(desk: Desk, store: Store) -> None:
    one, two, three = desk.chat("ada", "ben"), desk.chat("ada", "cleo"), desk.chat("ada", "dan")
    desk.say(one, "ben", "hi")
    desk.changed(desk.leave(two, "cleo"))
    desk.changed(desk.leave(three, "ada"))
    assert sorted(store.memberships("ada")) == sorted([
        (one, 2, frozenset({"ada", "ben"})), (two, 2, frozenset({"ada"})),
    ])  # fmt: skip
    assert store.memberships("dan") == [(three, 2, frozenset({"dan"}))]


# -- catching up --


def busy_chat(desk: Desk) -> str:
    """A conversation with all kinds of changes: some revs have two objects, some were overtaken by later ones."""
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1", "2")
    desk.do(desk.receipt(c, "ben", delivered=2), desk.receipt(c, "ben", read=1))
    desk.say(c, "ben", "3")
    desk.do(desk.receipt(c, "ada", read=3), desk.leave(c, "ben"), desk.send(c, "ada", "5"))
    desk.do(desk.settings(c, "ada", muted=True))
    desk.say(c, "ben", "6", "7", "8")
    desk.do(desk.receipt(c, "ada", delivered=8), desk.leave(c, "ben"), desk.open("ben", "ada"))
    desk.do(desk.receipt(c, "ben", read=9))
    return c


@pytest.mark.untraced
def test_chunks_of_any_size_from_any_rev_lead_to_the_present(desk: Desk, store: Store) -> None:
    c = busy_chat(desk)
    whole = Replica.of(store, c, "ada")
    assert (whole.rev, len(whole.messages)) == (16, 9)
    for rev in range(whole.rev + 1):
        held = Replica(
            rev,
            {seq: m for seq, m in whole.messages.items() if m.rev <= rev},
            {user: p for user, p in whole.participants.items() if p.rev <= rev},
        )
        for limit in range(1, 14):
            replica = held.copy()
            chunks = replica.catch_up(store, c, "ada", limit=limit)
            assert replica == whole
            missing = len(whole.messages) + 2 - len(held.messages) - len(held.participants)
            assert chunks <= max(1, -(-missing // limit)) + 1


def test_chunk_is_cut_between_revs(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    desk.do(desk.leave(c, "ben"), desk.send(c, "ada", "3"))  # brings ben back: two objects of one rev
    desk.say(c, "ada", "4")
    chunk = store.since(c, "ada", 2, limit=1)
    assert chunk is not None
    assert (chunk.through, [m.seq for m in chunk.messages], chunk.participants) == (3, [2], ())
    chunk = store.since(c, "ada", 3, limit=1)
    assert chunk is not None
    assert (chunk.through, [m.seq for m in chunk.messages]) == (4, [3])
    assert [p.user for p in chunk.participants] == ["ben"]
    assert chunk.users == store.users(["ben"])
    assert chunk.room == store.room(c)
    assert chunk.membership == settings("ada", 0)


@pytest.mark.parametrize("read", [0, 1, 10])
def test_chunk_has_as_much_as_fits_and_no_hole(desk: Desk, store: Store, read: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *(str(n) for n in range(1, 11)))
    desk.do(desk.receipt(c, "ben", read=read))
    last = 12 if read else 11
    for limit in range(1, 13):
        chunk = store.since(c, "ben", 1, limit=limit)
        assert chunk is not None
        assert [m.seq for m in chunk.messages] == list(range(1, min(limit, 10) + 1))
        assert chunk.through == (last if limit >= last - 1 else limit + 1)
        assert len(chunk.participants) == (1 if read and chunk.through == 12 else 0)
        assert chunk.membership == settings("ben", 10 - read)


def test_since_without_news_is_empty(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "1")
    chunk = store.since(c, "ben", 2, limit=5)
    assert chunk is not None
    assert (chunk.through, chunk.messages, chunk.participants, chunk.users) == (2, (), (), {})
    assert chunk.membership == settings("ben", 1)


def test_since_of_one_who_came_back_has_what_they_missed(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.leave(c, "ben"))
    desk.changed(desk.open("ben", "ada"))
    replica = Replica(1)
    replica.catch_up(store, c, "ben", limit=1)
    assert replica.messages.keys() == {1}
    assert replica.participants.keys() == {"ben"}


def test_shared_is_all_that_a_rev_stands_for(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    before = Replica.of(store, c, "ada")
    desk.changed(desk.settings(c, "ben", muted=True, pinned=True, archived=True))
    after = store.room(c)
    assert after is not None
    assert by_user(after.participants)["ben"].muted
    assert shared(by_user(after.participants)["ben"]) == before.participants["ben"]
    assert Replica.of(store, c, "ada") == before


# -- standings --


def test_standings_say_the_rev_and_whether_to_begin_anew(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    other = desk.chat("ben", "cleo")
    gone = desk.chat("ada", "cleo")
    desk.changed(desk.leave(gone, "ada"))
    desk.say(c, "ben", "1", "2")
    revs = {c: 3, other: 1, gone: 1, "nowhere": 1}
    stranger = Standing(0, reset=True)
    assert store.standings("ada", revs) == {
        c: Standing(3, reset=False), other: stranger, gone: stranger, "nowhere": stranger,
    }  # fmt: skip
    assert store.standings("ada", {c: 1}) == {c: Standing(3, reset=False)}
    assert store.standings("ada", {c: 4}) == {c: Standing(3, reset=True)}, "ahead of the store"
    assert store.standings("ada", {c: 2**53}) == {c: Standing(3, reset=True)}
    assert store.standings("ada", {}) == {}


def test_too_many_changed_messages_are_a_reset(desk: Desk, store: Store) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ben", "hi")
    desk.changed(desk.receipt(c, "ada", read=1))
    desk.say(c, "ada", *("x" for _ in range(MAX_CHANGED_OBJECTS)))
    desk.changed(desk.receipt(c, "ben", read=2))
    now = MAX_CHANGED_OBJECTS + 4
    assert store.standings("ada", {c: 3}) == {c: Standing(now, reset=False)}, "exactly as many as may be"
    assert store.standings("ada", {c: 2}) == {c: Standing(now, reset=False)}, "a receipt is no message"
    assert store.standings("ada", {c: 1}) == {c: Standing(now, reset=True)}
    replica = Replica(3)
    replica.catch_up(store, c, "ada", limit=300)
    assert len(replica.messages) == MAX_CHANGED_OBJECTS


@pytest.mark.untraced
def test_standings_of_many_conversations_are_right(desk: Desk, store: Store) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(150)]
    revs = dict.fromkeys(chats, 1)
    assert store.standings("ada", revs) == dict.fromkeys(chats, Standing(1, reset=False))
    assert listed(store, "ada", limit=100) == chats[::-1]


# -- many at once --


def test_reads_from_many_threads_at_once(desk: Desk, store: Store) -> None:
    """Whatever a read sees is one moment: as many messages as `last_seq` tells of, and unread as they are."""
    c = desk.chat("ada", "ben")
    start = threading.Barrier(5)
    done = threading.Event()
    wrong: list[Summary | None] = []

    def read() -> None:
        start.wait()
        while not done.is_set():
            found = store.summary(c, "ben")
            chunk = store.since(c, "ben", 1, limit=1000)
            if found is None or chunk is None:
                wrong.append(None)
                continue
            summary, _ = found
            last = 0 if summary.last_message is None else summary.last_message.seq
            if not last == summary.room.conversation.last_seq == summary.membership.unread:
                wrong.append(summary)
            if not len(chunk.messages) == chunk.room.conversation.last_seq == chunk.membership.unread:
                wrong.append(summary)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    start.wait()
    for _ in range(30):
        desk.say(c, "ada", "one", "two")
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert unread(store, c, "ben") == 60
