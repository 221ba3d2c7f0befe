"""A daemon that starts before its database server, as after a reboot."""

import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pymysql
import pytest
import trio

from chatd import config
from chatd.client.raw import UPGRADE
from chatd.config import Config
from chatd.ops import serve
from chatd.ops.lock import Lock
from storage.contract import StoreError, StoreUnreachable
from storage.mysql.errors import is_unreachable
from storage.mysql.store import MysqlStore
from support import mariadb
from support.ports import free_port
from support.process import LOG, Daemon, eventually, started
from support.wsclient import connected

UNIT = Path(__file__).parents[2] / "deploy" / "chatd.service"


@asynccontextmanager
async def booted(folder: Path, url: str, port: int) -> AsyncIterator[Daemon]:
    """A daemon that may not have said yet that it listens."""
    async with started(folder, "--database", url, port=port) as process:
        yield Daemon(process, "127.0.0.1", port, 0, folder / LOG)


async def forward(stream: trio.SocketStream, to: int) -> None:
    """Be the database server that came up."""

    async def copy(source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for data in source:
                await target.send_all(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    async with await trio.open_tcp_stream("127.0.0.1", to) as server, trio.open_nursery() as nursery:
        nursery.start_soon(copy, stream, server, nursery.cancel_scope)
        nursery.start_soon(copy, server, stream, nursery.cancel_scope)


def moved(url: str, port: int) -> tuple[str, int]:
    """The address with another port, and the port that it had."""
    found = re.search(r"@([\w.]+):(\d+)/", url)
    assert found is not None
    return url.replace(found[0], f"@127.0.0.1:{port}/"), int(found[2])


async def waits(daemon: Daemon) -> bool:
    try:
        status, body = await daemon.get("/readyz")
    except OSError:
        return False
    assert (status, body["status"]) == (503, "unavailable")
    assert "the database server cannot be reached" in body["reason"]
    return True


async def test_server_that_comes_up_later_is_waited_for_then_served(tmp_path: Path) -> None:
    server = mariadb.server()
    database, port = free_port(), free_port()
    url, real = moved(server.url(server.database()), database)
    async with booted(tmp_path, url, port) as daemon, trio.open_nursery() as nursery:
        await eventually(lambda: waits(daemon), within=30)
        assert await daemon.get("/healthz") == (200, {"status": "ok"})
        assert (await daemon.get("/v1/me"))[1] == {"code": "unavailable", "message": "not ready yet", "temporary": True}
        async with await daemon.dial() as stream:
            await stream.send_all(UPGRADE)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 503 ")
        await nursery.start(trio.serve_tcp, lambda stream: forward(stream, real), database)
        with trio.fail_after(30):
            assert (await daemon.line()).startswith("listening on ")
        assert await daemon.is_ready()
        async with connected(daemon, "ada", role="patient"), connected(daemon, "bo") as bo:
            assert await bo.open("ada")
        assert await daemon.stop() == 0
        nursery.cancel_scope.cancel()
    assert daemon.log.count("waiting for the database") == 1


async def test_daemon_that_waits_ends_at_a_signal(tmp_path: Path) -> None:
    url, _ = moved(mariadb.server().url("chat"), free_port())
    async with booted(tmp_path, url, free_port()) as daemon:
        await eventually(lambda: waits(daemon), within=30)
        assert await daemon.stop() == 0


async def test_server_that_comes_up_and_refuses_the_password_ends_it_with_a_line(tmp_path: Path) -> None:
    server = mariadb.server()
    database = free_port()
    url, real = moved(server.url(server.database()).replace("://chatd:", "://chatd:x"), database)
    async with booted(tmp_path, url, free_port()) as daemon, trio.open_nursery() as nursery:
        await eventually(lambda: waits(daemon), within=30)
        await nursery.start(trio.serve_tcp, lambda stream: forward(stream, real), database)
        with trio.fail_after(30):
            assert await daemon.process.wait() == 2
        nursery.cancel_scope.cancel()
    assert "the database server refuses this user and password" in daemon.log.splitlines()[-1]


@pytest.mark.parametrize(
    "make_url",
    [lambda: f"mysql://u:p@127.0.0.1:{free_port()}/d", lambda: "mysql://u:p@no-such-host.invalid/d"],
    ids=["nothing listens", "no such host"],
)
def test_server_that_is_not_there_is_unreachable(make_url: Callable[[], str]) -> None:
    with pytest.raises(StoreUnreachable):
        MysqlStore(make_url(), new_epoch=lambda: "new")


@pytest.mark.parametrize(
    ("cause", "unreachable"),
    [
        (FileNotFoundError(2, "No such file or directory"), True),
        (ConnectionRefusedError(111, "Connection refused"), True),
        (ssl.SSLCertVerificationError("self-signed certificate"), False),
    ],
)
def test_connection_that_failed_is_unreachable_unless_encryption_did(cause: OSError, unreachable: bool) -> None:
    error = pymysql.err.OperationalError(2003, "Can't connect")
    error.original_exception = cause  # type: ignore[attr-defined]
    assert is_unreachable(error) == unreachable


@pytest.mark.parametrize("part", ["://chatd:x", "/no_such_database"])
def test_server_that_refuses_is_not_unreachable(part: str) -> None:
    server = mariadb.server()
    url = server.url(server.database())
    wrong = url.replace("://chatd:", part) if part.startswith(":") else url.rpartition("/")[0] + part
    with pytest.raises(StoreError) as error:
        MysqlStore(wrong, new_epoch=lambda: "new")
    assert not isinstance(error.value, StoreUnreachable)


def test_unit_starts_after_database_servers() -> None:
    (after,) = re.findall(r"^After=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    assert {"mysql.service", "mysqld.service", "mariadb.service"} <= set(after.split())


def data_in(folder: Path) -> Config:
    return attrs.evolve(Config(), server=config.Server(data=str(folder / "data")))


def test_folder_that_a_daemon_holds_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, pauses = Lock(tmp_path / "data", None, daemon=True), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            held.close()

    monkeypatch.setattr(time, "sleep", sleep)
    serve._lock(data_in(tmp_path)).close()
    assert len(pauses) == 3


def test_folder_that_a_daemon_keeps_is_named_after_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    held = Lock(tmp_path / "data", None, daemon=True)
    with pytest.raises(serve.CannotServe, match="a chatd that runs already"):
        serve._lock(data_in(tmp_path))
    held.close()
    assert 5 <= now < 6
