"""HTTP/1.1 for a client: one request after the other on a connection that is kept."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import h11
import trio

Dial = Callable[[], Awaitable[trio.abc.Stream]]

HTTP_CHUNK_BYTES: Final = 65_536
"""Bytes read, or sent of a file, at once."""
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class NotHttp(OSError):
    """The server sent no answer, or too long a one."""


@attrs.frozen
class JsonAnswer:
    """Status, headers by lower-case name (of several the last), and the JSON object of the body, else an empty one."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    json: Mapping[str, Any]

    @property
    def is_error(self) -> bool:
        """Return True if it is an error as chatd words it."""
        return isinstance(self.json.get("code"), str) and isinstance(self.json.get("message"), str)


class Http:
    """Asks a server. `headers`: of every request; `netloc`: as in `Host`."""

    def __init__(self, netloc: str, dial: Dial, headers: Mapping[str, str] | None = None) -> None:
        self._dial = dial
        self.headers = {"Host": netloc, **(headers or {})}
        self._stream: trio.abc.Stream | None = None
        self._connection = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> JsonAnswer:
        """Ask, and return the answer; once more where a kept connection turns out to be over, so ask what may be
        repeated.

        Raises OSError, trio.BrokenResourceError.
        """
        kept = self._stream is not None
        try:
            return await self._ask(method, path, body, headers)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            await self.aclose()
            if not kept:
                raise
        except BaseException:
            await self.aclose()  # half of an answer may be left on it
            raise
        return await self.ask(method, path, body, headers)

    async def aclose(self) -> None:
        """Close the connection; another request opens a new one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> JsonAnswer:
        if self._stream is None:
            self._stream = await self._dial()
            self._connection = h11.Connection(h11.CLIENT)
        stream, connection = self._stream, self._connection
        data = b"" if body is None else json.dumps(body).encode()
        given = {**self.headers, **(headers or {}), "Content-Length": str(len(data))}
        if body is not None:
            given["Content-Type"] = "application/json"
        request = h11.Request(method=method, target=path, headers=list(given.items()))
        sent = [connection.send(event) or b"" for event in (request, h11.Data(data), h11.EndOfMessage())]
        await stream.send_all(b"".join(sent))
        answer = await _answer(stream, connection)
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        else:
            await self.aclose()
        return answer


async def _answer(stream: trio.abc.Stream, connection: h11.Connection) -> JsonAnswer:
    status, headers, body = 0, list[tuple[str, str]](), b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(HTTP_CHUNK_BYTES)))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER_BYTES:
                    raise NotHttp("the answer is too long: is this a chatd?")
            elif isinstance(event, (h11.ConnectionClosed, h11.PAUSED)):
                raise trio.BrokenResourceError
    except h11.RemoteProtocolError as error:
        if not status:
            raise trio.BrokenResourceError from None
        raise NotHttp(str(error)) from None
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        found = {}
    cookies = tuple(value for name, value in headers if name == "set-cookie")
    return JsonAnswer(status, dict(headers), cookies, found if isinstance(found, dict) else {})
