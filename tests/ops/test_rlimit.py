"""Open files: a daemon raises its own limit."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.process import PLAIN, running


def limits(soft: int, hard: int, wanted: int) -> str:
    """What the limits become, of a process of its own, as there is no way back."""
    script = (
        "import resource as r; from chatd.ops.rlimit import allow; "
        f"r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard})); allow({wanted}); print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    return subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True).stdout.strip()


def test_descriptors_up_to_the_system_limit_are_allowed() -> None:
    assert limits(100, 200, 10_000) == "200 200"
    assert limits(200, 200, 100) == "200 200"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limits of another process")
async def test_a_daemon_raises_its_limit(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (100, {hard})); {PLAIN[1]}"
    async with running(tmp_path, program=("-c", low)) as daemon:
        soft, _ = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        assert soft > 100
