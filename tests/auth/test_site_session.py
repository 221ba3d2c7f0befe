"""Sessions that a site keeps in a table: its cookie lets in, and its sign-out ends the connection."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.auth.site_watch import SITE_WATCH_EVERY_S
from chatd.config import Auth, BetterAuth, ConfigError, NextAuth
from chatd.testing import Refused, TestClient
from chatd.testing.harness import START
from storage.changes import SetDisabled
from support.clinics import SITE, Clinic, clinic
from support.site_stores import SiteStore
from support.site_tokens import BETTER_TOKEN, SECRET, better_auth_cookie, site_token

DAY_MS = 86_400_000
NEXTAUTH_TOKEN = "3f1c7a52-0b0e-4f1c-9a3e-aabbccddeeff"
SETTINGS = {
    "auth": Auth(methods=("password", "nextauth", "better-auth")),
    "nextauth": NextAuth(sessions="database"),
    "better_auth": BetterAuth(secrets=("an older secret of the site", SECRET)),
}


COOKIES = {
    "nextauth": ("Session", NEXTAUTH_TOKEN, f"authjs.session-token={NEXTAUTH_TOKEN}"),
    "better-auth": ("session", BETTER_TOKEN, f"better-auth.session_token={better_auth_cookie(BETTER_TOKEN)}"),
}


def store_with(method: str, user: str = "pat-1", expires_at: int = START + DAY_MS) -> SiteStore:
    store = SiteStore()
    table, token, _ = COOKIES[method]
    store.add(table, token, user, expires_at)
    return store


async def connected(c: Clinic, method: str) -> TestClient:
    client = await c.server.connect(headers={"Origin": SITE, "Cookie": COOKIES[method][2]})
    await client.ask("hello")
    return client


async def me(c: Clinic, cookie: str) -> int:
    return (await c.ask("GET", "/v1/me", Cookie=cookie)).status


@pytest.mark.parametrize("method", COOKIES)
async def test_sites_session_lets_its_user_in(method: str, autojump_clock: MockClock) -> None:
    async with clinic(store_with(method), **SETTINGS) as c:
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": COOKIES[method][2]})
        assert (await client.ask("hello"))["user"]["id"] == "pat-1"
        answer = await c.ask("GET", "/v1/me", Cookie=COOKIES[method][2])
        assert json.loads(answer.body)["user"]["id"] == "pat-1"


@pytest.mark.parametrize("method", COOKIES)
async def test_sign_out_on_the_site_ends_the_connection(method: str, autojump_clock: MockClock) -> None:
    store = store_with(method)
    async with clinic(store, **SETTINGS) as c:
        client = await connected(c, method)
        table, token, cookie = COOKIES[method]
        await trio.sleep(2 * SITE_WATCH_EVERY_S)
        await client.ask("ping")
        del store.tables[table][token]
        with trio.fail_after(SITE_WATCH_EVERY_S + 1):
            assert (await client.closed()).code == 4503
        assert await me(c, cookie) == 401
        again = await c.server.connect(headers={"Origin": SITE, "Cookie": cookie})
        with pytest.raises(Refused, match="unauthorized"):
            await again.ask("hello")


async def test_rows_of_all_connections_are_read_by_one_query(autojump_clock: MockClock) -> None:
    store = SiteStore()
    tokens = [f"token-of-somebody-{n}" for n in range(5)]
    for token in tokens:
        store.add("Session", token, "pat-1", START + DAY_MS)
    async with clinic(store, **SETTINGS) as c:
        for token in tokens:
            client = await c.server.connect(headers={"Origin": SITE, "Cookie": f"authjs.session-token={token}"})
            await client.ask("hello")
        store.queries.clear()
        await trio.sleep(SITE_WATCH_EVERY_S + 1)
        assert store.queries == [tokens]


async def test_session_that_becomes_anothers_is_cut(autojump_clock: MockClock) -> None:
    store = store_with("nextauth")
    async with clinic(store, **SETTINGS) as c:
        client = await connected(c, "nextauth")
        store.add("Session", NEXTAUTH_TOKEN, "den-1", START + DAY_MS)
        assert (await client.closed()).code == 4503


async def test_session_that_the_site_prolongs_goes_on(autojump_clock: MockClock) -> None:
    store = store_with("better-auth", expires_at=START + 90_000)
    async with clinic(store, **SETTINGS) as c:
        client = await connected(c, "better-auth")
        store.add("session", BETTER_TOKEN, "pat-1", START + 200_000)
        await trio.sleep(120)
        await client.ask("ping")
        await trio.sleep(81)
        assert (await client.closed()).code in (4011, 4503)


async def test_database_that_does_not_answer_cuts_nobody(autojump_clock: MockClock) -> None:
    store = store_with("nextauth")
    async with clinic(store, **SETTINGS) as c:
        client = await connected(c, "nextauth")
        store.down = True
        await trio.sleep(3 * SITE_WATCH_EVERY_S)
        await client.ask("ping")
        assert (await c.ask("GET", "/v1/me", Cookie=COOKIES["nextauth"][2])).status == 503
        store.down = False
        store.tables["Session"].clear()
        with trio.fail_after(10 * SITE_WATCH_EVERY_S):
            assert (await client.closed()).code == 4503


WRONG: dict[str, tuple[str, int]] = {
    "token without a row": ("authjs.session-token=00000000-0000-0000-0000-000000000000", 4501),
    "token of another table": (f"authjs.session-token={BETTER_TOKEN}", 4501),
    "short token": ("authjs.session-token=1", 4501),
    "empty token": ("authjs.session-token=", 4501),
    "token with an escape": (f"authjs.session-token={NEXTAUTH_TOKEN[:-3]}%31f", 4501),
    "encrypted token": (f"authjs.session-token={site_token()}", 4501),
    "whole and chunk": (f"authjs.session-token={NEXTAUTH_TOKEN}; authjs.session-token.0=a", 4501),
    "unsigned": (f"better-auth.session_token={BETTER_TOKEN}", 4501),
    "signed by another": (f"better-auth.session_token={better_auth_cookie(BETTER_TOKEN, 'another')}", 4501),
    "signature of another token": (
        f"better-auth.session_token={BETTER_TOKEN}.{better_auth_cookie('x' * 32).partition('.')[2]}",
        4501,
    ),
    "signature cut short": (f"better-auth.session_token={better_auth_cookie(BETTER_TOKEN)[:-6]}", 4501),
    "signature twice": (
        f"better-auth.session_token={better_auth_cookie(BETTER_TOKEN)}.{better_auth_cookie('x')}",
        4501,
    ),
    "signed, without a row": (f"better-auth.session_token={better_auth_cookie('x' * 32)}", 4501),
    "huge": ("better-auth.session_token=" + "x" * 5000, 4501),
    "cookie of another name": (f"other.session_token={better_auth_cookie(BETTER_TOKEN)}", 4501),
    "cache": (f"better-auth.session_data={better_auth_cookie(BETTER_TOKEN)}", 4501),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_cookie_is_refused(name: str, autojump_clock: MockClock) -> None:
    store = store_with("nextauth")
    store.add("session", BETTER_TOKEN, "pat-1", START + DAY_MS)
    async with clinic(store, **SETTINGS) as c:
        cookie, close = WRONG[name]
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": cookie})
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello")
        assert (await client.closed()).code == close
        assert await me(c, cookie) == 401


@pytest.mark.parametrize("method", COOKIES)
async def test_expired_session_is_told_from_a_wrong_one(method: str, autojump_clock: MockClock) -> None:
    async with clinic(store_with(method, expires_at=START), **SETTINGS) as c:
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": COOKIES[method][2]})
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello")
        assert (await client.closed()).code == 4011


@pytest.mark.parametrize("method", COOKIES)
async def test_unknown_and_disabled_users_are_refused(method: str, autojump_clock: MockClock) -> None:
    store = store_with(method, user="nobody")
    async with clinic(store, **SETTINGS) as c:
        table, token, cookie = COOKIES[method]
        assert await me(c, cookie) == 401
        store.add(table, token, "pat-1", START + DAY_MS)
        assert await me(c, cookie) == 200
        await c.server.daemon.parts.accounts.commit([SetDisabled("pat-1", True, c.server.now())])
        assert await me(c, cookie) == 401


async def test_token_of_a_row_said_without_its_cookie_is_none(autojump_clock: MockClock) -> None:
    async with clinic(store_with("nextauth"), **SETTINGS) as c:
        bearer = await c.ask("GET", "/v1/me", origin=None, Authorization=f"Bearer {NEXTAUTH_TOKEN}")
        assert bearer.status == 401
        assert (await c.ask("POST", "/v1/sign-in", {"token": NEXTAUTH_TOKEN})).status == 401


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auth": Auth(methods=("better-auth",))}, "BETTER_AUTH_SECRET"),
        (SETTINGS | {"nextauth": NextAuth(sessions="database", table="sessions")}, "there is no table sessions"),
    ],
)
async def test_daemon_does_not_start_without_what_it_needs(
    settings: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    with pytest.raises(Exception, match=message):
        async with clinic(SiteStore(), **settings):
            pass


async def test_sessions_of_a_table_need_the_sites_database(autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match=r"\[storage\] database must be that database \(mysql://\)"):
        async with clinic(**SETTINGS):
            pass
