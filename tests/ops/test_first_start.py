"""Where a new database may be made, and where one that is missing is a loss; and which commands change a version."""

import os
import pwd
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from chatd.cli import main
from chatd.config import read
from chatd.ops.first_start import may_make
from chatd.ops.init import set_up
from storage.contract import StoreError
from storage.sqlite import SqliteStore
from storage.sqlite.inspection import inspect
from support.process import run, running
from support.users import NOBODY, as_another, reachable_folder


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def empty_file() -> None:
    Path("data").mkdir()
    Path("data/chatd.db").touch()


def settings_without_database() -> None:
    for _ in set_up(Path(), {}):
        pass
    Path("data/chatd.db").unlink()


def secret_without_database() -> None:
    settings_without_database()
    Path("chatd.toml").unlink()


def somebodys_folder() -> None:
    Path("data").mkdir()
    Path("data/holiday.jpg").touch()


def our_traces() -> None:
    Path("data").mkdir()
    for name in ("chatd.lock", "lost+found", ".keep"):
        Path("data", name).touch()


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "production", "development"),
    [
        (nothing, True, True),
        (our_traces, True, True),
        (empty_file, False, True),
        (settings_without_database, "but settings (chatd.toml)", True),
        (secret_without_database, "but the secret of one", True),
        (somebodys_folder, "holds holiday.jpg", "holds holiday.jpg"),
    ],
)
def test_new_database_is_made_only_where_there_was_none(
    prepare: Callable[[], None], production: bool | str, development: bool | str
) -> None:
    prepare()
    loaded = read(Path("chatd.toml") if Path("chatd.toml").exists() else None, {}, {})
    for mode, expected in ((False, production), (True, development)):
        if isinstance(expected, str):
            with pytest.raises(StoreError) as caught:
                may_make(loaded, development=mode)
            assert expected in str(caught.value)
        else:
            assert may_make(loaded, development=mode) == expected


def test_settings_elsewhere_name_the_way_that_works_there() -> None:
    Path("clinic.toml").touch()
    with pytest.raises(StoreError, match="chatd db upgrade --new"):
        may_make(read(Path("clinic.toml"), {}, {}), development=False)


def chatd(*words: str) -> Result:
    return CliRunner(env={name: None for name in os.environ if name.startswith("CHATD_")}).invoke(main, words)


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("user", "add", "a", "--name", "A", "--role", "patient")])
@pytest.mark.parametrize("prepare", [empty_file, settings_without_database, secret_without_database, somebodys_folder])
def test_command_that_would_begin_anew_unnoticed_is_refused(
    prepare: Callable[[], None], words: tuple[str, ...]
) -> None:
    prepare()
    before = sorted(Path().rglob("*"))
    done = chatd(*words)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert {path.name for path in Path().rglob("*")} - {path.name for path in before} <= {"chatd.lock"}


def test_lost_database_is_found_by_check() -> None:
    settings_without_database()
    done = chatd("check", "--port", "0")
    assert done.exit_code == 1
    assert "wrong    database: there is no database" in done.stdout


def test_lost_database_can_be_made_on_purpose() -> None:
    settings_without_database()
    assert "there is no database" in chatd("db", "upgrade").stderr
    done = chatd("db", "upgrade", "--new")
    assert done.stdout == f"{Path.cwd()}/data/chatd.db: made, a new, empty database\n"
    assert chatd("db", "upgrade", "--new").stdout.endswith("nothing to do, it is up to date\n")


async def test_daemon_without_settings_or_folder_makes_one_and_says_so_once(tmp_path: Path) -> None:
    said = f"made a new, empty database {tmp_path}/data/chatd.db"
    for _ in range(2):
        async with running(tmp_path, development=False) as daemon:
            assert await daemon.stop() == 0
    assert daemon.log.count(said) == 1


# -- versions --


def older_file() -> Path:
    path = Path("data/chatd.db")
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parents[1] / "support" / "schema_003.sql").read_text())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("user", "list"),
        ("user", "add", "new", "--name", "New", "--role", "patient"),
        ("token", "list"),
        ("message", "versions", "c", "1"),
        ("session", "list"),
        ("apikey", "list"),
        ("db", "check"),
        ("db", "new-epoch"),
        ("check", "--port", "0"),
    ],
)
def test_older_file_is_changed_by_no_command_but_serve_and_upgrade(words: tuple[str, ...]) -> None:
    path = older_file()
    before = path.read_bytes()
    done = chatd(*words)
    if words[0] != "check":
        assert (done.exit_code, done.stdout) == (2, ""), done.output
        assert "run `chatd db upgrade`" in done.stderr
    assert path.read_bytes() == before
    assert inspect(path).pending


async def test_older_file_is_upgraded_by_serve_which_says_so(tmp_path: Path) -> None:
    path = older_file()
    pending = inspect(path).pending
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE chatd_meta SET value = '0' WHERE key = 'development'")
    for _ in range(2):
        async with running(tmp_path, development=False) as daemon:
            await daemon.stop()
    assert daemon.log.count(f"upgraded {tmp_path}/data/chatd.db to this version ({', '.join(pending)})") == 1
    with closing(SqliteStore(path, new_epoch=lambda: "x", new=False, upgrade=False)) as store:
        assert store.upgraded == ()


def test_older_file_is_upgraded_by_the_command_for_it(tmp_path: Path) -> None:
    path = older_file()
    assert "upgraded (m004_search" in run("db", "upgrade", cwd=tmp_path).stdout
    assert inspect(path).pending == ()


# -- files of another user --


@pytest.mark.parametrize(
    "words", [("serve", "--port", "0"), ("user", "list"), ("check", "--port", "0"), ("db", "upgrade")]
)
@pytest.mark.parametrize("closed", ["chatd.db", "chatd.lock", ".", ".."])
def test_folder_or_file_of_another_user_is_named_by_each_command(
    words: tuple[str, ...], closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pwd.getpwuid(NOBODY).pw_name
    with reachable_folder() as here, reachable_folder() as above:
        data = above / "data"
        with as_another():
            SqliteStore(data / "chatd.db", new_epoch=lambda: "e").close()
            (data / "chatd.lock").touch()
        foreign = (data / closed).resolve()
        os.chown(foreign, 0, 0)
        foreign.chmod(0o700 if foreign.is_dir() else 0o600)
        somebodys_folder()
        chatd(*words, "--data", "data")  # loads what that user could not load from here
        with as_another():
            blind = chatd(*words, "--data", str(data))
            monkeypatch.chdir(here)
            done = chatd(*words, "--data", str(data))
        monkeypatch.chdir("/")
    assert (blind.exit_code, "./chatd.toml: cannot be looked for: Permission denied" in blind.stderr) == (2, True)
    assert done.exit_code == (1 if words[0] == "check" else 2)
    assert "Traceback" not in done.output
    if closed == "..":  # nothing can be seen of what is in it
        assert f"the user {name} may not look there: Permission denied" in done.output
    else:
        what = "folder" if closed == "." else "file"
        assert f"{foreign}: the user {name} may not read and write this {what} (mode 0" in done.output
        assert "owner root" in done.output
