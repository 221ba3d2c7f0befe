"""The table of live sessions, at a shutdown."""

import random

import trio
import trio.testing

from chatd.transports.sessions import LiveSessions
from protocol.codes import CloseCode
from protocol.frames import Frame, GoingAway


class Doubled:
    """A session that ends as soon as it is told to."""

    transport = "websocket"
    delivered = queued = 0

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.told: list[Frame] = []
        self.stopped: list[CloseCode] = []

    def tell(self, frame: Frame) -> None:
        self.told.append(frame)

    async def quiet(self) -> None:
        await trio.lowlevel.checkpoint()

    def stop(self, code: CloseCode, reason: str) -> None:
        self.stopped.append(code)
        self.ended.set()


async def _live(sessions: LiveSessions, session: Doubled) -> None:
    with sessions.holding(session):
        await session.ended.wait()


async def test_a_session_that_comes_after_the_goodbye_is_ended_like_the_others() -> None:
    sessions, there, late = LiveSessions(), Doubled(), Doubled()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_live, sessions, there)
        await trio.testing.wait_all_tasks_blocked()
        await sessions.say_goodbye(random.Random(1))
        nursery.start_soon(_live, sessions, late)
    assert [type(frame) for frame in there.told] == [GoingAway]
    assert there.stopped == late.stopped == [CloseCode.GOING_AWAY]
    assert len(sessions) == 0
