"""Groups: what transcripts can't show well. Who may be brought in, what is begun twice, and what is large."""

from typing import Any

import attrs
import msgspec
import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.client import RequestFailed
from chatd.config import Config, Limits, Policy
from chatd.testing import Refused, TestClient, daemon
from chatd.testing.harness import START, Frame
from storage.changes import CreateGroup, PutUser, SendMessage, SetDisabled
from storage.memory import MemoryStore
from storage.records import Reaction
from support.steering import Clinic, When, clinic
from support.strict import Book

PEOPLE = {"pat-1": "patient", "den-1": "dentist", "den-2": "dentist", "sta-1": "staff"}


async def team(c: Clinic) -> tuple[dict[str, TestClient], str]:
    """Everybody, in a group of den-1's without den-2."""
    clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
    made = await clients["den-1"].ask("conversation.create", title="Team", members=["pat-1", "sta-1"])
    await wait_all_tasks_blocked()
    return clients, made["conversation"]


async def answer(client: TestClient, type: str, **fields: Any) -> Frame:
    """The error, without the id."""
    with pytest.raises(Refused):
        await client.ask(type, **fields)
    return {**client.received[-1], "re": None}


# -- who may be brought in --


@pytest.mark.parametrize("other", ["nobody", "pat-2", "den-1", "den-2"])
async def test_add_by_somebody_who_may_not_says_nothing_of_the_one_to_be_added(
    other: str, autojump_clock: MockClock
) -> None:
    """Unknown, unreachable, there already, or good to be added: the answer is the same."""
    async with clinic() as c:
        clients, conversation = await team(c)
        c.store.commit([PutUser("pat-2", "Eve", "patient", 0)])
        wanted = {"code": "forbidden", "message": "only the group's owner may do that", "temporary": False}
        answered = await answer(clients["pat-1"], "conversation.add", conversation=conversation, user=other)
        assert answered == {"type": "error", "re": None, **wanted}
        answered = await answer(clients["den-2"], "conversation.add", conversation=conversation, user=other)
        assert answered["message"] == "no such conversation"


@pytest.mark.parametrize("other", ["nobody", "pat-2", "shut"])
async def test_unknown_unreachable_and_disabled_are_the_same_to_the_letter(
    other: str, autojump_clock: MockClock
) -> None:
    async with clinic() as c:
        clients, conversation = await team(c)
        c.store.commit([PutUser("pat-2", "Eve", "patient", 0), PutUser("shut", "Gone", "dentist", 0)])
        c.store.commit([SetDisabled("shut", True, 0)])
        mine = (await clients["pat-1"].ask("conversation.create", title="Mine", members=[]))["conversation"]
        wanted = {"type": "error", "re": None, "code": "not_found", "message": "no such user", "temporary": False}
        ada = clients["pat-1"]
        before = len(c.store.memberships("pat-1"))
        assert await answer(ada, "conversation.open", with_=other) == wanted
        assert await answer(ada, "conversation.add", conversation=mine, user=other) == wanted
        assert await answer(ada, "conversation.create", title="x", members=["den-1", other]) == wanted
        assert await answer(ada, "conversation.remove", conversation=mine, user=other) == wanted
        assert len(c.store.memberships("pat-1")) == before
        assert conversation != mine


