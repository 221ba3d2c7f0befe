"""The report: medians of the turns, and how chatd compares with the relay within each turn."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

import attrs

from bench.machine import Machine
from chatd.bench.figures import Figures

RELAY, CHATD, RECEIPTS, SOCKETIO = "relay", "chatd", "chatd+receipts", "chatd+socketio"


@attrs.frozen(kw_only=True)
class Measured:
    """One server's figures in one turn."""

    acknowledged: float
    """Messages/s that their sender knows to be taken."""
    received: float
    """Messages/s that reached the other side."""
    cpu: float
    """us of CPU time of the server for each acknowledged message."""
    p50: float
    """ms from sending to the acknowledgement."""
    p99: float
    generator: float
    """CPU time of this program, in % of one core: near 100 it is what limits `acknowledged`."""

    @classmethod
    def of(cls, figures: Figures) -> "Measured":
        assert figures.cost is not None
        assert figures.cost.cpu_us_per_message is not None
        assert figures.ack_ms is not None
        return cls(
            acknowledged=figures.acknowledged_per_second,
            received=figures.delivered_per_second,
            cpu=figures.cost.cpu_us_per_message,
            p50=figures.ack_ms.p50,
            p99=figures.ack_ms.p99,
            generator=figures.load_cpu_percent,
        )


Turns = Mapping[str, Sequence[Measured]]
"""Measurements, turn by turn, for each column of the table."""

ROWS = (
    ("acknowledged", "acknowledged/s", ",.0f"),
    ("cpu", "server CPU us/message", ".1f"),
    ("p50", "ack p50 ms", ".2f"),
    ("p99", "ack p99 ms", ".2f"),
)


@attrs.frozen(kw_only=True)
class Spread:
    """The median of some numbers between the least and the most."""

    least: float
    median: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def spread(numbers: Sequence[float]) -> Spread:
    return Spread(least=min(numbers), median=statistics.median(numbers), most=max(numbers))


def medians(turns: Turns) -> dict[str, dict[str, float]]:
    """Return each column's medians of all that was measured."""
    return {
        column: {
            field: statistics.median(getattr(measured, field) for measured in several)
            for field in attrs.fields_dict(Measured)
        }
        for column, several in turns.items()
    }


def ratios(turns: Turns, *, base: str = RELAY) -> dict[str, dict[str, Spread]]:
    """Return the numbers of each column but the base's as multiples of the base's in the same turn."""
    return {
        column: {
            field: spread(
                [getattr(one, field) / getattr(other, field) for one, other in zip(several, turns[base], strict=True)]
            )
            for field, _, _ in ROWS
        }
        for column, several in turns.items()
        if base in turns and column != base
    }


def table(turns: Turns, *, base: str = RELAY) -> Iterator[str]:
    """The lines of the table."""
    found, compared = medians(turns), ratios(turns, base=base)
    lines = [["median", *turns, *(f"{column} / {base}" for column in compared)]]
    for field, name, form in ROWS:
        values = [format(found[column][field], form) for column in turns]
        lines.append([name, *values, *(str(fields[field]) for fields in compared.values())])
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for name, *cells in lines:
        yield name.ljust(widths[0]) + "".join(
            "   " + cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)
        )


def surroundings(machine: Machine) -> Iterator[str]:
    """Lines about the machine."""
    yield f"chatd on Python {machine.python} with SQLite {machine.sqlite}: every message synced before its ack"
    if machine.node:
        yield f"relay on Node {machine.node} with Socket.IO {machine.socket_io}: nothing stored"
    yield f"disk: 4 KiB written and synced in {machine.sync_p50:.2f} ms (p50), {machine.sync_p99:.2f} ms (p99)"
    load = " ".join(f"{number:.2f}" for number in machine.load_average)
    yield f"{machine.cores} cores; load average before the first turn {load}"
