"""SIGUSR1 writes the state of a real daemon to its log, and changes nothing."""

import json
import os
import signal
from pathlib import Path

from support.process import eventually, running
from support.wsclient import connected


async def test_sigusr1_logs_gate_jobs_rooms_outboxes_and_tasks(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon, connected(daemon, "den-1") as den, connected(daemon, "pat-1") as pat:
        conversation = await pat.open("den-1")
        await pat.say(conversation, "k", "a secret of mine")
        os.kill(daemon.pid, signal.SIGUSR1)

        async def is_written() -> bool:
            return '"event":"task"' in daemon.log

        await eventually(is_written, within=10)
        await pat.say(conversation, "k2", "and it goes on")
        lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
        events = {line["event"] for line in lines}
        assert {"gate", "job", "room", "outbox", "task"} <= events
        assert conversation in {line.get("conversation") for line in lines if line["event"] == "room"}
        places = [line["at"] for line in lines if line["event"] == "task"]
        assert any("gate.py" in place for place in places), places
        assert "a secret of mine" not in daemon.log
        assert den.hello
