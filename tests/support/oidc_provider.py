"""An identity service over real sockets, that can be told to do wrong what a service may do wrong."""

import json
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import h11
import trio

from .issuers import NOW, RSA, key_set, token

CLIENT, CLIENT_SECRET = "chatd client", "a secret: with signs"


class OidcProvider:
    """`says`: claims over those that it gives; `signs`: by whom and how; `describes`: over its description."""

    def __init__(self) -> None:
        self.issuer = ""
        self.describes: dict[str, Any] = {}
        self.says: dict[str, Any] = {}
        self.signs: dict[str, Any] = {}
        self.gives: dict[str, Any] = {}
        self.answers: dict[str, str] = {}
        self.down = False
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def described(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.describes,
        }

    def answer(self, method: str, target: str, headers: dict[str, str], body: str) -> tuple[int, dict[str, str], bytes]:
        """Answer a request as a service does: its status, headers and body."""
        url = urlsplit(target)
        self.asked.append(url.path)
        if self.down:
            return 503, {}, b""
        if url.path == "/.well-known/openid-configuration":
            return 200, {}, json.dumps(self.described()).encode()
        if url.path == "/keys":
            return 200, {}, key_set()
        if url.path == "/authorize":
            return self._authorize({name: values[0] for name, values in parse_qs(url.query).items()})
        if url.path == "/token" and method == "POST":
            return self._token(headers, {name: values[0] for name, values in parse_qs(body).items()})
        return 404, {}, b""

    def _authorize(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Sign the person in at once, and send the browser back."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["tenant"] == "1", "the address's own query is kept"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_hex(8)
        self._codes[code] = query
        answer = {"code": code, "state": query["state"], **self.answers}
        back = urlencode({name: value for name, value in answer.items() if value})
        return 302, {"Location": f"{query['redirect_uri']}?{back}"}, b""

    def _token(self, headers: dict[str, str], form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if "client_secret" in form:
            client, secret = form["client_id"], form["client_secret"]
        else:
            basic = b64decode(headers["authorization"].removeprefix("Basic ")).decode()
            client, secret = map(unquote_plus, basic.split(":"))
        begun = self._codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        right = (
            begun is not None
            and (client, secret) == (CLIENT, CLIENT_SECRET)
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == begun["redirect_uri"]
            and challenge == begun["code_challenge"]
        )
        if not right or begun is None:
            return 400, {}, b'{"error": "invalid_grant"}'
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "person-1", "iat": NOW, "exp": NOW + 300}
        claims |= {"nonce": begun["nonce"], "name": "Ada Lovelace", **self.says}
        claims = {name: value for name, value in claims.items() if value is not None}
        given = {"token_type": "Bearer", "id_token": token(claims, **{"key": RSA, **self.signs}), **self.gives}
        return 200, {}, json.dumps(given).encode()


async def _serve(provider: OidcProvider, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    request: Any = None
    body = b""
    async with stream:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        if request is None:
            return
        headers = {name.decode(): value.decode() for name, value in request.headers}
        status, more, content = provider.answer(
            request.method.decode(), request.target.decode(), headers, body.decode()
        )
        head = [*more.items(), ("Content-Length", str(len(content))), ("Connection", "close")]
        response = h11.Response(status_code=status, headers=head)
        await stream.send_all((connection.send(response) or b"") + (connection.send(h11.Data(data=content)) or b""))


@asynccontextmanager
async def oidc_provider() -> AsyncIterator[OidcProvider]:
    """A service at a port of its own, until the end of the block."""
    provider = OidcProvider()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, partial(_serve, provider), 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        provider.issuer = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        yield provider
        nursery.cancel_scope.cancel()
