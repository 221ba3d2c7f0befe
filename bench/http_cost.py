"""`python -m bench.http_cost`: CPU time of a message sent over HTTP, against one sent over WebSocket.

One daemon, the same conversations and the same number in flight, in turns: each sender waits for its answer before it
sends again. Nobody but the senders is connected. The daemon runs on the first processor, the senders on the others.
"""

import tempfile
from pathlib import Path
from statistics import median
from typing import Final

import click
import trio

from bench.senders import HttpSender, Sender, WebSocket, daemon
from chatd.bench.machine import cpu_time
from chatd.bench.run import WARM_UP_S

UNLIMITED: Final = {
    f"CHATD_LIMITS_{name}": "1000000"
    for name in (
        *("REQUESTS_PER_SECOND", "REQUEST_BURST", "USER_REQUESTS_PER_SECOND", "USER_REQUEST_BURST"),
        *("ADDRESS_REQUESTS_PER_SECOND", "ADDRESS_REQUEST_BURST"),
    )
}


async def turn(kind: type[Sender], pid: int, port: int, senders: int, seconds: float, name: str) -> tuple[float, float]:
    """Microseconds of the daemon's CPU time for a message, and messages a second."""
    people = [kind(n, port, name) for n in range(senders)]
    async with trio.open_nursery() as nursery:
        for person in people:
            await person.open()
            nursery.start_soon(_on_and_on, person)
        await trio.sleep(WARM_UP_S)
        before, began = sum(person.sent for person in people), cpu_time(pid)
        await trio.sleep(seconds)
        sent, ended = sum(person.sent for person in people) - before, cpu_time(pid)
        nursery.cancel_scope.cancel()
    for person in people:
        await trio.aclose_forcefully(person.stream)
    assert began is not None
    assert ended is not None
    return (ended - began) / sent * 1e6, sent / seconds


async def _on_and_on(person: Sender) -> None:
    while True:
        await person.send()


@click.command()
@click.option("--senders", default=40, show_default=True, help="Connections, each with one message in flight.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of a turn.")
@click.option("--turns", default=5, show_default=True, help="Turns of each kind.")
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False), help="Folder for the data (.)")
def main(senders: int, seconds: float, turns: int, disk: str) -> None:
    """Compare the two, in turns."""
    found: dict[type[Sender], list[float]] = {WebSocket: [], HttpSender: []}
    with (
        tempfile.TemporaryDirectory(prefix=".bench-", dir=disk) as folder,
        daemon(Path(folder), senders, UNLIMITED) as (pid, port),
    ):
        for number in range(turns):
            for kind in found:
                cost, rate = trio.run(turn, kind, pid, port, senders, seconds, f"{kind.__name__}{number}")
                found[kind].append(cost)
                click.echo(f"turn {number + 1}   {kind.__name__:10} {rate:8,.0f}/s {cost:7.1f} us")
    http, websocket = median(found[HttpSender]), median(found[WebSocket])
    click.echo(f"\nHTTP {http:.0f} us, WebSocket {websocket:.0f} us a message: {http / websocket:.2f} times as much")


if __name__ == "__main__":
    main()
