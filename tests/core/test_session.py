"""A session: reads wait for what was asked before, and large replies leave one at a time."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.caller import Read
from chatd.core.event import Event
from protocol.frames import Change, Ok
from support.small_clinic import C, SmallClinic


def reply(id: int) -> Read:
    return Read(Ok(re=id), {C: 5})


async def test_read_waits_until_every_request_before_it_is_answered(autojump_clock: MockClock) -> None:
    clinic, ran = SmallClinic(), []
    session = clinic.session

    async def work() -> Read:
        ran.append(True)
        return reply(1)

    session.asked()
    session.asked()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.read, work)
        await wait_all_tasks_blocked()
        session.answered()
        await wait_all_tasks_blocked()
        assert not ran, "one is still under way"
        session.answered()
    assert ran
    assert [frame["re"] for frame in clinic.told] == [1]


async def test_reads_run_one_at_a_time_and_wait_for_the_sink(autojump_clock: MockClock) -> None:
    clinic, order = SmallClinic(), list[int]()

    async def read(id: int) -> None:
        async def work() -> Read:
            order.append(id)
            await trio.sleep(1)
            order.append(-id)
            return reply(id)

        await clinic.session.read(work)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, 1)
        await wait_all_tasks_blocked()
        nursery.start_soon(read, 2)
        await trio.sleep(5)
        assert order == [1, -1], "the first reply is not acknowledged"
        clinic.sink.acknowledge(1)
    assert order == [1, -1, 2, -2]


async def test_events_during_a_read_leave_in_rev_order_with_its_reply(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()

    async def work() -> Read:
        for rev in (5, 6):
            clinic.session.deliver(C, rev - 1, rev, Event(Change(conversation=C, from_rev=rev - 1, rev=rev)))
        return reply(1)

    await clinic.session.read(work)
    assert [frame.get("re", frame.get("rev")) for frame in clinic.told] == [5, 1, 6]


async def test_read_that_fails_lets_everything_else_leave(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()

    async def work() -> Read:
        clinic.session.deliver(C, 4, 5, Event(Change(conversation=C, from_rev=4, rev=5)))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await clinic.session.read(work)
    assert [frame["rev"] for frame in clinic.told] == [5]
    await clinic.session.quiet()


async def test_session_whose_sink_is_cut_is_gone(autojump_clock: MockClock) -> None:
    clinic = SmallClinic()
    before = clinic.session.is_gone
    clinic.sink.cut("gone")
    assert (before, clinic.session.is_gone) == (False, True)
    with trio.fail_after(1):
        async with clinic.session.turn():
            pass  # nobody waits for a reader who is gone
