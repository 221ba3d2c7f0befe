"""The way out of one client's session: what a cork holds back leaves in order, in two payloads."""

import attrs
from trio.testing import MockClock

from chatd.core.outbox import Cork
from chatd.transports.engineio.session import EngineSession
from chatd.transports.engineio.settings import EngineSettings
from chatd.transports.socketio.recovery import RecoveryBudget, ResendLog
from chatd.transports.socketio.wire import Wire

SETTINGS = EngineSettings(
    ping_interval=25,
    ping_timeout=20,
    write_timeout=10,
    close_timeout=5,
    handshake_timeout=10,
    max_payload=10_000,
    outbox_bytes=10_000,
    max_sessions=1,
)


@attrs.define
class Stage:
    """A client that polls, and how often something new waited for it."""

    engine: EngineSession = attrs.Factory(lambda: EngineSession("sid", SETTINGS, clock=lambda: 0.0))
    log: ResendLog = attrs.Factory(lambda: ResendLog(RecoveryBudget(10_000)))
    cork: Cork = attrs.Factory(Cork)
    pushed: int = 0
    wire: Wire = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wire = Wire(self.engine, self.log, self.cork)
        self.engine.on_output = self._count

    def _count(self) -> None:
        self.pushed += 1

    def push(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.wire.push(payload)


async def test_wire_what_the_cork_holds_back_leaves_in_two_payloads(autojump_clock: MockClock) -> None:
    stage = Stage()
    with stage.cork:
        stage.push(b"event", b"ack 1", b"ack 2")
        assert stage.engine.is_empty
    assert (stage.pushed, stage.engine.take()) == (2, b"event\x1eack 1\x1eack 2")
    stage.push(b"more")
    assert (stage.pushed, stage.engine.take()) == (3, b"more")
    assert stage.log.after(None) == [b"event", b"ack 1", b"ack 2", b"more"]


async def test_wire_reply_under_the_cork_comes_behind_what_was_before_it(autojump_clock: MockClock) -> None:
    stage = Stage()
    with stage.cork:
        stage.push(b"event")
        stage.wire.push(b"reply", counts=False)
        stage.push(b"another")
    assert stage.engine.take() == b"event\x1ereply\x1eanother"


async def test_wire_client_lost_under_the_cork_finds_the_rest_in_its_log(autojump_clock: MockClock) -> None:
    stage = Stage()
    with stage.cork:
        stage.push(b"event", b"ack")
        stage.wire.detach()
    assert stage.engine.is_empty
    assert stage.log.after(None) == [b"event", b"ack"]


async def test_wire_cut_under_the_cork_sends_nothing(autojump_clock: MockClock) -> None:
    stage = Stage()
    with stage.cork:
        stage.push(b"event")
        stage.wire.cut("gone")
    assert stage.engine.is_empty
