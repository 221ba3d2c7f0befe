"""`chatd check`: each thing that may be wrong, and that nothing is when all is well."""

import datetime
import fcntl
import os
import resource
import shutil
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from chatd.config import read
from chatd.ops import check_sign_in, machine
from chatd.ops.check import check_up
from chatd.ops.init import set_up
from storage.changes import OpenDirect, PutUser, SendMessage
from storage.mysql.store import MysqlStore
from storage.sqlite import SqliteStore
from support import mariadb
from support.certificates import make_certificate

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a daemon needs, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in (name for names in check_sign_in.WEB_APP_SIGN_INS.values() for name in names):
        monkeypatch.delenv(name, raising=False)
    for _ in set_up(Path(), {"server.port": "0"}):
        pass


def findings(
    *, now: int = NOW, environment: dict[str, str] | None = None, **flags: object
) -> dict[str, tuple[str, str]]:
    """What is found of each thing; where there are several, the last."""
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    loaded = read(Path("chatd.toml"), dotted, environment or {})
    return {found.what: (found.level, found.text) for found in check_up(loaded, now=now)}


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LOW_SPACE", 0)
    found = findings(limits__connections=1)
    assert list(found) == [
        "settings",
        "data folder",
        "secret",
        "sign-in",
        "database",
        "clock",
        "files",
        "disk",
        "tls",
        "open files",
        "port",
    ]
    assert {level for level, _ in found.values()} == {"ok"}


def test_check_of_an_empty_folder(tmp_path: Path) -> None:
    shutil.rmtree("data")
    found = findings()
    for what in ("data folder", "secret"):
        assert found[what][0] == "warning"
        assert "chatd init" in found[what][1]
    level, text = found["database"]
    assert (level, f"chatd init {tmp_path}" in text) == ("wrong", True)
    assert found["disk"][1].startswith(f"{tmp_path}: ")
    assert not Path("data").exists()


def test_check_says_where_settings_come_from() -> None:
    assert findings(environment={"PORT": "1"}, server__grace=1)["settings"] == (
        "ok",
        "defaults < chatd.toml < environment < command line",
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('[auth]\nsecret = "0123456789012345678901234567890123456789"', "auth.secret"),
        ('[storage]\ndatabase = "mysql://u:p@h/db"', "storage.database"),
    ],
)
def test_a_settings_file_with_a_secret_is_for_its_owner(text: str, holds: str) -> None:
    Path("chatd.toml").write_text(text)
    Path("chatd.toml").chmod(0o640)
    assert findings()["settings"] == (
        "wrong",
        f"chatd.toml: open to others than its owner (mode 0640); {holds} in it: chmod 600 chatd.toml",
    )
    Path("chatd.toml").chmod(0o600)
    assert findings()["settings"][0] == "ok"


def test_a_settings_file_without_one_may_be_read() -> None:
    Path("chatd.toml").chmod(0o644)
    assert findings(environment={"CHATD_AUTH_SECRET": "x" * 32})["settings"][0] == "ok"


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o770])
def test_the_data_folder_is_for_its_owner(mode: int, tmp_path: Path) -> None:
    Path("data").chmod(mode)
    assert findings()["data folder"] == (
        "wrong",
        f"{tmp_path}/data: open to others than its owner (mode {mode:04o}); chmod 700 {tmp_path}/data",
    )


def test_the_data_folder_is_a_folder(tmp_path: Path) -> None:
    shutil.rmtree("data")
    Path("data").touch()
    assert findings(storage__database="sqlite:///x.db")["data folder"] == ("wrong", f"{tmp_path}/data: is not a folder")


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_the_secret_is_for_its_owner(mode: int) -> None:
    Path("data/secret").chmod(mode)
    level, text = findings()["secret"]
    assert level == "wrong"
    assert f"{mode:04o}" in text


def test_a_short_secret() -> None:
    Path("data/secret").write_text("x" * 31)
    assert findings()["secret"][0] == "wrong"


def test_the_secret_is_not_shown() -> None:
    secret = Path("data/secret").read_text().strip()
    assert secret not in str(findings())
    assert findings(environment={"CHATD_AUTH_SECRET": "hush" * 8})["secret"] == ("ok", "auth.secret")


@pytest.mark.parametrize(
    ("name", "service"),
    [(name, service) for service, names in check_sign_in.WEB_APP_SIGN_INS.items() for name in names],
)
def test_the_sign_in_of_a_web_app_is_seen(name: str, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "a-secret-that-nobody-sees")
    level, text = findings()["sign-in"]
    assert level == "ok"
    assert text.startswith(f"{name} is set: an app here signs people in with {service}")
    assert "chatd apikey add" in text
    assert "a-secret" not in text


