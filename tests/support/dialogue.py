"""Dialogues of several connections with the daemon, written down, and played against it. One line says one thing:

    # a comment
    include two in a conversation     the lines of another file come here
    ada > {"type": "ping", "id": 1}   ada's connection (made on first use) sends this; the rest of the line, as it is
    ada < {"type": "ok", "re": 1}     the next frame that ada gets has at least these fields
    ada <= {"type": "ok", "re": 1}    it has exactly these (those that are null count as absent)
    ada < nothing                     no frame is left, and none comes without any time passing
    ada signs in as pat-1, patient    `hello`, and its `ok`; more fields of `hello` may follow, as JSON
    wait 6s                           virtual time passes
    ada disconnects                   without a word
    ada is closed with 4010           the server closes, with this code

In what is expected, `"..."` stands for any value, `"absent"` for none (or null), a last `"..."` in a list for any
further items, and `"$name"` for any value the first time and for the same one ever after; what is sent may use it too.
The people of a conversation have no order: in what came, `participants` and their `users` are sorted by id.
Every frame has to be written down: one that nobody expected fails the next line that is about its connection.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from chatd.client.line import LineEnded
from chatd.client.target import ServerAddress
from chatd.client.websocket import WebSocketLine
from chatd.testing.harness import Server
from protocol.decode import decode_frame
from protocol.types import is_id

FOLDER = Path(__file__).parents[1] / "transcripts"

ANY, ABSENT = "...", "absent"

_LINE = re.compile(r"(?P<who>\w+) (?P<verb>>|<=|<|signs in as|disconnects|is closed with)(?: (?P<what>.*))?")
_WAIT = re.compile(r"wait ([\d.]+)s")
_NAME = re.compile(r'"(\$\w+)"')


class Mismatch(AssertionError):
    """The daemon didn't keep to what is written."""


@attrs.frozen
class Line:
    """A line and where it is written."""

    text: str
    where: str


def read(name: str) -> list[Line]:
    """The lines of the file `name`, those that it includes among them."""
    lines: list[Line] = []
    for number, text in enumerate((FOLDER / f"{name}.txt").read_text().splitlines(), 1):
        if text.startswith("include "):
            lines += read(text.removeprefix("include "))
        elif text and not text.startswith("#"):
            lines.append(Line(text, f"{name}.txt:{number}"))
    return lines


