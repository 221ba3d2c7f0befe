"""An audience: who is told what of a conversation's changes, and in which order on each connection."""

import json
from typing import Any, cast
from unittest import mock

import trio
from trio.testing import MockClock

from chatd.core import view
from chatd.core.audience import GATHER_S, Audience, PlainChange, bytes_of
from chatd.core.native import NativeJson
from chatd.core.pending import PendingRequest
from chatd.core.registry import Registry
from chatd.core.session import Session
from storage.changes import (
    AdvanceReceipt,
    Changed,
    CreateGroup,
    Leave,
    OpenDirect,
    PutUser,
    RoomChange,
    SendMessage,
    SetMembership,
)
from storage.memory import MemoryStore
from support.sinks import KeepingSink

C = "c-1"


class Stage:
    """A conversation with connections; `happen` commits a change, and tells everyone of it."""

    def __init__(self, members: int = 2) -> None:
        self.users = [f"u-{n}" for n in range(members)]
        self.store = MemoryStore(epoch="e", development=True)
        self.store.commit([PutUser(user, user, "staff", 1) for user in self.users])
        if members == 2:
            self.store.commit([OpenDirect(conversation=C, user="u-0", other="u-1", at=1)])
        else:
            self.store.commit(
                [
                    CreateGroup(
                        conversation=C, user="u-0", title="Hall", members=tuple(self.users[1:]), client_id=None,
                        at=1, limit=500,
                    )
                ]
            )  # fmt: skip
        self.registry = Registry()
        room = self.store.room(C)
        assert room is not None
        self.audience = Audience(room, self.registry)
        self._sinks: dict[Session, KeepingSink] = {}
        self._sent = 0

    def connect(self, user: str) -> Session:
        sink = KeepingSink()
        session = Session(f"s-{len(self._sinks)}", sink, NativeJson(), gate=None, stop=lambda *_: None)  # type: ignore[arg-type]
        row = self.store.user(user)
        assert row is not None
        session.user = row
        self._sinks[session] = sink
        self.registry.add(user, session)
        return session

    def message(self, user: str) -> SendMessage:
        self._sent += 1
        return SendMessage(
            conversation=C, user=user, client_id=f"k-{self._sent}", message=f"m-{self._sent}", body="x",
            reply_to=None, at=2,
        )  # fmt: skip

    def commit(self, change: RoomChange) -> view.Seen:
        (outcome,) = self.store.commit([change])
        assert isinstance(outcome, Changed), outcome
        return view.Seen(outcome, crowd=self.audience.crowd)

    def step(self, change: RoomChange, asker: Session, re: int | None = 7) -> PlainChange:
        asker.asked()
        return PlainChange(self.commit(change), PendingRequest(asker, re, change))

    def happen(self, change: RoomChange, asker: Session | None = None, re: int | None = 7) -> None:
        pending = None
        if asker is not None:
            asker.asked()
            pending = PendingRequest(asker, re, change)
        self.audience.tell(self.commit(change), pending)

    def told(self, session: Session) -> list[dict[str, Any]]:
        found = [json.loads(payload) for payload in self._sinks[session].payloads]
        self._sinks[session].acknowledge(self._sinks[session].last)
        return found


def revs(told: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(frame["type"], frame["from"], frame["rev"]) for frame in told]


def test_audience_neighbouring_messages_are_one_event_with_the_askers_ok_in_its_place() -> None:
    stage = Stage()
    asker, tablet, other = stage.connect("u-0"), stage.connect("u-0"), stage.connect("u-1")
    run = [
        stage.step(stage.message("u-1"), other),
        stage.step(stage.message("u-0"), asker),
        stage.step(stage.message("u-1"), other),
    ]
    stage.audience.tell_run(run)
    assert revs(stage.told(tablet)) == [("change", 1, 4)]
    assert revs(stage.told(asker)) == [("change", 1, 2), ("ok", 2, 3), ("change", 3, 4)]
    assert revs(stage.told(other)) == [("ok", 1, 2), ("change", 2, 3), ("ok", 3, 4)]


def test_audience_asker_without_an_id_gets_the_event() -> None:
    stage = Stage()
    asker = stage.connect("u-0")
    stage.audience.tell_run([stage.step(stage.message("u-0"), asker, re=None)])
    assert revs(stage.told(asker)) == [("change", 1, 2)]


