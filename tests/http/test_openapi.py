"""The description of the API: whole, valid, and true."""

import gzip
import json
from typing import Any

from jsonschema import validate  # type: ignore[import-untyped]
from trio.testing import MockClock

from chatd import testing
from support.served import calling, served
from support.sites import app


async def document() -> dict[str, Any]:
    async with served(app()) as client:
        found: dict[str, Any] = json.loads((await client.ask("GET", "/v1/openapi.json")).body)
        return found


async def test_description_has_every_operation_that_is_served_and_no_other(autojump_clock: MockClock) -> None:
    paths = (await document())["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/v1/me"),
        ("GET", "/v1/conversations"),
        ("GET", "/v1/conversations/{id}/messages"),
        ("POST", "/v1/conversations/{id}/messages"),
        ("POST", "/v1/requests"),
        ("POST", "/v1/session"),
        ("DELETE", "/v1/session/{id}"),
        ("GET", "/v1/session/{id}/events"),
        ("POST", "/v1/session/{id}/frames"),
        ("GET", "/v1/sign-in"),
        ("POST", "/v1/sign-in"),
        ("POST", "/v1/sign-out"),
        ("POST", "/v1/password"),
        ("GET", "/v1/sessions"),
        ("DELETE", "/v1/sessions/{id}"),
        ("POST", "/v1/tickets"),
        ("POST", "/v1/invitations"),
        ("POST", "/v1/invitations/redeem"),
        ("POST", "/v1/attachments"),
        ("GET", "/v1/attachments/{id}"),
        ("GET", "/v1/attachments/{id}/thumbnail"),
        ("POST", "/v1/attachments/{id}/link"),
        ("GET", "/v1/oidc/{provider}/start"),
        ("GET", "/v1/oidc/{provider}/callback"),
        ("POST", "/v1/uploads"),
        *((method, "/v1/uploads/{id}") for method in ("HEAD", "PATCH", "DELETE", "POST")),
        ("GET", "/v1/openapi.json"),
    }


async def test_every_reference_leads_somewhere(autojump_clock: MockClock) -> None:
    found = await document()

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [each for value in node.values() for each in references(value)]
        return [each for value in node for each in references(value)] if isinstance(node, list) else []

    for reference in references(found):
        place: Any = found
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert "type" in place or "enum" in place or "anyOf" in place


async def test_answers_keep_to_their_schemas(autojump_clock: MockClock) -> None:
    async with testing.daemon() as server, calling(server) as client:
        found = json.loads((await client.ask("GET", "/v1/openapi.json")).body)

        async def ask(method: str, path: str, id: str = "", body: Any = None, user: str = "pat-1") -> dict[str, Any]:
            target = path.replace("{id}", id)
            data = b"" if body is None else json.dumps(body).encode()
            headers = {"X-Chatd-User": user, "Content-Type": "application/json"}
            answer = await client.ask(method, target, data, "localhost", **headers)
            described = found["paths"][path][method.lower()]["responses"]
            schema = described.get(str(answer.status), described["default"])["content"]["application/json"]["schema"]
            told: dict[str, Any] = json.loads(answer.body)
            validate(told, {**schema, "components": found["components"]})
            return told

        await ask("GET", "/v1/me", user="pat-1")
        await server.connect("den-1", role="dentist")
        opened = await ask("POST", "/v1/requests", body={"type": "conversation.open", "with": "pat-1"}, user="den-1")
        conversation = opened["conversation"]
        sent = {"client_id": "a", "body": "hello"}
        for _ in range(2):
            await ask("POST", "/v1/conversations/{id}/messages", conversation, sent)
        await ask("GET", "/v1/conversations/{id}/messages", conversation)
        await ask("GET", "/v1/conversations/{id}/messages", "nowhere")
        await ask("GET", "/v1/conversations")
        await ask("POST", "/v1/requests", body={"type": "nothing"})
        await ask("GET", "/readyz")


async def test_description_is_compressed_and_asked_for_again_by_its_tag(autojump_clock: MockClock) -> None:
    async with served(app()) as client:
        plain = await client.ask("GET", "/v1/openapi.json")
        small = await client.ask("GET", "/v1/openapi.json", b"", Accept_Encoding="gzip")
        assert gzip.decompress(small.body) == plain.body
        assert len(small.body) < len(plain.body) / 3
        for answer in (plain, small):
            encoding = {"Accept_Encoding": answer.headers.get("content-encoding", "")}
            again = await client.ask("GET", "/v1/openapi.json", b"", If_None_Match=answer.headers["etag"], **encoding)
            assert again.status == 304
