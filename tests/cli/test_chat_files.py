"""Files in a terminal's chat: sent by their path, saved by their number."""

from pathlib import Path

import pytest

from chatd.cli.chat.files import bar, source, target
from support import pictures, process
from support.terminals import window

ADA = ("--as", "pat-1", "--name", "Ada", "--with", "den-1")
BO = ("--as", "den-1", "--name", "Bo", "--role", "dentist", "--with", "pat-1")


async def test_file_is_sent_and_saved(tmp_path: Path) -> None:
    there, here = tmp_path / "ada", tmp_path / "bo"
    for folder in (there, here):
        folder.mkdir()
    (there / "my tooth.jpg").write_bytes(pictures.jpeg(6))
    async with process.running(tmp_path) as daemon:
        server = f"http://127.0.0.1:{daemon.port}"
        async with window(server, *BO, cwd=here) as bo, window(server, *ADA, cwd=there) as ada:
            await ada.see("you talk to")
            await ada.type('before\n/file "my tooth.jpg"\nafter\n/file nothing.pdf\n')
            await ada.see("not sent: nothing.pdf (No such file or directory)")
            await bo.see("Ada: before")
            await bo.see("Ada: <[1] my tooth.jpg, ")
            await bo.see("Ada: after")
            await bo.type("/save 1\n/save 1\n/save 2\n")
            await bo.see("there is no file [2]")
            await bo.see("saved: my tooth.jpg")
            await bo.see("saved: my tooth")
            await ada.end()
    saved = sorted(path.name for path in here.glob("*.jpg"))
    assert "my tooth.jpg" in saved
    data = (here / "my tooth.jpg").read_bytes()
    assert data.startswith(b"\xff\xd8")
    assert pictures.CANARY not in data


@pytest.mark.parametrize(
    ("typed", "path"),
    [("a b.pdf ", "a b.pdf"), ("'a b.pdf'", "a b.pdf"), ('"a"', "a"), ("~/a", str(Path.home() / "a"))],
)
def test_source_typed_as_a_terminal_pastes_it_is_the_path(typed: str, path: str) -> None:
    assert source(typed) == Path(path)


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("a.pdf", "a.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/", "_"),
        ("..", "file"),
        ("a\x1b[2J.png", "a__2J.png"),
    ],
)
def test_target_is_a_new_file_in_the_folder(name: str, saved: str, tmp_path: Path) -> None:
    found = target(name, tmp_path)
    assert found == tmp_path / saved
    found.touch()
    assert target(name, tmp_path) == tmp_path / f"{found.stem} (2){found.suffix}"


def test_bar_is_drawn_once_for_each_per_cent() -> None:
    lines: list[str] = []
    progress = bar("a.pdf", lines.append)
    for done in range(0, 1001):
        progress(done, 1000)
    assert len(lines) == 101
    assert lines[50] == "-- a.pdf [##########..........] 50 %"
    progress(0, 0)
    assert len(lines) == 101
