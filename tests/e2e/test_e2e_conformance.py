"""The Autobahn cases, run by kosoku against an echo server on each engine."""

import subprocess
import sys
from pathlib import Path

import pytest

ECHO = Path(__file__).parents[1] / "support" / "echo.py"
LEFT_OUT = ["9.*", "12.*", "13.*"]
"""Throughput, and compression, which is never negotiated."""


@pytest.mark.parametrize("engine", ["own", "trio-websocket"])
def test_engine_passes_the_autobahn_cases(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("kosoku", reason="kosoku runs the conformance cases; it has no wheel for this platform")
    with subprocess.Popen([sys.executable, str(ECHO), engine], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            program = str(Path(sys.executable).parent / "kosoku")
            left_out = [part for case in LEFT_OUT for part in ("-x", case)]
            run = subprocess.run(
                [program, *left_out, "-p", "4", "-o", str(tmp_path), f"127.0.0.1:{port}"],
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
        finally:
            server.kill()
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
    assert "cases passed" in run.stdout
