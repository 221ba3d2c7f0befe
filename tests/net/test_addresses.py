"""Limits by address, by themselves and at the daemon."""

import json
import socket
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd import testing
from chatd.config import Config, Limits
from chatd.config import Server as ServerSettings
from chatd.net.addresses import Addresses, source_of
from chatd.net.listen import listen
from chatd.net.server import NetServer
from support.served import UPGRADE, Client, calling


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_source_is_the_address_or_the_network_of_ipv6(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) == same


def test_connections_of_an_address_are_counted_until_they_leave() -> None:
    addresses = Addresses(connections=2, rate=None, burst=0, clock=lambda: 0.0)
    assert [addresses.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert addresses.enter("192.0.2.2")
    addresses.leave("192.0.2.1")
    assert addresses.enter("192.0.2.1")
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        addresses.leave(address)
    assert not addresses._open  # nothing is kept of those who left


def test_new_connections_of_an_address_have_a_rate_apart_from_its_requests() -> None:
    now = 0.0
    addresses = Addresses(connections=100, rate=1.0, burst=2, clock=lambda: now)
    assert [addresses.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [addresses.wait("192.0.2.1") for _ in range(3)] == [0, 0, 1]
    assert addresses.enter("192.0.2.2")
    now = 1.0
    assert [addresses.enter("192.0.2.1") for _ in range(2)] == [True, False]


def client(daemon: testing.Server, address: str) -> AbstractAsyncContextManager[Client]:
    """A connection that comes from this address."""
    return calling(daemon, (address, 5000))


def strict(**limits: Any) -> Any:
    proxies = ServerSettings(trusted_proxies=("10.0.0.1",))
    return testing.daemon(development=False, config=Config(server=proxies, limits=Limits(**limits)))


async def test_requests_over_the_rate_of_an_address_are_429(autojump_clock: MockClock) -> None:
    async with (
        strict(address_requests_per_second=2.0, address_request_burst=3) as daemon,
        client(daemon, "192.0.2.1") as one,
        client(daemon, "192.0.2.1") as same,
        client(daemon, "192.0.2.2") as other,
    ):
        assert [(await one.ask("GET", "/healthz")).status for _ in range(3)] == [200, 200, 200]
        answer = await same.ask("GET", "/healthz")
        assert answer.status == 429
        assert json.loads(answer.body)["code"] == "rate_limited"
        assert answer.headers["retry-after"] == "1"
        assert trio.current_time() >= 0.5  # whoever goes on at once gains nothing
        assert (await other.ask("GET", "/healthz")).status == 200
        await trio.sleep(1)
        assert (await same.ask("GET", "/healthz")).status == 200


async def test_handshakes_count_to_the_rate_of_an_address(autojump_clock: MockClock) -> None:
    upgrade = UPGRADE.replace(b"Host: clinic", b"Host: localhost")
    async with strict(address_requests_per_second=1.0, address_request_burst=1) as daemon:
        async with client(daemon, "192.0.2.1") as one:
            await one.send(upgrade)
            assert (await one.stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        async with client(daemon, "192.0.2.1") as one:
            await one.send(upgrade)
            answer = await one.answer()
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")


async def test_whom_a_trusted_proxy_speaks_for_has_the_limit_and_not_the_proxy(autojump_clock: MockClock) -> None:
    async with strict(address_requests_per_second=1.0, address_request_burst=1) as daemon:
        async with client(daemon, "10.0.0.1") as proxy:
            for number in range(5):
                assert (await proxy.ask("GET", "/healthz", b"", X_Forwarded_For=f"192.0.2.{number}")).status == 200
            assert (await proxy.ask("GET", "/healthz", b"", X_Forwarded_For="192.0.2.1, 192.0.2.4")).status == 429
        async with client(daemon, "198.51.100.1") as liar:  # no trusted proxy: what it says counts for nothing
            assert (await liar.ask("GET", "/healthz", b"", X_Forwarded_For="192.0.2.77")).status == 200
            assert (await liar.ask("GET", "/healthz", b"", X_Forwarded_For="192.0.2.78")).status == 429


async def test_clinic_of_sixty_behind_one_address_opens_its_pages_at_once(autojump_clock: MockClock) -> None:
    """Sixty people who load the page (15 requests each) within the same moment, and then ask once a second."""
    async with strict() as daemon, client(daemon, "192.0.2.1") as one:
        for _ in range(60 * 15):
            assert (await one.ask("GET", "/healthz")).status == 200
        for _ in range(10):
            await trio.sleep(1)
            for _ in range(60):
                assert (await one.ask("GET", "/healthz")).status == 200


async def accepting(
    server: NetServer,
    listener: socket.socket,
    connections: trio.Nursery,
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    """Accept until the scope that this is started with is cancelled."""
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await server.accept([listener], connections)


@pytest.mark.parametrize(("trusted", "last"), [((), b"503"), (("127.0.0.1",), b"200")], ids=["people", "a proxy"])
async def test_connections_of_an_address_beyond_the_limit_are_turned_away(
    trusted: tuple[str, ...], last: bytes
) -> None:
    config = Config(server=ServerSettings(trusted_proxies=trusted), limits=Limits(connections_per_address=3))
    [listener] = listen("127.0.0.1", 0)
    async with testing.daemon(development=False, config=config) as daemon:
        server = daemon.daemon.server

        async def status() -> tuple[bytes, trio.SocketStream]:
            stream = await trio.open_tcp_stream("127.0.0.1", listener.getsockname()[1])
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return bytes(await stream.receive_some())[9:12], stream

        for _ in range(2):  # those who left make room
            async with trio.open_nursery() as connections:
                with trio.fail_after(10):
                    scope = await connections.start(accepting, server, listener, connections)
                    found = [await status() for _ in range(4)]
                    assert [code for code, _ in found] == [b"200", b"200", b"200", last]
                for _, stream in found:
                    await stream.aclose()
                scope.cancel()
            assert server.open == 0
    listener.close()
