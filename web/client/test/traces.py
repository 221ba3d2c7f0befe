"""Frames and what the Python client's replica makes of them, as JSON lines on standard output.

    python traces.py walk STEPS SEED...    random walks of several people, as one of them sees it
    python traces.py transcripts           those of tests/transcripts, as each of their connections sees them

In a walk some changes never reach the replica, and some come twice: then it has to ask, or to know better. A trace
is `{"name", "steps": [{"frame" or "drop", "request?", "effect", "state"}]}`.
"""

import copy
import json
import random
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import trio
from trio.testing import MockClock

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
OUT, sys.stdout = sys.stdout, sys.stderr  # where the daemon's log goes

from chatd.client.replica import Conversation, Effect, Replica  # noqa: E402
from chatd.config import Config, Messages  # noqa: E402
from chatd.testing import seed_schedule  # noqa: E402
from chatd.testing.harness import Refused, Server, TestClient, daemon  # noqa: E402
from protocol.decode import BadRequest, Malformed, decode_frame, decode_request  # noqa: E402
from protocol.encode import encode_object  # noqa: E402
from protocol.frames import Error  # noqa: E402
from protocol.objects import Limits  # noqa: E402
from support import dialogue  # noqa: E402

PEOPLE = {"pat-1": "patient", "den-1": "dentist", "den-2": "dentist", "sta-1": "staff"}
ME = "pat-1"

Json = dict[str, Any]


def plain(value: Any) -> Any:
    """An object of the protocol as the wire has it, without what is null."""
    return json.loads(bytes(encode_object(value)))


def state_of(replica: Replica) -> Json:
    """All that a replica holds."""
    return {
        "user": replica.user and replica.user.id,
        "epoch": replica.epoch,
        "users": {id: plain(user) for id, user in replica.users.items()},
        "presence": {id: plain(state) for id, state in replica.presence.items()},
        "conversations": {id: held_of(held) for id, held in replica.conversations.items()},
    }


def held_of(held: Conversation) -> Json:
    """All that it holds of one conversation, and the status of each message."""
    return {
        "rev": held.rev,
        "low": held.low,
        "last_seq": held.last_seq,
        "info": plain(held.info),
        "membership": plain(held.membership),
        "participants": {id: plain(participant) for id, participant in held.participants.items()},
        "messages": {str(seq): plain(message) for seq, message in held.messages.items()},
        "status": {str(seq): held.status(message) for seq, message in held.messages.items()},
        "typing": sorted(held.typing),
    }


def effect_of(effect: Effect) -> Json:
    """The effect of a frame."""
    listed = {name: sorted(getattr(effect, name)) for name in ("restarted", "dropped", "sync", "get", "presence")}
    typing = sorted({conversation for conversation, _ in effect.typing})
    return listed | {"typing": typing, "messages": {id: sorted(taken) for id, taken in effect.messages.items()}}


