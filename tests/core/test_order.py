"""The order of what leaves on one connection, without I/O: whatever happens when, the client's copy has no hole."""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatd.core.event import Event
from chatd.core.native import NativeJson
from chatd.core.order import Hold, Lag, Order
from protocol.encode import encode
from protocol.frames import Change, ChangeOk, Ok
from storage.records import ChangesSince, Conversation, Membership, Message, Room

C = "c-1"
LIMIT = 2_000


class Recorder:
    """A sink that keeps what was pushed, in order; `cut_for`: why it was cut."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.frames: list[dict[str, Any]] = []
        self.cut_for: str | None = None

    @property
    def is_cut(self) -> bool:
        return self.cut_for is not None

    def push(self, data: bytes, *, counts: bool = True) -> None:
        if self.cut_for is None:
            self.frames.append(json.loads(data))

    async def drained(self) -> None:
        pass

    def cut(self, reason: str) -> None:
        self.cut_for = reason


def change(from_rev: int, rev: int) -> Change:
    return Change(conversation=C, from_rev=from_rev, rev=rev)


def deliver(order: Order, rev: int) -> None:
    order.deliver(C, rev - 1, rev, Event(change(rev - 1, rev)))


def ok(order: Order, rev: int) -> None:
    order.ok(C, rev - 1, rev, encode(ChangeOk(re=rev, conversation=C, from_rev=rev - 1, rev=rev)))


def since(after: int, through: int, rev: int) -> ChangesSince:
    """What a store at `rev` answers of the changes behind `after`, as far as `through`: one message each."""
    conversation = Conversation(
        id=C,
        kind="direct",
        pair=None,
        title=None,
        created_at=0,
        last_message_at=None,
        last_seq=rev,
        rev=rev,
    )
    messages = tuple(
        Message(
            conversation=C,
            seq=n,
            rev=n,
            id=f"m-{n}",
            sender="pat-1",
            client_id=f"k-{n}",
            kind="text",
            body="x",
            reply_to=None,
            data=None,
            sent_at=0,
        )
        for n in range(after + 1, through + 1)
    )
    membership = Membership(user="den-1", muted=False, pinned=False, archived=False, unread=0)
    room = Room(conversation=conversation, participants=())
    return ChangesSince(room=room, through=through, participants=(), messages=messages, membership=membership, users={})


def revs(sink: Recorder) -> list[tuple[str, int, int]]:
    return [(frame["type"], frame["from"], frame["rev"]) for frame in sink.frames]


class Walk(RuleBasedStateMachine):
    """Commits, catching up and replies at any moments. The store's conversation has one message a rev."""

    def __init__(self) -> None:
        super().__init__()
        self.sink = Recorder(limit=10**9)
        self.order = Order(self.sink, NativeJson())
        self.rev = 1
        self.cursor = 1
        self.seen = 0  # frames of the sink that the client has read
        self.oks: list[int] = []
        self.reading: tuple[Lag, int, int, Any] | None = None  # lag, its rev, the snapshot's rev, the context
        self.hold: tuple[Hold, Any] | None = None

    @initialize()
    def opened(self) -> None:
        """The client begins at rev 1."""

    @rule(asked=st.booleans())
    def commit(self, asked: bool) -> None:
        self.rev += 1
        if asked:
            self.oks.append(self.rev)
            ok(self.order, self.rev)
        else:
            deliver(self.order, self.rev)

    @rule()
    def commit_quietly(self) -> None:
        self.rev += 1
        self.order.gather(change(self.rev - 1, self.rev))

    @rule()
    def tell_gathered(self) -> None:
        self.order.tell_gathered(C)

    @rule(back=st.integers(0, 3))
    def fall_behind(self, back: int) -> None:
        self.order.fall_behind(C, max(1, self.rev - back))

    @precondition(lambda self: self.reading is None and self.hold is None and C in self.order.behind)
    @rule()
    def begin_read(self) -> None:
        lag = self.order.behind[C]
        context = lag.being_read()
        context.__enter__()
        self.reading = lag, lag.rev, self.rev, context

    @precondition(lambda self: self.reading is not None)
    @rule(part=st.integers(1, 3))
    def end_read(self, part: int) -> None:
        assert self.reading is not None
        lag, before, snapshot, context = self.reading
        self.reading = None
        context.__exit__(None, None, None)
        if self.order.behind.get(C) is lag and lag.rev == before:
            through = min(snapshot, before + part)
            self.order.read_since(C, lag, since(before, through, snapshot))

    @precondition(lambda self: self.hold is None and self.reading is None)  # a session reads one thing at a time
    @rule()
    def begin_reply(self) -> None:
        context = self.order.hold()
        self.hold = context.__enter__(), context
        self.shown = self.rev

    @precondition(lambda self: self.hold is not None)
    @rule()
    def end_reply(self) -> None:
        assert self.hold is not None
        hold, context = self.hold
        self.hold = None
        if C not in self.order.behind:
            hold.revs = {C: self.shown}
            hold.reply = Ok(re=0)
        context.__exit__(None, None, None)

    @invariant()
    def no_hole(self) -> None:
        """Rule 3 of the protocol: what the client is sent continues what it has."""
        for frame in self.sink.frames[self.seen :]:
            if "rev" in frame:
                assert frame["from"] <= self.cursor, f"a hole: {frame} at {self.cursor}"
                self.cursor = max(self.cursor, frame["rev"])
        self.seen = len(self.sink.frames)

    def teardown(self) -> None:
        if self.hold is not None:
            self.end_reply()
        if self.reading is not None:
            self.end_read(3)
        while C in self.order.behind:
            self.begin_read()
            self.end_read(3)
        self.order.tell_gathered(C)
        self.no_hole()
        assert self.cursor == self.rev, "the client is not where the store is"
        answered = [frame["re"] for frame in self.sink.frames if frame["type"] == "ok" and frame.get("re")]
        assert answered == self.oks, "an ok is missing, double, or out of its turn"


