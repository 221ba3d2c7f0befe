"""The cost of a process, and the speed of a disk's syncs."""

import os
import re
import sys
import time
from pathlib import Path

from .figures import Durations, Syncs

_SYNCS = 200
_BLOCK = 4096


def cpu_time(pid: int) -> float | None:
    """Seconds of CPU time of a process, all threads, to the nanosecond; None where that is not to be had."""
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) gives
    except OSError:
        return None


def memory(pid: int) -> tuple[int, int] | None:
    """Bytes of memory that a process has in use, and the most that it ever had; None where that is not to be had."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    return (int(found["VmRSS"]) * 1024, int(found["VmHWM"]) * 1024) if len(found) == 2 else None


def syncs(folder: Path) -> Syncs:
    """Write to the end of a file and sync it, often, on the disk that the folder is on. Raises OSError."""
    taken = Durations()
    file = folder / "syncs"
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no other
    try:
        with file.open("wb", buffering=0) as log:
            for _ in range(_SYNCS):
                began = time.perf_counter()
                log.write(bytes(_BLOCK))
                sync(log.fileno())
                taken.add(time.perf_counter() - began)
    finally:
        file.unlink(missing_ok=True)
    found = taken.percentiles()
    assert found is not None
    return Syncs(p50=found.p50, p99=found.p99)
