"""Every way to sign in on every transport, in one table: who gets in where, and where nobody does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.auth import opaque
from chatd.config import Auth, BetterAuth, Config, Jwt, NextAuth
from chatd.config import Server as ServerSettings
from chatd.testing import Refused
from chatd.testing.harness import START
from storage.changes import PutRow, PutUser
from storage.keyed import ApiKey, SignedIn, SignInTicket
from support.clinics import ADDRESS, API_KEY, PEOPLE, SITE, Clinic, cookie_of
from support.engineio import Headers
from support.issuers import AUDIENCE, ISSUER, SHARED_SECRET, Web, key_set, shared, token
from support.served import calling
from support.site_stores import SiteStore
from support.site_tokens import AUTHJS, BETTER_TOKEN, SECRET, better_auth_cookie, site_token
from support.socketio_chat import ConnectError, sio

KEYS = f"{ISSUER}/keys"
TICKET, SESSION = "ct_k.the-only-one", "cs_somebodys"

CREDENTIALS: dict[str, tuple[str, Callable[[Clinic], str]]] = {
    # name: the cookie that may carry it, and the credential of pat-1
    "token": ("chatd_session", lambda c: c.server.token("pat-1")),
    "session": ("chatd_session", lambda c: SESSION),
    "ticket": ("chatd_session", lambda c: TICKET),
    "nextauth": (AUTHJS, lambda c: site_token()),
    "better-auth": ("better-auth.session_token", lambda c: better_auth_cookie(BETTER_TOKEN)),
    "jwt by public key": ("__session", lambda c: token()),
    "jwt by secret": ("app_token", lambda c: shared({"sub": "pat-1", "exp": START // 1000 + 60})),
    "API key": ("chatd_session", lambda c: API_KEY),
    "password": ("chatd_session", lambda c: "three plain words"),
    "user's name": ("chatd_session", lambda c: "pat-1"),
}

WAYS = (
    *("hello", "upgrade bearer", "upgrade cookie", "bearer", "cookie", "polled bearer", "polled cookie", "sign-in"),
    *("Socket.IO auth", "Socket.IO cookie"),
)

YES, NO = True, False
TABLE: dict[str, tuple[bool, ...]] = {
    #                     hello  upgrade's   request's    polled       sign-in  Socket.IO
    "token":             (YES,   YES, YES,   YES, YES,    YES, YES,    YES,     YES, YES),
    "session":           (YES,   YES, YES,   YES, YES,    YES, YES,    NO,      YES, YES),
    "ticket":            (YES,   YES, NO,    YES, NO,     NO,  NO,     YES,     YES, NO),
    "nextauth":          (YES,   YES, YES,   YES, YES,    YES, YES,    NO,      YES, YES),
    "better-auth":       (NO,    NO,  YES,   NO,  YES,    NO,  YES,    NO,      NO,  YES),
    "jwt by public key": (YES,   YES, YES,   YES, YES,    YES, YES,    YES,     YES, YES),
    "jwt by secret":     (YES,   YES, YES,   YES, YES,    YES, YES,    YES,     YES, YES),
    "API key":           (NO,    NO,  NO,    NO,  NO,     NO,  NO,     NO,      NO,  NO),
    "password":          (NO,    NO,  NO,    NO,  NO,     NO,  NO,     NO,      NO,  NO),
    "user's name":       (NO,    NO,  NO,    NO,  NO,     NO,  NO,     NO,      NO,  NO),
}  # fmt: skip
"""A ticket is good once, and so for one request; what is a session itself begins no other one."""


@asynccontextmanager
async def everything() -> AsyncIterator[Clinic]:
    """A daemon that has all the ways at once."""
    config = Config(
        server=ServerSettings(allowed_origins=(SITE,)),
        auth=Auth(methods=("token", "password", "ticket", "invitation", "nextauth", "better-auth", "jwt")),
        nextauth=NextAuth(secrets=(SECRET,)),
        better_auth=BetterAuth(secrets=(SECRET,)),
        jwt={
            "service": Jwt(issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS, cookie="__session"),
            "app": Jwt(secret=SHARED_SECRET, cookie="app_token", user_prefix=""),
        },
    )
    store = SiteStore()
    store.commit([PutUser(id, id.title(), role, 1) for id, role in PEOPLE.items()])
    store.add("session", BETTER_TOKEN, "pat-1", START + 3_600_000)
    later = START + 3_600_000
    session = SignedIn(
        hash=opaque.hash_of(SESSION), id="s", user="pat-1", method="password", created_at=START, seen_at=START,
        expires_at=later,
    )  # fmt: skip
    ticket = SignInTicket(hash=opaque.hash_of(TICKET), user="pat-1", expires_at=later)
    key = ApiKey(hash=opaque.hash_of(API_KEY), id="k", name="app", max_role="admin", created_at=START)
    store.commit([PutRow(row=row) for row in (session, ticket, key)])
    web = Web(**{KEYS: key_set()})
    async with testing.daemon(development=False, store=store, config=config, fetch=web.fetch) as server:
        await trio.testing.wait_all_tasks_blocked()
        yield Clinic(server)


async def by_hello(c: Clinic, _: str, text: str) -> str | None:
    return await said_hello(c, {}, token=text)


async def by_upgrade_bearer(c: Clinic, _: str, text: str) -> str | None:
    return await said_hello(c, {"Authorization": f"Bearer {text}"})


async def by_upgrade_cookie(c: Clinic, cookie: str, text: str) -> str | None:
    return await said_hello(c, {"Cookie": f"{cookie}={text}", "Origin": SITE})


async def said_hello(c: Clinic, headers: dict[str, str], **fields: str) -> str | None:
    client = await c.server.connect(headers=headers)
    try:
        user: str = (await client.ask("hello", **fields))["user"]["id"]
    except Refused as error:
        code = error.code
    else:
        return user
    assert (code, (await client.closed()).code) == ("unauthorized", 4501)
    return None


async def by_bearer(c: Clinic, _: str, text: str) -> str | None:
    return me_of(*await asked(c, "GET", "/v1/me", Authorization=f"Bearer {text}"))


async def by_cookie(c: Clinic, cookie: str, text: str) -> str | None:
    return me_of(*await asked(c, "GET", "/v1/me", Cookie=f"{cookie}={text}", Origin=SITE))


def me_of(status: int, body: Any) -> str | None:
    if status == 200:
        user: str = body["user"]["id"]
        return user
    assert (status, body["code"]) == (401, "unauthorized")
    return None


async def by_polled_bearer(c: Clinic, _: str, text: str) -> str | None:
    return await polled(c, Authorization=f"Bearer {text}")


async def by_polled_cookie(c: Clinic, cookie: str, text: str) -> str | None:
    return await polled(c, Cookie=f"{cookie}={text}", Origin=SITE)


async def polled(c: Clinic, **headers: str) -> str | None:
    status, made = await asked(c, "POST", "/v1/session", **headers)
    if status != 201:
        assert status == 401
        return None
    frames = {"first": 1, "frames": [{"type": "hello", "id": 1}]}
    status, _ = await asked(c, "POST", f"/v1/session/{made['session']}/frames", frames, **headers)
    if status != 202:
        assert status == 401
        return None
    _, told = await asked(c, "GET", f"/v1/session/{made['session']}/events?after=0", **headers)
    user: str = told["events"][0]["frame"]["user"]["id"]
    return user


async def by_sign_in(c: Clinic, _: str, text: str) -> str | None:
    answer = await c.ask("POST", "/v1/sign-in", {"token": text})
    if answer.status != 200:
        assert (answer.status, "set-cookie" in answer.headers) == (401, False)
        return None
    return await by_cookie(c, "chatd_session", cookie_of(answer))


async def by_socketio_auth(c: Clinic, _: str, text: str) -> str | None:
    return await joined(c, {"token": text}, {})


async def by_socketio_cookie(c: Clinic, cookie: str, text: str) -> str | None:
    return await joined(c, None, {"Cookie": f"{cookie}={text}", "Origin": SITE})


async def joined(c: Clinic, auth: dict[str, str] | None, headers: Headers) -> str | None:
    refused: list[ConnectError] = []
    user: str | None = None
    try:
        async with sio(c.server, auth, headers=headers) as client:
            made = await client.ask("create_conversation", {"targetUserId": "den-1"})
            (user,) = {each["userId"] for each in made["conversation"]["participants"]} - {"den-1"}
    except ConnectError as error:
        refused.append(error)
    assert [error.data["data"]["code"] for error in refused] == ([] if user else ["unauthorized"])
    return user


async def asked(c: Clinic, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with calling(c.server, (ADDRESS, 5000)) as client:
        if body is not None:
            headers["Content_Type"] = "application/json"
        answer = await client.ask(method, target, b"" if body is None else json.dumps(body).encode(), **headers)
        return answer.status, json.loads(answer.body)


BY: dict[str, Callable[[Clinic, str, str], Awaitable[str | None]]] = dict(
    zip(
        WAYS,
        (
            *(by_hello, by_upgrade_bearer, by_upgrade_cookie, by_bearer, by_cookie),
            *(by_polled_bearer, by_polled_cookie, by_sign_in, by_socketio_auth, by_socketio_cookie),
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TABLE)
async def test_credential_on_a_transport_lets_in_as_the_table_says(
    name: str, way: str, autojump_clock: MockClock
) -> None:
    cookie, credential = CREDENTIALS[name]
    async with everything() as c:
        found = await BY[way](c, cookie, credential(c))
        assert found == ("pat-1" if TABLE[name][WAYS.index(way)] else None)


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name][WAYS.index("cookie")]])
async def test_cookie_of_any_kind_counts_on_allowed_pages_alone(name: str, autojump_clock: MockClock) -> None:
    cookie, credential = CREDENTIALS[name]
    async with everything() as c:
        carried = {"Cookie": f"{cookie}={credential(c)}"}
        for origin in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
            for target, body in (("/v1/requests", {"type": "ping"}), ("/v1/session", None)):
                assert (await asked(c, "POST", target, body, **carried, **origin))[0] in (401, 403)
        assert (await asked(c, "GET", "/v1/me", **carried, Sec_Fetch_Site="cross-site"))[0] == 401
        client = await c.server.connect(headers=carried)
        with pytest.raises(Refused, match="unauthorized"):
            await client.ask("hello")
