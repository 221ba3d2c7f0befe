"""The floods. Each goes on until its process is killed, and stands whatever the daemon does to it."""

import json
import random
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

import attrs

from chatd.client.raw import CONTINUATION, FIN, PING, TEXT, UPGRADE, cheap_frame

from .wire import Chatter, dial, somewhere, upgraded


@attrs.frozen
class AttackTarget:
    """The daemon's port, and the tokens of users who may be attackers."""

    port: int
    tokens: list[str]


Flood = Callable[[AttackTarget], None]

HELD_CONNECTIONS = 400
"""Connections that one flood keeps open."""
RNG = random.Random(13)


def connects(target: AttackTarget) -> None:
    """Connects as fast as one core makes them, each closed at once."""
    for _ in _again():
        dial(target.port, somewhere(RNG)).close()


def connects_held(target: AttackTarget) -> None:
    """Connects beyond the limit of the daemon, all held open and silent."""
    held = []
    for number in _again():
        held.append(dial(target.port, somewhere(RNG)))
        if number % 3000 == 2999:
            held.clear()


def heads(target: AttackTarget) -> None:
    """Requests whose head is 32 KiB, in small pieces, on hundreds of connections."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 40) for n in range(700))
    _pour(target, b"", [head[start : start + 100] for start in range(0, len(head), 100)])


def gets(target: AttackTarget) -> None:
    """GETs of the page and the API, one after the other on hundreds of connections that are kept alive."""
    paths = ("/", "/healthz", "/v1/me", "/v1/conversations", "/v1/openapi.json", "/nowhere")
    _pour(target, b"", [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths] * 100)


def slowloris(target: AttackTarget) -> None:
    """Requests of the API that come byte by byte, head and body, on hundreds of connections."""
    head = b"POST /v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000
    _pour(target, b"", [whole[at : at + 1] for at in range(len(whole))])


def fragments(target: AttackTarget) -> None:
    """Fragments of one byte before `hello`, on hundreds of connections."""
    _pour(target, UPGRADE, [cheap_frame(b"x", TEXT), *[cheap_frame(b"x", CONTINUATION) * 100] * 800])


def half_frames(target: AttackTarget) -> None:
    """Frames before `hello` that lack their last byte, on hundreds of connections."""
    half = cheap_frame(b'"' + b"x" * 90_000)[:-1]
    _pour(target, UPGRADE, [half[start : start + 16_384] for start in range(0, len(half), 16_384)], hold=True)


def pings(target: AttackTarget) -> None:
    """Empty pings on four connections, made anew when they are closed."""
    _pour(target, UPGRADE, [cheap_frame(b"", FIN | PING) * 2000] * 10_000, connections=4)


def brackets(target: AttackTarget) -> None:
    """Frames of nested brackets before `hello`, as large as they may be."""
    flat = b'{"type":"ping","x":[' + (b"[" * 28 + b"]" * 28 + b",") * 1700 + b"0]}"
    _pour(target, UPGRADE, [cheap_frame(flat)] * 20, connections=8)


def wrong_tokens(target: AttackTarget) -> None:
    """Wrong tokens, from one address, as fast as they are refused."""
    wrong = target.tokens[0][:-4] + "AAAA"
    hello = cheap_frame(json.dumps({"type": "hello", "id": 1, "token": wrong}).encode())
    for _ in _again():
        with upgraded(target.port, "127.9.9.9") as connected:
            connected.sendall(hello)
            connected.recv(4096)


def passwords(target: AttackTarget) -> None:
    """100 guesses of passwords a second, from many addresses, for users known and unknown."""
    began = time.monotonic()
    open_ones: list[socket.socket] = []
    for number in _again():
        time.sleep(max(0.0, began + number / 100 - time.monotonic()))
        body = json.dumps({"user": f"pat-{number % 7}", "password": f"guess-{number:09}"}).encode()
        connected = dial(target.port, somewhere(RNG))
        connected.sendall(
            b"POST /v1/sign-in HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (target.port, target.port, len(body), body)
        )
        open_ones.append(connected)
        if len(open_ones) > HELD_CONNECTIONS:
            open_ones.pop(0).close()


def searches(target: AttackTarget) -> None:
    """Searches that find sixty messages of the worst letters there are, by one user on ten connections."""
    _ask_on_and_on(target, target.tokens[:1] * 10, [{"type": "message.search", "query": "needle", "limit": 200}])


def requests(target: AttackTarget) -> None:
    """Every request that reads, with its largest input, by eight users as fast as their rate allows."""
    revs = {f"{n:0100}": 7 for n in range(500)}
    walk: list[dict[str, object]] = [
        {"type": "conversation.list", "limit": 200},
        {"type": "message.history", "conversation": "worst", "limit": 200},
        {"type": "conversation.get", "conversation": "worst"},
        {"type": "sync", "epoch": "nowhere", "revs": revs},
        {"type": "user.list", "query": "a", "limit": 200},
        {"type": "presence.get", "users": [f"pat-{n}" for n in range(200)]},
        {"type": "message.search", "query": " ".join("abcdefghij" * 9), "limit": 200},
        {"type": "message.send", "conversation": "worst", "client_id": "same", "body": "\ufdfa" * 10_000},
        {"type": "nonsense", "x": [[[[[[[[]]]]]]]] * 20},
        {"type": "ping", "x": "\\" * 250_000},
    ]
    _ask_on_and_on(target, target.tokens[:8], walk)


def _ask_on_and_on(target: AttackTarget, tokens: list[str], walk: list[dict[str, object]]) -> None:
    """Ask each request on each connection, without waiting for answers."""
    frames = [cheap_frame(json.dumps({"id": number, **request}).encode()) for number, request in enumerate(walk)]
    people: list[Chatter] = []
    for number in _again():
        while len(people) < len(tokens):
            people.append(Chatter(target.port, tokens[len(people)], somewhere(RNG)))
        time.sleep(0.05 / len(people))
        person = people.pop(0)
        person.poke(frames[number // len(tokens) % len(frames)])
        people.append(person)


def _pour(
    target: AttackTarget, first: bytes, pieces: list[bytes], *, connections: int = HELD_CONNECTIONS, hold: bool = False
) -> None:
    """Send the pieces on so many connections at a time, one piece each in turn; begin anew where one is over."""
    with selectors.DefaultSelector() as selector:
        live = 0
        for _ in _again():
            while live < connections:
                connected = dial(target.port, somewhere(RNG))
                connected.sendall(first)
                connected.setblocking(False)
                selector.register(connected, selectors.EVENT_WRITE, iter(pieces))
                live += 1
            for key, _ready in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    with suppress(BlockingIOError):
                        while key.fileobj.recv(65_536):
                            pass
                        raise ConnectionResetError
                    piece = next(key.data, None)
                    if piece is not None:
                        key.fileobj.send(piece)
                        continue
                    if hold:
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                selector.unregister(key.fileobj)
                key.fileobj.close()
                live -= 1


def _again() -> Iterator[int]:
    """Count for ever; the body may fail in whatever way a socket does."""
    yield from count()


FLOODS: dict[str, Flood] = {
    flood.__name__.replace("_", " "): flood
    for flood in (
        *(connects, connects_held, heads, gets, slowloris, fragments, half_frames, pings, brackets),
        *(wrong_tokens, passwords, searches, requests),
    )
}


def run(name: str, target: AttackTarget) -> None:
    """Begin the flood anew whenever it fails; ends with its process."""
    while True:
        with suppress(OSError):
            FLOODS[name](target)
        time.sleep(0.01)