async def test_member_need_not_reach_themselves(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        ada = clients["pat-1"]
        made = await ada.ask("conversation.create", title="x", members=["pat-1", "den-1"])
        assert [p["user"] for p in made["participants"]] == ["pat-1", "den-1"]
        again = await ada.ask("conversation.add", conversation=made["conversation"], user="pat-1")
        assert again["from"] == again["rev"] == 1


async def test_the_settings_say_who_reaches_whom(autojump_clock: MockClock) -> None:
    policy = Policy(dentist=("dentist",), staff=("patient",))
    async with clinic(config=Config(policy=policy)) as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        bo = clients["den-1"]
        with pytest.raises(Refused, match="not_found"):
            await bo.ask("conversation.create", title="x", members=["den-2", "pat-1"])
        group = (await bo.ask("conversation.create", title="x", members=["den-2"]))["conversation"]
        with pytest.raises(Refused, match="not_found"):
            await bo.ask("conversation.add", conversation=group, user="sta-1")


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_group_is_full_at_its_limit(extra: int, autojump_clock: MockClock) -> None:
    async with clinic(config=Config(limits=Limits(max_participants=3))) as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        bo = clients["den-1"]
        members = ["pat-1", "sta-1", "den-2"][: 2 + extra]
        if extra:
            for given in (members, [*members, "den-1"], ["pat-1"] * 4):
                with pytest.raises(Refused, match="bad_request"):
                    await bo.ask("conversation.create", title="x", members=given)
            return
        group = (await bo.ask("conversation.create", title="x", members=[*members, "den-1"]))["conversation"]
        with pytest.raises(Refused, match="conflict"):
            await bo.ask("conversation.add", conversation=group, user="den-2")
        # Whoever goes leaves a place.
        await bo.ask("conversation.remove", conversation=group, user="pat-1")
        await bo.ask("conversation.add", conversation=group, user="den-2")


# -- begun once --


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_create_that_seemed_to_fail_is_asked_for_again(when: When, autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        bo, books = clients["den-1"], [Book(client) for client in clients.values()]
        fields = {"title": "Team", "members": ["pat-1", "sta-1"], "client_id": "g-1"}
        await wait_all_tasks_blocked()
        c.writes.fail(when, and_then=c.store.reopen)
        with pytest.raises(Refused, match="unavailable"):
            await bo.ask("conversation.create", **fields)
        made = await bo.ask("conversation.create", **fields)
        assert made["duplicate"] is (when == "after")
        again = await bo.ask("conversation.create", **fields)
        assert (again["conversation"], again["duplicate"]) == (made["conversation"], True)
        await wait_all_tasks_blocked()
        for book in books:
            book.agree(c.store)
        # Everyone was told of the one group.
        held = [[*book.copies] for book in books]
        assert held == [[made["conversation"]]] * 2 + [[]] + [[made["conversation"]]]


async def test_a_create_is_found_again_though_a_member_cannot_be_reached_any_more(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        fields = {"title": "Team", "members": ["den-1", "sta-1"]}
        ada = clients["pat-1"]
        made = await ada.ask("conversation.create", client_id="g-1", **fields)
        c.store.commit([SetDisabled("sta-1", True, 0)])
        again = await ada.ask("conversation.create", client_id="g-1", **fields)
        assert (again["conversation"], again["duplicate"]) == (made["conversation"], True)
        for named in ({}, {"client_id": "g-2"}):
            with pytest.raises(Refused, match="not_found: no such user"):
                await ada.ask("conversation.create", **fields, **named)
        assert len(c.store.memberships("pat-1")) == 1


async def test_a_create_that_takes_too_long_is_heard_of_later(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients = {user: await c.server.connect(user, role=role) for user, role in PEOPLE.items()}
        bo = clients["den-1"]
        book = Book(bo)
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        with pytest.raises(Refused, match="unavailable"):
            await bo.ask("conversation.create", title="Team", members=["pat-1"], client_id="g-1")
        c.writes.release()
        await wait_all_tasks_blocked()
        book.agree(c.store)
        assert len(book.copies) == 1


async def test_twenty_who_create_the_same_at_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada = await c.server.connect("pat-1")
        clients = [await c.server.connect("den-1", role="dentist") for _ in range(20)]
        c.writes.hold("before")
        for client in clients:
            await client.send("conversation.create", title="Team", members=["pat-1"], client_id="g-1")
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        oks = [frame for client in clients for frame in client.received if "duplicate" in frame]
        assert [ok["duplicate"] for ok in oks].count(False) == 1
        assert len({ok["conversation"] for ok in oks}) == 1
        for client in (ada, *clients):
            Book(client).agree(c.store)


async def test_an_owner_who_is_taken_out_while_asking(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients, group = await team(c)
        books = [Book(client) for client in clients.values()]
        c.writes.hold("before")
        removed = await clients["sta-1"].send("conversation.remove", conversation=group, user="den-1")
        await wait_all_tasks_blocked()
        late = await clients["den-1"].send("conversation.update", conversation=group, title="Mine")
        await wait_all_tasks_blocked()
        c.writes.release()
        await clients["sta-1"].reply(removed)
        with pytest.raises(Refused, match="not_found: no such conversation"):
            await clients["den-1"].reply(late)
        await wait_all_tasks_blocked()
        for book in books:
            book.agree(c.store)
        room = c.store.room(group)
        assert room is not None
        assert room.conversation.title == "Team"
        assert [p.user for p in room.participants if p.role == "owner" and p.present] == ["pat-1"]


async def test_removed_member_receives_nothing(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        clients, group = await team(c)
        ada, bo = clients["pat-1"], clients["den-1"]
        await ada.ask("focus", conversation=group)
        await bo.ask("conversation.remove", conversation=group, user="pat-1")
        await wait_all_tasks_blocked()
        seen = len(ada.received)
        await bo.ask("message.send", conversation=group, client_id="b-1", body="about Ada")
        await bo.ask("message.edit", conversation=group, seq=2, body="about her")
        await bo.ask("message.react", conversation=group, seq=2, emoji="👍", on=True)
        await bo.ask("conversation.update", conversation=group, title="Ada's case")
        await bo.ask("typing", conversation=group, active=True)
        await bo.ask("message.delete", conversation=group, seq=2)
        await wait_all_tasks_blocked()
        assert ada.received[seen:] == []
        found = await ada.ask("sync", epoch="epoch-1", revs={group: 1})
        assert found["revs"] == {group: {"rev": 0, "reset": True}}


# -- large ones --


def crowded(groups: int, people: int) -> MemoryStore:
    store = MemoryStore(epoch="epoch-1", development=True)
    users = [f"{n:03}-{'u' * 60}" for n in range(people * groups)]
    store.commit([PutUser(user, "N" * 200, "dentist", START) for user in users])
    for n in range(groups):
        members = tuple(users[people * n : people * (n + 1)])
        store.commit([PutUser("me", "Me", "dentist", START)])
        store.commit(
            [
                CreateGroup(
                    conversation=f"g{n}",
                    user="me",
                    title="x",
                    members=members,
                    client_id=None,
                    at=START + n,
                    limit=people + 1,
                )
            ]
        )
        store.commit(
            [
                SendMessage(
                    conversation=f"g{n}",
                    user="me",
                    client_id=f"m{n}",
                    message=f"m{n}",
                    body="x",
                    reply_to=None,
                    at=START + n,
                )
            ]
        )
    return store


async def test_a_page_of_large_groups_fits_into_frames(autojump_clock: MockClock) -> None:
    """Ten groups of three hundred different people each: the client refuses frames of more than 1 MiB."""
    async with daemon(store=crowded(10, 300)) as server:
        me = await server.connect()
        hello = await me.hello("me")
        found = [summary["conversation"] for summary in hello["conversations"]]
        assert 0 < len(found) < 10
        cursor = hello["cursor"]
        named = {user["id"] for user in hello["users"]}
        while cursor:
            page = await me.ask("conversation.list", cursor=cursor)
            found += [summary["conversation"] for summary in page["conversations"]]
            named |= {user["id"] for user in page["users"]}
            for summary in page["conversations"]:
                assert {p["user"] for p in summary["participants"]} <= {user["id"] for user in page["users"]}
            cursor = page["cursor"]
        assert found == [f"g{n}" for n in reversed(range(10))]
        assert len(named) == 3001


async def test_reactions_list_a_hundred_and_count_all(autojump_clock: MockClock) -> None:
    store = crowded(1, 120)
    async with daemon(store=store, config=Config(limits=Limits(max_participants=200))) as server:
        (summary,) = store.summaries("me", archived=False, after=None, limit=9).summaries
        people = [p.user for p in summary.room.participants]
        for user in people:  # one at a time: nobody is there to be told of the others
            client = await server.connect(user)
            ok = await client.ask("message.react", conversation="g0", seq=1, emoji="👍", on=True)
            await client.aclose()
        (reaction,) = ok["messages"][0]["reactions"]
        assert (reaction["count"], reaction["users"]) == (121, people[:100])


async def test_a_batch_of_much_reacted_messages_fits_into_frames(autojump_clock: MockClock) -> None:
    """What a change of a message lists is much larger than what was asked."""
    emoji = [chr(0x1F600 + n) for n in range(20)]
    users = [f"{n:03}-{'u' * 100}" for n in range(100)]
    async with clinic(config=Config(limits=Limits(outbox_bytes=2**24))) as c:
        store = c.store
        store.commit([PutUser(user, user, "dentist", START) for user in users])
        store.commit(
            [
                CreateGroup(
                    conversation="g",
                    user=users[0],
                    title="x",
                    members=tuple(users),
                    client_id=None,
                    at=START,
                    limit=200,
                )
            ]
        )
        store.commit(
            [
                SendMessage(
                    conversation="g",
                    user=users[0],
                    client_id=f"m{n}",
                    message=f"m{n}",
                    body="\u0001" * 9000,
                    reply_to=None,
                    at=START,
                )
                for n in range(8)
            ]
        )
        await c.server.connect(users[0])
        for n in range(8):
            reactions = tuple(Reaction(each, tuple(users)) for each in emoji)
            store._messages["g"][n] = attrs.evolve(store._messages["g"][n], reactions=reactions)
        ada, bo = await c.server.connect(users[1]), await c.server.connect(users[2])
        c.writes.hold("before")
        for n in range(8):
            await ada.send("message.react", conversation="g", seq=n + 1, emoji=emoji[n], on=False)
        await wait_all_tasks_blocked()
        c.writes.release()
        told = 0
        while told < 8:
            told += len((await bo.expect("change", conversation="g", within=60))["messages"])
        assert len(msgspec.json.encode(bo.received[-1])) > 200_000


# -- the client for programs --


async def test_the_client_makes_and_keeps_groups(autojump_clock: MockClock) -> None:
    async with (
        daemon() as server,
        server.client("den-1", role="dentist", name="Bo") as bo,
        server.client("pat-1", name="Ada") as ada,
        server.client("sta-1", role="staff") as cy,
    ):
        for client in (bo, ada, cy):
            await client.users()
        group = await bo.create("Team", ["pat-1"], client_id="g-1")
        assert (await bo.create("Team", [], client_id="g-1")).id == group.id
        await bo.rename(group.id, "Ada's crown")
        await bo.add(group.id, "sta-1")
        await wait_all_tasks_blocked()
        held = ada.conversation(group.id)
        assert held is not None
        assert held.info.title == "Ada's crown"
        assert sorted(held.participants) == ["den-1", "pat-1", "sta-1"]
        await cy.remove(group.id, "pat-1")
        await wait_all_tasks_blocked()
        assert ada.conversation(group.id) is None
        with pytest.raises(RequestFailed, match="not_found"):
            await ada.rename(group.id, "Mine")
        await bo.leave(group.id)
        await wait_all_tasks_blocked()
        mine = cy.conversation(group.id)
        assert mine is not None
        assert mine.participants["sta-1"].role == "owner"
        assert [m.body for m in mine.timeline()][-1] == "Bo left the conversation."
