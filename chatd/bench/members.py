"""Connections of a load that speak chatd's protocol, and the conversations that they load."""

import functools
import json
import os
from collections.abc import Callable
from typing import Any

import msgspec

from chatd.client.raw import cheap_frame

from .figures import Workload
from .ledger import Ledger
from .load import FIRST_NUMBER, Load, LoadPeer
from .peer import PeerLost, SocketAddress, Wires, connect

WEBSOCKET_PATH = "/ws"
SAMPLE_TEXT = "The temporary filling came out this morning. It doesn't hurt, but can it wait until Thursday?! "

RETRY_PAUSE_S = 0.1
"""Seconds before a message that was refused for now is sent again, unless the server says when."""

REMEMBERED_FROM_MEMBERS = 8
"""Members of a conversation from which on the same event comes so often that it is worth remembering what it said."""

NOT_CHATD = "the server doesn't speak chatd's protocol"

Greeting = Callable[[str], dict[str, Any]]
"""The fields by which a user, named by id, says hello."""


class NotInDevelopment(PeerLost):
    """The server is not in development mode."""


def by_name(user: str) -> dict[str, Any]:
    """Return the greeting of a user in development mode: by name."""
    return {"user": user, "role": "staff"}


class ToldMessage(msgspec.Struct, gc=False):
    """Fields of a message that the load reads."""

    seq: int
    client_id: str | None = None


class FrameFields(msgspec.Struct, gc=False):
    """Fields of any frame that the load reads."""

    type: str
    re: int | None = None
    conversation: str = ""
    messages: list[ToldMessage] | None = None
    duplicate: bool = False
    code: str = ""
    message: str = ""
    temporary: bool = False
    retry_after: float | None = None


_decode: Callable[[bytes], FrameFields] = msgspec.json.Decoder(FrameFields).decode
_remember: Callable[[bytes], FrameFields] = functools.lru_cache(maxsize=256)(_decode)


def users_of(workload: Workload) -> list[str]:
    """The ids of all users, conversation by conversation."""
    return [f"bench-{at}-{n}" for at in range(workload.conversations) for n in range(workload.members)]


