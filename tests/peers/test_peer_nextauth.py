"""Cookies of real NextAuth 4 and Auth.js 5, whose own handlers signed the person in, let them in here."""

from collections.abc import Sequence
from typing import Any

import pytest
from trio.testing import MockClock

from chatd.auth.nextauth import NextAuthCookies
from chatd.auth.site_cookies import site_cookie
from chatd.config import Auth
from chatd.config import NextAuth as Settings
from chatd.config.sign_in import NEXTAUTH_COOKIES
from chatd.testing.harness import START
from support.clinics import clinic
from support.npm_peers import answer_of

SECRET = "the secret of a site, 0123456789"


def cookies_of(
    version: int, *, secure: bool = True, secret: str | Sequence[str] = SECRET, **more: Any
) -> dict[str, str]:
    given = {"user": {"id": "pat-1", "name": "Ada"}, "claims": {}, **more}
    answer = answer_of("nextauth.mjs", version=version, secret=secret, secure=secure, now=START, **given)
    found: dict[str, str] = answer["cookies"]
    return found


def header(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("version", [4, 5])
async def test_cookie_of_the_site_lets_its_user_in(version: int, secure: bool, autojump_clock: MockClock) -> None:
    cookies = cookies_of(version, secure=secure)
    async with clinic(auth=Auth(methods=("nextauth",)), nextauth=Settings(secrets=(SECRET,))) as c:
        me = await c.ask("GET", "/v1/me", Cookie=header(cookies))
        assert me.status == 200, me.body


@pytest.mark.parametrize("version", [4, 5])
def test_long_cookie_is_put_together_from_chunks(version: int) -> None:
    cookies = cookies_of(version, claims={"long": "x" * 9000})
    names = [name for name in cookies if "session-token" in name]
    assert len(names) > 1, names
    site = NextAuthCookies([SECRET], NEXTAUTH_COOKIES)
    name = names[0].rpartition(".")[0]
    text = site_cookie(tuple(reversed(cookies.items())), name)
    assert text is not None
    assert site.open(text, START, name=name).claims["long"] == "x" * 9000


@pytest.mark.parametrize("version", [4, 5])
def test_secrets_may_be_changed(version: int) -> None:
    (text,) = (value for name, value in cookies_of(version, secret=SECRET).items() if "session-token" in name)
    for secrets in ([SECRET], ["a newer one", SECRET], [SECRET, "an older one"]):
        assert NextAuthCookies(secrets, NEXTAUTH_COOKIES).open(text, START).claims["sub"] == "pat-1"


def test_newest_of_the_sites_secrets_is_the_one_it_uses() -> None:
    (text,) = (v for name, v in cookies_of(5, secret=["newest", SECRET]).items() if "session-token" in name)
    assert NextAuthCookies(["newest", SECRET], NEXTAUTH_COOKIES).open(text, START).claims["sub"] == "pat-1"