def test_the_sign_in_of_a_web_app_needs_tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_SECRET", "anything")
    _, text = findings(auth__methods=("password",))["sign-in"]
    assert 'auth.methods hold "ticket"' in text


@pytest.mark.parametrize(
    ("secret", "level", "words"),
    [
        ("", "wrong", "AUTH_SECRET (or NEXTAUTH_SECRET)"),
        ("canary", "warning", "fewer than 32"),
        ("canary" * 6, "ok", "1 secret of the site"),
    ],
)
def test_secret_of_a_site_is_looked_at_where_its_sessions_count(secret: str, level: str, words: str) -> None:
    environment = {"CHATD_AUTH_METHODS": "nextauth", "AUTH_SECRET": secret}
    found = findings(environment=environment)["nextauth"]
    assert found[0] == level
    assert words in found[1]
    assert "canary" not in found[1]


def test_settings_file_with_a_secret_of_a_site_is_for_its_owner() -> None:
    with Path("chatd.toml").open("a") as file:
        file.write('\n[auth.nextauth]\nsecrets = ["hush"]\n')
    Path("chatd.toml").chmod(0o644)
    loaded = read(Path("chatd.toml"), {}, {})
    assert [found.level for found in check_up(loaded, now=NOW) if found.what == "settings"] == ["ok", "wrong"]


def test_the_database_is_for_its_owner() -> None:
    Path("data/chatd.db").chmod(0o644)
    loaded = read(Path("chatd.toml"), {}, {})
    levels = [found.level for found in check_up(loaded, now=NOW) if found.what == "database"]
    assert levels == ["wrong", "ok"]


def test_a_database_that_is_none() -> None:
    Path("data/chatd.db").write_bytes(b"my holiday pictures " * 1000)
    level, text = findings()["database"]
    assert level == "wrong"
    assert "data/chatd.db: cannot be read as the database: " in text


def test_a_database_of_another_version() -> None:
    with closing(sqlite3.connect("data/chatd.db")) as db, db:
        db.execute("UPDATE _sqlite_migrations SET name = 'm999_telepathy' WHERE name = 'm002_tokens'")
    level, text = findings()["database"]
    assert (level, "m999_telepathy" in text) == ("wrong", True)
    with closing(sqlite3.connect("data/chatd.db")) as db, db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm999_telepathy'")
    level, text = findings()["database"]
    assert (level, "m002_tokens" in text) == ("warning", True)


def test_a_database_of_a_server_that_is_not_there() -> None:
    level, text = findings(storage__database="mysql://u:hush@127.0.0.1:9/db")["database"]
    assert level == "wrong"
    assert text == "db on 127.0.0.1:9: the database server cannot be reached"


def test_a_database_of_a_server() -> None:
    server = mariadb.server()
    url = server.url(server.database())
    assert "it is empty" in findings(storage__database=url)["database"][1]
    MysqlStore(url, new_epoch=lambda: "e").close()
    level, text = findings(storage__database=url)["database"]
    assert (level, "its tables are those of this version" in text) == ("ok", True)


def test_the_clock_is_not_in_the_past() -> None:
    assert findings(now=int(datetime.datetime(2025, 12, 31, tzinfo=datetime.UTC).timestamp() * 1000))["clock"] == (
        "wrong",
        "it is not 2025: set the clock, and keep it right (NTP)",
    )


@pytest.mark.parametrize(("ahead", "level"), [(5_000, "ok"), (61_000, "warning")])
def test_the_clock_is_behind_the_newest_message(ahead: int, level: str) -> None:
    store = SqliteStore(Path("data/chatd.db"), new_epoch=lambda: "epoch")
    store.commit(
        [PutUser("ada", "Ada", "patient", 1), PutUser("bo", "Bo", "dentist", 1), OpenDirect("c", "ada", "bo", 2)]
    )
    store.commit(
        [
            SendMessage(
                conversation="c", user="ada", client_id="1", message="m1", body="hello", reply_to=None, at=NOW + ahead
            )
        ]
    )
    store.close()
    assert findings()["clock"][0] == level
    if level == "warning":
        assert findings()["clock"][1] == "61 s behind the newest message: is it set right?"


@pytest.mark.parametrize(
    ("free", "level"), [(2**26 - 1, "wrong"), (2**26, "warning"), (2**30 - 1, "warning"), (2**30, "ok")]
)
def test_space(free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 0, free))
    assert findings()["disk"][0] == level


# -- TLS --


