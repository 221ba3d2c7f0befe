"""Who may ask what, from a table written by hand: every request by everybody, and what comes of it.

The whole table is asked on a WebSocket and, as far as it serves, by an HTTP caller. One daemon plays a row: each of
its cells has a group of its own, since what is allowed changes it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.commands.dispatch import TABLE as HANDLERS
from chatd.testing import Refused, TestClient, daemon
from chatd.testing.harness import START, Disconnected
from chatd.transports.request import HttpCaller
from protocol.decode import decode_request
from protocol.objects import Limits
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
ON_HTTP = [name for name in ROWS if not HANDLERS[name].needs_session]

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


def scene(*groups: str) -> MemoryStore:
    """A store with the group `g`, or these groups, and who is or was in it."""
    store = MemoryStore(epoch="epoch-1", development=True)
    fill(store, *groups or ("g",))
    return store


def fill(store: MemoryStore, *groups: str) -> None:
    """Put it into an empty store."""
    changes: list[Change] = [
        *(PutUser(user, f"{user} secret", role, START) for user, role in PEOPLE.items()),
        *(change for group in groups for change in group_with_history(group)),
        OpenDirect("d", "own", "den", START),
        SetDisabled("shut", True, START),
    ]
    assert not [outcome for outcome in store.commit(changes) if isinstance(outcome, StoreRefused)]


def group_with_history(group: str) -> list[Change]:
    owner = frozenset({"owner"})
    members = tuple(PEOPLE.keys() - {"eve", "boss", "new", "own", "shut"})
    first, second, third = (f"{group}-{n}" for n in (1, 2, 3))
    return [
        CreateGroup(
            conversation=group, user="own", title="Secret", members=members, client_id=None, at=START, limit=50
        ),
        SendMessage(
            conversation=group, user="wri", client_id=group, message=first, body="secret", reply_to=None, at=START
        ),
        Leave(group, "left", second, START),
        RemoveParticipant(conversation=group, user="own", other="out", message=third, at=START, by=owner),
    ]


def fields_about(request_: str, group: str) -> dict[str, Any]:
    """The fields of a request, about another group than `g`."""
    fields = FIELDS[request_]
    named = {"conversation": group} if "conversation" in fields else {}
    return fields | named | ({"revs": {group: 1}} if "revs" in fields else {})


def assert_hidden(request_: str, who: str, group: str, answer: dict[str, Any]) -> None:
    """Assert that an error, and what a stranger gets, shows nothing of the group."""
    if answer["type"] == "error" or (request_ in SEEN and who in ("eve", "boss", "left", "out")):
        assert "secret" not in str(answer).lower(), who
        assert answer.get("revs") in (None, {group: {"rev": 0, "reset": True}}), who


@contextmanager
def about(case: str) -> Iterator[None]:
    """Name the case in whatever fails."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"case: {case}")
        raise


def test_the_table_has_every_request() -> None:
    assert list(ROWS) == list(REQUESTS) == list(FIELDS)


@pytest.mark.parametrize("request_", ROWS)
async def test_permissions_on_a_websocket_are_those_of_the_table(request_: str, autojump_clock: MockClock) -> None:
    store = scene(*(f"g-{who}" for who in COLUMNS))
    codes = []
    async with daemon(store=store) as server:
        for who in COLUMNS:
            group = f"g-{who}"
            before = store.room(group)
            client = await server.connect(None if who == "nobody" else who)
            try:
                await client.ask(request_, **fields_about(request_, group))
                codes.append("ok")
            except Refused as refused:
                codes.append(refused.code)
                assert store.room(group) == before, who
            answer = next(frame for frame in reversed(client.received) if "re" in frame)
            assert_hidden(request_, who, group, answer)
    assert dict(zip(COLUMNS, codes, strict=True)) == dict(zip(COLUMNS, ROWS[request_], strict=True))


@pytest.mark.parametrize("request_", ON_HTTP)
async def test_permissions_of_an_http_caller_are_those_of_the_table(request_: str, autojump_clock: MockClock) -> None:
    people = COLUMNS[1:]  # an HTTP caller is somebody
    store = scene(*(f"g-{who}" for who in people))
    codes = []
    async with daemon(store=store) as server:
        for who in people:
            group = f"g-{who}"
            before, row = store.room(group), store.user(who)
            assert row is not None
            text = json.dumps({"type": request_, "id": 1, **fields_about(request_, group)})
            answered = await HttpCaller(row).ask(server.daemon.parts, decode_request(text, Limits()))
            if answered.error is None:
                assert answered.ok is not None, who
                codes.append("ok")
                answer = json.loads(answered.ok)
            else:
                codes.append(answered.error.code.value)
                answer = {"type": "error", "message": answered.error.message}
                assert store.room(group) == before, who
            assert_hidden(request_, who, group, answer)
    assert dict(zip(people, codes, strict=True)) == dict(zip(people, ROWS[request_][1:], strict=True))


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


async def test_a_disabled_user_signing_in_can_ask_nothing(autojump_clock: MockClock) -> None:
    store = scene()
    before = store.room("g")
    async with daemon(store=store) as server:
        for request_ in FIELDS:
            with about(request_):
                client = await server.connect()
                hello = await client.send("hello", user="shut")
                asked = await client.send(request_, **FIELDS[request_])
                with pytest.raises(Refused, match="unauthorized"):
                    await client.reply(hello)
                with pytest.raises(Disconnected, match="4501"):
                    await client.reply(asked)
                await _is_over(client)
                assert store.room("g") == before


async def test_an_expired_token_can_ask_nothing(autojump_clock: MockClock) -> None:
    """Neither who comes with it nor whom it ends under way, though an owner."""
    store = MemoryStore(epoch="epoch-1")
    fill(store, "g")
    before = store.room("g")
    async with daemon(store=store, development=False) as server:
        for request_ in FIELDS:
            with about(request_):
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


async def test_a_user_disabled_while_connected_can_ask_nothing(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="epoch-1")
    fill(store, "g")
    before = store.room("g")
    async with daemon(store=store, development=False) as server:
        accounts = server.daemon.parts.accounts
        for request_ in FIELDS:
            with about(request_):
                client = await server.connect(token=server.token("own"))
                await accounts.commit([SetDisabled("own", True, START)])
                with pytest.raises(Disconnected, match="4503"):
                    await client.ask(request_, **FIELDS[request_])
                assert store.room("g") == before
                await accounts.commit([SetDisabled("own", False, START)])


async def _is_over(client: TestClient, code: int = 4501) -> None:
    assert (await client.closed()).code == code
    assert [frame["type"] for frame in client.received] == ["error"]


async def test_rights_are_those_of_the_moment_of_the_change(autojump_clock: MockClock) -> None:
    """Whoever loses a right right before the change, unseen by the daemon, has lost it."""
    store = WatchedStore()
    fill(store, "g")
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
