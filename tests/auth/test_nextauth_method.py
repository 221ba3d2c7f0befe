"""People whom a site with NextAuth signed in: who is let in by its cookie, and who isn't."""

import json
from typing import Any

import pytest
from trio.testing import MockClock

from chatd.auth.secret import BadSecret
from chatd.config import Auth, NextAuth
from chatd.testing import Refused
from storage.changes import RevokeTokens, SetDisabled
from support.clinics import SITE, Clinic, clinic
from support.site_tokens import AUTHJS, NEXTAUTH, NOW, SECRET, SECURE_AUTHJS, claims, site_token

SETTINGS = {"auth": Auth(methods=("password", "nextauth")), "nextauth": NextAuth(secrets=(SECRET,))}


async def me(c: Clinic, cookie: str, **more: Any) -> int:
    return (await c.ask("GET", "/v1/me", Cookie=cookie, **more)).status


async def refused(c: Clinic, **headers: str) -> tuple[str, int]:
    """The code of the error that hello gets, and of the close."""
    client = await c.server.connect(headers={"Origin": SITE, **headers})
    with pytest.raises(Refused) as caught:
        await client.ask("hello")
    return caught.value.code, (await client.closed()).code


async def test_sites_cookie_signs_in_on_every_way(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        cookie = f"theme=dark; {AUTHJS}={site_token()}"
        assert await me(c, cookie) == 200
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": cookie})
        ok = await client.ask("hello")
        assert (ok["user"]["id"], ok["expires_at"] is not None) == ("pat-1", True)
        said = await c.server.connect()
        assert (await said.ask("hello", token=site_token()))["user"]["id"] == "pat-1"
        bearer = await c.ask("GET", "/v1/me", origin=None, Authorization=f"Bearer {site_token(version=4)}")
        assert json.loads(bearer.body)["user"]["id"] == "pat-1"


async def test_first_good_cookie_counts(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        good = f"{NEXTAUTH}={site_token(version=4)}"
        assert await me(c, f"{SECURE_AUTHJS}=left.behind; {good}") == 200
        assert await me(c, f"chatd_session=cs_ended; {good}") == 200
        other = await c.sign_in("den-1")
        answer = await c.ask("GET", "/v1/me", Cookie=f"{good}; chatd_session={other}")
        assert json.loads(answer.body)["user"]["id"] == "den-1", "who signed in here is who they said here"


async def test_cookie_does_not_stand_in_for_a_wrong_bearer(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        assert await me(c, f"{AUTHJS}={site_token()}", Authorization="Bearer wrong") == 401


@pytest.mark.parametrize(
    ("cookie", "close"),
    [
        (f"{AUTHJS}={site_token(name=SECURE_AUTHJS)}", 4501),
        (f"{AUTHJS}.0={site_token()}; {AUTHJS}={site_token()}", 4501),
        (f"{AUTHJS}={site_token(secret='another')}", 4501),
        (f"{AUTHJS}={site_token(claims(sub='nobody'))}", 4501),
        (f"{AUTHJS}={site_token(claims(sub=None))}", 4501),
        (f"{AUTHJS}={site_token(claims(sub='a b'))}", 4501),
        (f"{AUTHJS}={site_token(claims(sub=['pat-1']))}", 4501),
        (f"{AUTHJS}={site_token(claims(exp=NOW - 100))}", 4011),
        ("authjs.other-token=" + site_token(), 4501),
        ("", 4501),
    ],
)
async def test_wrong_cookie_is_refused_with_its_code(cookie: str, close: int, autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        assert await refused(c, Cookie=cookie) == ("unauthorized", close)
        assert await me(c, cookie) == 401


async def test_cookie_of_a_page_of_another_site_does_not_count(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        cookie = f"{AUTHJS}={site_token()}"
        body = {"type": "ping"}
        assert (await c.ask("POST", "/v1/requests", body, Cookie=cookie)).status == 200
        for origin in ("https://evil.example", "null", None):
            assert (await c.ask("POST", "/v1/requests", body, origin=origin, Cookie=cookie)).status == 401
        assert await me(c, cookie, Sec_Fetch_Site="cross-site") == 401
        unsaid = await c.server.connect(headers={"Cookie": cookie})
        with pytest.raises(Refused, match="unauthorized"):
            await unsaid.ask("hello")


async def test_user_of_a_path_of_claims_is_found(autojump_clock: MockClock) -> None:
    settings = {**SETTINGS, "nextauth": NextAuth(secrets=(SECRET,), user="user.id")}
    async with clinic(**settings) as c:
        assert await me(c, f"{AUTHJS}={site_token(claims(user={'id': 'den-1'}))}") == 200
        assert await me(c, f"{AUTHJS}={site_token(claims())}") == 401


async def test_disabled_and_revoked_users_are_not_let_in(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        cookie = f"{AUTHJS}={site_token()}"
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": cookie})
        await client.ask("hello")
        accounts = c.server.daemon.parts.accounts
        await accounts.commit([RevokeTokens("pat-1", c.server.now())])
        assert (await client.closed()).code == 4503
        assert await me(c, cookie) == 401, "made before all were revoked"
        newer = f"{AUTHJS}={site_token(claims(iat=NOW + 2))}"
        assert await me(c, newer) == 200
        await accounts.commit([SetDisabled("pat-1", True, c.server.now())])
        assert await me(c, newer) == 401


async def test_sites_session_begins_none_of_ours(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        answer = await c.ask("POST", "/v1/sign-in", {"token": site_token()})
        assert (answer.status, "set-cookie" in answer.headers) == (401, False)


async def test_connection_ends_with_the_sites_session(autojump_clock: MockClock) -> None:
    async with clinic(**SETTINGS) as c:
        token = site_token(claims(exp=NOW + 60))
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": f"{AUTHJS}={token}"})
        await client.ask("hello")
        assert (await client.closed()).code == 4011


async def test_cookie_means_nothing_where_the_way_is_off(autojump_clock: MockClock) -> None:
    async with clinic(nextauth=NextAuth(secrets=(SECRET,))) as c:
        assert await me(c, f"{AUTHJS}={site_token()}") == 401


async def test_daemon_does_not_start_without_the_sites_secret(autojump_clock: MockClock) -> None:
    with pytest.raises(BadSecret, match="AUTH_SECRET"):
        async with clinic(auth=Auth(methods=("nextauth",))):
            pass


async def test_token_is_never_logged(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with clinic(**SETTINGS) as c:
        good, wrong = site_token(), site_token(secret="another")
        await me(c, f"{AUTHJS}={good}")
        await me(c, f"{AUTHJS}={wrong}")
        await refused(c, Cookie=f"{AUTHJS}={wrong}")
        printed = "".join(capsys.readouterr())
        assert "encrypted with another secret" in printed
        for canary in (good[-40:], wrong[-40:], SECRET):
            assert canary not in printed