class Peer:
    """One connection over a WebSocket: the frames that came and that no line has been about yet."""

    def __init__(self, server: Server) -> None:
        self.came: deque[dict[str, Any]] = deque()
        self.code: int | None = None
        self._server = server
        self._asked: dict[int | str, str] = {}

    def expects(self, hello: dict[str, Any]) -> None:
        """Learn, before it runs, what its `hello` will be; for those that sign in earlier."""

    def take(self, text: str) -> None:
        """Keep a frame, which has to keep to the schema."""
        decode_frame(text, self._asked)
        self.came.append(json.loads(text))

    def note(self, text: str) -> None:
        """Remember what is asked, whose reply has to keep to the schema."""
        try:
            request = json.loads(text)
            self._asked[request["id"]] = request["type"]
        except (ValueError, LookupError, TypeError):
            pass  # the daemon has to cope with it

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Read until the connection ends."""
        self._stream = self._server.dial()
        async with trio.open_nursery() as nursery:
            self._line = await WebSocketLine.over(self._stream, ServerAddress.of("http://localhost"), nursery)
            task_status.started()
            try:
                while True:
                    self.take(await self._line.receive())
            except LineEnded as ended:
                self.code = ended.code

    async def say(self, text: str) -> None:
        """Send a text frame."""
        self.note(text)
        await self._line.send(text)

    async def vanish(self) -> None:
        """As when a cable is pulled."""
        await trio.aclose_forcefully(self._stream)


class Stage:
    """Plays the lines of one dialogue."""

    def __init__(self, server: Server, nursery: trio.Nursery, make_peer: type[Peer]) -> None:
        self._server = server
        self._nursery = nursery
        self._make_peer = make_peer
        self._peers: dict[str, Peer] = {}
        self._known: dict[str, Any] = {}

    async def play(self, lines: list[Line]) -> str | None:
        """Return what the daemon did otherwise than it is written, and where, or None."""
        self._lines = lines
        for line in lines:
            try:
                await self._play(line.text)
            except Mismatch as wrong:
                return f"{line.where}: {line.text}\n{wrong}"
        await wait_all_tasks_blocked()
        left = (f"at the end {name} has {_shown(peer.came)}" for name, peer in self._peers.items() if peer.came)
        return next(left, None)

    async def vanish(self) -> None:
        """All connections disconnect."""
        for peer in self._peers.values():
            await peer.vanish()

    async def _play(self, text: str) -> None:
        if wait := _WAIT.fullmatch(text):
            await trio.sleep(float(wait[1]))
            return
        line = _LINE.fullmatch(text)
        if line is None:
            raise Mismatch("not a line of a dialogue")
        peer = await self._peer(line["who"])
        match line["verb"]:
            case ">":
                await peer.say(_NAME.sub(lambda name: json.dumps(self._known[name[1]]), line["what"]))
            case "<" | "<=":
                await self._expect(peer, line["what"], exactly=line["verb"] == "<=")
            case "signs in as":
                await self._sign_in(peer, line["what"])
            case "disconnects":
                await peer.vanish()
            case _:
                await wait_all_tasks_blocked()
                self._require_silence(peer)
                if peer.code != int(line["what"]):
                    raise Mismatch(f"it is {'open' if peer.code is None else f'closed with {peer.code}'}")

    async def _peer(self, name: str) -> Peer:
        if name not in self._peers:
            peer = self._peers[name] = self._make_peer(self._server)
            for hello in _hellos(self._lines, name):
                peer.expects(hello)
                break
            await self._nursery.start(peer.run)
        return self._peers[name]

    async def _sign_in(self, peer: Peer, what: str) -> None:
        hello = _hello_of(what)
        await peer.say(json.dumps(hello))
        await self._expect(peer, json.dumps({"type": "ok", "re": 0, "user": {"id": hello["user"]}}), exactly=False)

    async def _expect(self, peer: Peer, what: str, *, exactly: bool) -> None:
        await wait_all_tasks_blocked()
        if what == "nothing":
            self._require_silence(peer)
            return
        if not peer.came:
            raise Mismatch("nothing came" if peer.code is None else f"nothing came but the end, {peer.code}")
        frame = _sorted(peer.came.popleft())
        wrong = self._differs(frame, json.loads(what), "", exactly=exactly)
        if wrong:
            raise Mismatch(f"came: {json.dumps(frame)}\n{wrong}\nthen: {_shown(peer.came)}")

    def _require_silence(self, peer: Peer) -> None:
        if peer.came:
            raise Mismatch(f"came: {_shown(peer.came)}")

    def _differs(self, got: Any, wanted: Any, path: str, *, exactly: bool) -> str | None:
        """Where and how `got` isn't what is wanted, or None."""
        if wanted == ANY:
            return None if got is not None else f"{path}: absent"
        if isinstance(wanted, str) and wanted.startswith("$"):
            wanted = self._known.setdefault(wanted, got)
        if isinstance(wanted, dict) and isinstance(got, dict):
            wanted = {self._known.get(key, key): value for key, value in wanted.items()}
            held = {key: value for key, value in got.items() if value is not None}
            if exactly and (more := held.keys() - wanted.keys()):
                return f"{path}: it has {', '.join(sorted(more))}, too"
            for key, value in wanted.items():
                if value == ABSENT:
                    wrong = f"{path}.{key}: it is there" if key in held else None
                else:
                    wrong = self._differs(held.get(key), value, f"{path}.{key}", exactly=exactly)
                if wrong:
                    return wrong
            return None
        if isinstance(wanted, list) and isinstance(got, list):
            open_ended = wanted[-1:] == [ANY]
            wanted = wanted[:-1] if open_ended else wanted
            if len(got) < len(wanted) or (len(got) > len(wanted) and not open_ended):
                return f"{path}: {len(got)} items, not {len(wanted)}"
            for index, (item, expected) in enumerate(zip(got, wanted, strict=False)):
                if wrong := self._differs(item, expected, f"{path}[{index}]", exactly=exactly):
                    return wrong
            return None
        same = got == wanted and isinstance(got, bool) == isinstance(wanted, bool)
        return None if same else f"{path}: {got!r}, not {wanted!r}"


def _hello_of(what: str) -> dict[str, Any]:
    """The `hello` of a line that somebody signs in."""
    who, _, more = what.partition(" {")
    user, role = who.split(", ")
    return {"type": "hello", "id": 0, "user": user, "role": role, **(json.loads("{" + more) if more else {})}


def _hellos(lines: list[Line], name: str) -> Iterator[dict[str, Any]]:
    """The `hello`s that a connection says, as far as they name a user."""
    for text in (line.text for line in lines):
        line = _LINE.fullmatch(text)
        if line is None or line["who"] != name:
            continue
        if line["verb"] == "signs in as":
            yield _hello_of(line["what"])
        elif line["verb"] == ">" and '"hello"' in line["what"]:
            with suppress(ValueError):
                said = json.loads(line["what"])
                if is_id(said.get("user", "")):
                    yield said


def _sorted(frame: dict[str, Any]) -> dict[str, Any]:
    """The frame, with those lists sorted whose order says nothing."""
    if frame.get("participants"):
        frame["participants"].sort(key=lambda participant: participant["user"])
    if frame.get("users") and ("participants" in frame or "conversations" in frame):
        frame["users"].sort(key=lambda user: user["id"])
    for summary in frame.get("conversations") or ():
        _sorted(summary)
    return frame


def _shown(frames: deque[dict[str, Any]]) -> str:
    return "\n  ".join(map(json.dumps, frames)) or "nothing"


async def perform(server: Server, lines: list[Line], make_peer: type[Peer] = Peer) -> str | None:
    """Play a dialogue, after which every connection vanishes. Returns what the daemon did wrong, or None."""
    async with trio.open_nursery() as nursery:
        stage = Stage(server, nursery, make_peer)
        wrong = await stage.play(lines)
        await stage.vanish()
    return wrong