class Trace:
    """A replica, and a note of each frame that it was given."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.steps: list[Json] = []

    def drop(self, conversation: str) -> None:
        """Forget a conversation that the server does not know (any more)."""
        effect = self.replica.drop(conversation)
        self.steps.append({"drop": conversation, "effect": effect_of(effect), "state": state_of(self.replica)})

    def apply(self, frame: Json, request: Json | None) -> Effect:
        """Apply a frame to the replica, with the request that it answers."""
        expected = {request["id"]: request["type"]} if request else {}
        decoded = decode_frame(json.dumps(frame), expected)
        asked = decode_request(json.dumps(request), Limits()) if request else None
        assert not isinstance(decoded, Error)
        effect = self.replica.apply(decoded, asked, now=trio.current_time())
        step = {"frame": frame, "effect": effect_of(effect), "state": state_of(self.replica)}
        self.steps.append(step | ({"request": request} if request else {}))
        return effect


class Observer:
    """One person's client: follows the walk through one connection at a time, and asks for what is missing."""

    def __init__(self, server: Server, rng: random.Random) -> None:
        self.server, self.rng, self.trace = server, rng, Trace()
        self.requests: dict[int, Json] = {}
        self.taken = 0
        self.changes: deque[Json] = deque(maxlen=10)  # of which some come again

    async def connect(self) -> None:
        self.client = await self.server.connect()
        self.requests, self.taken = {}, 0
        replica = self.trace.replica
        revs = {id: rev for id, rev in replica.revs().items() if self.rng.random() < 0.9}
        fields: Json = {"user": ME, "epoch": replica.epoch or "none", "revs": revs}
        if self.rng.random() < 0.05:
            fields["epoch"] = "another"
        await self.ask("hello", **fields)

    async def ask(self, type: str, **fields: Any) -> None:
        """Send a request, and take in all that comes until its answer."""
        try:
            id = await self.client.send(type, **fields)
            self.requests[id] = {"type": type, "id": id, **fields}
            await self.client.reply(id)
        except Refused:
            if type == "conversation.get":
                self.trace.drop(fields["conversation"])
        await self.take(lossy=False)

    async def take(self, *, lossy: bool) -> None:
        """Take in what came; `lossy`: some of the changes are lost."""
        wanted = Effect()
        while self.taken < len(self.client.received):
            frame = self.client.received[self.taken]
            self.taken += 1
            if frame["type"] == "error":
                continue
            if lossy and frame["type"] in ("change", "typing") and self.rng.random() < 0.1:
                continue
            self.apply(frame, wanted)
            if frame["type"] == "change":
                self.changes.append(frame)
                if self.rng.random() < 0.1:
                    self.apply(self.rng.choice(self.changes), wanted)
        await self.mend(wanted)

    def apply(self, frame: Json, wanted: Effect) -> None:
        effect = self.trace.apply(frame, self.requests.get(frame.get("re", -1)))
        wanted.sync |= effect.sync
        wanted.get = (wanted.get | effect.get) - effect.restarted

    async def mend(self, wanted: Effect) -> None:
        held = self.trace.replica.revs()
        revs = {id: held[id] for id in sorted(wanted.sync) if id in held}
        if revs:
            await self.ask("sync", epoch=self.trace.replica.epoch, revs=revs)
        for id in sorted(wanted.get):
            if id not in self.trace.replica.conversations:
                await self.ask("conversation.get", conversation=id)

    async def look(self) -> None:
        """Read on, ask for a page, or come back."""
        held = list(self.trace.replica.conversations.values())
        choice = self.rng.random()
        if choice < 0.25:
            await self.client.abort()
            await self.connect()
        elif choice < 0.7 and held:
            one = self.rng.choice(held)
            page: Json = {"conversation": one.id, "limit": self.rng.randint(1, 3)}
            how = self.rng.choice(["newest", "before", "before", "after"])
            if how == "before":
                page["before"] = one.low if self.rng.random() < 0.7 else self.rng.randint(1, one.last_seq + 2)
            elif how == "after":
                page["after"] = self.rng.randint(0, one.last_seq + 1)
            await self.ask("message.history", **page)
        elif choice < 0.8:
            await self.ask("conversation.list", limit=self.rng.randint(1, 3))
        elif choice < 0.9 and held:
            one = self.rng.choice(held)
            await self.ask("receipt", conversation=one.id, read=self.rng.randint(0, one.last_seq))
        else:
            await self.ask("presence.get", users=list(PEOPLE))


