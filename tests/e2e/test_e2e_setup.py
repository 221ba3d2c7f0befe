"""`chatd init`, `chatd check` and `chatd config` from outside."""

import json
import os
import shlex
import signal
import stat
import subprocess
from pathlib import Path

import pytest
import trio

from support.process import command, environment, run, running


def init(cwd: Path, *flags: str, env: dict[str, str] | None = None) -> str:
    result = run("init", *flags, cwd=cwd, env=env)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Of each path its mode, when it was changed, and what is in it."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.stat().st_mode),
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr.startswith("chatd: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_init_makes_what_a_daemon_needs(tmp_path: Path) -> None:
    clinic = tmp_path / "our clinic"
    said = init(tmp_path, "our clinic")
    assert {name: mode for name, (mode, _, _) in everything(clinic).items() if not name.endswith(".lock")} == {
        "chatd.toml": 0o600,
        "data": 0o700,
        "data/secret": 0o600,
        "data/chatd.db": 0o600,
    }
    assert len((clinic / "data" / "secret").read_text().strip()) == 43, "32 bytes in base64 without padding"
    for name in ("chatd.toml", "data", "data/secret", "data/chatd.db"):
        assert f"made  {clinic}/{name}" in said
    assert f"  chatd serve --config '{clinic}/chatd.toml'" in said.splitlines()


def test_init_twice_makes_two_secrets(tmp_path: Path) -> None:
    init(tmp_path, "a")
    init(tmp_path, "b")
    assert (tmp_path / "a/data/secret").read_text() != (tmp_path / "b/data/secret").read_text()


def test_init_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    init(tmp_path)
    before = everything(tmp_path)
    said = init(tmp_path)
    assert everything(tmp_path) == before
    assert "made" not in said
    assert "Nothing was changed" in said
    said = init(tmp_path, "--port", "4000", "--database", "mysql://u:hush@h/db")
    assert everything(tmp_path) == before
    assert "write into it yourself: [server] port = 4000, [storage] database = " in said
    assert "hush" not in said


def test_init_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    init(tmp_path)
    (tmp_path / "data" / "secret").unlink()
    settings = (tmp_path / "chatd.toml").read_bytes()
    said = init(tmp_path)
    assert f"made  {tmp_path}/data/secret" in said
    assert f"kept  {tmp_path}/data/chatd.db" in said
    assert (tmp_path / "chatd.toml").read_bytes() == settings


def test_init_writes_what_flags_say(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    flags = ("--port", "4000", "--host", "0.0.0.0", "--public-url", "https://Chat.Example.org/", "--data", "kept")
    init(tmp_path, "clinic", *flags, "--certificate", "c.pem", "--key", "/etc/k.pem")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = tmp_path / "clinic" / "chatd.toml"
    found = json.loads(run("config", "--json", "--config", str(file), cwd=elsewhere).stdout)
    assert found["server"]["port"] == {"value": 4000, "source": str(file)}
    assert found["server"]["host"]["value"] == "0.0.0.0"
    assert found["server"]["public_url"]["value"] == "https://chat.example.org"
    assert found["server"]["data"]["value"] == str(tmp_path / "kept")
    assert found["tls"]["certificate"]["value"] == str(tmp_path / "c.pem")
    assert found["tls"]["key"]["value"] == "/etc/k.pem"
    assert (tmp_path / "kept" / "secret").exists()


def test_init_with_a_secret_of_the_environment_makes_no_file(tmp_path: Path) -> None:
    init(tmp_path, env={"CHATD_AUTH_SECRET": "hush" * 8})
    assert not (tmp_path / "data" / "secret").exists()
    assert b"hush" not in (tmp_path / "chatd.toml").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "many"), ["server.port", '"many"', "65535"]),
        (("--certificate", "c.pem"), ["tls.certificate", "[tls] key"]),
        (("file",), ["file", "cannot be made"]),
        (("file/below",), ["file/below", "cannot be made"]),
    ],
)
def test_init_that_cannot_be_says_why(tmp_path: Path, flags: tuple[str, ...], words: list[str]) -> None:
    (tmp_path / "file").touch()
    line = refused(run("init", *flags, cwd=tmp_path))
    assert all(word in line for word in words), line
    assert os.listdir(tmp_path) == ["file"]


def test_init_in_a_wrong_environment_makes_nothing(tmp_path: Path) -> None:
    line = refused(run("init", "clinic", cwd=tmp_path, env={"DATABASE_URL": "postgresql://h/db"}))
    assert "DATABASE_URL" in line
    assert os.listdir(tmp_path) == []


def test_init_leaves_a_wrong_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "chatd.toml").write_text("[server]\nport = 1e9\n")
    assert f"{tmp_path}/chatd.toml: [server] port" in refused(run("init", cwd=tmp_path))
    assert os.listdir(tmp_path) == ["chatd.toml"]


