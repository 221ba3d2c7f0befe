"""What to type, and what to start, to run the program again."""

import subprocess
import sys
from pathlib import Path

import pytest

from chatd.ops.program import command, program


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chatd, which is on the PATH; we are one above it."""
    folder = tmp_path / "my bin"
    folder.mkdir()
    (folder / "chatd").write_text("")
    (folder / "chatd").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def called(monkeypatch: pytest.MonkeyPatch, *argv: str) -> str:
    monkeypatch.setattr(sys, "argv", [*argv])
    return program()


def test_the_one_on_the_path_has_a_short_name(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(monkeypatch, str(bin / "chatd")) == "chatd"
    (bin / "link").symlink_to(bin / "chatd")
    assert called(monkeypatch, str(bin / "link")) == "chatd"
    assert called(monkeypatch, "-c") == "chatd"


def test_another_one_is_called_by_its_own_path(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(monkeypatch, "dist/chatd") == "dist/chatd"
    assert called(monkeypatch, "/opt/chatd") == "/opt/chatd"


def test_without_a_path(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert called(monkeypatch, str(bin / "chatd")) == "'my bin/chatd'"


def test_program_as_a_module(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert called(monkeypatch, "/somewhere/chatd/__main__.py") == "/usr/bin/python3 -m chatd"


def test_program_as_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.run(command("--version"), capture_output=True, text=True)
    assert ended.stdout.startswith("chatd, version ")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/chatd")
    assert command("serve", "--dev") == ["/opt/chatd", "serve", "--dev"]
