"""The one-file program (`make binary`): all of it works where there is no Python.

CHATD_TEST_BINARY names the file; `.ci/run` builds it first.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import attrs
import pytest

from support import pictures
from support.process import ROOT

BINARY = os.environ.get("CHATD_TEST_BINARY", "")
ENVIRONMENT = {"PATH": "/nonexistent"}
"""All that there is: no Python to be found, no home, no language."""

pytestmark = pytest.mark.skipif(not BINARY, reason="CHATD_TEST_BINARY is not set: make binary")


def chatd(folder: Path, *arguments: str, said: str = "", env: dict[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    ended = subprocess.run(
        (BINARY, *arguments), cwd=folder, env=env or ENVIRONMENT, input=said, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended
    return ended.stdout


@attrs.frozen
class Served:
    """A running daemon, and the process that was started, which looks after it."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]
    log: Path

    @property
    def pid(self) -> int:
        """Of the daemon itself."""
        return int(re.findall(r'"pid": ?(\d+)', self.log.read_text())[-1])


@contextmanager
def serving(folder: Path, *flags: str, lines: int = 1) -> Iterator[Served]:
    """Run it until it is told to stop, which it must do cleanly."""
    log = folder / "log"
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            (BINARY, "serve", "--port", "0", *flags), cwd=folder, env=ENVIRONMENT,
            stdout=subprocess.PIPE, stderr=stderr, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            said = [process.stdout.readline().rstrip() for _ in range(lines)]
            assert said[0].startswith("listening on http://"), log.read_text()
            yield Served(process, said[0].removeprefix("listening on "), said, log)
        finally:
            killed = process.poll() is not None
            process.terminate()
    assert killed or process.returncode == 0, log.read_text()


def test_binary_prints_its_version_and_the_schema(tmp_path: Path) -> None:
    assert chatd(tmp_path, "--version").startswith("chatd, version ")
    assert chatd(tmp_path, "schema") == (ROOT / "docs" / "protocol.schema.json").read_text()
    assert list(tmp_path.iterdir()) == []


def test_binary_serves_a_clinic_from_the_first_command_on(tmp_path: Path) -> None:
    """Set up, sign in with tokens, talk, kill the daemon, and find what was said."""
    chatd(tmp_path, "init", ".")
    chatd(tmp_path, "user", "add", "pat-1", "--name", "Ada", "--role", "patient")
    chatd(tmp_path, "user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")
    tokens = {user: chatd(tmp_path, "token", user).strip() for user in ("pat-1", "den-1")}

    def talk(url: str, user: str, other: str, line: str) -> str:
        signed_in = {**ENVIRONMENT, "CHATD_TOKEN": tokens[user]}
        return chatd(tmp_path, "chat", "--with", other, "--server", url, said=f"{line}\n", env=signed_in)

    with serving(tmp_path) as served:
        talk(served.url, "pat-1", "den-1", "Es tut weh 🦷")
        answered = talk(served.url, "den-1", "pat-1", "Come at three")
        assert "Es tut weh 🦷" in answered
        assert "Dr. Bo" in chatd(tmp_path, "user", "list"), "asked through the running daemon"
        os.kill(served.pid, signal.SIGKILL)
        assert served.process.wait(timeout=30) != 0
    with serving(tmp_path) as served:
        assert "Come at three" in talk(served.url, "pat-1", "den-1", "Thank you")
        assert '"level":"warning"' not in served.log.read_text(), "its SQLite is that of the wheel"


def test_binary_in_development_mode_says_what_to_type(tmp_path: Path) -> None:
    with serving(tmp_path, "--dev", "--data", "data", lines=7) as served:
        commands = [line.strip() for line in served.lines if "--as" in line]
        assert len(commands) == 2
        patient, dentist = map(shlex.split, commands)
        assert Path(patient[0]).samefile(BINARY)
        with subprocess.Popen(
            dentist, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as waiting:  # for each other, whoever comes first
            chatd(tmp_path, *patient[1:], said="Hello\n")
            said, _ = waiting.communicate("Hello Ada\n", timeout=60)
        assert "Ada: Hello" in said


def test_binary_carries_the_page(tmp_path: Path) -> None:
    with serving(tmp_path, "--dev", "--data", "data") as served, urlopen(served.url, timeout=30) as page:
        script = re.search(r'src="(/assets/[^"]+\.js)"', page.read().decode())
        assert script is not None
        with urlopen(served.url + script[1], timeout=30) as loaded:
            assert loaded.status == 200


def test_binary_signs_in_by_password(tmp_path: Path) -> None:
    """The library that hashes passwords is compiled code: it must be in the file."""
    chatd(tmp_path, "init", ".")
    chatd(tmp_path, "user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")
    chatd(tmp_path, "user", "passwd", "den-1", said="correct horse battery\n")

    def sign_in(url: str, password: str) -> int:
        said = json.dumps({"user": "den-1", "password": password}).encode()
        asked = Request(f"{url}/v1/sign-in", said, {"Content-Type": "application/json", "Origin": url})
        try:
            with urlopen(asked, timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    with serving(tmp_path) as served:
        assert sign_in(served.url, "correct horse battery") == 200
        assert sign_in(served.url, "wrong horse battery") == 401


def test_binary_bench_of_its_own_server_prints_figures(tmp_path: Path) -> None:
    """The binary starts itself for it, and knows which process that is."""
    found = json.loads(chatd(tmp_path, "bench", "--pairs", "2", "--seconds", "0.5", "--json"))
    assert found["acknowledged"] > 0
    assert found["cost"]["cpu_us_per_message"] > 1, "that process does nothing"
    assert found["cost"]["memory_start"] > 20 * 1024 * 1024
    assert list(tmp_path.iterdir()) == []


def test_binary_interrupted_hears_it_once(tmp_path: Path) -> None:
    """A terminal sends it to all processes of a group; those who unpacked the program pass it on as well."""
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(
        (BINARY, "serve", "--dev", "--port", "0", "--data", "data"), cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=log, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening on ")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 0
    assert '"event":"shutting down"' in (tmp_path / "log").read_text(), "a second one cut it short"


def test_binary_is_free_of_what_is_for_development() -> None:
    content = Path(BINARY).read_bytes()
    assert len(content) < 30 * 1024 * 1024
    for name in (b"hypothesis/", b"uvloop/", b"mypy/"):
        assert name not in content, name


def test_binary_decodes_pictures_of_every_kind(tmp_path: Path) -> None:
    samples = {"image/jpeg": pictures.jpeg(6), "image/avif": pictures.avif(), "image/heic": pictures.HEIC}
    samples |= {"image/png": pictures.png(), "image/webp": pictures.webp(), "image/gif": pictures.gif()}
    jobs = []
    for n, (mime, data) in enumerate(samples.items()):
        (tmp_path / f"{n}").write_bytes(data)
        job = {"kind": "image", "type": mime, "source": f"{n}", "target": f"{n}.clean", "thumbnail": f"{n}.small"}
        jobs.append(json.dumps(job) + "\n")
    lines = [json.loads(line) for line in chatd(tmp_path, "attachment-worker", said="".join(jobs)).splitlines()]
    assert lines[0] == {"pictures": True}
    assert [line.get("width") for line in lines[1:]] == [48, 64, 48, 64, 64, 64], lines
