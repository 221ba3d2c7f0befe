"""The first bytes of a connection: a WebSocket handshake is handed on as it came, other HTTP is answered by ASGI."""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import h11
import trio
from starlette.types import ASGIApp

from chatd.core.errors import Closing

from .asgi import PEER_GONE, Exchange, split_target, write
from .bounds import MAX_HEAD_BYTES, MAX_HEAD_LINES, Bounds
from .head import Head
from .linger import linger
from .problem import plain_answer
from .proxies import PeerClient
from .unfinished import MemoryShares, Unfinished

HEAD_READ_BYTES: Final = 4096
"""Bytes of a head read at once; what comes behind it is held as long as its connection."""

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
    bounds: Callable[[Head], Bounds] = lambda head: Bounds(),
    client: Callable[[Head], PeerClient] = lambda head: PeerClient(None, "http"),
    accepting: Callable[[], bool],
    shares: MemoryShares | None = None,
) -> None:
    """Serve one connection until it is over; the caller closes `stream`.

    A head must be complete `head_timeout` seconds after the connection began or, on a kept-alive one, after the head's
    first byte, for which `keep_alive` seconds are given. A peer that does not take 64 KiB of an answer within
    `write_timeout` seconds is given up. `bounds` and `client` say what a request may take, and who it is from. Once
    `accepting()` is false, handshakes get 503 and connections end with the answer under way. `shares`: what all
    connections share.

    Peers that leave or reset raise nothing here. What `on_websocket` raises passes through.
    """
    upgrade = await _until_upgrade(
        stream,
        app,
        websocket_paths=websocket_paths,
        head_timeout=head_timeout,
        keep_alive=keep_alive,
        write_timeout=write_timeout,
        bounds=bounds,
        client=client,
        accepting=accepting,
        shares=shares or MemoryShares(),
    )
    if upgrade is not None:
        # In a frame of its own: a closed channel inside the handler is not the peer's doing, and what the requests
        # before it took is not held for hours.
        await on_websocket(*upgrade, stream)


async def _until_upgrade(
    stream: trio.abc.Stream,
    app: ASGIApp,
    *,
    websocket_paths: Collection[str],
    head_timeout: float,
    keep_alive: float,
    write_timeout: float,
    bounds: Callable[[Head], Bounds],
    client: Callable[[Head], PeerClient],
    accepting: Callable[[], bool],
    shares: MemoryShares,
) -> tuple[Head, bytes] | None:
    """Serve requests; return the handshake that ends them, with the bytes read so far, if there is one."""
    raw = b""
    known = False  # the last request was signed in
    try:
        while (read := await _read_head(stream, raw, head_timeout, write_timeout, shares)) is not None:
            conn, request, raw, size = read
            path, raw_path, query = split_target(request.target)
            version = request.http_version.decode()
            head = Head(request.method.decode(), raw_path.decode("ascii"), path, list(request.headers), version, query)
            if _wants_websocket(head) and path in websocket_paths:
                if accepting():
                    if not known:
                        await shares.turns.wait()  # a connection and its handshake cost half a millisecond
                    return head, raw
                answer = plain_answer(503, "unavailable", "the server is shutting down", temporary=True)
                await write(stream, answer, write_timeout)
                return None
            bound = bounds(head)
            if size > bound.head_bytes:
                await _refuse_head(stream, 431, bound.head_bytes, write_timeout)
                return None
            if not known:
                await shares.turns.wait()
            exchange = Exchange(conn, request, head, stream, bounds=bound, patience=write_timeout, accepting=accepting)
            rest = await exchange.run(app, client(head))
            known = exchange.signed_in
            if rest is None or not accepting():
                return None
            if rest:
                await trio.lowlevel.checkpoint()  # whoever pipelines must not be served without a pause
            raw = rest or await _receive(stream, trio.current_time() + keep_alive)
            if not raw:
                return None
    except (trio.TooSlowError, *PEER_GONE):
        pass
    return None


def _wants_websocket(head: Head) -> bool:
    if head.method != "GET":
        return False
    return head.has_token(b"connection", b"upgrade") and head.has_token(b"upgrade", b"websocket")


async def _receive(stream: trio.abc.Stream, deadline: float) -> bytes:
    """Return what comes until `deadline` (on Trio's clock), or b"" at the end of the stream or of the time."""
    with trio.move_on_at(deadline):
        return bytes(await stream.receive_some(HEAD_READ_BYTES))
    return b""


async def _read_head(
    stream: trio.abc.Stream, leftover: bytes, head_timeout: float, write_timeout: float, shares: MemoryShares
) -> tuple[h11.Connection, h11.Request, bytes, int] | None:
    """Read up to the end of a head, whose first bytes may be `leftover`; return all bytes read, and its size.

    None if the peer left or was too slow, or was told 400, 431 or 503. Raises what `write` raises.
    """
    # One deadline for the whole head: a byte now and then does not extend it.
    deadline = trio.current_time() + head_timeout
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    raw, data = b"", leftover
    unfinished = Unfinished(shares.strangers)
    try:
        while True:
            if not raw:  # empty lines before a request are some client's mistake (RFC 9112, section 2.2)
                data = data.lstrip(b"\r\n")
            raw += data
            if data:  # h11 takes no bytes for the end of the stream
                _check_lines(raw)
                conn.receive_data(data)
            if isinstance(event := conn.next_event(), h11.Request):
                break
            unfinished.hold(len(raw))
            data = await _receive(stream, deadline)
            if raw or not data:
                await shares.turns.wait()  # whoever sends in pieces, or ends by hundreds in one moment
            if not data:
                return None
        _check(event)
        size = len(raw) - len(conn.trailing_data[0])
        if size > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
    except Closing:
        await write(stream, plain_answer(503, "unavailable", "the server is busy", temporary=True), write_timeout)
        return None
    except h11.RemoteProtocolError as error:
        await _refuse_head(stream, error.error_status_hint, MAX_HEAD_BYTES, write_timeout)
        return None
    finally:
        unfinished.release()
    return conn, event, raw, size


def _check_lines(raw: bytes) -> None:
    """Refuse a head of very many lines before it is parsed. Raises h11.RemoteProtocolError."""
    end = raw.find(b"\r\n\r\n")
    if raw.count(b"\n", 0, end if end >= 0 else len(raw)) > MAX_HEAD_LINES:
        raise h11.RemoteProtocolError("the head has too many lines", error_status_hint=431)


def _check(request: h11.Request) -> None:
    """Refuse what a proxy in between may read otherwise than we do. Raises h11.RemoteProtocolError."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("a version that is not spoken here", error_status_hint=505)
    names = {name for name, _ in request.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise h11.RemoteProtocolError("two lengths of the body", error_status_hint=400)


async def _refuse_head(stream: trio.abc.Stream, status: int, limit: int, write_timeout: float) -> None:
    message = {
        431: f"a head has at most {limit} bytes and {MAX_HEAD_LINES} lines here",
        505: "this server speaks HTTP/1.1",
    }.get(status, "this is not a valid HTTP/1.1 request")
    await write(stream, plain_answer(status, "bad_request", message), write_timeout)
    await linger(stream)
