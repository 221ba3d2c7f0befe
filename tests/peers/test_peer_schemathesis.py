"""Schemathesis draws requests from the daemon's own description of its API, and sends them to a real one."""

import os
import random
import subprocess
import sys
from pathlib import Path

import trio

from support.process import running

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 20


async def test_requests_drawn_from_the_description_are_answered_as_it_says(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHATD_TEST_SEED") or random.randrange(2**32))
    print(f"CHATD_TEST_SEED={seed}")
    program = Path(sys.executable).parent / "schemathesis"
    async with running(tmp_path) as daemon:
        command = [
            *(str(program), "run", f"http://127.0.0.1:{daemon.port}/v1/openapi.json", "--no-color"),
            *("-H", "X-Chatd-User: pat-1", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(EXAMPLES), "--seed", str(seed)),
        ]
        with trio.fail_after(100):
            run = await trio.run_process(
                command, check=False, capture_stdout=True, stderr=subprocess.STDOUT, cwd=tmp_path
            )
        assert run.returncode == 0, run.stdout.decode()[-5000:]
        status, _ = await daemon.get("/readyz")
        assert status == 200
        assert '"level": "error"' not in daemon.log.replace('":"', '": "')
