"""Ack means durable: between the write of a message to the WAL file and the send of its `ok` the file is synced."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from support import strace
from support.process import PLAIN, launcher, running
from support.wsclient import connected

WRITES = ("pwrite64", "pwritev", "write", "writev")
SYNCS = ("fsync", "fdatasync")
SENDS = ("sendto", "sendmsg", "write", "writev")


def unsynced(trace: Path, wal: Path, texts: Sequence[str]) -> list[str]:
    """Those of the texts whose acknowledgement left before they were surely on disk."""
    dirty: set[str] = set()  # written, and not synced since
    written: set[str] = set()
    left: dict[str, bool] = {}
    for call in strace.calls(trace):
        if call.path == str(wal):
            if call.name in WRITES and not call.ended:
                found = {text for text in texts if text in call.data}
                dirty |= found
                written |= found
            elif call.name in SYNCS and call.ended and call.data.endswith(" = 0"):
                dirty.clear()
        elif call.name in SENDS and not call.ended:
            for text in texts:
                if text in call.data and r"\"re\":" in call.data:
                    left.setdefault(text, text in written and text not in dirty)
    assert left.keys() == set(texts), "not every acknowledgement was seen"
    return [text for text in texts if not left[text]]


@pytest.mark.parametrize("synced", [True, False], ids=["as it is", "with synchronous=OFF"])
async def test_wal_is_synced_before_the_ack(tmp_path: Path, synced: bool) -> None:
    strace.require()
    trace = tmp_path / "trace"
    texts = [f"probe-{number:04}-probe" for number in range(20)]
    async with (
        running(tmp_path, program=PLAIN if synced else launcher("--unsynced")) as daemon,
        connected(daemon, "den-1"),
        connected(daemon, "pat-1") as client,
    ):
        conversation = await client.open("den-1")
        watched = ",".join({*WRITES, *SYNCS, *SENDS})
        async with strace.attached(daemon.pid, "-y", "-s", "65536", "-o", str(trace), "-e", f"trace={watched}"):
            for text in texts:
                await client.say(conversation, text)
    assert unsynced(trace, tmp_path / "data" / "chatd.db-wal", texts) == ([] if synced else texts)
