"""Everybody does anything, to whatever the store does: in the end every copy is the truth, by the letter of the rules
(`Book`) and as clients for programs keep it (`Replica`)."""

import json
from random import Random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.client.replica import Replica
from chatd.config import Config, Timeouts
from chatd.core import view
from chatd.core.session import Session
from chatd.testing import TestClient, seed_schedule
from chatd.testing.harness import Frame
from protocol.decode import decode_frame
from storage.changes import AddParticipant, Change, DeleteMessage, EditMessage, Leave, React, RemoveParticipant
from support.steering import Clinic, Elsewhere, clinic
from support.strict import Book, plain, surely_told

USERS = {"pat-1": "patient", "den-1": "dentist", "sta-1": "staff", "adm-1": "admin"}
EMOJI = ("👍", "🦷", "❤️")
ANY = frozenset({"owner", "member", "sender", "participant"})


@attrs.define(eq=False)
class Seat:
    """One connection, and the two copies that it feeds."""

    user: str
    client: TestClient
    book: Book
    replica: Replica
    asked: dict[int | str, str] = attrs.Factory(dict)  # id -> type
    taken: int = 0

    def read(self) -> None:
        """Take what came into both copies."""
        self.book.read()
        for frame in self.client.received[self.taken :]:
            self.replica.apply(decode_frame(json.dumps(frame), dict(self.asked)))
        self.taken = len(self.client.received)

    def agree(self, c: Clinic) -> None:
        """Both copies are as the store has it."""
        self.read()
        self.book.agree(c.store)
        assert self.replica.revs() == self.book.revs
        for id, held in self.replica.conversations.items():
            found = c.store.summary(id, self.user)
            page = c.store.history(id, self.user, before=None, after=held.low - 1, limit=100_000)
            assert found is not None
            assert page is not None
            room = found[0].room
            assert (held.info.title, held.last_seq) == (room.conversation.title, room.conversation.last_seq)
            assert plain(held.membership) == plain(view.membership(found[0].membership))
            assert [plain(m) for m in held.timeline()] == [plain(view.message(m)) for m in page.messages]
            truth = surely_told([plain(view.participant(p)) for p in room.participants], self.user)
            assert surely_told([plain(p) for p in held.participants.values()], self.user) == truth


