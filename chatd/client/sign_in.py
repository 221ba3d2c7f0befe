"""Signing in as people do: a password or a ticket becomes a session, whose secret signs connections in."""

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import h11
import trio

from .link import Target

Dial = Callable[[], Awaitable[trio.abc.Stream]]

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 65_536


REFUSED = (400, 401, 403, 404)
"""Statuses after which trying again is no use."""


class SignInFailed(Exception):
    """The server signs nobody in by this; the message is the server's. `status`: of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SignIn:
    """A `token` for `connect` that signs in by `user` and `password`, or by `ticket`, and again when the session ended.

    Awaiting a call returns the session's secret. Raises SignInFailed, OSError, trio.TooSlowError.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ticket: str | None = None,
        dial: Dial | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._target = Target.of(url)
        self._dial = dial
        self._ssl_context = ssl_context
        self._given = {"token": ticket} if ticket is not None else {"user": user, "password": password}
        parts = urlsplit(url)
        scheme = "https" if self._target.tls else "http"
        self._origin = f"{scheme}://{parts.netloc.rpartition('@')[2]}"  # as the server's own page would
        self._secret: str | None = None

    async def __call__(self) -> str:
        """Return the secret of a session that lives."""
        with trio.fail_after(TIMEOUT_S):
            if self._secret is not None:
                status, _, _ = await self._ask("GET", "/v1/me", bearer=self._secret)
                if status == 200:
                    return self._secret
            status, cookie, answer = await self._ask("POST", "/v1/sign-in", body=self._given)
        if status != 200 or cookie is None:
            raise SignInFailed(str(answer.get("message", f"HTTP {status}")), status)
        self._secret = cookie
        return cookie

    async def _ask(
        self, method: str, path: str, *, bearer: str | None = None, body: dict[str, Any] | None = None
    ) -> tuple[int, str | None, dict[str, Any]]:
        """Return status, session cookie and JSON of an answer."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = [("Host", self._target.netloc), ("Connection", "close"), ("Origin", self._origin)]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
        if bearer is not None:
            headers.append(("Authorization", f"Bearer {bearer}"))
        stream = await (self._dial() if self._dial else self._target.dial(self._ssl_context))
        async with stream:
            connection = h11.Connection(h11.CLIENT)
            sent = [h11.Request(method=method, target=path, headers=headers), h11.Data(data), h11.EndOfMessage()]
            await stream.send_all(b"".join(connection.send(event) or b"" for event in sent))
            return await _answer(stream, connection)


async def _answer(stream: trio.abc.Stream, connection: h11.Connection) -> tuple[int, str | None, dict[str, Any]]:
    status, cookie, body = 0, None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(MAX_ANSWER_BYTES)))
        elif isinstance(event, h11.Response):
            status = event.status_code
            for name, value in event.headers:
                if name == b"set-cookie" and value.startswith(b"chatd_session="):
                    cookie = value.partition(b";")[0].partition(b"=")[2].decode()
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_ANSWER_BYTES:
                raise SignInFailed("the answer is too long: is this a chatd?", status)
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            break
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = {}
    return status, cookie, found if isinstance(found, dict) else {}
