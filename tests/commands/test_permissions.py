"""Who may ask what, from a table written by hand: every request by everybody, and what comes of it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.testing import Refused, TestClient, daemon
from chatd.testing.harness import START, Disconnected
from protocol.requests import REQUESTS
from storage.changes import (
    AddParticipant,
    Change,
    CreateGroup,
    Leave,
    OpenDirect,
    PutUser,
    RemoveParticipant,
    SendMessage,
    SetDisabled,
)
from storage.changes import Refused as StoreRefused
from storage.memory import MemoryStore
from support.steering import WatchedStore, clinic

PEOPLE = {
    "eve": "dentist",  # has no part in the group
    "boss": "admin",  # neither, though an admin
    "left": "staff",  # was in it
    "out": "admin",  # was taken out of it
    "pat": "patient",
    "den": "dentist",
    "sta": "staff",
    "adm": "admin",
    "own": "patient",  # made it
    "wri": "patient",  # wrote message 1
    "new": "dentist",
    "other": "dentist",  # is in it, and asks nothing
    "shut": "staff",
}

TABLE = """
request              nobody        eve          boss         left         out          pat          den          sta          adm          own          wri
hello                ok            bad_request  bad_request  bad_request  bad_request  bad_request  bad_request  bad_request  bad_request  bad_request  bad_request
ping                 unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
conversation.open    unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
conversation.create  unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
conversation.list    unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
conversation.get     unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
conversation.update  unauthorized  not_found    not_found    not_found    not_found    forbidden    forbidden    ok           ok           ok           forbidden
conversation.add     unauthorized  not_found    not_found    not_found    not_found    forbidden    forbidden    ok           ok           ok           forbidden
conversation.remove  unauthorized  not_found    not_found    not_found    not_found    forbidden    forbidden    ok           ok           ok           forbidden
conversation.leave   unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
membership.set       unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
message.send         unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
message.edit         unauthorized  not_found    not_found    not_found    not_found    forbidden    forbidden    forbidden    forbidden    forbidden    ok
message.delete       unauthorized  not_found    not_found    not_found    not_found    forbidden    forbidden    ok           ok           forbidden    ok
message.react        unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
message.history      unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
message.search       unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
receipt              unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
sync                 unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
typing               unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
focus                unauthorized  not_found    not_found    not_found    not_found    ok           ok           ok           ok           ok           ok
user.list            unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
presence.get         unauthorized  ok           ok           ok           ok           ok           ok           ok           ok           ok           ok
"""  # noqa: E501

_, *COLUMNS = TABLE.split("\n")[1].split()
ROWS = {name: cells for name, *cells in (line.split() for line in TABLE.strip().split("\n")[1:])}
CELLS = [(name, who, cell) for name, cells in ROWS.items() for who, cell in zip(COLUMNS, cells, strict=True)]

FIELDS: dict[str, dict[str, Any]] = {
    "hello": {"user": "eve"},
    "ping": {},
    "conversation.open": {"with": "other"},
    "conversation.create": {"title": "Team", "members": ["other"]},
    "conversation.list": {},
    "conversation.get": {"conversation": "g"},
    "conversation.update": {"conversation": "g", "title": "Teeth"},
    "conversation.add": {"conversation": "g", "user": "new"},
    "conversation.remove": {"conversation": "g", "user": "other"},
    "conversation.leave": {"conversation": "g"},
    "membership.set": {"conversation": "g", "muted": True},
    "message.send": {"conversation": "g", "client_id": "c", "body": "x"},
    "message.edit": {"conversation": "g", "seq": 1, "body": "y"},
    "message.delete": {"conversation": "g", "seq": 1},
    "message.react": {"conversation": "g", "seq": 1, "emoji": "👍", "on": True},
    "message.history": {"conversation": "g"},
    "message.search": {"query": "secret"},
    "receipt": {"conversation": "g", "read": 1},
    "sync": {"epoch": "epoch-1", "revs": {"g": 1}},
    "typing": {"conversation": "g", "active": True},
    "focus": {"conversation": "g"},
    "user.list": {},
    "presence.get": {"users": ["other", "own"]},
}

SEEN = {"conversation.list", "message.search", "sync", "presence.get"}
"""What anybody may ask, and what shows nothing of the group to whom it is foreign."""


def scene() -> MemoryStore:
    """A store with the group `g`, and who is or was in it."""
    store = MemoryStore(epoch="epoch-1", development=True)
    fill(store)
    return store


def fill(store: MemoryStore) -> None:
    """Put it into an empty store."""
    owner = frozenset({"owner"})
    members = tuple(PEOPLE.keys() - {"eve", "boss", "new", "own", "shut"})
    changes: list[Change] = [
        *(PutUser(user, f"{user} secret", role, START) for user, role in PEOPLE.items()),
        CreateGroup(conversation="g", user="own", title="Secret", members=members, client_id=None, at=START, limit=50),
        SendMessage(conversation="g", user="wri", client_id="w", message="m-1", body="secret", reply_to=None, at=START),
        Leave("g", "left", "m-2", START),
        RemoveParticipant(conversation="g", user="own", other="out", message="m-3", at=START, by=owner),
        OpenDirect("d", "own", "den", START),
        SetDisabled("shut", True, START),
    ]
    assert not [outcome for outcome in store.commit(changes) if isinstance(outcome, StoreRefused)]


def test_the_table_has_every_request() -> None:
    assert list(ROWS) == list(REQUESTS) == list(FIELDS)


@pytest.mark.parametrize(("request_", "who", "expected"), CELLS, ids=[f"{name}-{who}" for name, who, _ in CELLS])
async def test_who_may_ask_what(request_: str, who: str, expected: str, autojump_clock: MockClock) -> None:
    store = scene()
    before = store.room("g")
    async with daemon(store=store) as server:
        client = await server.connect(None if who == "nobody" else who)
        try:
            await client.ask(request_, **FIELDS[request_])
            code = "ok"
        except Refused as refused:
            code = refused.code
        assert code == expected
        answer = next(frame for frame in reversed(client.received) if "re" in frame)
        if code != "ok":
            assert store.room("g") == before
        if code != "ok" or (request_ in SEEN and who in ("eve", "boss", "left", "out")):
            assert "secret" not in str(answer).lower()
            assert answer.get("revs") in (None, {"g": {"rev": 0, "reset": True}})


@pytest.mark.parametrize("request_", [name for name in FIELDS if "conversation" in FIELDS[name]])
async def test_foreign_gone_and_unknown_are_the_same_to_the_letter(request_: str, autojump_clock: MockClock) -> None:
    answers = []
    async with daemon(store=scene()) as server:
        for who, conversation in (("boss", "g"), ("left", "g"), ("out", "g"), ("adm", "d"), ("adm", "nowhere")):
            client = await server.connect(who)
            with pytest.raises(Refused):
                await client.ask(request_, **FIELDS[request_] | {"conversation": conversation})
            answers.append({**client.received[-1], "re": None})
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["code"] == "not_found"


@pytest.mark.parametrize("request_", ["conversation.update", "conversation.add", "conversation.remove"])
@pytest.mark.parametrize("who", ["own", "den"])
async def test_a_direct_conversation_has_no_title_and_two_people(
    request_: str, who: str, autojump_clock: MockClock
) -> None:
    async with daemon(store=scene()) as server:
        client = await server.connect(who)
        with pytest.raises(Refused, match="bad_request"):
            await client.ask(request_, **FIELDS[request_] | {"conversation": "d"})


@pytest.mark.parametrize("request_", FIELDS)
async def test_whoever_is_shut_out_can_ask_nothing(request_: str, autojump_clock: MockClock) -> None:
    store = scene()
    before = store.room("g")
    async with daemon(store=store) as server:
        client = await server.connect()
        hello = await client.send("hello", user="shut")
        asked = await client.send(request_, **FIELDS[request_])
        with pytest.raises(Refused, match="unauthorized"):
            await client.reply(hello)
        with pytest.raises(Disconnected, match="4501"):
            await client.reply(asked)
        await _is_over(client)
    assert store.room("g") == before


@pytest.mark.parametrize("request_", FIELDS)
async def test_whose_token_has_expired_can_ask_nothing(request_: str, autojump_clock: MockClock) -> None:
    """Neither who comes with it nor whom it ends under way, though an owner."""
    store = MemoryStore(epoch="epoch-1")
    fill(store)
    before = store.room("g")
    async with daemon(store=store, development=False) as server:
        token = server.token("own", lifetime=60)
        live = await server.connect(token=token)
        await trio.sleep(60)
        with pytest.raises((Refused, Disconnected), match="4011"):
            await live.ask(request_, **FIELDS[request_] | ({"token": token} if request_ == "hello" else {}))
        client = await server.connect()
        hello = await client.send("hello", token=token)
        asked = await client.send(request_, **FIELDS[request_])
        with pytest.raises(Refused, match="unauthorized"):
            await client.reply(hello)
        with pytest.raises(Disconnected, match="4011"):
            await client.reply(asked)
        await _is_over(client, 4011)
    assert store.room("g") == before


@pytest.mark.parametrize("request_", FIELDS)
async def test_who_is_shut_out_under_way_can_ask_nothing(request_: str, autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="epoch-1")
    fill(store)
    before = store.room("g")
    async with daemon(store=store, development=False) as server:
        client = await server.connect(token=server.token("own"))
        await server.daemon.parts.accounts.commit([SetDisabled("own", True, START)])
        with pytest.raises(Disconnected, match="4503"):
            await client.ask(request_, **FIELDS[request_])
    assert store.room("g") == before


async def _is_over(client: TestClient, code: int = 4501) -> None:
    assert (await client.closed()).code == code
    assert [frame["type"] for frame in client.received] == ["error"]


async def test_rights_are_those_of_the_moment_of_the_change(autojump_clock: MockClock) -> None:
    """Whoever loses a right right before the change, unseen by the daemon, has lost it."""
    store = WatchedStore()
    fill(store)
    team = frozenset({"owner", "member"})
    async with clinic(store=store) as c:
        own, sta, den = [await c.server.connect(user) for user in ("own", "sta", "den")]

        def elsewhere(change: Change) -> None:
            store.meddle = lambda: MemoryStore.commit(store, [change])

        await own.ask("conversation.get", conversation="g")
        elsewhere(Leave("g", "sta", "m-9", START))
        with pytest.raises(Refused, match="not_found"):
            await sta.ask("conversation.update", conversation="g", title="Mine")
        elsewhere(RemoveParticipant(conversation="g", user="adm", other="own", message="m-10", at=START, by=team))
        with pytest.raises(Refused, match="not_found"):
            await own.ask("conversation.add", conversation="g", user="new")
        # All came in at once: the heir is the first by id. Who is brought back is no owner any more.
        elsewhere(
            AddParticipant(conversation="g", user="adm", other="own", message="m-11", at=START, by=team, limit=50)
        )
        with pytest.raises(Refused, match="forbidden"):
            await den.ask("conversation.update", conversation="g", title="Mine")
        with pytest.raises(Refused, match="forbidden"):
            await own.ask("conversation.update", conversation="g", title="Mine")
        room = store.room("g")
        assert room is not None
        assert [p.user for p in room.participants if p.role == "owner" and p.present] == ["adm"]
