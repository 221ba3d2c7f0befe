"""`python -m bench.attack`: a normal client's p99 before and during each flood, and what the flood leaves behind."""

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import attrs
import click

from .floods import FLOODS, run
from .victim import Victim, Witness, victim

BAR_MS = 200.0
"""The most that a normal client's p99 may be during a flood."""
BACK_S = 5.0
"""Seconds after a flood within which descriptors and memory are back."""
SLACK_BYTES = 48 * 1024 * 1024
"""Memory that the allocator may keep for the next time."""


@attrs.frozen(kw_only=True)
class Found:
    """The effect of one flood. `p99_ms`: None where the normal client was cut off."""

    name: str
    calm_ms: float
    p99_ms: float | None
    peak_bytes: int
    descriptors_left: int
    bytes_left: int
    log_bytes: int

    @property
    def holds(self) -> bool:
        """Return True if it stayed within every bar."""
        within = self.p99_ms is not None and self.p99_ms <= max(BAR_MS, 2 * self.calm_ms)
        return within and self.descriptors_left <= 0 and self.bytes_left <= SLACK_BYTES

    def line(self) -> str:
        """Return a row of the table."""
        p99 = "cut off" if self.p99_ms is None else f"{self.p99_ms:.0f}"
        mib = 1024 * 1024
        return (
            f"| {self.name} | {self.calm_ms:.0f} | {p99} | {self.peak_bytes // mib:+d} | {self.bytes_left // mib:+d} "
            f"| {self.descriptors_left:+d} | {self.log_bytes / 1024:.0f} | {'yes' if self.holds else 'NO'} |"
        )


def measure(name: str, against: Victim, seconds: float) -> Found:
    """Run one flood against the daemon, in a process of its own."""
    witness = Witness(against.target.port, against.token)
    try:
        calm = witness.p99(seconds / 2)
        descriptors, resident, log = against.descriptors(), against.resident(), against.log.stat().st_size
        flood = multiprocessing.get_context("spawn").Process(target=run, args=(name, against.target))
        flood.start()
        try:
            time.sleep(2)  # until it has begun
            found = witness.p99(seconds)
            peak = against.resident()
        except ConnectionError:
            found, peak = None, against.resident()
        finally:
            flood.kill()
            flood.join()
        logged = against.log.stat().st_size - log
        until = time.monotonic() + BACK_S
        while time.monotonic() < until and (
            against.descriptors() > descriptors or against.resident() > resident + SLACK_BYTES
        ):
            time.sleep(0.1)
        return Found(
            name=name,
            calm_ms=calm,
            p99_ms=found,
            peak_bytes=peak - resident,
            descriptors_left=against.descriptors() - descriptors,
            bytes_left=against.resident() - resident,
            log_bytes=logged,
        )
    finally:
        witness.close()


@click.command()
@click.option("--seconds", default=6.0, show_default=True, help="Length of each flood.")
@click.option("--only", multiple=True, type=click.Choice(list(FLOODS)), help="These floods (all).")
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for the data (.)")
def main(seconds: float, only: tuple[str, ...], disk: str) -> None:
    """Flood a daemon; exit with 1 where a normal client notices."""
    others = os.sched_getaffinity(0) - {0}
    os.sched_setaffinity(0, others or {0})
    click.echo(
        "| flood | p99 before, ms | during, ms | memory, MiB | left, MiB | descriptors left | log, KiB | holds |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    failed = False
    for name in only or FLOODS:
        with tempfile.TemporaryDirectory(prefix=".attack-", dir=disk) as folder, victim(Path(folder)) as against:
            found = measure(name, against, seconds)
        click.echo(found.line())
        failed |= not found.holds
    sys.exit(failed)


if __name__ == "__main__":
    main()
