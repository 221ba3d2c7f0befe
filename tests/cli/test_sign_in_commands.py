"""The operator's commands of sign-in, on a store that no daemon has open."""

import re
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chatd.auth import opaque, totp
from chatd.cli import main
from chatd.config import DATABASE_FILE
from storage.changes import PutRow, PutUser
from storage.keyed import (
    API_KEY,
    INVITATION,
    LINKED_IDENTITY,
    PASSWORD,
    RECOVERY_CODE,
    SECOND_STEP,
    SIGNED_IN,
    SignedIn,
)
from storage.sqlite import SqliteStore


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with closing(SqliteStore(tmp_path / DATABASE_FILE, new_epoch=lambda: "epoch-1")) as store:
        store.commit([PutUser("ada", "Ada", "patient", 0), PutUser("bo", "Bo", "staff", 0)])
        store.commit([PutRow(row=session("s-1", "ada")), PutRow(row=session("s-2", "bo"))])
    return tmp_path


def session(id: str, user: str) -> SignedIn:
    return SignedIn(hash=id, id=id, user=user, method="password", created_at=0, seen_at=0, expires_at=2**42)


def chatd(data: Path, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], input=given)


def test_passwd_takes_standard_input_and_ends_sessions(data: Path) -> None:
    done = chatd(data, "user", "passwd", "ada", given="three plain words\n")
    assert (done.exit_code, done.stdout) == (
        0,
        "ada has a new password, and 1 sessions ended; they sign in on the page with the id ada\n",
    )
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        row = store.row(PASSWORD, "ada")
        assert row is not None
        assert row.hash.startswith("$argon2id$")
        assert [s.id for s in store.rows(SIGNED_IN, None, None, after="", limit=10)] == ["s-2"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("short\n", "at least 10 characters"),
        ("password123\n", "tried first"),
        ("Password2024!\n", "tried first"),
        ("rtyuiopasdf\n", "easily guessed"),
        ("aaaaaaaaaaaa\n", "easily guessed"),
        ("\n", "first line of standard input"),
        ("x" * 300 + "\n", "at most 256"),
    ],
)
def test_passwd_easily_guessed_is_refused(data: Path, given: str, said: str) -> None:
    done = chatd(data, "user", "passwd", "ada", given=given)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_passwd_unknown_user_is_said(data: Path) -> None:
    done = chatd(data, "user", "passwd", "nobody", given="three plain words\n")
    assert (done.exit_code, "there is no user nobody" in done.stderr) == (2, True)


def test_apikey_is_printed_once_alone_and_kept_as_its_hash(data: Path) -> None:
    done = chatd(data, "apikey", "add", "our site", "--max-role", "dentist")
    key = done.stdout.strip()
    assert key.startswith(opaque.API_KEY)
    listed = chatd(data, "apikey", "list").stdout
    assert "our site" in listed
    assert key not in listed
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        row = store.row(API_KEY, opaque.hash_of(key))
        assert row is not None
        assert (row.name, row.max_role) == ("our site", "dentist")
    assert chatd(data, "apikey", "revoke", row.id).exit_code == 0
    assert chatd(data, "apikey", "revoke", row.id).exit_code == 2


def test_invite_prints_an_address_and_draws_it(data: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "code.svg"
    done = chatd(data, "invite", "ada", "--birth-date", "1953-04-30", "--expires", "2h", "--qr-file", str(drawn))
    url, _, rest = done.stdout.partition("\n")
    assert (done.exit_code, rest) == (0, "")
    address, _, code = url.partition("/#invitation=")
    assert address == "http://127.0.0.1:3001"
    assert b"<svg" in drawn.read_bytes()
    assert drawn.stat().st_mode & 0o077 == 0
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        row = store.row(INVITATION, opaque.hash_of(code))
        assert row is not None
        assert (row.user, row.birth_date) == ("ada", "1953-04-30")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "there is no user nobody"),
        (["ada", "--birth-date", "30.4.1953"], "is no date"),
        (["ada", "--expires", "0d"], "no length of time"),
        (["ada", "--qr-file", "code.pdf"], ".png or .svg"),
    ],
)
def test_invite_wrong_is_said(data: Path, arguments: list[str], said: str) -> None:
    done = chatd(data, "invite", *arguments)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_invite_with_a_birth_date_to_come_is_refused(data: Path) -> None:
    done = chatd(data, "invite", "ada", "--birth-date", "2999-01-01")
    assert (done.exit_code, "this date is in the future" in done.stderr) == (2, True), done.stderr


