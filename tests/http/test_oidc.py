"""Signing in at an identity service, over real sockets: there and back; and every answer that must not count."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx2
import pytest
import trio

from chatd import testing
from chatd.auth.linked import link_of
from chatd.config import Auth, Config, Oidc
from chatd.config import Server as ServerSettings
from storage.changes import PutRow, PutUser, SetDisabled
from storage.keyed import SIGNED_IN
from storage.memory import MemoryStore
from support.clinics import PEOPLE, SITE, Clinic
from support.issuers import OTHER
from support.oidc_provider import CLIENT, CLIENT_SECRET, OidcProvider, oidc_provider
from support.served import Answer

CALLBACK = "/v1/oidc/clinic/callback"


@attrs.frozen
class Desk:
    """A daemon, and the service that it sends people to."""

    clinic: Clinic
    provider: OidcProvider

    @property
    def store(self) -> MemoryStore:
        store = self.clinic.server.store
        assert isinstance(store, MemoryStore)
        return store

    async def begin(self, provider: str = "clinic") -> tuple[str, str]:
        """Begin: the address at the service, and the cookie that the browser keeps."""
        answer = await self.clinic.ask("GET", f"/v1/oidc/{provider}/start", origin=None)
        assert answer.status == 303, answer.body
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        return answer.headers["location"], cookie.partition(";")[0]

    async def visit(self, address: str) -> str:
        """Go to the service, as the browser does: the path and query that it sends back to."""
        async with httpx2.AsyncClient() as browser:
            location = (await browser.get(address)).headers["location"]
        assert location.startswith(f"{SITE}{CALLBACK}?")
        return str(location.removeprefix(SITE))

    async def back(self, target: str, cookie: str, method: str = "GET") -> Answer:
        return await self.clinic.ask(method, target, origin=None, Cookie=cookie)

    async def sign_in(self) -> Answer:
        address, cookie = await self.begin()
        return await self.back(await self.visit(address), cookie)


@asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[Desk]:
    """`person-1` of the service is linked with den-1."""
    async with oidc_provider() as provider:
        table = Oidc(issuer=provider.issuer, client_id=CLIENT, client_secret=CLIENT_SECRET, **settings)
        config = Config(
            server=ServerSettings(public_url=SITE, allowed_origins=(SITE,)),
            auth=Auth(methods=("oidc",)),
            oidc={"clinic": table, "other": table},
        )
        store = MemoryStore(epoch="e")
        store.commit([PutUser(id, id.title(), role, 1) for id, role in PEOPLE.items()])
        store.commit([PutRow(row=link_of(provider.issuer, "person-1", "den-1", 1))])
        async with testing.daemon(development=False, store=store, config=config) as server:
            yield Desk(Clinic(server), provider)


def session_of(answer: Answer) -> str | None:
    name, _, value = answer.headers.get("set-cookie", "").partition(";")[0].partition("=")
    return value if name == "chatd_session" and value.startswith("cs_") else None


async def me(d: Desk, answer: Answer) -> Any:
    secret = session_of(answer)
    assert secret is not None, answer.headers
    return json.loads((await d.clinic.as_session(secret, "GET", "/v1/me")).body)["user"]


async def refused(d: Desk, answer: Answer) -> bool:
    """Whether the answer goes back to the page with a problem, and no session was begun."""
    begun = d.store.rows(SIGNED_IN, None, None, after="", limit=10)
    return (answer.status, answer.headers["location"], begun) == (303, "/#sign-in=refused", [])


async def test_person_who_is_linked_signs_in_and_is_back_at_the_page() -> None:
    async with desk() as d:
        answer = await d.sign_in()
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert (await me(d, answer))["id"] == "den-1"
        (row,) = d.store.rows(SIGNED_IN, None, None, after="", limit=10)
        assert row.method == "oidc"


async def test_page_is_told_of_the_services() -> None:
    async with desk(title="Clinic ID") as d:
        offer = json.loads((await d.clinic.ask("GET", "/v1/sign-in")).body)
        assert offer["methods"] == ["oidc"]
        assert offer["providers"][0] == {"id": "clinic", "name": "Clinic ID", "start": "/v1/oidc/clinic/start"}


@pytest.mark.parametrize("methods", [["client_secret_basic", "client_secret_post"], ["client_secret_post"]])
async def test_secret_goes_as_the_service_takes_it(methods: list[str]) -> None:
    async with desk() as d:
        d.provider.describes["token_endpoint_auth_methods_supported"] = methods
        assert session_of(await d.sign_in())


# -- who is who --


async def test_account_is_found_by_issuer_and_subject_alone() -> None:
    async with desk() as d:
        d.provider.says = {
            "sub": "person-2",
            "email": "den-1@clinic.example",
            "preferred_username": "den-1",
            "name": "Den-1",
        }
        d.provider.says |= {"email_verified": True, "oid": "person-1", "upn": "den-1"}
        assert await refused(d, await d.sign_in())
        d.store.commit([PutRow(row=link_of("https://other.example", "person-2", "den-1", 1))])
        assert await refused(d, await d.sign_in())


async def test_unknown_person_is_made_a_patient_where_that_is_set() -> None:
    async with desk(unknown="patient", role="groups", roles=("D=dentist",)) as d:
        d.provider.says = {"sub": "person-7"}
        first = await me(d, await d.sign_in())
        assert (first["name"], first["role"]) == ("Ada Lovelace", "patient")
        assert (await me(d, await d.sign_in()))["id"] == first["id"]
        d.provider.says = {"sub": "person-8", "groups": ["D"]}
        assert (await d.sign_in()).headers["location"] == "/#sign-in=refused"


async def test_role_follows_the_claim_where_that_is_set() -> None:
    async with desk(role="groups", roles=("D=dentist", "S=staff")) as d:
        d.provider.says = {"groups": ["D", "S", "x"]}
        assert (await me(d, await d.sign_in()))["role"] == "staff"
        d.provider.says = {}
        assert (await me(d, await d.sign_in()))["role"] == "patient"


async def test_disabled_user_is_refused() -> None:
    async with desk() as d:
        await d.clinic.server.daemon.parts.accounts.commit([SetDisabled("den-1", True, 2)])
        assert await refused(d, await d.sign_in())


# -- one browser, one answer, once --


async def test_answer_counts_in_the_browser_that_began_alone() -> None:
    async with desk() as d:
        address, cookie = await d.begin()
        target = await d.visit(address)
        _, other = await d.begin()
        for wrong in ("", "chatd_oidc=", "chatd_oidc=abc", other, cookie[:-4] + "AAAA"):
            assert await refused(d, await d.back(target, wrong)), wrong
        assert "/token" not in d.provider.asked, "the code was spent on somebody else"
        assert session_of(await d.back(target, cookie))


async def test_answer_is_good_once() -> None:
    async with desk() as d:
        address, cookie = await d.begin()
        target = await d.visit(address)
        assert session_of(await d.back(target, cookie))
        again = await d.back(target, cookie)
        assert again.headers["location"] == "/#sign-in=refused"


async def test_scanner_that_only_looks_uses_nothing_up() -> None:
    async with desk() as d:
        address, cookie = await d.begin()
        target = await d.visit(address)
        assert (await d.back(target, cookie, "HEAD")).status == 204
        assert session_of(await d.back(target, cookie))


async def test_cookie_of_one_service_is_none_of_anothers() -> None:
    async with desk() as d:
        address, cookie = await d.begin("other")
        async with httpx2.AsyncClient() as browser:
            location = (await browser.get(address)).headers["location"]
        query = urlsplit(location).query
        assert await refused(d, await d.back(f"{CALLBACK}?{query}", cookie))


async def test_host_of_a_request_is_nowhere_in_what_is_sent() -> None:
    async with desk() as d:
        answer = await d.clinic.ask("GET", "/v1/oidc/clinic/start", origin=None, X_Forwarded_Host="evil.example")
        sent = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert sent["redirect_uri"] == f"{SITE}{CALLBACK}"
        assert len(sent["state"]) >= 32
        assert len(sent["nonce"]) >= 32
        assert {name for name in sent if name in ("code_verifier", "client_secret")} == set()


async def test_answer_that_comes_too_late_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatd.auth.oidc.BEGUN_S", -1)
    async with desk() as d:
        assert await refused(d, await d.sign_in())


async def test_unknown_service_is_not_found() -> None:
    async with desk() as d:
        for path in ("/v1/oidc/nobody/start", "/v1/oidc/nobody/callback"):
            assert (await d.clinic.ask("GET", path, origin=None)).status == 404


# -- answers that must not count --

SAYS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "another client"},
    "several audiences without a party": {"aud": [CLIENT, "another client"]},
    "another party": {"azp": "another client"},
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "nonce that is a number": {"nonce": 5},
    "no subject": {"sub": None},
    "subject that is a number": {"sub": 1},
    "huge subject": {"sub": "x" * 300},
    "subject with a line feed": {"sub": "a\nb"},
    "expired": {"exp": 1},
    "no end": {"exp": None},
    "made tomorrow": {"iat": 2**33},
}


@pytest.mark.parametrize("name", SAYS)
async def test_identity_token_that_says_wrong_things_is_refused(name: str) -> None:
    async with desk() as d:
        d.provider.says = SAYS[name]
        assert await refused(d, await d.sign_in())


@pytest.mark.parametrize(
    "given",
    [
        {"signs": {"key": OTHER}},
        {"signs": {"header": {"kid": "unknown"}}},
        {"signs": {"header": {"crit": ["x"]}}},
        {"gives": {"id_token": "eyJhbGciOiJub25lIn0.e30."}},
        {"gives": {"id_token": 5}},
        {"gives": {"id_token": "x" * 20_000}},
        {"answers": {"code": ""}},
        {"answers": {"code": "wrong"}},
        {"answers": {"state": "wrong"}},
        {"answers": {"state": ""}},
        {"answers": {"iss": "https://evil.example"}},
        {"answers": {"error": "access_denied"}},
        {"describes": {"authorization_response_iss_parameter_supported": True}},
    ],
)
async def test_wrong_answer_is_refused(given: dict[str, Any]) -> None:
    async with desk() as d:
        for what, value in given.items():
            setattr(d.provider, what, value)
        assert await refused(d, await d.sign_in())


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
)
async def test_description_that_is_wrong_is_not_taken(described: dict[str, Any]) -> None:
    async with oidc_provider() as provider:
        provider.describes = described
        table = Oidc(issuer=provider.issuer, client_id=CLIENT, client_secret=CLIENT_SECRET)
        config = Config(server=ServerSettings(public_url=SITE), auth=Auth(methods=("oidc",)), oidc={"clinic": table})
        async with testing.daemon(development=False, config=config) as server:
            answer = await Clinic(server).ask("GET", "/v1/oidc/clinic/start", origin=None)
            assert answer.headers["location"] == "/#sign-in=unavailable"


async def test_service_that_is_down_is_told_to_the_page() -> None:
    async with desk() as d:
        address, cookie = await d.begin()
        target = await d.visit(address)
        d.provider.down = True
        answer = await d.back(target, cookie)
        assert answer.headers["location"] in ("/#sign-in=refused", "/#sign-in=unavailable")
        assert session_of(answer) is None
        d.provider.down = False
        assert session_of(await d.sign_in())


async def test_oidc_secrets_are_never_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with desk() as d:
        address, cookie = await d.begin()
        target = await d.visit(address)
        await d.back(target, cookie)
        d.provider.says = {"sub": "person-9"}
        await d.sign_in()
        await trio.testing.wait_all_tasks_blocked()
        printed = "".join(capsys.readouterr())
        assert "chatd user link ID clinic person-9" in printed
        for canary in (
            dict(parse_qsl(urlsplit(target).query))["code"],
            cookie.partition("=")[2],
            CLIENT_SECRET,
            "Lovelace",
        ):
            assert canary not in printed
