"""Durations and the ledger of a load: what is counted, and what must not be."""

import math
import random
from typing import Any

import pytest

from chatd.bench.figures import Durations
from chatd.bench.ledger import MAX_PROBLEMS_NAMED, Ledger


def test_percentiles_are_within_a_percent_of_the_sorted_ones() -> None:
    rng = random.Random(7)
    durations, all_of_them = Durations(), sorted(rng.expovariate(50) + 1e-5 for _ in range(5000))
    for seconds in all_of_them:
        durations.add(seconds)
    found = durations.percentiles()
    assert found is not None
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        exact = all_of_them[math.ceil(share * 5000) - 1] * 1e3
        assert getattr(found, name) == pytest.approx(exact, rel=0.01)
    assert found.max == all_of_them[-1] * 1e3


def test_percentiles_of_one_duration_are_that_one() -> None:
    durations = Durations()
    durations.add(0.002)
    found = durations.percentiles()
    assert found is not None
    assert (found.p50, found.p90, found.p99) == pytest.approx((2.0, 2.0, 2.0), rel=0.01)
    assert found.max == 2.0
    assert durations.count == 1
    durations.clear()
    assert durations.percentiles() is None
    assert durations.count == 0


def test_no_percentile_is_above_the_longest() -> None:
    durations = Durations()
    for _ in range(3):
        durations.add(0.0100001)
    found = durations.percentiles()
    assert found is not None
    assert found.p50 <= found.p99 <= found.max


# -- the ledger --


def said(ledger: Ledger, seq: int, client_id: str, *to: int, sender: int = 0) -> None:
    """A message goes its whole way."""
    ledger.sent(client_id)
    for member in to:
        ledger.delivered(member, seq, client_id)
    ledger.acknowledged(sender, seq, client_id, duplicate=False)


def test_all_is_well() -> None:
    ledger = Ledger(3, last=40)
    settled = [ledger.settled]
    ledger.sent("a")
    ledger.delivered(1, 41, "a")
    settled.append(ledger.settled)
    ledger.acknowledged(0, 41, "a", duplicate=False)
    settled.append(ledger.settled)  # member 2 lacks it
    ledger.delivered(2, 41, "a")
    settled.append(ledger.settled)
    said(ledger, 42, "b", 0, 2, sender=1)
    settled.append(ledger.settled)
    assert settled == [True, False, False, True, True]
    assert ledger.close(complete=True) == []


def twice(ledger: Ledger) -> None:
    ledger.delivered(1, 1, "a")


def gap(ledger: Ledger) -> None:
    said(ledger, 3, "b", 1)


def late(ledger: Ledger) -> None:
    said(ledger, 2, "b", 1)
    ledger.delivered(1, 1, "a")


def another_text(ledger: Ledger) -> None:
    ledger.sent("b")
    ledger.delivered(1, 2, "c")
    ledger.acknowledged(0, 2, "b", duplicate=False)


def acknowledged_twice(ledger: Ledger) -> None:
    ledger.acknowledged(0, 2, "a", duplicate=False)


def same_seq_for_two(ledger: Ledger) -> None:
    said(ledger, 1, "b")


def taken_for_a_repeat(ledger: Ledger) -> None:
    ledger.sent("b")
    ledger.acknowledged(0, 1, "b", duplicate=True)


def to_nobody(ledger: Ledger) -> None:
    said(ledger, 2, "b")
    said(ledger, 3, "c")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (twice, "member 1 got seq 1 again"),
        (gap, "member 1 got seq 3 where 2 is next"),
        (late, "member 1 got seq 1 again, or after a later one"),
        (another_text, "seq 2 is one message to member 0 and another to others"),
        (acknowledged_twice, "seq 2 was acknowledged twice"),
        (same_seq_for_two, "member 0 got seq 1 again"),
        (taken_for_a_repeat, "seq 1 was acknowledged as another message"),
        (to_nobody, "2 acknowledged messages did not reach everybody; the first is seq 2"),
    ],
)
def test_ledger_finds_each_discrepancy(event: Any, words: str) -> None:
    ledger = Ledger(2, last=0)
    said(ledger, 1, "a", 1)
    assert ledger.close(complete=True) == []
    event(ledger)
    assert any(words in wrong for wrong in ledger.close(complete=True)), ledger.close(complete=True)


def test_delivery_under_way_is_no_discrepancy() -> None:
    ledger = Ledger(2, last=0)
    ledger.sent("a")
    ledger.delivered(1, 1, "a")
    assert ledger.close(complete=True) == [], "never acknowledged: nothing was promised"
    ledger.sent("b")
    ledger.acknowledged(0, 1, "a", duplicate=False)
    ledger.acknowledged(0, 2, "b", duplicate=False)
    assert ledger.close(complete=False) == []
    assert ledger.close(complete=True) == ["1 acknowledged messages did not reach everybody; the first is seq 2"]


@pytest.mark.parametrize("event_first", [False, True])
def test_a_repeated_request_may_be_answered_before_or_after_its_event(event_first: bool) -> None:
    ledger = Ledger(2, last=0)
    ledger.sent("a")
    if event_first:  # the first request was said to have failed, and had not
        ledger.delivered(0, 1, "a")
    ledger.acknowledged(0, 1, "a", duplicate=True)
    ledger.delivered(1, 1, "a")
    assert ledger.settled
    assert ledger.close(complete=True) == []


def test_a_thousand_discrepancies_are_told_in_a_few_lines() -> None:
    ledger = Ledger(2, last=0)
    for _ in range(1000):
        ledger.delivered(1, 0, "a")
    wrong = ledger.close(complete=True)
    assert len(wrong) == MAX_PROBLEMS_NAMED + 1
    assert wrong[-1] == f"and {1000 - MAX_PROBLEMS_NAMED} more of the kind"
