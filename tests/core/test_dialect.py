"""Each event is put into words once per dialect, however many receive it, and only for dialects that are there."""

from collections.abc import Sequence
from typing import Any

from chatd.core import view
from chatd.core.audience import Audience, PlainChange
from chatd.core.event import Event
from chatd.core.native import NativeJson
from chatd.core.pending import PendingRequest
from chatd.core.registry import Registry
from chatd.core.session import Session
from protocol.frames import Frame
from storage.changes import Changed, SendMessage
from storage.records import Conversation, Message, Participant, Room
from support.sinks import KeepingSink

C = "c-1"


class Counting(NativeJson):
    """Native JSON that counts the events that it encodes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events = 0

    def event(self, event: Event) -> bytes:
        self.events += 1
        return super().event(event)


class Telegraph(Counting):
    """A dialect without native JSON, whose `ok` doesn't stand for the event, and which has nothing to say of typing."""

    ok_is_event = False

    def reply(self, frame: Frame) -> bytes:
        return frame.TYPE.encode()

    def sent(self, re: Any, conversation: str, from_rev: int, rev: int, seen: view.Seen) -> bytes:
        return b"sent"

    def event(self, event: Event) -> bytes:
        self.events += 1
        return b"event"


def participant(user: str) -> Participant:
    return Participant(
        conversation=C, user=user, role="member", joined_at=0, left_at=None, from_seq=1, delivered_seq=0,
        delivered_at=None, read_seq=0, read_at=None, rev=1,
    )  # fmt: skip


class Hall:
    """A conversation of 50, and whose connections speak which dialect."""

    def __init__(self) -> None:
        self.users = [f"u-{n}" for n in range(50)]
        self.room = Conversation(
            id=C, kind="group", pair=None, title="Hall", created_at=0, last_message_at=None, last_seq=0, rev=1
        )
        self.registry = Registry()
        self.sinks: dict[Session, KeepingSink] = {}
        self.audience = Audience(Room(self.room, tuple(map(participant, self.users))), self.registry)

    def connect(self, user: str, dialect: NativeJson) -> Session:
        sink = KeepingSink()
        session = Session(f"s-{user}", sink, dialect, gate=None, stop=lambda *_: None)  # type: ignore[arg-type]
        self.sinks[session] = sink
        self.registry.add(user, session)
        return session

    def send(self, asker: Session | None = None) -> view.Seen:
        message = Message(
            conversation=C, seq=1, rev=2, id="m-1", sender=self.users[0], client_id="k", kind="text", body="Hello",
            reply_to=None, data=None, sent_at=0,
        )  # fmt: skip
        outcome = Changed(room=self.room, from_rev=1, rev=2, messages=(message,))
        change = SendMessage(
            conversation=C, user=self.users[0], client_id="k", message="m-1", body="Hello", reply_to=None, at=0
        )
        seen = view.Seen(outcome, crowd=False)
        asked = asker or self.connect(self.users[0], Counting("asker"))
        asked.asked()
        self.audience.tell_run([PlainChange(seen, PendingRequest(asked, 7 if asker else None, change))])
        return seen

    def told(self, sessions: Sequence[Session]) -> list[list[bytes]]:
        return [self.sinks[session].payloads for session in sessions]


def test_fan_out_to_fifty_of_one_dialect_encodes_once() -> None:
    hall, dialects = Hall(), [Counting("same") for _ in range(50)]
    sessions = [hall.connect(user, dialect) for user, dialect in zip(hall.users, dialects, strict=True)]
    hall.send()
    assert sum(dialect.events for dialect in dialects) == 1
    told = hall.told(sessions)
    assert all(len(each) == 1 for each in told)
    assert len({id(each[0]) for each in told}) == 1, "all have the same bytes"


def test_fan_out_to_two_dialects_encodes_once_for_each() -> None:
    hall = Hall()
    native, other = Counting("native"), Telegraph("telegraph")
    for n, user in enumerate(hall.users):
        hall.connect(user, other if n % 2 else native)
    hall.send()
    assert (native.events, other.events) == (1, 1)


def test_fan_out_without_native_clients_makes_no_native_json() -> None:
    hall, other = Hall(), Telegraph("telegraph")
    sessions = [hall.connect(user, other) for user in hall.users]
    seen = hall.send(sessions[0])
    assert other.events == 1
    assert seen._messages is None, "native JSON was made for nobody"


def test_asker_whose_ok_is_no_event_gets_the_event_and_the_ok() -> None:
    hall, other = Hall(), Telegraph("telegraph")
    asker = hall.connect(hall.users[0], other)
    hall.send(asker)
    assert hall.told([asker]) == [[b"event", b"sent"]]


def test_asker_whose_ok_is_the_event_gets_the_ok_alone() -> None:
    hall, native = Hall(), Counting("native")
    asker = hall.connect(hall.users[0], native)
    hall.send(asker)
    assert native.events == 0
    (told,) = hall.told([asker])
    assert [b'"ok"' in payload for payload in told] == [True]


def test_event_of_no_packets_is_not_pushed_to_a_sink() -> None:
    class Silent(Telegraph):
        def event(self, event: Event) -> bytes:
            return b""

    hall = Hall()
    session = hall.connect(hall.users[1], Silent("silent"))
    hall.send()
    assert hall.told([session]) == [[]]
