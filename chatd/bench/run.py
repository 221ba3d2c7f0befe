"""A run: bring everybody together, let them send, measure for a while, wait for the last delivery, and sum up."""

import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import attrs
import trio

from chatd import __version__

from . import machine
from .figures import Figures, ServerCost, Syncs, Workload
from .load import TICK_S, Load, LoadPeer
from .peer import SET_UP_TIMEOUT_S, PeerLost, Wires

WARM_UP_S = 1.5
"""Seconds under load before it is measured, at most: until caches and buffers are as they stay."""

Progress = Callable[[float], None]
"""Told now and then how many seconds are measured."""


class Crowd(Protocol):
    """All users of a run, in one server's protocol."""

    async def gather(self, load: Load, wires: Wires) -> list[LoadPeer]:
        """Sign all users in and bring them together; those who are to send. Raises PeerLost."""
        ...

    def settled(self) -> bool:
        """Return True if all that was sent has been answered, and has come to everybody."""
        ...

    def discrepancies(self, *, complete: bool) -> list[str]:
        """Return what is wrong with what came. `complete`: nothing more can come."""
        ...


@attrs.frozen(kw_only=True)
class RunSettings:
    """The parameters of a run. `pid`: of the server's process where it is on this machine and known.

    `helpers`: processes that work for it, a database say; their CPU time counts as its own.
    """

    server: str
    private: bool
    workload: Workload
    pid: int | None = None
    helpers: tuple[int, ...] = ()
    sync_ms: Syncs | None = None


def run(job: RunSettings, crowd: Crowd, progress: Progress) -> Figures:
    """Do a job; at SIGINT or SIGTERM, as far as it went. Raises PeerLost where nothing was measured."""
    return trio.run(_run, job, crowd, progress)


async def _run(job: RunSettings, crowd: Crowd, progress: Progress) -> Figures:
    load, wires = Load(receipts=job.workload.receipts), Wires()
    senders: list[LoadPeer] | None = None
    figures: Figures | None = None
    never: PeerLost | None = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires.run)
            nursery.start_soon(_stop_at_signal, load, signals)
            try:
                with load.setting_up:
                    senders = await crowd.gather(load, wires)
            except PeerLost as lost:
                never = lost
            if senders is not None and not load.over.is_set():
                figures = await _measure(job, load, crowd, senders, progress)
            nursery.cancel_scope.cancel()
    wires.close()
    if figures is None:
        raise never or PeerLost(load.failure or "interrupted before anything was measured")
    return figures


async def _stop_at_signal(load: Load, signals: AsyncIterator[int]) -> None:
    async for _ in signals:
        if load.over.is_set():
            load.fail("interrupted before the last messages were answered")  # a second one cuts it short
        load.stop()


async def _measure(job: RunSettings, load: Load, crowd: Crowd, senders: list[LoadPeer], progress: Progress) -> Figures:
    workload = job.workload
    load.sending = True
    for sender in senders:
        sender.begin(workload.window)
    await _go_on(load, workload.warm_up, lambda _: None)
    load.reset()
    before = _Reading.take(job)
    await _go_on(load, workload.seconds, progress)
    after = _Reading.take(job)
    load.sending = False
    acknowledged, delivered, latencies = load.acknowledged, load.delivered, load.latencies.percentiles()
    interrupted = load.over.is_set()

    complete = await _settled(load, crowd)

    seconds = after.at - before.at
    return Figures(
        version=__version__,
        server=job.server,
        private=job.private,
        workload=workload,
        seconds=seconds,
        interrupted=interrupted,
        failure=load.failure,
        acknowledged=acknowledged,
        acknowledged_per_second=acknowledged / seconds,
        delivered=delivered,
        delivered_per_second=delivered / seconds,
        ack_ms=latencies,
        sync_ms=job.sync_ms,
        cost=_cost(before, after, acknowledged, delivered),
        load_cpu_percent=(after.own - before.own) / seconds * 100,
        errors=dict(load.errors),
        discrepancies=crowd.discrepancies(complete=complete),
    )


async def _settled(load: Load, crowd: Crowd) -> bool:
    """Wait until all is answered and delivered; False if it can't be, or something is wrong in any case."""
    until = time.perf_counter() + SET_UP_TIMEOUT_S
    while not crowd.settled():
        if load.failure is not None or crowd.discrepancies(complete=False):
            return False
        if time.perf_counter() > until:
            load.fail(f"not everything was answered and delivered within {SET_UP_TIMEOUT_S:.0f} s")
            break
        load.tick()
        await trio.sleep(TICK_S / 10)
    return True


async def _go_on(load: Load, seconds: float, progress: Progress) -> None:
    """Let it run for so long, or until it is over."""
    began = time.perf_counter()
    while (left := began + seconds - time.perf_counter()) > 0 and not load.over.is_set():
        with trio.move_on_after(min(left, TICK_S)):
            await load.over.wait()
        load.tick()
        progress(min(time.perf_counter() - began, seconds))
    if not load.over.is_set():
        progress(seconds)  # the clock may have moved on since the last tick


@attrs.frozen(kw_only=True)
class _Reading:
    """Clocks and counters at one moment, s and bytes. `memory`: in use, and the most ever."""

    at: float
    own: float
    cpu: float | None
    memory: tuple[int, int] | None

    @classmethod
    def take(cls, job: RunSettings) -> "_Reading":
        times = [None if pid is None else machine.cpu_time(pid) for pid in (job.pid, *job.helpers)]
        return cls(
            cpu=None if None in times else sum(filter(None, times)),
            memory=None if job.pid is None else machine.memory(job.pid),
            own=time.process_time(),
            at=time.perf_counter(),
        )


def _cost(before: _Reading, after: _Reading, acknowledged: int, delivered: int) -> ServerCost | None:
    if before.cpu is None or after.cpu is None or before.memory is None or after.memory is None:
        return None
    cpu = after.cpu - before.cpu
    return ServerCost(
        cpu_percent=cpu / (after.at - before.at) * 100,
        cpu_us_per_message=cpu / acknowledged * 1e6 if acknowledged else None,
        cpu_us_per_delivery=cpu / delivered * 1e6 if delivered else None,
        memory_start=before.memory[0],
        memory_end=after.memory[0],
        memory_peak=after.memory[1],
    )
