"""Numbered payloads are kept until they are acknowledged; numbered frames are taken once."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.core.numbered import Gap, NotSent, NumberedInput, NumberedSink


def sink(limit: int = 100) -> tuple[NumberedSink, list[str]]:
    cuts: list[str] = []
    return NumberedSink(limit=limit, on_cut=cuts.append), cuts


def test_numbered_sink_sends_again_until_acknowledged() -> None:
    kept, _ = sink()
    kept.push(b"one")
    kept.push(b"two")
    assert kept.take(0) == [(1, b"one"), (2, b"two")]
    assert kept.take(0) == [(1, b"one"), (2, b"two")]
    kept.push(b"three")
    assert kept.take(1) == [(2, b"two"), (3, b"three")]
    assert kept.take(0) == [(2, b"two"), (3, b"three")], "what was acknowledged is gone"
    assert kept.take(3) == []


def test_numbered_sink_number_never_sent_is_refused() -> None:
    kept, _ = sink()
    kept.push(b"one")
    with pytest.raises(NotSent):
        kept.acknowledge(2)
    assert kept.take(0) == [(1, b"one")]


def test_numbered_sink_over_its_limit_is_cut_once() -> None:
    kept, cuts = sink(limit=10)
    kept.push(b"x" * 1_000, counts=False)
    kept.push(b"x" * 10)
    assert cuts == []
    kept.push(b"x")
    kept.push(b"x" * 100)
    assert (cuts, kept.is_cut, kept.take(0)) == (["too slow"], True, [])


async def test_numbered_sink_tells_of_news_and_of_the_last_acknowledgement(autojump_clock: MockClock) -> None:
    kept, _ = sink()
    happened: list[str] = []

    async def note(what: str, wait: object) -> None:
        await wait  # type: ignore[misc]
        happened.append(what)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note, "news", kept.news(0))
        await wait_all_tasks_blocked()
        kept.push(b"one")
        await wait_all_tasks_blocked()
        nursery.start_soon(note, "drained", kept.drained())
        await wait_all_tasks_blocked()
        assert happened == ["news"]
        kept.acknowledge(1)
    assert happened == ["news", "drained"]


async def test_numbered_sink_cut_wakes_all_who_wait(autojump_clock: MockClock) -> None:
    kept, _ = sink()
    kept.push(b"one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.drained)
        nursery.start_soon(kept.news, 1)
        await wait_all_tasks_blocked()
        kept.cut("gone")


def test_numbered_input_repeats_are_ignored_and_gaps_refused() -> None:
    taken = NumberedInput()
    assert taken.fresh(1, ["a", "b"]) == ["a", "b"]
    assert taken.fresh(1, ["a", "b"]) == []
    assert taken.fresh(2, ["b", "c", "d"]) == ["c", "d"]
    with pytest.raises(Gap) as gap:
        taken.fresh(6, ["f"])
    assert (gap.value.expected, taken.taken) == (5, 4)
    assert taken.fresh(5, []) == []
