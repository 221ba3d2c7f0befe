"""Tokens that somebody else has signed: who gets in by them, and with which role."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.config import Auth, Config, Jwt
from chatd.config import Server as ServerSettings
from chatd.testing import Refused
from storage.changes import PutUser, RevokeTokens, SetDisabled
from storage.memory import MemoryStore
from support.clinics import PEOPLE, SITE, Clinic
from support.foreign import TOKEN, WRONG
from support.issuers import AUDIENCE, ISSUER, NOW, SHARED_SECRET, Web, claims, key_set, shared, token

KEYS = f"{ISSUER}/keys"
TABLE = Jwt(issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS)


@asynccontextmanager
async def clinic(
    web: Web | None = None, *, methods: tuple[str, ...] = ("jwt",), **tables: Jwt
) -> AsyncIterator[Clinic]:
    """A daemon that takes the tokens of these issuers, and asks `web` for keys."""
    web = web or Web(**{KEYS: key_set()})
    config = Config(
        server=ServerSettings(allowed_origins=(SITE,)), auth=Auth(methods=methods), jwt=tables or {"clinic": TABLE}
    )
    store = MemoryStore(epoch="e")
    store.commit([PutUser(id, id.title(), role, 1) for id, role in PEOPLE.items()])
    async with testing.daemon(development=False, store=store, config=config, fetch=web.fetch) as server:
        await trio.testing.wait_all_tasks_blocked()
        yield Clinic(server)


async def me(c: Clinic, text: str) -> tuple[int, Any]:
    answer = await c.ask("GET", "/v1/me", origin=None, Authorization=f"Bearer {text}")
    body = json.loads(answer.body)
    return answer.status, body["user"] if answer.status == 200 else body["code"]


async def refused(c: Clinic, text: str) -> tuple[str, int]:
    """The code of the error that hello gets, and of the close."""
    client = await c.server.connect()
    with pytest.raises(Refused) as caught:
        await client.ask("hello", token=text)
    return caught.value.code, (await client.closed()).code


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA", "Ed25519"])
async def test_token_of_the_issuer_signs_in_on_every_way(alg: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        text = token(alg=alg)
        assert (await me(c, text))[1]["id"] == "pat-1"
        client = await c.server.connect()
        assert (await client.ask("hello", token=text))["user"]["id"] == "pat-1"
        by_header = await c.server.connect(headers={"Authorization": f"Bearer {text}"})
        assert (await by_header.ask("hello"))["user"]["id"] == "pat-1"
        answer = await c.ask("POST", "/v1/sign-in", {"token": text})
        assert (answer.status, "set-cookie" in answer.headers) == (200, True)


async def test_shared_secret_signs_in(autojump_clock: MockClock) -> None:
    async with clinic(app=Jwt(secret=SHARED_SECRET)) as c:
        assert (await me(c, shared({"sub": "den-1", "exp": NOW + 60})))[1]["id"] == "den-1"
        assert (await me(c, shared({"sub": "den-1", "exp": NOW + 60}, kid="anything")))[0] == 200
        assert (await me(c, shared({"sub": "den-1"})))[0] == 401
        assert (await me(c, shared({"sub": "den-1", "exp": NOW + 60}, secret=SHARED_SECRET[::-1])))[0] == 401


async def test_own_tokens_and_those_of_an_app_go_together(autojump_clock: MockClock) -> None:
    async with clinic(methods=("token", "jwt"), app=Jwt(secret=SHARED_SECRET), clinic=TABLE) as c:
        assert (await me(c, c.server.token("admin-1")))[1]["id"] == "admin-1"
        assert (await me(c, shared({"sub": "den-1", "exp": NOW + 60})))[1]["id"] == "den-1"
        assert (await me(c, token()))[1]["id"] == "pat-1"
        own_claims = {"sub": "den-1", "exp": NOW + 60, "iat": NOW, "aud": "chatd", "jti": "x"}
        assert (await me(c, shared(own_claims)))[0] == 401, "what says that it is ours is signed by us"


async def test_own_tokens_do_not_count_where_they_are_off(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        assert (await me(c, c.server.token("admin-1")))[0] == 401


async def test_cookie_of_a_service_counts_where_it_is_named(autojump_clock: MockClock) -> None:
    async with clinic(clinic=attrs.evolve(TABLE, cookie="__session")) as c:
        answer = await c.ask("GET", "/v1/me", Cookie=f"x=y; __session={token()}")
        assert answer.status == 200
        client = await c.server.connect(headers={"Origin": SITE, "Cookie": f"__session={token()}"})
        assert (await client.ask("hello"))["user"]["id"] == "pat-1"
        for cookie in (f"__session2={token()}", "__session=abc"):
            assert (await c.ask("GET", "/v1/me", Cookie=cookie)).status == 401
        elsewhere = await c.ask("POST", "/v1/requests", {"type": "ping"}, origin="https://evil.example", Cookie=cookie)
        assert elsewhere.status == 401
    async with clinic() as c:
        assert (await c.ask("GET", "/v1/me", Cookie=f"__session={token()}")).status == 401


async def test_connection_ends_with_its_token_and_a_fresh_one_renews_it(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        client = await c.server.connect()
        await client.ask("hello", token=token(claims(exp=NOW + 60)))
        await trio.sleep(50)
        await client.ask("hello", token=token(claims(exp=NOW + 120)))
        await trio.sleep(60)
        await client.ask("ping")
        assert (await client.closed()).code == 4011
        assert await refused(c, token(claims(exp=NOW + 60))) == ("unauthorized", 4011)


async def test_each_wrong_token_gets_the_same_code_on_the_wire(autojump_clock: MockClock) -> None:
    web = Web(**{KEYS: key_set()})
    strict = attrs.evolve(TABLE, authorized_parties=("web",), require=("sid",))
    async with clinic(web, methods=("token", "jwt"), clinic=strict) as c:
        assert (await me(c, TOKEN))[0] == 200
        for name, text in WRONG.items():
            if not text.isascii() or not text.isprintable() or " " in text or len(text) > 8000:
                continue  # no header can have it
            assert await me(c, text) == (401, "unauthorized"), name
            assert await refused(c, text) == ("unauthorized", 4501), name
        assert len(web.asked) <= 3, "only an unknown key has keys fetched, once a minute"


# -- who is known, and as what --


async def test_unknown_user_is_refused_by_default(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        assert await refused(c, token(claims(sub="pat-99"))) == ("unauthorized", 4501)
        assert c.server.store.user("pat-99") is None


async def test_unknown_user_is_made_a_patient_at_most(autojump_clock: MockClock) -> None:
    table = Jwt(
        issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS, unknown="patient", user_prefix="kc-", role="role",
        roles=("DENTIST=dentist", "BOSS=admin", "P=patient"),
    )  # fmt: skip
    async with clinic(clinic=table) as c:
        status, user = await me(c, token(claims(sub="7", name="Ada Lovelace", role="P")))
        assert (status, user["id"], user["name"], user["role"]) == (200, "kc-7", "Ada Lovelace", "patient")
        assert (await me(c, token(claims(sub="8", role="DENTIST")))) == (401, "unauthorized")
        assert (await me(c, token(claims(sub="9", role="anything"))))[1]["role"] == "patient"
        assert (await me(c, token(claims(sub="10", name="a\nb"))))[1]["name"] == "kc-10"
        assert c.server.store.user("kc-8") is None


async def test_role_of_a_known_user_follows_the_claim(autojump_clock: MockClock) -> None:
    table = Jwt(
        issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS, role="app_metadata.roles", roles=("D=dentist", "S=staff")
    )
    async with clinic(clinic=table) as c:
        for given, role in ((["x", "D", "S"], "staff"), ("D", "dentist"), (["x"], "patient"), (None, "patient")):
            status, user = await me(c, token(claims(sub="den-1", app_metadata={"roles": given})))
            assert (status, user["role"]) == (200, role)


async def test_role_without_a_map_is_as_it_is_here(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        assert (await me(c, token(claims(role="admin", sub="pat-1"))))[1]["role"] == "patient"
        assert (await me(c, token(claims(role="patient", sub="admin-1"))))[1]["role"] == "admin"


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("user.id", {"user": {"id": "den-1"}}),
        ("https://clinic.example/user", {"https://clinic.example/user": "den-1"}),
        ("https://clinic.example/user.id", {"https://clinic.example/user": {"id": "den-1"}}),
        ("a.b.c", {"a.b": {"c": "den-1"}}),
    ],
)
async def test_user_is_found_at_its_path(path: str, given: dict[str, Any], autojump_clock: MockClock) -> None:
    async with clinic(clinic=Jwt(issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS, user=path)) as c:
        assert (await me(c, token(claims(**given))))[1]["id"] == "den-1"
        assert (await me(c, token()))[0] == 401


async def test_number_is_an_id(autojump_clock: MockClock) -> None:
    async with clinic(clinic=Jwt(issuer=ISSUER, audience=(AUDIENCE,), jwks=KEYS, user_prefix="pat-")) as c:
        assert (await me(c, token(claims(sub=1))))[1]["id"] == "pat-1"


async def test_disabled_and_revoked_users_are_refused(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        client = await c.server.connect()
        await client.ask("hello", token=token())
        accounts = c.server.daemon.parts.accounts
        await accounts.commit([RevokeTokens("pat-1", c.server.now())])
        assert (await client.closed()).code == 4503
        assert (await me(c, token()))[0] == 401
        assert (await me(c, token(claims(iat=None))))[0] == 401, "made at no time counts as made before"
        assert (await me(c, token(claims(iat=NOW + 2))))[0] == 200
        await accounts.commit([SetDisabled("pat-1", True, c.server.now())])
        assert (await me(c, token(claims(iat=NOW + 2))))[0] == 401


# -- keys --


async def test_keys_that_change_are_fetched_for_a_token_with_a_new_one(autojump_clock: MockClock) -> None:
    from support.issuers import EC, RSA, public

    web = Web(**{KEYS: key_set(public(RSA))})
    async with clinic(web) as c:
        await trio.sleep(61)
        web.pages[KEYS] = key_set(public(EC))
        assert (await me(c, token(alg="ES256")))[0] == 200
        assert web.asked == [KEYS, KEYS]
        assert (await me(c, token()))[0] == 401, "a key that was withdrawn no longer counts"


async def test_unknown_key_fetches_once_a_minute(autojump_clock: MockClock) -> None:
    web = Web(**{KEYS: key_set()})
    async with clinic(web) as c:
        await trio.sleep(61)
        for n in range(20):
            assert (await me(c, token(header={"kid": f"unknown-{n}"})))[0] == 401
        assert len(web.asked) == 2
        await trio.sleep(61)
        assert (await me(c, token(header={"kid": "unknown"})))[0] == 401
        assert len(web.asked) == 3


async def test_slow_source_holds_a_sign_in_for_two_seconds(autojump_clock: MockClock) -> None:
    web = Web(**{KEYS: key_set()})
    async with clinic(web) as c:
        await trio.sleep(61)
        web.slow = 30.0
        began = trio.current_time()
        assert (await me(c, token(header={"kid": "unknown"})))[0] == 401
        assert trio.current_time() - began <= 2.0
        assert (await me(c, token()))[0] == 200, "known keys are no slower"


async def test_last_good_keys_are_kept_while_the_source_is_down(autojump_clock: MockClock) -> None:
    web = Web(**{KEYS: key_set()})
    web.max_age = 300
    async with clinic(web) as c:
        for page in (None, b"<html>", b'{"keys": []}', b'{"keys": 5}', b"[" * 100_000):
            web.pages = {} if page is None else {KEYS: page}
            before = len(web.asked)
            await trio.sleep(400)
            assert len(web.asked) > before
            assert (await me(c, token(claims(exp=NOW + 10_000))))[0] == 200


async def test_source_that_was_never_up_is_a_temporary_error(autojump_clock: MockClock) -> None:
    web = Web()
    async with clinic(web) as c:
        assert await me(c, token()) == (503, "unavailable")
        assert await refused(c, token()) == ("unavailable", 4013)
        web.pages[KEYS] = key_set()
        await trio.sleep(61)
        assert (await me(c, token()))[0] == 200


async def test_keys_of_a_file_are_read_again(tmp_path: Any, autojump_clock: MockClock) -> None:
    from support.issuers import EC, RSA, public

    autojump_clock.autojump_threshold = float("inf")  # files are read on a thread
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(public(RSA)))
    async with clinic(clinic=Jwt(issuer=ISSUER, audience=(AUDIENCE,), jwks=str(file))) as c:
        assert (await me(c, token()))[0] == 200
        file.write_bytes(key_set(public(EC)))
        autojump_clock.jump(61)
        assert (await me(c, token(alg="ES256", says=claims(iat=NOW))))[0] == 200