class Storm:
    """Everybody does anything, while the store is held, fails, is reopened, and is written to from elsewhere."""

    def __init__(self, c: Clinic, seed: int) -> None:
        self._c = c
        self._deliver = Session.deliver
        self._rng = Random(seed)
        self._seats: list[Seat] = []
        self._crashing = False
        self._direct: list[str] = []
        self._groups: list[str] = []  # adm-1 is in them all the time
        self._unseen: list[tuple[str, str]] = []  # who may have been taken out of which group elsewhere
        self._count = 0

    async def rage(self) -> None:
        for user, role in USERS.items():
            await self._connect(user, role=role)
        for seat in list(self._seats):
            for other in [user for user in USERS if user != seat.user]:
                opened = await seat.client.ask("conversation.open", with_=other)
                self._direct.append(opened["conversation"])
        for seat in self._seats[:2]:
            made = await seat.client.ask("conversation.create", title="Team", members=["sta-1", "adm-1"])
            self._groups.append(made["conversation"])
        await self._settle()
        for _ in range(6):
            for _ in range(self._rng.randrange(4, 20)):
                strikes = [self._hold, self._release, self._fail, self._elsewhere, self._crash]
                await self._rng.choice([*[self._request] * 9, *strikes])()
                if self._rng.random() < 0.4:
                    await wait_all_tasks_blocked()
            await self._release()
            if self._rng.random() < 0.3:
                await self._reconnect()
            await self._settle()

    async def _connect(self, user: str, before: Seat | None = None, **fields: Any) -> None:
        client = await self._c.server.connect()
        book = Book(client, before.book.copies if before else None, forgiving=True)
        seat = Seat(user, client, book, before.replica if before else Replica())
        send = client.send

        async def noted(type: str, **fields: Any) -> int:
            id = await send(type, **fields)
            seat.asked[id] = type
            return id

        client.send = noted  # type: ignore[method-assign]
        await client.hello(user, epoch="epoch-1", revs=book.revs, **fields)
        self._seats.append(seat)

    async def _reconnect(self) -> None:
        seat = self._seats.pop(self._rng.randrange(len(self._seats)))
        seat.read()
        assert seat.replica.revs() == seat.book.revs
        if self._rng.random() < 0.7:
            await seat.client.abort()
        await self._request()
        await self._connect(seat.user, seat)

    async def _request(self) -> None:
        seat = self._rng.choice(self._seats)
        self._count += 1
        someone = self._rng.choice([user for user in USERS if user != seat.user])
        seq = self._rng.randrange(1, 12)
        of_any: list[tuple[str, Frame]] = [
            *[("message.send", {"client_id": f"k{self._count}", "body": "x"})] * 4,
            ("message.send", {"client_id": f"k{self._rng.randrange(self._count)}", "body": "x"}),
            *[("message.edit", {"seq": seq, "body": self._rng.choice("abc")})] * 2,
            *[("message.delete", {"seq": seq})] * 2,
            *[("message.react", {"seq": seq, "emoji": self._rng.choice(EMOJI), "on": self._rng.random() < 0.7})] * 2,
            ("receipt", {"read": seq}),
            ("receipt", {"delivered": seq}),
            ("membership.set", {"muted": self._rng.random() < 0.5, "archived": self._rng.random() < 0.5}),
            ("conversation.leave", {}),
            ("conversation.get", {}),
        ]
        of_groups: list[tuple[str, Frame]] = [
            ("conversation.update", {"title": self._rng.choice("ABC")}),
            ("conversation.add", {"user": someone}),
            ("conversation.remove", {"user": self._anyone_but_adm()}),
        ]
        of_none: list[tuple[str, Frame]] = [
            ("conversation.list", {}),
            ("conversation.open", {"with": someone}),
            ("sync", {"epoch": "epoch-1", "revs": seat.book.read().revs}),
        ]
        type, fields = self._rng.choice([*of_any, *of_groups * 2, *of_none])
        if (type, fields) in of_groups:
            fields = {"conversation": self._rng.choice(self._groups), **fields}
        elif (type, fields) in of_any:
            groups = [] if (type, seat.user) == ("conversation.leave", "adm-1") else self._groups * 3
            fields = {"conversation": self._rng.choice([*self._direct, *groups]), **fields}
        await (seat.client.tell if self._rng.random() < 0.2 else seat.client.send)(type, **fields)

    async def _hold(self) -> None:
        self._rng.choice([self._c.writes, self._c.reads]).hold(self._rng.choice(["before", "after"]))

    async def _crash(self) -> None:
        self._crashing = True

    def deliver(self, session: Session, *args: Any) -> None:
        """In place of the session's own."""
        if self._crashing:
            self._crashing = False
            raise RuntimeError("a bug")
        self._deliver(session, *args)

    async def _release(self) -> None:
        self._crashing = False
        self._c.writes.release()
        self._c.reads.release()

    async def _fail(self) -> None:
        self._c.writes.fail(self._rng.choice(["before", "after"]), and_then=self._c.store.reopen)

    async def _elsewhere(self) -> None:
        conversation = self._rng.choice([*self._direct, *self._groups * 3])
        elsewhere = Elsewhere(self._c, conversation, f"elsewhere-{self._count}")
        user, other = self._rng.choice([*USERS]), self._anyone_but_adm()
        seq = self._rng.randrange(1, 12)
        self._count += 1
        id = f"e{self._count}"
        changes: list[Change] = [
            Leave(conversation, other, id, 0),
            EditMessage(conversation=conversation, user=user, seq=seq, body=id, at=0, since=None),
            DeleteMessage(conversation=conversation, user=user, seq=seq, at=0, since=None, by=ANY),
            React(conversation=conversation, user=user, seq=seq, emoji="👍", on=True, at=0),
            AddParticipant(conversation=conversation, user=user, other=other, message=id, at=0, by=ANY, limit=9),
            RemoveParticipant(conversation=conversation, user=user, other=other, message=id, at=0, by=ANY),
        ]
        change = self._rng.choice(changes)
        self._unseen.append((conversation, other))
        self._c.store.meddle = self._rng.choice([lambda: elsewhere.send(user), lambda: elsewhere.commit(change)])

    def _anyone_but_adm(self) -> str:
        return self._rng.choice([user for user in USERS if user != "adm-1"])

    async def _settle(self) -> None:
        """Nothing is held any more: what is missing is asked for, and then everything is as the store has it."""
        await self._release()
        await trio.sleep(5)
        self._c.store.meddle = None
        for conversation in dict.fromkeys(
            (*self._direct, *self._groups)
        ):  # a change, so that what was written elsewhere is noticed
            people = self._people(conversation)
            if conversation in self._direct:
                seat = next(s for s in self._seats if s.user in people)
                await seat.client.ask("conversation.open", with_=min(people - {seat.user}))
            else:
                seat = next(s for s in self._seats if s.user == "adm-1")
                for _, user in [unseen for unseen in self._unseen if unseen[0] == conversation]:
                    await seat.client.ask("conversation.add", conversation=conversation, user=user)
            self._count += 1
            id = f"s{self._count}"
            await seat.client.ask("message.send", conversation=conversation, client_id=id, body="x")
        self._unseen.clear()
        await trio.sleep(5)
        for seat in self._seats:
            missing = seat.book.read().holes & seat.book.copies.keys()
            await seat.client.ask("sync", epoch="epoch-1", revs={id: seat.book.revs[id] for id in missing})
            for conversation, _, _ in self._c.store.memberships(seat.user):
                if conversation not in seat.book.copies:
                    await seat.client.ask("conversation.get", conversation=conversation)
            seat.agree(self._c)
            seat.book.holes.clear()

    def _people(self, conversation: str) -> set[str]:
        room = self._c.store.room(conversation)
        assert room is not None
        return {p.user for p in room.participants}


@pytest.mark.parametrize("crowd", [50, 1])
@pytest.mark.parametrize("seed", range(30))
async def test_everyone_converges_whatever_happens(
    seed: int, crowd: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Also where two are a crowd, in which others' watermarks are gathered."""
    seed_schedule(seed)
    monkeypatch.setattr(view, "CROWD", crowd)
    async with clinic(config=Config(timeouts=Timeouts(room_idle=7))) as c:
        with trio.fail_after(1000):  # nobody waits for ever
            storm = Storm(c, seed)
            monkeypatch.setattr(Session, "deliver", lambda *args: storm.deliver(*args))
            await storm.rage()
