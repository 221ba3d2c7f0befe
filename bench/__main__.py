"""`python -m bench`: run chatd and a relay that stores nothing side by side, load them in turn, and compare."""

import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from bench import report, servers
from bench.machine import inspect
from bench.report import Measured
from bench.servers import BODY_BYTES
from bench.socketio import ChatClient, Pairs
from chatd.bench.figures import Workload
from chatd.bench.members import Conversations, by_name
from chatd.bench.peer import PeerLost, SocketAddress
from chatd.bench.private import CannotStart, PrivateServer, chatd_server
from chatd.bench.run import WARM_UP_S, Crowd, RunSettings, run


@click.command()
@click.option("--pairs", default=20, show_default=True, type=click.IntRange(min=1), help="Pairs of users.")
@click.option("--window", default=8, show_default=True, type=click.IntRange(min=1), help="Messages in flight per pair.")
@click.option("--seconds", default=4.0, show_default=True, type=click.FloatRange(min=0.1), help="Length of a turn.")
@click.option("--turns", default=5, show_default=True, type=click.IntRange(min=1), help="Turns for each server.")
@click.option("--receipts", is_flag=True, help="Also chatd with receivers that report each message delivered.")
@click.option("--socketio", is_flag=True, help="Also chatd with clients that speak Socket.IO, as the relay's do.")
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for chatd's data (.)")
@click.option("--json", "file", type=click.Path(dir_okay=False), help="Also write all numbers to this file.")
@click.option("--smoke", is_flag=True, help="One turn of at most a second: shows that everything runs, not how fast.")
def main(
    pairs: int,
    window: int,
    seconds: float,
    turns: int,
    receipts: bool,
    socketio: bool,
    disk: str,
    file: str | None,
    smoke: bool,
) -> None:
    """Measure chatd against a Socket.IO relay that stores nothing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with this program
    if smoke:
        turns, seconds = 1, min(seconds, 1.0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".bench-", dir=disk)))
        columns: dict[str, PrivateServer] = {}
        try:
            columns[report.RELAY] = stack.enter_context(servers.relay(folder))
        except CannotStart as error:
            click.echo(f"chatd alone, without the relay: {error}")
        try:
            columns[report.CHATD] = stack.enter_context(chatd_server(folder))
        except CannotStart as error:
            raise click.ClickException(str(error)) from None
        if receipts:
            columns[report.RECEIPTS] = columns[report.CHATD]
        if socketio:
            columns[report.SOCKETIO] = columns[report.CHATD]

        machine = inspect(folder, with_relay=report.RELAY in columns)
        click.echo("\n".join(report.surroundings(machine)))
        click.echo(f"{pairs} pairs, {window} messages in flight each, turns of {seconds:g} s\n")

        measured: dict[str, list[Measured]] = {column: [] for column in columns}
        for turn in range(1, turns + 1):
            for column, server in columns.items():
                workload = Workload(
                    conversations=pairs,
                    members=2,
                    senders=1,
                    window=window,
                    body_bytes=BODY_BYTES,
                    receipts=column == report.RECEIPTS,
                    seconds=seconds,
                    warm_up=min(WARM_UP_S, seconds),
                )
                found = loaded(column, server, workload)
                measured[column].append(found)
                click.echo(
                    f"turn {turn}   {column:14} {found.acknowledged:8,.0f}/s {found.cpu:7.1f} us   "
                    f"load generator {found.generator:3.0f} % of a core"
                )

    click.echo("\n" + "\n".join(report.table(measured)))
    if file:
        everything = {
            "workload": {"pairs": pairs, "window": window, "seconds": seconds, "turns": turns},
            "machine": machine,
            "turns": measured,
            "medians": report.medians(measured),
            "ratios": report.ratios(measured),
        }
        Path(file).write_bytes(msgspec.json.format(msgspec.json.encode(everything)) + b"\n")


def loaded(column: str, server: PrivateServer, workload: Workload) -> Measured:
    """Load a server for one turn."""
    address = SocketAddress.of(server.url)
    crowd: Crowd
    if column == report.RELAY:
        crowd = Pairs(address, workload)
    elif column == report.SOCKETIO:
        crowd = Pairs(address, workload, ChatClient)
    else:
        crowd = Conversations(address, workload, by_name)
    job = RunSettings(server=server.url, private=True, workload=workload, pid=server.pid)
    try:
        figures = run(job, crowd, lambda _: None)
    except PeerLost as lost:
        raise click.ClickException(f"the load on {column}: {lost}") from None
    for wrong in ("interrupted" if figures.interrupted else None, figures.failure, *figures.discrepancies):
        if wrong:
            raise click.ClickException(f"the load on {column}: {wrong}")
    return Measured.of(figures)


if __name__ == "__main__":
    main(prog_name="python -m bench")
