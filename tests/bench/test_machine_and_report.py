"""The machine that a load runs on, its report, and a server of its own."""

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from chatd.bench import machine, report
from chatd.bench.figures import Figures, Percentiles, ServerCost, Syncs, Workload
from chatd.bench.private import CannotStart, environment, running


def test_cpu_time_and_memory_of_this_process() -> None:
    cpu, memory = machine.cpu_time(os.getpid()), machine.memory(os.getpid())
    assert cpu is not None
    assert cpu > 0.1
    assert memory is not None
    assert memory[1] >= memory[0] > 10 * 1024 * 1024


def test_usage_of_a_lost_process_is_none() -> None:
    assert machine.cpu_time(2**22 + 7) is None
    assert machine.memory(2**22 + 7) is None


def test_syncs_leave_nothing(tmp_path: Path) -> None:
    found = machine.syncs(tmp_path)
    assert found.p99 >= found.p50 > 0
    assert list(tmp_path.iterdir()) == []


def test_the_json_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "bench.md").read_text()
    for kind in (Figures, Workload, ServerCost, Percentiles, Syncs):
        for field in attrs.fields(kind):
            assert f"`{field.name}`" in text, field.name


PAIRS = Workload(
    conversations=20, members=2, senders=1, window=8, body_bytes=95, receipts=False, seconds=10.0, warm_up=1.5
)
MIB = 1024 * 1024
GOOD = Figures(
    version="1.2", server="http://127.0.0.1:1", private=True, workload=PAIRS, seconds=10.04, interrupted=False,
    failure=None, acknowledged=112_340, acknowledged_per_second=11_234.1, delivered=112_341,
    delivered_per_second=11_234.2, ack_ms=Percentiles(p50=1.5, p90=2.5, p99=3.5, max=40.25),
    sync_ms=Syncs(p50=0.4, p99=1.25),
    cost=ServerCost(cpu_percent=58.2, cpu_us_per_message=52.34, cpu_us_per_delivery=51.0, memory_start=50 * MIB,
                    memory_end=60 * MIB, memory_peak=70 * MIB),
    load_cpu_percent=31.4, errors={}, discrepancies=[],
)  # fmt: skip


def test_the_report() -> None:
    assert list(report.lines(GOOD)) == [
        "server         chatd 1.2, of its own",
        "disk           4 KiB written and synced in 0.40 ms (p50), 1.25 ms (p99)",
        "load           20 pairs, 8 messages in flight each, 95 bytes of text",
        "measured       10.0 s after 1.5 s of warm-up",
        "",
        "acknowledged   11,234 messages/s",
        "delivered      11,234 deliveries/s, every one checked: once, in order",
        "ack            p50 1.50 ms   p90 2.50 ms   p99 3.50 ms   max 40.25 ms",
        "server CPU     52.3 us a message, 58 % of a core",
        "server memory  50 MiB at the start, 60 MiB at the end, 70 MiB at most",
        "this program   31 % of a core",
        "refused        nothing",
    ]
    assert GOOD.good


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"cost": None}, "server CPU     not available: only for a server on this machine, on Linux"),
        ({"private": False}, "server         http://127.0.0.1:1"),
        ({"interrupted": True}, "measured       10.0 s after 1.5 s of warm-up, then interrupted"),
        ({"load_cpu_percent": 97.0}, "this program   97 % of a core: it is the bottleneck, the server may do more"),
        ({"errors": {"unavailable": 3, "internal": 1}}, "refused        1 internal, 3 unavailable"),
        ({"errors": {"rate_limited": 3}},
         "refused        3 rate_limited; the server's own limits ([limits]) are what was measured"),
        ({"discrepancies": ["seq 4 was acknowledged twice"]}, "WRONG: seq 4 was acknowledged twice"),
        ({"failure": "the server closed the connection"}, "FAILED: the server closed the connection"),
        ({"discrepancies": ["x"]}, "delivered      11,234 deliveries/s"),
        ({"sync_ms": Syncs(p50=0.002, p99=0.003)},
         "disk           4 KiB written and synced in 0.00 ms (p50), 0.00 ms (p99); "
         "that is memory, no disk: see --data-on"),
        ({"workload": attrs.evolve(PAIRS, conversations=1, members=100, senders=2, receipts=True)},
         "load           a group of 100, 2 senders, 8 messages in flight each, 95 bytes of text, "
         "each reported delivered"),
        ({"workload": attrs.evolve(PAIRS, members=100)},
         "server CPU     52.3 us a message, 51.00 us a delivery, 58 % of a core"),
    ],
)  # fmt: skip
def test_lines_of_the_report(changed: dict[str, Any], line: str) -> None:
    figures = attrs.evolve(GOOD, **changed)
    assert line in list(report.lines(figures))
    assert figures.good == (not changed.keys() & {"discrepancies", "failure"})


# -- a server of its own --


def test_a_server_of_its_own_is_not_told_about_another(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHATD_STORAGE_DATABASE", "DATABASE_URL", "PORT", "NODE_ENV", "CHATD_ENV", "HOSTNAME"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("LANG", "C.UTF-8")
    kept = environment()
    assert "production" not in kept.values()
    assert kept["LANG"] == "C.UTF-8"


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    complains = ("/bin/sh", "-c", "echo first >&2; echo 'no more room' >&2; exit 3")
    with (
        pytest.raises(CannotStart, match="it did not start: no more room"),
        running("it", complains, tmp_path, environment()),
    ):
        raise AssertionError
