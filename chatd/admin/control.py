"""The control socket: how a command asks the daemon that holds the store.

A Unix socket in the data folder, for the daemon's own user alone. One connection, one request: a line of JSON that
names a verb; the answer is a line of JSON, `{"ok": ...}` or `{"error": "for people"}`.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import trio

from storage.contract import Unavailable

from .catalogue import parse, written
from .verbs import Answer, Port, Verb, VerbFailed

log = structlog.get_logger("chatd.control")

SOCKET_NAME = "control.sock"
MAX_REQUEST_BYTES = 16 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Bytes of a line."""

REQUEST_TIMEOUT_S = 5.0
"""Seconds for the request to come, and for the answer to be taken."""

VERB_TIMEOUT_S = 30.0
"""Seconds that a verb may take: a busy disk."""

MAX_CONNECTIONS = 8
"""Connections served at the same time; others wait."""

MAX_ADDRESS_BYTES = 100
"""Bytes of a path that every system takes for a socket's address."""


class NoDaemon(Exception):
    """No daemon listens."""


class NoAnswer(Exception):
    """The daemon took the request, and then ended or hung: whether it was done is unknown."""


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's address, which is a short one however long the folder's path is."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) <= MAX_ADDRESS_BYTES:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


# -- the daemon's side --


class Control:
    """Listens in the data folder, whose lock the caller holds: what a killed daemon left there is replaced.

    Raises OSError.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / SOCKET_NAME
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(folder) as address:
                with suppress(FileNotFoundError):
                    os.unlink(address)
                self._socket.bind(address)
                os.chmod(address, 0o600)  # nobody can connect before it listens
                self._socket.listen(MAX_CONNECTIONS)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        with suppress(OSError):
            self._path.unlink()

    async def serve(self, port: Port) -> None:
        """Answer until cancelled."""
        listener = trio.socket.from_stdlib_socket(self._socket)
        free = trio.Semaphore(MAX_CONNECTIONS)
        async with trio.open_nursery() as nursery:
            while True:
                await free.acquire()
                try:
                    peer, _ = await listener.accept()
                except OSError as error:  # out of descriptors: the chat needs them more
                    log.warning("control socket", reason=str(error))
                    free.release()
                    await trio.sleep(1)
                    continue
                nursery.start_soon(_serve_one, peer, port, free)


async def _serve_one(peer: trio.socket.SocketType, port: Port, free: trio.Semaphore) -> None:
    try:
        async with trio.SocketStream(peer) as stream:
            answer = await _answer(peer, stream, port)
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                await stream.send_all(json.dumps(answer).encode() + b"\n")
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the asker is gone
    except Exception:
        log.exception("control connection failed")
    finally:
        free.release()


async def _answer(peer: trio.socket.SocketType, stream: trio.SocketStream, port: Port) -> Answer:
    if not _is_ours(peer):
        log.warning("control socket: refused another user's process")
        return {"error": "the daemon belongs to another user: run this as that user"}
    line = None
    with trio.move_on_after(REQUEST_TIMEOUT_S):
        line = await _line(stream)
    if line is None:
        return {"error": f"a request has at most {MAX_REQUEST_BYTES} bytes, and ends with its line"}
    return await _run(line, port)


async def _line(stream: trio.SocketStream) -> bytes | None:
    received = b""
    while b"\n" not in received:
        data = await stream.receive_some(4096)
        received += data
        if not data or len(received) > MAX_REQUEST_BYTES:
            return None
    return received.partition(b"\n")[0]


async def _run(line: bytes, port: Port) -> Answer:
    name = "?"
    try:
        verb = parse(_json(line))
        name = verb.NAME
        with trio.fail_after(VERB_TIMEOUT_S):
            done = await verb.run(port)
    except VerbFailed as error:
        return {"error": str(error)}
    except Unavailable as error:
        return {"error": f"the store can't answer now: {error}; try again"}
    except trio.TooSlowError:
        return {"error": "the store takes too long; whether it was done is unknown: look before you ask again"}
    except Exception:
        log.exception("operator's request failed", verb=name)
        return {"error": "something went wrong in the daemon; its log says what"}
    if name not in ("user.list", "token.list"):
        log.info("operator", verb=name, user=getattr(verb, "user", None))
    return {"ok": done}


def _json(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_ours(peer: trio.socket.SocketType) -> bool:
    """Return True if the other end runs as our user, or root; where the system doesn't tell, the file's mode counts."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _, uid, _ = struct.unpack("iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in (0, os.geteuid())


# -- the command's side --


def ask(folder: Path, verb: Verb) -> Answer:
    """Ask the daemon that holds this data folder. Raises NoDaemon, NoAnswer, VerbFailed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(VERB_TIMEOUT_S + 2 * REQUEST_TIMEOUT_S)
        try:
            with _address(folder) as address:
                connection.connect(address)
        except PermissionError:
            raise VerbFailed(f"the daemon of {folder} belongs to another user: run this as that user") from None
        except OSError:
            raise NoDaemon from None
        try:
            connection.sendall(json.dumps(written(verb)).encode() + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline(MAX_ANSWER_BYTES)
        except OSError:
            raise NoAnswer from None
    if not line.endswith(b"\n"):
        raise NoAnswer
    answer: Answer = json.loads(line)
    if "error" in answer:
        raise VerbFailed(answer["error"])
    done: Answer = answer["ok"]
    return done
