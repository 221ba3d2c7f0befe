"""The benchmark runs and has its numbers; how good they are is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads CPU time as only Linux has it")


def test_a_smoke_run_without_node_measures_chatd(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    flags = ("--smoke", "--pairs", "2", "--seconds", "0.5", "--disk", str(tmp_path), "--json", str(numbers))
    ended = subprocess.run(
        (sys.executable, "-m", "bench", *flags),
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},  # where there is no node
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "without the relay: there is no node here" in ended.stdout
    for row in ("acknowledged/s", "server CPU us/message", "ack p50 ms", "ack p99 ms"):
        assert row in ended.stdout

    found = json.loads(numbers.read_text())
    assert list(found["turns"]) == ["chatd"]
    (turn,) = found["turns"]["chatd"]
    assert all(turn[field] > 0 for field in ("acknowledged", "received", "cpu", "p50", "p99", "generator"))
    assert found["machine"]["sync_p99"] >= found["machine"]["sync_p50"] > 0
    assert list(tmp_path.iterdir()) == [numbers], "data of the run is left"


def test_without_a_database_server_the_benchmark_on_mysql_says_so(tmp_path: Path) -> None:
    ended = subprocess.run(
        (sys.executable, "-m", "bench.mysql", "--disk", str(tmp_path)),
        cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (1, "Error: there is no MariaDB here: install mariadb-server\n")
    assert list(tmp_path.iterdir()) == []
