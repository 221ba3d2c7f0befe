"""Every example of docs/http.md is run as it stands there, in order, against one daemon."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import trio

from support.process import environment, running

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(
    r"^```sh\n(.*?)\n# (.*?)\n```$", (ROOT / "docs" / "http.md").read_text(), re.DOTALL | re.MULTILINE
)

IDS = ("C", "F", "S")


def pattern(told: str) -> re.Pattern[str]:
    """What is told, with `...` for anything; `$C`, `$F`, `$S` are the ids of the conversation, a file, a session."""
    parts = [re.escape(part) for part in told.split("...")]
    whole = ".*".join(parts)
    for name in IDS:
        first = whole.replace(rf"\${name}", rf'(?P<{name}>[^"?]+)', 1)
        whole = first.replace(rf"\${name}", f"(?P={name})")
    return re.compile(whole, re.DOTALL)


async def test_examples_answer_as_they_say(tmp_path: Path) -> None:
    assert len(EXAMPLES) >= 12
    chatd = f"{shlex.quote(sys.executable)} -m chatd"
    async with running(tmp_path) as daemon:
        variables = {
            "CHATD": f"http://127.0.0.1:{daemon.port}",
            "DATA": str(tmp_path / "data"),
            **dict.fromkeys(IDS, ""),
        }
        for command, told in EXAMPLES:
            command = command.replace("curl -s ", "curl -s -w '\\n%{http_code}' ")
            command = re.sub(r"^chatd ", f"{chatd} ", command)
            env = environment(**variables)
            with trio.fail_after(30):
                run = await trio.run_process(
                    ["sh", "-c", command], capture_stdout=True, stderr=subprocess.STDOUT, env=env, check=False
                )
            said = run.stdout.decode().strip()
            if "curl" in command:
                body, _, status = said.rpartition("\n")
                said = f"{status} {body}".strip()
            found = pattern(told).fullmatch(said)
            assert found, f"{command}\nsays {said}\nand not {told}"
            for name, id in found.groupdict().items():
                assert variables[name] in ("", id)
                variables[name] = id
