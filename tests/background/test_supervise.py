"""A background job that raises is logged, noted and started again; nothing else notices."""

import pytest
import trio
from trio.testing import MockClock

from chatd.background.supervise import FIRST_BACKOFF_S, MAX_BACKOFF_S, SOUND_AFTER_S, Jobs, pause, repeating
from chatd.core.presence import PresenceIndex
from chatd.testing import Server
from storage.contract import Unavailable


class Failing:
    """A job that notes when it starts, and fails as long as `error` is set."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.error: BaseException | None = ZeroDivisionError("a bug")

    async def __call__(self) -> None:
        self.starts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        await trio.sleep_forever()


async def test_supervise_failing_job_is_started_again_less_and_less_often(autojump_clock: MockClock) -> None:
    job, jobs = Failing(), Jobs()
    with trio.move_on_after(200):
        await jobs.supervise("job", job)
    pauses = [later - earlier for earlier, later in zip(job.starts, job.starts[1:], strict=False)]
    assert pauses[:3] == pytest.approx([FIRST_BACKOFF_S, 2 * FIRST_BACKOFF_S, 4 * FIRST_BACKOFF_S])
    assert pauses[-1] == pytest.approx(MAX_BACKOFF_S)


def test_pause_after_days_of_failures_is_the_longest() -> None:
    assert pause(2_000, FIRST_BACKOFF_S) == MAX_BACKOFF_S


async def test_supervise_failing_job_is_noted_until_it_was_sound_for_long_enough(autojump_clock: MockClock) -> None:
    job, jobs = Failing(), Jobs()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(jobs.supervise, "job", job)
        await trio.sleep(FIRST_BACKOFF_S / 2)
        assert jobs.failing["job"].kind == "ZeroDivisionError"
        assert jobs.failing["job"].failures == 1
        job.error = None
        await trio.sleep(SOUND_AFTER_S)
        assert "job" in jobs.failing
        await trio.sleep(FIRST_BACKOFF_S)
        assert dict(jobs.failing) == {}
        assert jobs.failures["job"] == 1
        nursery.cancel_scope.cancel()


async def test_supervise_failure_in_a_group_with_a_cancellation_is_caught(autojump_clock: MockClock) -> None:
    jobs = Jobs()

    async def job() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ZeroDivisionError

    with trio.move_on_after(FIRST_BACKOFF_S / 2):
        await jobs.supervise("job", job)
    assert jobs.failing["job"].kind == "ZeroDivisionError"


async def test_supervise_job_that_returns_is_over(autojump_clock: MockClock) -> None:
    jobs = Jobs()

    async def job() -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(1):
        await jobs.supervise("job", job)
    assert dict(jobs.failures) == {"job": 0}


async def test_repeating_job_goes_on_after_a_failure_and_while_the_store_is_away(autojump_clock: MockClock) -> None:
    starts: list[float] = []
    jobs = Jobs()

    async def once() -> None:
        starts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(starts) == 2:
            raise ZeroDivisionError
        if len(starts) == 3:
            raise Unavailable("the disk is full")

    with trio.move_on_after(35):
        await jobs.supervise("job", repeating(10, once))
    assert [at - starts[0] for at in starts] == pytest.approx([0, 10, 11, 21, 31])
    assert jobs.failures["job"] == 1


async def test_daemon_lives_on_when_presence_raises(
    chatd_server: Server, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: PresenceIndex, user: str, frame: object) -> None:
        raise ZeroDivisionError("a bug")

    ada = await chatd_server.connect("pat-1")
    bo = await chatd_server.connect("den-1", role="dentist")
    conversation = (await ada.ask("conversation.open", **{"with": "den-1"}))["conversation"]
    monkeypatch.setattr(PresenceIndex, "_tell", broken)
    await bo.aclose()
    await trio.sleep(6)
    assert chatd_server.daemon.jobs.failing["presence"].kind == "ZeroDivisionError"
    assert chatd_server.daemon.problem() is None
    monkeypatch.undo()
    await ada.ask("message.send", conversation=conversation, client_id="k", body="still here")
