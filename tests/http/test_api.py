"""The API: every operation with every kind of caller, and what it answers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.config import Config, Limits
from chatd.config import Server as ServerSettings
from chatd.core.accounts import AccountChange
from chatd.testing import Server
from storage.changes import AddToken, PutUser, RevokeToken, RevokeTokens, SetDisabled
from storage.memory import MemoryStore
from support.served import Answer, Client, calling
from support.sites import app

SITE = "https://www.clinic.example"
PEOPLE = {
    "pat-1": "patient",
    "pat-2": "patient",
    "den-1": "dentist",
    "den-2": "dentist",
    "staff": "staff",
    "gone": "patient",
    "off": "patient",
}


@attrs.frozen
class Clinic:
    """A daemon with a conversation of pat-1 and den-1 in which one message was sent, and `gone` has left another."""

    server: Server
    client: Client
    conversation: str
    left: str
    session: str = ""

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content_Type", "application/json")
        return await self.client.ask(method, self.at(target), data, **headers)

    def at(self, target: str) -> str:
        return target.format(c=self.conversation, left=self.left, s=self.session, provider="nobody")

    async def as_user(self, user: str, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        return await self.ask(method, target, body, Authorization=f"Bearer {self.server.token(user)}", **headers)


@asynccontextmanager
async def clinic(**settings: Any) -> AsyncIterator[Clinic]:
    """Not in development mode."""
    config = Config(server=ServerSettings(allowed_origins=(SITE,)), **settings)
    async with testing.daemon(development=False, store=MemoryStore(epoch="e"), config=config) as server:
        server.store.commit([PutUser(id, id.title(), role, 1) for id, role in PEOPLE.items()])
        server.store.commit([SetDisabled("off", True, 1)])
        async with calling(server, ("192.0.2.1", 5000)) as client:
            made = Clinic(server, client, "", "")
            opened = await said(made, "den-1", "conversation.open", with_="pat-1")
            left = await said(made, "gone", "conversation.open", with_="den-2")
            await said(made, "gone", "conversation.leave", conversation=left["conversation"])
            polled = json.loads((await made.as_user("pat-1", "POST", "/v1/session")).body)["session"]
            made = Clinic(server, client, opened["conversation"], left["conversation"], polled)
            hello = {"first": 1, "frames": [{"type": "hello", "id": 1}]}
            assert (await made.as_user("pat-1", "POST", "/v1/session/{s}/frames", hello)).status == 202
            await said(made, "pat-1", "message.send", conversation=made.conversation, client_id="a", body="it hurts")
            yield made


async def said(clinic: Clinic, user: str, type: str, **fields: Any) -> dict[str, Any]:
    """The `ok` of a request by `POST /v1/requests`."""
    plain = {name.removesuffix("_"): value for name, value in fields.items()}
    answer = await clinic.as_user(user, "POST", "/v1/requests", {"type": type, **plain})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


# -- who may ask what --

CALLERS = (
    "nobody", "forged", "expired", "revoked", "disabled", "unknown",
    "patient", "dentist", "stranger", "staff", "who left", "cookie", "foreign cookie",
)  # fmt: skip
"""The columns of the table: patient and dentist take part in the conversation, everybody else does not."""

_NO = 401
TABLE: dict[tuple[str, str], tuple[int, ...]] = {
    # nobody forged expired revoked disabled unknown patient dentist stranger staff left cookie foreign-cookie
    ("GET", "/"): (200,) * 13,
    ("GET", "/theme.css"): (200,) * 13,
    ("GET", "/logo"): (404,) * 13,
    ("GET", "/healthz"): (200,) * 13,
    ("GET", "/readyz"): (200,) * 13,
    ("GET", "/metrics"): (401,) * 13,
    ("GET", "/v1/openapi.json"): (200,) * 13,
    ("GET", "/v1/me"): (_NO,) * 6 + (200, 200, 200, 200, 200, 200, _NO),
    ("HEAD", "/v1/me"): (_NO,) * 6 + (200, 200, 200, 200, 200, 200, _NO),
    ("GET", "/v1/conversations"): (_NO,) * 6 + (200, 200, 200, 200, 200, 200, _NO),
    ("GET", "/v1/conversations/{c}/messages"): (_NO,) * 6 + (200, 200, 404, 404, 404, 200, _NO),
    ("GET", "/v1/conversations/{left}/messages"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("GET", "/v1/conversations/nowhere/messages"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("POST", "/v1/conversations/{c}/messages"): (_NO,) * 6 + (201, 201, 404, 404, 404, 201, _NO),
    ("POST", "/v1/conversations/nowhere/messages"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("POST", "/v1/requests"): (_NO,) * 6 + (200, 200, 404, 404, 404, 200, _NO),
    ("POST", "/v1/attachments"): (_NO,) * 6 + (415, 415, 415, 415, 415, 415, _NO),
    ("GET", "/v1/attachments/{c}"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("GET", "/v1/attachments/{c}/thumbnail"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("POST", "/v1/attachments/{c}/link"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("POST", "/v1/session"): (_NO,) * 6 + (201, 201, 201, 201, 201, 201, _NO),
    ("GET", "/v1/session/{s}/events"): (_NO,) * 6 + (200, 404, 404, 404, 404, 200, _NO),
    ("POST", "/v1/session/{s}/frames"): (_NO,) * 6 + (415, 404, 404, 404, 404, 415, _NO),
    ("DELETE", "/v1/session/{s}"): (_NO,) * 6 + (204, 404, 404, 404, 404, 204, _NO),
    ("OPTIONS", "/v1/uploads"): (204,) * 13,
    ("OPTIONS", "/v1/uploads/{c}"): (204,) * 13,
    ("POST", "/v1/uploads"): (_NO,) * 6 + (412, 412, 412, 412, 412, 412, _NO),
    ("HEAD", "/v1/uploads/{c}"): (_NO,) * 6 + (412, 412, 412, 412, 412, 412, _NO),
    ("PATCH", "/v1/uploads/{c}"): (_NO,) * 6 + (412, 412, 412, 412, 412, 412, _NO),
    ("DELETE", "/v1/uploads/{c}"): (_NO,) * 6 + (412, 412, 412, 412, 412, 412, _NO),
    ("POST", "/v1/uploads/{c}"): (_NO,) * 6 + (412, 412, 412, 412, 412, 412, _NO),
    ("DELETE", "/v1/me"): (405,) * 13,
    ("GET", "/v1/requests"): (405,) * 13,
    ("GET", "/nowhere"): (404,) * 13,
    ("GET", "/v1/sign-in"): (200,) * 13,
    ("POST", "/v1/sign-in"): (403,) * 11 + (401, 403),
    ("POST", "/v1/sign-out"): (403,) * 11 + (204, 403),
    ("GET", "/v1/oidc/{provider}/start"): (404,) * 13,
    ("GET", "/v1/oidc/{provider}/callback"): (404,) * 13,
    ("POST", "/v1/password"): (_NO,) * 6 + (403, 403, 403, 403, 403, 403, _NO),
    ("GET", "/v1/sessions"): (_NO,) * 6 + (200, 200, 200, 200, 200, 200, _NO),
    ("DELETE", "/v1/sessions/{c}"): (_NO,) * 6 + (404, 404, 404, 404, 404, 404, _NO),
    ("POST", "/v1/invitations"): (_NO,) * 6 + (403, 403, 403, 201, 403, 403, _NO),
    ("POST", "/v1/invitations/redeem"): (403,) * 11 + (401, 403),
    ("POST", "/v1/tickets"): (401,) * 13,
}
BODIES: dict[str, dict[str, str]] = {
    "/v1/conversations/{c}/messages": {"client_id": "b", "body": "yes"},
    "/v1/conversations/nowhere/messages": {"client_id": "b", "body": "yes"},
    "/v1/requests": {"type": "message.history", "conversation": "{c}"},
    "/v1/tickets": {"user": "pat-1"},
    "/v1/sign-in": {"user": "pat-1", "password": "wrong"},
    "/v1/password": {"old": "wrong", "new": "three plain words"},
    "/v1/invitations": {"user": "pat-2"},
    "/v1/invitations/redeem": {"invitation": "AAAA-BBBB-CCCC-DDDD"},
}


def credentials(server: Server, caller: str) -> dict[str, str]:
    """The headers of this kind of caller."""
    token = server.token
    tokens = server.daemon.tokens
    assert tokens is not None
    if caller == "revoked":
        text, claims = tokens.issue("pat-1", "jti-r", server.now(), 60)
        server.store.commit([AddToken("jti-r", "pat-1", claims.issued_at, claims.expires_at)])
        server.store.commit([RevokeToken("jti-r", server.now())])
        return bearer(text)
    if caller in ("cookie", "foreign cookie"):
        origin, site = (SITE, "same-site") if caller == "cookie" else ("https://evil.example", "cross-site")
        return {"Cookie": f"a=b; chatd_session={token('pat-1')}", "Origin": origin, "Sec_Fetch_Site": site}
    return {
        "nobody": {},
        "forged": bearer(token("pat-1")[:-4] + "AAAA"),
        "expired": bearer(tokens.issue("pat-1", "x", server.now() - 60_000, 59)[0]),
        "disabled": bearer(token("off")),
        "unknown": bearer(token("nobody-known")),
        "patient": bearer(token("pat-1")),
        "dentist": bearer(token("den-1")),
        "stranger": bearer(token("pat-2")),
        "staff": bearer(token("staff")),
        "who left": bearer(token("gone")),
    }[caller]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(("method", "target"), list(TABLE))
async def test_every_operation_with_every_kind_of_caller(method: str, target: str, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        body = BODIES.get(target) if method == "POST" else None
        found = []
        for number, caller in enumerate(CALLERS):
            sent = body and {
                key: value.format(c=c.conversation) + (str(number) if key == "client_id" else "")
                for key, value in body.items()
            }
            answer = await c.ask(method, target, sent, **credentials(c.server, caller))
            if answer.status >= 400 and method != "HEAD":
                assert json.loads(answer.body).keys() == {"code", "message", "temporary"}
            if answer.status == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
            if target.startswith("/v1/") and answer.status not in (304, 405):
                assert answer.headers["cache-control"] in ("no-store", "no-cache")
            found.append(answer.status)
        assert dict(zip(CALLERS, found, strict=True)) == dict(zip(CALLERS, TABLE[method, target], strict=True))


def test_table_has_every_operation() -> None:
    served = {(operation.method, operation.path) for operation in app().operations}
    tested = {(method, target.replace("{c}", "{id}").replace("{s}", "{id}")) for method, target in TABLE}
    files = {(method, path) for method, path in served if path.startswith("/assets/") or path.count(".")}
    assert served - files == (tested & served) - files


async def test_not_found_is_the_same_to_the_letter_for_the_foreign_and_the_unknown(
    autojump_clock: MockClock,
) -> None:
    async with clinic() as c:
        foreign = await c.as_user("pat-2", "GET", "/v1/conversations/{c}/messages")
        unknown = await c.as_user("pat-2", "GET", "/v1/conversations/nowhere/messages")
        assert (foreign.status, foreign.body) == (unknown.status, unknown.body)


# -- what is answered --


async def test_me_is_the_caller(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        user = json.loads((await c.as_user("den-1", "GET", "/v1/me")).body)["user"]
        assert (user["id"], user["name"], user["role"]) == ("den-1", "Den-1", "dentist")


async def test_message_is_created_once_and_reaches_who_is_connected(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        den = await c.server.connect(token=c.server.token("den-1"))
        sent = {"client_id": "k-1", "body": "still hurts", "reply_to": 1}
        first = await c.as_user("pat-1", "POST", "/v1/conversations/{c}/messages", sent)
        ok = json.loads(first.body)
        assert (first.status, ok["duplicate"], ok["from"], ok["rev"]) == (201, False, 2, 3)
        assert not {"type", "re"} & ok.keys()
        [message] = ok["messages"]
        assert (message["seq"], message["sender"], message["body"], message["reply_to"]) == (
            2,
            "pat-1",
            "still hurts",
            1,
        )
        change = await den.expect("change", rev=3)
        assert change["messages"][0]["client_id"] == "k-1"
        again = await c.as_user("pat-1", "POST", "/v1/conversations/{c}/messages", {**sent, "body": "another"})
        ok = json.loads(again.body)
        assert (again.status, ok["duplicate"], ok["from"], ok["rev"]) == (200, True, 3, 3)
        assert ok["messages"] == [message]


async def test_history_and_list_are_paged(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        for number in range(5):
            body = {"client_id": f"n{number}", "body": f"{number}"}
            await c.as_user("pat-1", "POST", "/v1/conversations/{c}/messages", body)

        async def seqs(query: str) -> tuple[list[int], bool]:
            page = json.loads((await c.as_user("pat-1", "GET", "/v1/conversations/{c}/messages" + query)).body)
            return [message["seq"] for message in page["messages"]], page["more"]

        assert await seqs("") == ([1, 2, 3, 4, 5, 6], False)
        assert await seqs("?limit=2") == ([5, 6], True)
        assert await seqs("?before=3") == ([1, 2], False)
        assert await seqs("?after=3&limit=2") == ([4, 5], True)
        for query in ("?before=x", "?before=1&after=2", "?limit=0", "?limit=100000", "?before=-1", "?limit=1.5"):
            answer = await c.as_user("pat-1", "GET", "/v1/conversations/{c}/messages" + query)
            assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad_request")
        listed = json.loads((await c.as_user("den-1", "GET", "/v1/conversations?limit=1")).body)
        assert [each["conversation"] for each in listed["conversations"]] == [c.conversation]
        assert {user["id"] for user in listed["users"]} == {"pat-1", "den-1"}
        assert (
            json.loads((await c.as_user("den-1", "GET", "/v1/conversations?archived=true")).body)["conversations"] == []
        )
        assert (await c.as_user("den-1", "GET", "/v1/conversations?archived=maybe")).status == 400
        assert (await c.as_user("den-1", "GET", "/v1/conversations?cursor=nonsense")).status == 400


async def test_requests_serve_the_protocol_but_what_needs_a_connection(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        group = await said(c, "den-1", "conversation.create", title="Team", members=["staff"], client_id="g")
        assert group["info"]["title"] == "Team"
        await said(c, "den-1", "conversation.update", conversation=group["conversation"], title="The team")
        edited = await said(c, "pat-1", "message.edit", conversation=c.conversation, seq=1, body="it hurts a lot")
        assert edited["messages"][0]["body"] == "it hurts a lot"
        read = await said(c, "den-1", "receipt", conversation=c.conversation, read=1)
        assert read["membership"]["unread"] == 0
        found = await said(c, "den-1", "message.search", query="hurts")
        assert [hit["message"]["seq"] for hit in found["hits"]] == [1]
        assert "server_time" in await said(c, "den-1", "ping")
        for request, message in (
            ({"type": "hello", "token": "x"}, "needs a connection"),
            ({"type": "sync", "epoch": "e", "revs": {}}, "needs a connection"),
            ({"type": "typing", "conversation": c.conversation, "active": True}, "needs a connection"),
            ({"type": "focus", "conversation": None}, "needs a connection"),
            ({"type": "call.invite", "conversation": c.conversation}, "not available yet"),
            ({"type": "push.list"}, "not available yet"),
            ({"type": "notify.get"}, "not available yet"),
            ({"type": "nothing"}, "unknown request"),
            ({}, "`type`: missing"),
            ({"type": "message.send"}, "missing"),
        ):
            answer = await c.as_user("den-1", "POST", "/v1/requests", request)
            body = json.loads(answer.body)
            assert (answer.status, body["code"]) == (400, "bad_request"), body
            assert message in body["message"]


@pytest.mark.parametrize(
    ("body", "type_", "status", "code"),
    [
        (b'{"client_id":"x","body":"y"}', "text/plain", 415, "bad_request"),
        (b'{"client_id":"x","body":"y"}', "application/x-www-form-urlencoded", 415, "bad_request"),
        (b'{"client_id":"x","body":"y"}', "application/json; charset=utf-8", 201, None),
        (b"", "application/json", 400, "bad_request"),
        (b"[]", "application/json", 400, "bad_request"),
        (b"nonsense", "application/json", 400, "bad_request"),
        (b"\xff{}", "application/json", 400, "bad_request"),
        (b'{"client_id":"x","body":"\\ud800"}', "application/json", 400, "bad_request"),
        (b'{"client_id":"x","body":"\\u0000"}', "application/json", 400, "bad_request"),
        (b'{"client_id":"x","body":' + b"[" * 1000 + b"]" * 1000 + b"}", "application/json", 400, "bad_request"),
        (b'{"client_id":"x","body":""}', "application/json", 400, "bad_request"),
        (b'{"client_id":"x"}', "application/json", 400, "bad_request"),
        (b'{"client_id":"x","body":"' + b"y" * 300_000 + b'"}', "application/json", 413, "too_large"),
    ],
)
async def test_body_is_held_to_the_rules_of_frames(
    body: bytes, type_: str, status: int, code: str | None, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        answer = await c.as_user("pat-1", "POST", "/v1/conversations/{c}/messages", body, Content_Type=type_)
        assert answer.status == status, answer.body
        assert json.loads(answer.body).get("code") == code


# -- credentials --


@pytest.mark.parametrize("how", ["revoked", "all revoked", "disabled", "renamed"])
async def test_token_that_was_checked_before_is_checked_again_after_a_change(
    how: str, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        tokens, accounts = c.server.daemon.tokens, c.server.daemon.parts.accounts
        assert tokens is not None
        text, claims = tokens.issue("pat-1", "jti-1", c.server.now(), 3600)
        await accounts.commit([AddToken("jti-1", "pat-1", claims.issued_at, claims.expires_at)])

        async def name() -> str | None:
            answer = await c.ask("GET", "/v1/me", **bearer(text))
            user = json.loads(answer.body).get("user")
            return user["name"] if user else None

        assert [await name(), await name()] == ["Pat-1", "Pat-1"]
        changes: dict[str, AccountChange] = {
            "revoked": RevokeToken("jti-1", c.server.now()),
            "all revoked": RevokeTokens("pat-1", c.server.now()),
            "disabled": SetDisabled("pat-1", True, c.server.now()),
            "renamed": PutUser("pat-1", "Ada", None, c.server.now()),
        }
        await accounts.commit([changes[how]])
        assert await name() == ("Ada" if how == "renamed" else None)


async def test_token_is_good_until_it_expires_and_not_longer(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        token = c.server.token("pat-1", lifetime=10)
        for after, status in ((0, 200), (9.5, 200), (1, 401)):
            await trio.sleep(after)
            assert (await c.ask("GET", "/v1/me", **bearer(token))).status == status


async def test_token_is_remembered_by_its_hash_for_a_bounded_time(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        reads = 0
        store = c.server.store
        look_up = store.credentials

        def counting(user: str, jti: str) -> Any:
            nonlocal reads
            reads += 1
            return look_up(user, jti)

        store.credentials = counting  # type: ignore[method-assign]
        token = c.server.token("den-1")
        for _ in range(3):
            await c.ask("GET", "/v1/me", **bearer(token))
        assert reads == 1
        await trio.sleep(61)
        async with calling(c.server) as later:
            await later.ask("GET", "/v1/me", b"", **bearer(token))
        assert reads == 2


async def test_requests_over_the_rate_of_a_user_are_429_by_whatever_way(autojump_clock: MockClock) -> None:
    limits = Limits(user_requests_per_second=1.0, user_request_burst=30)
    async with clinic(limits=limits) as c:
        den = await c.server.connect(token=c.server.token("den-2"))
        for _ in range(14):
            await den.ask("ping")
            assert (await c.as_user("den-2", "GET", "/v1/me")).status == 200
        statuses = [(await c.as_user("den-2", "GET", "/v1/me")).status for _ in range(3)]
        assert 429 in statuses
        assert (await c.as_user("den-1", "GET", "/v1/me")).status == 200


# -- development mode --


@pytest.mark.parametrize(
    ("peer", "host", "headers", "status"),
    [
        ("127.0.0.1", "localhost:3001", {}, 200),
        ("::1", "[::1]:3001", {}, 200),
        ("127.0.0.1", "chat.localhost", {}, 200),
        ("127.0.0.1", "evil.example", {}, 401),
        ("127.0.0.1", "127.0.0.1.evil.example", {}, 401),
        ("192.0.2.1", "localhost", {}, 401),
        ("127.0.0.1", "localhost", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("127.0.0.1", "localhost", {"X-Chatd-User": ""}, 401),
        ("127.0.0.1", "localhost", {"X-Chatd-User": "a b"}, 400),
        ("127.0.0.1", "localhost", {"X-Chatd-User": "x" * 129}, 400),
    ],
)
async def test_development_takes_a_name_from_this_machine_alone(
    peer: str, host: str, headers: dict[str, str], status: int, autojump_clock: MockClock
) -> None:
    async with testing.daemon() as server, calling(server, (peer, 5000)) as client:
        answer = await client.ask("GET", "/v1/me", b"", host, **({"X-Chatd-User": "new-1"} | headers))
        assert answer.status == status
        if status == 200:
            user = json.loads(answer.body)["user"]
            assert (user["id"], user["name"], user["role"]) == ("new-1", "new-1", "patient")


async def test_name_alone_is_no_credential_outside_development_mode(autojump_clock: MockClock) -> None:
    async with testing.daemon(development=False) as server, calling(server) as client:
        answer = await client.ask("GET", "/v1/me", b"", "localhost", **{"X-Chatd-User": "pat-1"})
        assert answer.status == 401


async def test_request_during_shutdown_is_unavailable(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, calling(server) as client:
        server.daemon.stop()
        answer = await client.ask("GET", "/v1/conversations", b"", "localhost", **{"X-Chatd-User": "pat-1"})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