async def test_audience_every_request_is_counted_as_answered(autojump_clock: MockClock) -> None:
    stage = Stage()
    asker, silent = stage.connect("u-0"), stage.connect("u-1")
    stage.audience.tell_run(
        [stage.step(stage.message("u-0"), asker), stage.step(stage.message("u-1"), silent, re=None)]
    )
    with trio.fail_after(1):
        await asker.quiet()
        await silent.quiet()


def test_audience_own_settings_reach_their_user_alone() -> None:
    stage = Stage()
    asker, tablet, other = stage.connect("u-0"), stage.connect("u-0"), stage.connect("u-1")
    stage.happen(SetMembership(conversation=C, user="u-0", muted=True, pinned=None, archived=None), asker)
    assert [frame["membership"]["muted"] for session in (asker, tablet) for frame in stage.told(session)] == [
        True,
        True,
    ]
    assert stage.told(other) == []


def test_audience_who_left_is_told_so_as_the_last_and_nothing_else() -> None:
    stage = Stage(members=3)
    leaver, other = stage.connect("u-1"), stage.connect("u-2")
    leaver.focus = C
    stage.happen(Leave(conversation=C, user="u-1", message="m-l", at=3))
    (event,) = stage.told(leaver)
    assert [participant["user"] for participant in event["participants"]] == ["u-1"]
    assert not event.get("messages")
    assert {leaver.focus} == {None}
    assert [message["kind"] for message in stage.told(other)[0]["messages"]] == ["system"]
    stage.happen(stage.message("u-2"))
    assert stage.told(leaver) == []
    assert not stage.audience.is_present("u-1")
    assert stage.audience.is_present("u-2")


def test_audience_who_was_brought_back_starts_anew() -> None:
    stage = Stage()
    back = stage.connect("u-1")
    stage.happen(Leave(conversation=C, user="u-1", message="m-l", at=3))
    stage.told(back)
    stage.happen(OpenDirect(conversation="c-2", user="u-0", other="u-1", at=4))
    (event,) = stage.told(back)
    assert (event["from"], "info" in event, len(event["participants"])) == (0, True, 2)


async def test_audience_of_a_crowd_gathers_what_is_nobodys_business(autojump_clock: MockClock) -> None:
    stage = Stage(members=60)
    reader, asker = stage.connect("u-1"), stage.connect("u-2")
    stage.happen(stage.message("u-0"))
    stage.told(reader)
    stage.told(asker)
    receipt = AdvanceReceipt(conversation=C, user="u-2", delivered=None, read=1, at=5)
    stage.audience.tell_run([stage.step(receipt, asker)])
    assert revs(stage.told(asker)) == [("ok", 2, 3)]
    assert stage.told(reader) == [], "it is told with the next thing, or after a while"
    stage.audience.tell_gathered()
    assert stage.told(reader) == []
    await trio.sleep(GATHER_S)
    stage.audience.tell_gathered()
    (event,) = stage.told(reader)
    assert (event["from"], event["rev"], event.get("participants")) == (2, 3, None)


def test_audience_that_falls_behind_counts_those_who_left_since() -> None:
    stage = Stage(members=3)
    present, gone, long_gone = stage.connect("u-0"), stage.connect("u-1"), stage.connect("u-2")
    stage.happen(Leave(conversation=C, user="u-2", message="m-1", at=3))
    rev = stage.audience.rev
    stage.happen(Leave(conversation=C, user="u-1", message="m-2", at=4))
    for session in (present, gone, long_gone):
        stage.told(session)
    stage.audience.fall_behind(rev, 0)
    assert [C in session.behind for session in (present, gone, long_gone)] == [True, True, False]
    stage.happen(stage.message("u-0"))
    assert stage.told(present) == [], "it is read from the store"


def test_run_that_grows_measures_each_step_once() -> None:
    """A batch of edits asks for the size of its run at each of them."""
    measured: list[int] = []

    class Weighed:
        def __init__(self, size: int) -> None:
            self._size = size

        @property
        def messages(self) -> tuple[bytes, ...]:
            measured.append(self._size)
            return (bytes(self._size),)

    run: list[PlainChange] = []
    for size in range(500):
        run.append(PlainChange(cast("view.Seen", Weighed(size)), mock.Mock()))
        if size % 3:  # others, such as texts, are not asked about
            assert bytes_of(run) == sum(range(size + 1))
    assert measured == list(range(500))
    run.clear()
    assert bytes_of(run) == 0
    run.append(PlainChange(cast("view.Seen", Weighed(7)), mock.Mock()))
    assert bytes_of(run) == 7