Walk.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None, print_blob=True)
TestWalk = Walk.TestCase


def test_live_client_gets_events_and_oks_as_they_come() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    deliver(order, 2)
    ok(order, 3)
    deliver(order, 4)
    assert revs(sink) == [("change", 1, 2), ("ok", 2, 3), ("change", 3, 4)]


def test_client_that_is_behind_gets_events_by_the_read_and_its_ok_at_its_turn() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    lag = order.fall_behind(C, 1)
    deliver(order, 2)
    ok(order, 3)
    deliver(order, 4)
    assert sink.frames == []
    with lag.being_read():
        pass
    order.read_since(C, lag, since(1, 4, 4))
    assert revs(sink) == [("change", 1, 2), ("ok", 2, 3), ("change", 3, 4)]
    assert C not in order.behind


def test_event_that_comes_during_the_read_follows_it() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    lag = order.fall_behind(C, 1)
    with lag.being_read():
        deliver(order, 2)
        deliver(order, 3)
    order.read_since(C, lag, since(1, 2, 2))
    assert revs(sink) == [("change", 1, 2), ("change", 2, 3)]


def test_events_during_a_read_are_kept_up_to_the_limit_and_then_only_marked() -> None:
    """Without the bound a slow read under load holds any number of events in memory."""
    sink = Recorder(limit=500)
    order = Order(sink, NativeJson())
    lag = order.fall_behind(C, 1)
    with lag.being_read():
        for rev in range(2, 102):
            deliver(order, rev)
        assert sum(len(waiting.data) for waiting in lag.waiting) <= 500
    order.read_since(C, lag, since(1, 1, 1))
    assert order.behind[C] is lag, "it turned live over a hole"
    with lag.being_read():
        pass
    order.read_since(C, lag, since(lag.rev, 101, 101))
    assert revs(sink)[-1][2] == 101
    assert C not in order.behind


def test_read_that_another_daemon_has_overtaken_is_followed_by_another() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    lag = order.fall_behind(C, 1)
    with lag.being_read():
        order.deliver(C, 5, 6, Event(change(5, 6)))  # 3 to 5 were written elsewhere, after the snapshot
    order.read_since(C, lag, since(1, 2, 2))
    assert revs(sink) == [("change", 1, 2)]
    assert order.behind[C] is lag


def test_reply_takes_its_place_between_what_is_older_and_newer() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    with order.hold() as hold:
        deliver(order, 2)
        deliver(order, 3)
        hold.revs, hold.reply = {C: 2}, Ok(re=9)
    assert [frame.get("rev", "reply") for frame in sink.frames] == [2, "reply", 3]


def test_hello_comes_first_and_leaves_out_what_it_shows() -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    with order.hold(first=True) as hold:
        deliver(order, 2)
        deliver(order, 3)
        hold.revs, hold.reply = {C: 2}, Ok(re=9)
    assert [frame.get("rev", "reply") for frame in sink.frames] == ["reply", 3]


def test_more_than_the_limit_held_for_a_reply_cuts_the_connection() -> None:
    sink = Recorder(limit=300)
    order = Order(sink, NativeJson())
    with order.hold() as hold:
        for rev in range(2, 20):
            deliver(order, rev)
        hold.reply = Ok(re=9)
    assert sink.cut_for == "too slow"


@pytest.mark.parametrize("frames", [1, 5])
def test_gathered_changes_leave_as_one_before_anything_else(frames: int) -> None:
    sink = Recorder()
    order = Order(sink, NativeJson())
    for rev in range(2, 2 + frames):
        order.gather(change(rev - 1, rev))
    assert sink.frames == []
    deliver(order, 2 + frames)
    assert revs(sink) == [("change", 1, 1 + frames), ("change", 1 + frames, 2 + frames)]
