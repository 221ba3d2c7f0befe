"""Lines that strangers cause are bounded by address, and counted beyond it."""

import itertools

import structlog

from chatd.logs import counted
from chatd.logs.counted import LINES_PER_ADDRESS, WINDOW_S, Counted, LimitedLine
from chatd.net.addresses import source_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_counted_lines_of_an_address_are_bounded_and_the_rest_told_once() -> None:
    clock = Clock()
    lines = Counted(clock, source_of)
    assert sum(lines.admit("192.0.2.1") for _ in range(LINES_PER_ADDRESS + 7)) == LINES_PER_ADDRESS
    assert lines.admit("192.0.2.2"), "another address has its own"
    with structlog.testing.capture_logs() as logged:
        lines.tell()
        clock.now += WINDOW_S
        lines.tell()
        lines.tell()
    assert [(line["address"], line["left_out"]) for line in logged] == [("192.0.2.1", 7)]
    assert lines.admit("192.0.2.1")


def test_counted_window_that_ended_is_told_by_the_next_line_too() -> None:
    clock = Clock()
    lines = Counted(clock)
    for _ in range(LINES_PER_ADDRESS + 1):
        lines.admit(None)
    clock.now += WINDOW_S
    with structlog.testing.capture_logs() as logged:
        assert lines.admit(None)
    assert [line["left_out"] for line in logged] == [1]


def test_counted_lines_of_many_addresses_are_bounded_together() -> None:
    clock = Clock()
    lines = Counted(clock)
    assert sum(lines.admit(f"192.0.2.{n}") for n in range(counted.LINES_IN_ALL + 7)) == counted.LINES_IN_ALL
    with structlog.testing.capture_logs() as logged:
        lines.tell()
        clock.now += WINDOW_S
        lines.tell()
        lines.tell()
    assert [(line["address"], line["left_out"]) for line in logged] == [("any", 7)]
    assert lines.admit("198.51.100.1")


def test_counted_network_of_ipv6_is_one_address() -> None:
    lines = Counted(Clock(), source_of)
    admitted = sum(lines.admit(f"2001:db8::{n:x}") for n in range(1, LINES_PER_ADDRESS + 8))
    assert admitted == LINES_PER_ADDRESS


def test_counted_addresses_are_bounded(monkeypatch: object) -> None:
    lines = Counted(Clock())
    for n in range(counted.MAX_ADDRESSES + 10):
        lines.admit(str(n))
    assert len(lines._windows) == counted.MAX_ADDRESSES


def test_seldom_line_is_written_once_in_its_time_with_how_often_it_was_due() -> None:
    clock = Clock()
    seldom = LimitedLine(60.0, clock)
    said: list[tuple[str, object]] = []

    def write(event: str, **fields: object) -> None:
        said.append((event, fields["times"]))

    for _ in itertools.repeat(None, 1000):
        seldom.say(write, "cannot accept")
        clock.now += 0.125
    assert said == [("cannot accept", 1), ("cannot accept", 480), ("cannot accept", 480)]
