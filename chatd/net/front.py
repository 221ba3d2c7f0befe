"""The first bytes of a connection: a WebSocket handshake is handed on as it came, other HTTP is answered by ASGI."""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import h11
import trio
from starlette.types import ASGIApp

from .asgi import CHUNK, GONE, Exchange, linger, refusal, split_target, write
from .head import Head
from .proxies import Client

MAX_HEAD: Final = 32 * 1024
"""Bytes of a request's line and headers."""


OnWebSocket = Callable[[Head, bytes, trio.abc.Stream], Awaitable[None]]
"""Takes a handshake's head, the raw bytes read so far (the head and whatever followed), and the stream behind them."""


async def serve(
    stream: trio.abc.Stream,
    app: ASGIApp,
    on_websocket: OnWebSocket,
    *,
    websocket_paths: Collection[str] = ("/ws", "/"),
    head_timeout: float = 5,
    keep_alive: float = 15,
    write_timeout: float = 10,
    max_body: int = 65536,
    client: Callable[[Head], Client] = lambda head: Client(None, "http"),
    accepting: Callable[[], bool],
) -> None:
    """Serve one connection until it is over; the caller closes `stream`.

    A head must be complete `head_timeout` seconds after the connection began or, on a kept-alive one, after the head's
    first byte, for which `keep_alive` seconds are given. A peer that does not take 64 KiB of an answer within
    `write_timeout` seconds is given up. `max_body` is in bytes. `client` says who a request is from. Once `accepting()`
    is false, handshakes get 503 and connections end with the answer under way.

    Peers that leave or reset raise nothing here. What `on_websocket` raises passes through.
    """
    raw = b""
    try:
        while (read := await _read_head(stream, raw, head_timeout, write_timeout)) is not None:
            conn, request, raw = read
            path, _, _ = split_target(request.target)
            head = Head(request.method.decode(), request.target.decode(), path, list(request.headers))
            if _wants_websocket(head) and path in websocket_paths:
                if accepting():
                    break
                answer = refusal(conn, 503, "unavailable", "the server is shutting down", temporary=True)
                await write(stream, answer, write_timeout)
                return
            exchange = Exchange(conn, request, stream, max_body=max_body, patience=write_timeout, accepting=accepting)
            asking = client(head)
            rest = await exchange.run(app, asking.scheme, asking.address)
            if rest is None or not accepting():
                return
            raw = rest or await _receive(stream, trio.current_time() + keep_alive)
            if not raw:
                return
        else:
            return
    except (trio.TooSlowError, *GONE):
        return
    # Out of the `try`: a closed channel inside the handler is not the peer's doing.
    await on_websocket(head, raw, stream)


def _wants_websocket(head: Head) -> bool:
    upgrade = head.has_token(b"connection", b"upgrade") and head.has_token(b"upgrade", b"websocket")
    return upgrade and head.method == "GET"


async def _receive(stream: trio.abc.Stream, deadline: float) -> bytes:
    """Return what comes until `deadline` (on Trio's clock), or b"" at the end of the stream or of the time."""
    with trio.move_on_at(deadline):
        return bytes(await stream.receive_some(CHUNK))
    return b""


async def _read_head(
    stream: trio.abc.Stream, leftover: bytes, head_timeout: float, write_timeout: float
) -> tuple[h11.Connection, h11.Request, bytes] | None:
    """Read up to the end of a head, whose first bytes may be `leftover`; return all bytes read beside it.

    None if the peer left or was too slow, or was told 400 or 431. Raises what `write` raises.
    """
    # One deadline for the whole head: a byte now and then does not extend it.
    deadline = trio.current_time() + head_timeout
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    raw = bytearray(leftover)
    if leftover:  # h11 takes no bytes for the end of the stream
        conn.receive_data(leftover)
    try:
        while not isinstance(event := conn.next_event(), h11.Request):
            if not (data := await _receive(stream, deadline)):
                return None
            raw += data
            conn.receive_data(data)
        if len(raw) - len(conn.trailing_data[0]) > MAX_HEAD:
            raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
    except h11.RemoteProtocolError as error:
        status = error.error_status_hint
        message = f"a head has at most {MAX_HEAD} bytes" if status == 431 else "this is not a valid HTTP/1.1 request"
        await write(stream, refusal(conn, status, "bad_request", message), write_timeout)
        await linger(stream)
        return None
    return conn, event, bytes(raw)