def test_init_names_commands_that_work(tmp_path: Path) -> None:
    """From another folder, as they are printed."""
    said = init(tmp_path, "clinic", "--port", "0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  chatd ")]
    filled = {"ID": "den-1", "NAME": "Dr. Bo", "ROLE": "dentist"}
    done = []
    for program, name, *rest in commands:
        if name == "serve":
            continue  # the next test
        given = "three plain words\n" if rest[0] == "passwd" else None
        result = run(name, *(filled.get(word, word) for word in rest), cwd=elsewhere, given=given)
        assert (program, result.returncode, result.stderr) == ("chatd", 0, ""), result
        done.append(name)
    assert done == ["check", "user", "user"]
    assert os.listdir(elsewhere) == []


async def test_serve_from_anywhere_uses_the_settings_folder(tmp_path: Path) -> None:
    init(tmp_path, "clinic", "--port", "0")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = await trio.lowlevel.open_process(
        command("serve", "--config", str(tmp_path / "clinic" / "chatd.toml")),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=elsewhere,
        env=environment(),
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(30):
            assert (await process.stdout.receive_some()).startswith(b"listening on http://127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.stdout.aclose()
    assert os.listdir(elsewhere) == []


# -- check --


def levels(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What is found of each thing; each line begins with its level."""
    return {line[9:].partition(":")[0]: line[:9].strip() for line in result.stdout.splitlines()}


def test_check_of_a_new_folder_is_content(tmp_path: Path) -> None:
    init(tmp_path, "--port", "0")
    before = everything(tmp_path)
    result = run("check", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(levels(result)) == {
        *("settings", "data folder", "secret", "sign-in", "database", "clock", "disk", "tls", "files"),
        *("open files", "port"),
    }
    assert "wrong" not in levels(result).values()
    assert everything(tmp_path) == before


def test_check_of_an_empty_folder_is_content_and_makes_nothing(tmp_path: Path) -> None:
    assert run("check", "--port", "0", cwd=tmp_path).returncode == 0, "serve would make all that"
    assert os.listdir(tmp_path) == []


def test_check_finds_what_is_wrong(tmp_path: Path) -> None:
    init(tmp_path, "--port", "0")
    (tmp_path / "data").chmod(0o755)
    result = run("check", cwd=tmp_path)
    assert result.returncode == 1
    assert levels(result)["data folder"] == "wrong"
    as_json = run("check", "--json", cwd=tmp_path)
    assert as_json.returncode == 1
    found = {finding["what"]: finding for finding in json.loads(as_json.stdout)}
    assert found["data folder"]["level"] == "wrong"
    assert f"chmod 700 {tmp_path}/data" in found["data folder"]["text"]


def test_check_with_settings_that_cannot_be_read_names_them(tmp_path: Path) -> None:
    assert "other.toml" in refused(run("check", "--config", "other.toml", cwd=tmp_path))
    assert "CHATD_SERVER_PORT" in refused(run("check", "--json", cwd=tmp_path, env={"CHATD_SERVER_PROT": "1"}))


async def test_check_beside_the_running_daemon_is_content(tmp_path: Path) -> None:
    init(tmp_path)
    async with running(tmp_path, development=False) as daemon:
        result = await trio.to_thread.run_sync(lambda: run("check", "--port", str(daemon.port), cwd=tmp_path))
        assert result.returncode == 0, result
        assert f"port {daemon.port}: held by the chatd of this data folder (pid {daemon.pid})" in result.stdout
        await daemon.stop()


# -- config --


def test_config_says_what_holds_and_why(tmp_path: Path) -> None:
    (tmp_path / "chatd.toml").write_text("[server]\ngrace = 3\n")
    env = {"PORT": "4000", "CHATD_AUTH_SECRET": "hush" * 8, "DATABASE_URL": "mysql://app:hush@db/next"}
    result = run("config", "--host", "::1", cwd=tmp_path, env=env)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for line in (
        "port = 4000  # environment PORT",
        'host = "::1"  # command line',
        "grace = 3.0  # chatd.toml",
        'secret = "***"  # environment CHATD_AUTH_SECRET',
        'database = "mysql://app:***@db/next"  # environment DATABASE_URL',
    ):
        assert line in lines
    assert "hush" not in result.stdout + run("config", "--json", cwd=tmp_path, env=env).stdout


def test_config_that_cannot_be_loaded(tmp_path: Path) -> None:
    line = refused(run("config", cwd=tmp_path, env={"DATABASE_URL": "postgresql://app:hush@db/next"}))
    assert "DATABASE_URL" in line
    assert "hush" not in line


def test_config_example_is_the_one_in_the_documents(tmp_path: Path) -> None:
    example = run("config", "--example", cwd=tmp_path).stdout
    assert example == (Path(__file__).parents[2] / "chatd.toml.example").read_text()