def with_certificate(name: str = "", **how: object) -> tuple[str, str]:
    certificate, key = make_certificate(Path.cwd(), **how)  # type: ignore[arg-type]
    return findings(tls__certificate=certificate, tls__key=key, server__public_url=name)["tls"]


def test_a_good_certificate() -> None:
    level, text = with_certificate("https://localhost:3001")
    assert level == "ok"
    assert text.startswith(f"{Path.cwd()}/tls.crt: good until 20")


@pytest.mark.parametrize(
    ("left", "level", "words"),
    [
        (-1, "wrong", "expired on 20"),
        (0, "warning", ": 0 days left"),
        (14 * DAY - 1, "warning", ": 13 days left"),
        (14 * DAY, "ok", ": good until 20"),
        (366 * DAY, "ok", ": good until 20"),
        (366 * DAY + 1, "wrong", "not valid before 20"),
    ],
)
def test_the_days_of_a_certificate(left: int, level: str, words: str) -> None:
    """It is good for 366 days; `left`: ms until its end."""
    certificate, key = make_certificate(Path.cwd())
    end = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    found = findings(now=int(end.timestamp() * 1000) - left, tls__certificate=certificate, tls__key=key)["tls"]
    assert found[0] == level
    assert words in found[1]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("chat.example.org", True),
        ("CHAT.example.org", True),
        ("a.clinic.example", True),
        ("clinic.example", False),
        ("a.b.clinic.example", False),
        ("chat.example.com", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
    ],
)
def test_the_names_of_a_certificate(name: str, good: bool) -> None:
    found = with_certificate(f"https://{name}", others=["chat.example.org", "*.clinic.example"])
    assert found[0] == ("ok" if good else "wrong")
    assert good or found[1].endswith(f"not for {name}, the host of public_url")


def test_a_certificate_that_cannot_be_used() -> None:
    one, _ = make_certificate(Path.cwd(), "one")
    _, other = make_certificate(Path.cwd(), "other")
    level, text = findings(tls__certificate=one, tls__key=other)["tls"]
    assert level == "wrong"
    assert "is not the key of" in text
    assert findings(tls__certificate="none.crt", tls__key=other)["tls"][0] == "wrong"


def test_a_certificate_that_only_openssl_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes) -> None:
        raise ValueError("a negative serial number")

    monkeypatch.setattr("cryptography.x509.load_pem_x509_certificates", refuse)
    level, text = with_certificate()
    assert level == "warning"
    assert text.endswith("a negative serial number")


@pytest.mark.parametrize(
    ("host", "level"),
    [("127.0.0.1", "ok"), ("::1", "ok"), ("localhost", "ok"), ("0.0.0.0", "warning"), ("::", "warning")],
)
def test_without_a_certificate(host: str, level: str) -> None:
    assert findings(server__host=host)["tls"][0] == level


# -- open files, port --


@pytest.mark.parametrize(("hard", "level"), [(163, "warning"), (164, "ok"), (resource.RLIM_INFINITY, "ok")])
def test_open_files(hard: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (100, hard))
    assert findings(limits__connections=100)["open files"][0] == level


def test_a_port_that_another_program_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        level, text = findings(server__port=other.getsockname()[1])["port"]
    assert level == "wrong"
    assert "another program" in text


def test_a_port_that_our_daemon_has() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours, open("data/chatd.lock", "w") as lock:
        lock.write("4711 daemon\n")
        lock.flush()
        assert findings(server__port=ours.getsockname()[1])["port"][0] == "wrong", "the file alone says nothing"
        fcntl.flock(lock, fcntl.LOCK_EX)
        level, text = findings(server__port=ours.getsockname()[1])["port"]
    assert level == "ok"
    assert text.endswith("held by the chatd of this data folder (pid 4711)")


def test_an_address_that_is_not_ours() -> None:
    assert findings(server__host="192.0.2.1")["port"][0] == "wrong"
    assert findings(server__host="nobody.invalid")["port"][0] == "wrong"


def test_check_of_an_unusable_name_goes_on() -> None:
    """A name that is too long stands for a folder that is closed to us, which root never sees."""
    found = findings(server__data="x" * 300, storage__database="sqlite:///chat.db")
    for what in ("data folder", "secret", "disk"):
        assert found[what][0] == "wrong"
        assert found[what][1].endswith("File name too long")
    assert found["port"][0] == "ok", "it goes on"


def test_check_changes_nothing() -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().rglob("*") if path.is_file()}
    findings()
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().rglob("*") if path.is_file()
    } == before
    assert sorted(os.listdir()) == ["chatd.toml", "data"]