def text_of(size: int) -> str:
    """A text of so many bytes."""
    return (SAMPLE_TEXT * (size // len(SAMPLE_TEXT) + 1))[:size]


class Member(LoadPeer):
    """One user in one conversation."""

    def __init__(self, load: Load, user: str) -> None:
        super().__init__(load)
        self.user = user
        self._decode = _decode
        self._conversation = ""

    async def sign_in(self, hello: dict[str, Any]) -> dict[str, Any]:
        """Say hello; the server's limits. Raises PeerLost."""
        limits: dict[str, Any] = (await self.demand(type="hello", device="bench", **hello))["limits"]
        return limits

    async def demand(self, **fields: Any) -> dict[str, Any]:
        """Ask for something that must not fail; the `ok`. Raises PeerLost."""
        answer: dict[str, Any] = json.loads(await self.ask(fields))
        if answer["type"] != "ok":
            kind = NotInDevelopment if answer["code"] == "unauthorized" and "user" in fields else PeerLost
            raise kind(f"{fields['type']} of {self.user}: {answer['code']}: {answer['message']}")
        return answer

    def join(self, conversation: str, ledger: Ledger, number: int, *, run: str, body: str) -> None:
        """Be the ledger's member of this number from now on. `run` begins the `client_id` of every message."""
        self._conversation, self._ledger, self._number = conversation, ledger, number
        self._decode = _remember if ledger.members >= REMEMBERED_FROM_MEMBERS else _decode
        self._run = run
        self._prefix = f"{run}.{number}."
        # The part that all frames of its messages share: they differ in digits alone.
        target = json.dumps(conversation)
        before = f'{{"type":"message.send","conversation":{target},"id":'.encode()
        self._between = f',"client_id":"{self._prefix}'.encode()
        self._after = f'","body":{json.dumps(body)}}}'.encode()
        size = len(before) + len(self._between) + len(self._after) + 2 * len(str(FIRST_NUMBER))
        self._before = cheap_frame(bytes(size))[:-size] + before
        self._receipt = f'{{"type":"receipt","conversation":{target},"delivered":'.encode()

    def message(self, number: int) -> bytes:
        digits = b"%d" % number
        return self._before + digits + self._between + digits + self._after

    def noted(self, number: int) -> None:
        self._ledger.sent(f"{self._prefix}{number}")

    def request(self, number: int, fields: dict[str, Any]) -> bytes:
        return cheap_frame(msgspec.json.encode({"id": number, **fields}))

    def receive(self, payload: bytes) -> None:
        try:
            said = self._decode(payload)
        except msgspec.MsgspecError:
            self.load.fail(NOT_CHATD)
            return
        number = said.re
        if number is not None and number < FIRST_NUMBER:
            self.answer(number, payload)
        elif said.type == "change":
            if said.messages and said.conversation == self._conversation:
                self._delivered(said.messages)
        elif said.type == "ok" and number is not None:
            self._acknowledged(number, said)
        elif said.type == "error":
            self._refused(number, said)

    def _delivered(self, messages: list[ToldMessage]) -> None:
        for told in messages:
            if told.client_id is None or not told.client_id.startswith(self._run):
                self.load.fail(f"somebody else writes in {self._conversation}: is a second load running?")
                return
            self.load.delivered += 1
            self._ledger.delivered(self._number, told.seq, told.client_id)
        if self.load.receipts:
            self.push(cheap_frame(self._receipt + b"%d}" % messages[-1].seq))

    def _acknowledged(self, number: int, said: FrameFields) -> None:
        told = said.messages[0] if said.messages else ToldMessage(0)
        client_id = f"{self._prefix}{number}"
        if told.client_id != client_id:
            self._ledger.find(f"request {number} was acknowledged as another message, of seq {told.seq}")
        else:
            self._ledger.acknowledged(self._number, told.seq, client_id, duplicate=said.duplicate)
        self.acknowledge(number)

    def _refused(self, number: int | None, said: FrameFields) -> None:
        self.load.errors[said.code] += 1
        if number is not None and said.temporary:
            self.repeat(number, said.retry_after or RETRY_PAUSE_S)
        else:
            self.load.fail(f"the server refused a request: {said.code}: {said.message}")


class Conversations:
    """The load of chatd: the `Crowd` of its conversations. `greeting`: how the users sign in."""

    def __init__(self, address: SocketAddress, workload: Workload, greeting: Greeting) -> None:
        self._address = address
        self._workload = workload
        self._greeting = greeting
        self._run = os.urandom(6).hex()  # a server that forgets none takes the messages of an earlier run for repeats
        self._ledgers: list[Ledger] = []

    async def gather(self, load: Load, wires: Wires) -> list[LoadPeer]:
        """Sign all users in and bring them together; the senders. Raises PeerLost."""
        try:
            return await self._gathered(load, wires)
        except (KeyError, TypeError, ValueError):
            raise PeerLost(NOT_CHATD) from None

    async def _gathered(self, load: Load, wires: Wires) -> list[LoadPeer]:
        workload = self._workload
        everyone = [await self._signed_in(Member(load, user), wires) for user in users_of(workload)]
        body = text_of(workload.body_bytes)
        senders: list[LoadPeer] = []
        for at in range(0, len(everyone), workload.members):
            members = everyone[at : at + workload.members]
            conversation, last = await self._conversation(members)
            ledger = Ledger(len(members), last)
            self._ledgers.append(ledger)
            for number, member in enumerate(members):
                member.join(conversation, ledger, number, run=self._run, body=body)
            senders += members[: workload.senders]
        return senders

    async def _signed_in(self, member: Member, wires: Wires) -> Member:
        await connect(self._address, WEBSOCKET_PATH, member, wires)
        limits = await member.sign_in(self._greeting(member.user))
        if self._workload.body_bytes > limits["max_body_chars"]:
            raise PeerLost(f"the server takes messages of at most {limits['max_body_chars']} characters")
        if self._workload.members > limits["max_participants"]:
            raise PeerLost(f"the server takes at most {limits['max_participants']} people in a conversation")
        return member

    async def _conversation(self, members: list[Member]) -> tuple[str, int]:
        first, *others = members
        if len(members) == 2:
            made = await first.demand(type="conversation.open", **{"with": others[0].user})
        else:
            made = await first.demand(
                type="conversation.create", title="bench", members=[other.user for other in others]
            )
        return made["conversation"], made["info"]["last_seq"]

    def settled(self) -> bool:
        return all(ledger.settled for ledger in self._ledgers)

    def discrepancies(self, *, complete: bool) -> list[str]:
        return [wrong for ledger in self._ledgers for wrong in ledger.close(complete=complete)]