def test_session_revoke_ends_one_all_of_a_user_or_all(data: Path) -> None:
    assert chatd(data, "session", "revoke", "s-1").stdout == "ended s-1 of ada\n"
    assert chatd(data, "session", "revoke", "s-1").exit_code == 2
    assert chatd(data, "session", "revoke", "--user", "bo").stdout == "ended 1 sessions of bo\n"
    assert chatd(data, "session", "revoke", "--all").stdout == "ended 0 sessions\n"
    assert chatd(data, "session", "revoke").exit_code == 2


def test_role_and_state_of_a_user_end_their_sessions(data: Path) -> None:
    chatd(data, "user", "role", "ada", "staff")
    chatd(data, "user", "disable", "bo")
    assert "nobody has signed in" in chatd(data, "session", "list").stderr


# -- identities elsewhere --

SERVICE = (
    '[server]\ndata = "."\npublic_url = "https://chat.example"\n[auth]\nmethods = ["oidc"]\n[auth.oidc.entra]\n'
    'issuer = "https://id.example"\nclient_id = "c"\nclient_secret = "s"\n'
)


def linked(data: Path) -> list[tuple[str, str, str]]:
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        rows = store.rows(LINKED_IDENTITY, None, None, after="", limit=10)
    return [(row.issuer, row.subject, row.user) for row in rows]


def test_link_and_unlink_say_who_somebody_elsewhere_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    Path("chatd.toml").write_text(SERVICE)
    done = chatd(data, "user", "link", "bo", "entra", "sub-1")
    assert (done.exit_code, done.stdout) == (0, "sub-1 of entra signs in as bo from now on\n")
    assert linked(data) == [("https://id.example", "sub-1", "bo")]
    taken = chatd(data, "user", "link", "ada", "entra", "sub-1")
    assert (taken.exit_code, "linked with bo already" in taken.stderr) == (2, True)
    unknown = chatd(data, "user", "link", "bo", "okta", "sub-1")
    assert (unknown.exit_code, "no [auth.oidc.okta]" in unknown.stderr) == (2, True)
    nobody = chatd(data, "user", "link", "nobody", "entra", "sub-2")
    assert nobody.exit_code == 2
    gone = chatd(data, "user", "unlink", "bo")
    assert (gone.stdout, linked(data)) == ("bo is linked with nobody elsewhere any more (1 before)\n", [])
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        assert store.rows(SIGNED_IN, "user", "bo", after="", limit=10) == [], "their sessions have ended"


# -- second step --


def second_step(data: Path) -> tuple[bool, int]:
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        codes = store.rows(RECOVERY_CODE, "user", "bo", after="", limit=20)
        return store.row(SECOND_STEP, "bo") is not None, len(codes)


def test_totp_is_set_up_with_the_apps_code_and_reset(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = totp.make_secret()
    monkeypatch.setattr(totp, "make_secret", lambda: secret)
    wrong = chatd(data, "user", "totp", "bo", given="000000x\n")
    assert (wrong.exit_code, second_step(data)) == (2, (False, 0))
    code = totp.code_at(secret, int(time.time()) // 30)
    done = chatd(data, "user", "totp", "bo", given=f"{code[:3]} {code[3:]}\n")
    assert done.exit_code == 0, done.output
    assert secret[:4] in done.stdout
    assert len(re.findall(r"^  [A-Z2-9]{4}(-[A-Z2-9]{4}){3}$", done.stdout, re.MULTILINE)) == 10
    assert second_step(data) == (True, 10)
    with closing(SqliteStore(data / DATABASE_FILE, new_epoch=lambda: "new")) as store:
        assert store.rows(SIGNED_IN, "user", "bo", after="", limit=10) == []
    gone = chatd(data, "user", "reset-2fa", "bo")
    assert (gone.exit_code, second_step(data)) == (0, (False, 0))
    assert chatd(data, "user", "reset-2fa", "bo").stdout == "bo had no second step\n"
    assert chatd(data, "user", "reset-2fa", "nobody").exit_code == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[auth]\nmethods = ["token"]\n', False),
        ('[auth]\nmethods = ["nextauth"]\n', False),
        ('[auth]\nmethods = ["nextauth"]\n[auth.nextauth]\nsessions = "database"\n', True),
        ('[auth]\nmethods = ["better-auth", "token"]\n', True),
    ],
)
def test_token_revoke_says_that_a_sites_session_is_not_ended(data: Path, settings: str, said: bool) -> None:
    file = data / "chatd.toml"
    file.write_text(settings)
    done = chatd(data, "token", "revoke", "--user", "ada", "--config", str(file))
    assert done.exit_code == 0, done.stderr
    assert ("on the site is not ended" in done.stderr) == said
    assert ("user disable ada" in done.stderr) == said
