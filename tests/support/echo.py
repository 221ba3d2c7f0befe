"""An echo server on one of the engines, for programs that check WebSocket conformance. Prints its port."""

import socket
import sys

import trio
from starlette.responses import Response

from chatd.core.errors import Closing
from chatd.core.outbox import Cork, Outbox
from chatd.daemon import ENGINES
from chatd.net import front
from chatd.net.head import Head
from chatd.net.inbound import Inbound
from chatd.net.unfinished import Unfinished, UnfinishedBudget
from chatd.net.writers import SocketTransport
from chatd.transports.websocket.engine import PeerLeft
from chatd.transports.websocket.framing import text_frame

MAX_MESSAGE = 64 * 1024 * 1024


async def echo(name: str, sock: socket.socket) -> None:
    """Serve one connection."""
    raw = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    async def on_websocket(head: Head, replay: bytes, _stream: trio.abc.Stream) -> None:
        outbox = Outbox(SocketTransport(sock), Cork(), limit=MAX_MESSAGE, stalled=10, on_cut=lambda reason: None)
        inbound = Inbound(raw, sock, replay, flood=MAX_MESSAGE, unfinished=Unfinished(UnfinishedBudget(MAX_MESSAGE)))
        engine = ENGINES[name](head, inbound, outbox, max_message=MAX_MESSAGE, subprotocol="none")

        def send_back(message: str | bytes) -> bool:
            data = text_frame(message.encode() if isinstance(message, str) else message)
            outbox.push(data if isinstance(message, str) else b"\x82" + data[1:], counts=False)
            return True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.run)
            if await engine.shake_hands(nursery):
                try:
                    await engine.receive(send_back)
                except PeerLeft:
                    pass
                except Closing as closing:
                    with trio.move_on_after(1):
                        await engine.say_goodbye(closing.code, closing.reason)
            with trio.move_on_after(1):
                await outbox.drained()
            nursery.cancel_scope.cancel()

    try:
        await front.serve(raw, Response(status_code=404), on_websocket, accepting=lambda: True)
    except* Exception:
        pass  # a peer that breaks the protocol ends its own connection only
    finally:
        await trio.aclose_forcefully(raw)


async def main(name: str) -> None:
    """Accept until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            sock, _ = listener.accept()
            sock.setblocking(False)
            nursery.start_soon(echo, name, sock)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
