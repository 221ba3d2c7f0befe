"""Tokens as they are signed and checked, and the secret that signs them; the daemon's part is in test_auth."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from chatd.auth.offered import carried
from chatd.auth.secret import BadSecret, ensure, make, read
from chatd.auth.token_method import refusal_of
from chatd.auth.tokens import LATEST_TIME_S, MAX_TOKEN_BYTES, BadToken, Claims, Tokens
from chatd.config import Auth, Config, Server
from chatd.core.identity import Identity, Offer
from chatd.net.head import Head
from chatd.testing.harness import TOKEN_SECRET
from storage.records import Credentials, IssuedToken, User
from support.forge import WRONG, flipped, token

NOW = 1_795_400_000
"""Seconds since 1970."""

TOKENS = Tokens(TOKEN_SECRET)


def verify(text: str, now: int = NOW) -> Claims:
    return TOKENS.verify(text, now * 1000 + 999)


def refused(text: str, now: int = NOW) -> BadToken:
    with pytest.raises(BadToken) as caught:
        verify(text, now)
    return caught.value


# -- good ones --


def test_token_issued_holds_what_was_asked_for() -> None:
    text, claims = TOKENS.issue("pat-1", "t1", NOW * 1000 + 123, 90)
    assert claims == Claims("pat-1", "t1", NOW * 1000, (NOW + 90) * 1000)
    assert verify(text) == claims


def test_token_ends_on_the_second() -> None:
    text, _ = TOKENS.issue("pat-1", "t1", NOW * 1000, 90)
    assert verify(text, NOW + 89).user == "pat-1"
    assert refused(text, NOW + 90).expired


def test_one_signed_elsewhere_with_our_secret() -> None:
    assert verify(token(NOW)) == Claims("pat-1", "platform-1", NOW * 1000, (NOW + 3600) * 1000)


def test_an_end_beyond_all_calendars_is_none() -> None:
    _, claims = TOKENS.issue("pat-1", "t1", NOW * 1000, 10**12)
    assert claims.expires_at == LATEST_TIME_S * 1000


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": NOW + 60},
        {"nbf": NOW + 60},
        {"nbf": NOW - 5},
        {"iat": 0},
        {"exp": LATEST_TIME_S},
        {"exp": NOW + 1},
        {"sub": "!" + "~" * 127},
        {"name": "Ada", "roles": ["a", {"b": None}]},
    ],
)
def test_bounds_that_are_still_good(changed: dict[str, Any]) -> None:
    assert verify(token(NOW, **changed)).jti == "platform-1"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"kid": "../../etc/passwd"},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/cert"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"made": "up"},
    ],
    ids=str,
)
def test_token_header_beside_the_algorithm_is_ignored(header: dict[str, Any]) -> None:
    assert verify(token(NOW, header=header)).user == "pat-1"


# -- wrong ones --


# One that was issued in the future is looked up first: the clock may have been set back.
@pytest.mark.parametrize("name", [name for name in WRONG if name != "issued in the future"])
def test_wrong_tokens(name: str) -> None:
    wrong = WRONG[name]
    text = wrong.make(NOW)
    error = refused(text)
    assert wrong.reason in error.reason
    assert error.expired == wrong.expired
    assert len(text) < 5 or text not in str(error)


def test_every_bit_counts() -> None:
    text = token(NOW)
    for part, length in ((0, 27), (1, 80), (2, 32)):
        for place in range(length):
            assert not refused(flipped(text, part, place)).expired


def test_the_longest() -> None:
    def padded(length: int) -> str:
        pad = "x" * (length * 3 // 4)
        while len(token(NOW, pad=pad)) > length:
            pad = pad[:-1]
        return token(NOW, pad=pad)

    assert len(padded(MAX_TOKEN_BYTES)) > MAX_TOKEN_BYTES - 4
    assert verify(padded(MAX_TOKEN_BYTES)).user == "pat-1"
    assert refused(padded(MAX_TOKEN_BYTES + 4)).reason == "longer than 8 KiB"


def test_one_that_has_expired_and_is_wrong_besides_is_wrong() -> None:
    assert not refused(token(NOW, exp=NOW - 1, aud="billing")).expired
    assert not refused(token(NOW, exp=NOW - 1, secret=b"x" * 32)).expired


# -- what the store says --

ADA = User(id="pat-1", name="Ada", role="patient")
CLAIMS = Claims("pat-1", "t1", NOW * 1000, (NOW + 90) * 1000)
KNOWN = IssuedToken(jti="t1", user="pat-1", issued_at=NOW * 1000, expires_at=(NOW + 90) * 1000)


IDENTITY = Identity(
    user=CLAIMS.user,
    method="token",
    credential_id=CLAIMS.jti,
    expires_at=CLAIMS.expires_at,
    authenticated_at=CLAIMS.issued_at,
)


@pytest.mark.parametrize(
    "found",
    [
        Credentials(ADA, KNOWN, None),
        Credentials(ADA, None, None),
        Credentials(ADA, KNOWN, NOW * 1000 + 500),  # issued in the second in which all others were revoked
        Credentials(ADA, None, NOW * 1000 - 1),
    ],
    ids=["known", "unknown", "known, all others revoked", "unknown, older ones revoked"],
)
def test_token_that_counts_has_no_refusal(found: Credentials) -> None:
    assert refusal_of(IDENTITY, found) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Credentials(None, None, None), "no such user"),
        (Credentials(User(id="pat-1", name="Ada", role="patient", disabled_at=1), KNOWN, None), "disabled"),
        (
            Credentials(ADA, IssuedToken(jti="t1", user="pat-1", issued_at=1, expires_at=2, revoked_at=3), None),
            "revoked",
        ),
        (Credentials(ADA, IssuedToken(jti="t1", user="pat-2", issued_at=1, expires_at=2), None), "another user's"),
        (Credentials(ADA, None, NOW * 1000), "all tokens"),
        (Credentials(ADA, None, NOW * 1000 + 999), "all tokens"),
        (Credentials(ADA, None, NOW * 1000 + 5000), "all tokens"),
    ],
)
def test_token_that_does_not_count_is_refused_with_its_reason(found: Credentials, reason: str) -> None:
    assert reason in (refusal_of(IDENTITY, found) or "")


# -- where a connection may have it --


def head(*headers: tuple[bytes, bytes]) -> Head:
    return Head("GET", "/ws", "/ws", list(headers))


ORIGIN = (b"origin", b"https://clinic.example")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"authorization", b"Bearer a.b.c")], "a.b.c"),
        ([(b"authorization", b"bearer  a.b.c ")], "a.b.c"),
        ([(b"authorization", b"Basic YTpi")], None),
        ([(b"authorization", b"Bearer")], None),
        ([ORIGIN, (b"authorization", b"Basic YTpi"), (b"cookie", b"chatd_session=a.b.c")], "a.b.c"),
        ([ORIGIN, (b"authorization", b"Bearer a.b.c"), (b"cookie", b"chatd_session=d.e.f")], "a.b.c"),
        ([ORIGIN, (b"cookie", b"theme=dark; chatd_session=a.b.c; x=y")], "a.b.c"),
        ([ORIGIN, (b"cookie", b"theme=dark"), (b"cookie", b'chatd_session="a.b.c"')], "a.b.c"),
        ([ORIGIN, (b"cookie", b"chatd_session=; xchatd_session=a.b.c; chatd_session2=a")], None),
        ([ORIGIN, (b"cookie", b"chatd_session=\xff")], "ÿ"),
        ([(b"cookie", b"chatd_session=a.b.c")], None),  # no browser's page: nothing says who made it ask
    ],
)
def test_tokens_in_headers(headers: list[tuple[bytes, bytes]], expected: str | None) -> None:
    assert Offer(carried=carried(head(*headers))).best_token == expected


# -- the secret --


def settings(folder: Path, **auth: Any) -> Config:
    return Config(server=Server(data=str(folder)), auth=Auth(**auth))


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    config = settings(tmp_path / "data")
    secret, made = ensure(config)
    assert made == config.secret_path()
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert len(secret) >= 32
    assert ensure(config) == (secret, None)
    assert not make(made)
    assert read(made) == secret
    assert os.listdir(made.parent) == ["secret"]


def test_two_secrets_differ(tmp_path: Path) -> None:
    assert ensure(settings(tmp_path / "a"))[0] != ensure(settings(tmp_path / "b"))[0]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_secret_that_others_may_use_is_none(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 40)
    path.chmod(mode)
    with pytest.raises(BadSecret) as caught:
        ensure(settings(tmp_path))
    assert str(path) in str(caught.value)
    assert "chmod 600" in str(caught.value)
    assert "s" * 40 not in str(caught.value)


def test_a_secret_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("s" * 31 + "\n\n")
    path.chmod(0o600)
    with pytest.raises(BadSecret, match="at least 32 bytes, this one 31"):
        ensure(settings(tmp_path))
    path.write_text("s" * 32 + "\n")
    assert ensure(settings(tmp_path))[0] == b"s" * 32


def test_a_secret_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0o700)
    with pytest.raises(BadSecret, match="cannot be read"):
        ensure(settings(tmp_path))


def test_a_secret_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSecret, match=r"cannot be (written|read)"):
        ensure(settings(tmp_path / "file"))


def test_the_setting_stands_for_the_file(tmp_path: Path) -> None:
    assert ensure(settings(tmp_path / "data", secret="g" * 32)) == (b"g" * 32, None)
    assert not (tmp_path / "data").exists()