class Walk:
    """Several people do random things."""

    def __init__(self, server: Server, rng: random.Random) -> None:
        self.server, self.rng = server, rng
        self.peers: dict[str, TestClient] = {}
        self.last: dict[str, int] = {}
        self.sent = 0

    async def step(self) -> None:
        who = self.rng.choice(list(PEOPLE))
        if who not in self.peers:
            self.peers[who] = await self.server.connect(who, role=PEOPLE[who])
        peer = self.peers[who]
        if self.rng.random() < 0.05:
            await peer.abort()
            del self.peers[who]
            return
        try:
            type, fields = self.something()
            ok = await peer.ask(type, **fields)
            for message in ok.get("messages", ()):
                self.last[message["conversation"]] = max(self.last.get(message["conversation"], 0), message["seq"])
            if "info" in ok:
                self.last.setdefault(ok["info"]["id"], ok["info"]["last_seq"])
        except Refused:
            pass  # not everybody may do everything

    def something(self) -> tuple[str, Json]:
        rng = self.rng
        person = rng.choice(list(PEOPLE))
        if not self.last or rng.random() < 0.06:
            if rng.random() < 0.5:
                return "conversation.open", {"with": person}
            return "conversation.create", {"title": f"Group {rng.randint(1, 9)}", "members": [ME, person]}
        c = rng.choice(list(self.last))
        seq = rng.randint(max(1, self.last[c] - 6), max(1, self.last[c]))
        self.sent += 1
        send: tuple[str, Json] = (
            "message.send",
            {"conversation": c, "client_id": f"k-{self.sent}", "body": f"text {self.sent}"},
        )
        return rng.choice(
            [
                send,
                send,
                send,
                ("message.edit", {"conversation": c, "seq": seq, "body": f"edited {self.sent}"}),
                ("message.delete", {"conversation": c, "seq": seq}),
                ("message.react", {"conversation": c, "seq": seq, "emoji": "👍", "on": rng.random() < 0.7}),
                ("receipt", {"conversation": c, "read": seq}),
                ("receipt", {"conversation": c, "delivered": seq}),
                ("typing", {"conversation": c, "active": rng.random() < 0.7}),
                ("membership.set", {"conversation": c, "muted": rng.random() < 0.5}),
                ("membership.set", {"conversation": c, "archived": rng.random() < 0.5}),
                rng.choice(
                    [
                        ("conversation.leave", {"conversation": c}),
                        ("conversation.add", {"conversation": c, "user": person}),
                        ("conversation.add", {"conversation": c, "user": ME}),
                        ("conversation.remove", {"conversation": c, "user": person}),
                        ("conversation.update", {"conversation": c, "title": f"Title {self.sent}"}),
                    ]
                ),
            ]
        )


async def walk(seed: int, steps: int) -> Json:
    """A random walk as `ME` sees it."""
    rng = random.Random(seed)
    async with daemon(seed=seed) as server:
        others, observer = Walk(server, rng), Observer(server, rng)
        for who, role in PEOPLE.items():
            others.peers[who] = await server.connect(who, role=role)
        for _ in range(rng.randint(0, 60)):
            await others.step()
        await observer.connect()
        for _ in range(steps):
            await others.step()
            if rng.random() < 0.3:
                await observer.client.barrier()
                await observer.take(lossy=True)
            if rng.random() < 0.1:
                await observer.look()
        await observer.client.barrier()
        await observer.take(lossy=False)
    return {"name": f"seed {seed}", "steps": observer.trace.steps}


class Came(deque[Json]):
    """The frames that came to one connection of a dialogue; each goes to a trace as well."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = Trace()
        self.asked: dict[int | str, Json] = {}

    def append(self, frame: Json) -> None:
        request = self.asked.get(frame.get("re", ""))
        if frame["type"] != "error" and (frame["type"] != "ok" or request):
            self.trace.apply(copy.deepcopy(frame), request)  # the dialogue sorts its own
        super().append(frame)


class Heard(dialogue.Peer):
    """A connection of a dialogue whose frames are traced."""

    all: ClassVar[list[Came]] = []

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self.came = self.heard = Came()
        self.all.append(self.heard)

    async def say(self, text: str) -> None:
        with suppress(Malformed, BadRequest):  # it gets an error, which is no matter here
            decode_request(text, Limits())
            request = json.loads(text)
            if request.get("id") is not None:
                self.heard.asked[request["id"]] = request
        await super().say(text)


async def transcript(name: str) -> list[Json]:
    """Frames that each connection of a dialogue hears, and its replica after them."""
    Heard.all.clear()
    async with daemon(config=Config(messages=Messages(edit_within=1.0, delete_within=1.0))) as server:
        wrong = await dialogue.perform(server, dialogue.read(name), Heard)
    assert wrong is None, wrong
    return [{"name": f"{name}, connection {n}", "steps": came.trace.steps} for n, came in enumerate(Heard.all, 1)]


async def main(*args: str) -> None:
    """Write the traces that were asked for."""
    kind, *what = args
    for name in what[1:] if kind == "walk" else sorted(path.stem for path in dialogue.FOLDER.glob("*.txt")):
        seed_schedule(int(name) if kind == "walk" else 0)
        traces = [await walk(int(name), int(what[0]))] if kind == "walk" else await transcript(name)
        for trace in traces:
            OUT.buffer.write(msgspec.json.encode(trace) + b"\n")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:], clock=MockClock(autojump_threshold=0))
