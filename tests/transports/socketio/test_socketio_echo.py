"""The test server that others' suites are run against."""

import socket

import pytest
import trio

from support import socketio_echo


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_echo_server_is_reached_by_either_address_of_this_machine(nursery: trio.Nursery) -> None:
    if not has_ipv6():
        pytest.skip("needs IPv6 on the loopback interface")
    ports: list[int] = []
    started = trio.Event()

    def note(port: int) -> None:
        ports.append(port)
        started.set()

    nursery.start_soon(socketio_echo.main, 0, note)
    await started.wait()
    for host in ("127.0.0.1", "::1"):
        async with await trio.open_tcp_stream(host, ports[0]) as stream:
            await stream.send_all(b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in await stream.receive_some()
