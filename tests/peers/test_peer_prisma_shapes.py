"""A real Prisma client on other shapes of tables: it reads what chatd wrote, and writes what chatd notices."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from storage.mysql.store import MysqlStore
from support import mariadb, prisma_app, schemas, shapes
from support.beside import ingest
from support.prisma import Prisma, client, prisma
from support.prisma_app import adopt, history, served
from support.stores import Desk

pytestmark = pytest.mark.slow


@attrs.frozen
class Peer:
    """A shape in which an app has its tables, and how its client says who takes part."""

    tables: tuple[str, ...]
    schema: Callable[[str], str]
    joins: Callable[[Any], Any]
    of: Callable[[Any], Any]


def _rows(users: Any) -> Any:
    return {"create": [{"userId": user} for user in users]}


def _links(users: Any) -> Any:
    return {"connect": [{"id": user} for user in users]}


def _by_row(user: Any) -> Any:
    return {"some": {"userId": user, "leftAt": None}}


def _by_link(user: Any) -> Any:
    return {"some": {"id": user}}


PEERS = {
    "int": Peer(shapes.numbered(), schemas.numbered, _rows, _by_row),
    "pairs": Peer(shapes.paired(), schemas.paired, _rows, _by_row),
    "linked": Peer(shapes.linked(), schemas.linked, _links, _by_link),
}


async def conversations(app: Prisma, peer: Peer, user: Any) -> set[str]:
    found = await app("conversation", "findMany", where={"participants": peer.of(user)})
    return {str(row["id"]) for row in found}


async def texts(app: Prisma, conversation: Any) -> list[tuple[str, str]]:
    found = await app("message", "findMany", where={"conversationId": conversation}, orderBy={"createdAt": "asc"})
    return [(row["content"], row["status"]) for row in found]


def people(store: MysqlStore, conversation: str) -> set[str]:
    room = store.room(conversation)
    assert room is not None
    return {p.user for p in room.participants if p.present}


@pytest.mark.parametrize("name", PEERS)
async def test_prisma_client_and_chatd_on_a_shape_see_what_the_other_did(name: str) -> None:
    peer = PEERS[name]
    generated = client(name, peer.schema)
    with prisma_app.app(*peer.tables) as made:
        adopt(made)
        async with prisma(mariadb.server().url(made.database), generated) as app:
            users = []
            for user in "Ada", "Bo", "Eve":
                users.append((await app("user", "create", data={"name": user}))["id"])
            ada, bo, eve = map(str, users)
            begun = await app("conversation", "create", data={"participants": peer.joins(users[:2])})
            await app("message", "create", data={"conversationId": begun["id"], "senderId": users[0], "content": "one"})
            with served(made) as store:
                desk = Desk(store)
                c = str(begun["id"])
                ingest(store)
                assert (history(store, c, bo), people(store, c)) == (["one"], {ada, bo})
                found = store.summary(c, bo)
                assert found is not None
                desk.now = found[0].room.conversation.active_at + 1000
                desk.say(c, bo, "two")
                desk.changed(desk.receipt(c, bo, read=2))
                assert await texts(app, begun["id"]) == [("one", "READ"), ("two", "SENT")]
                # a new conversation of chatd's, and one that somebody leaves there
                opened = desk.changed(desk.open(ada, eve)).room.id
                assert await conversations(app, peer, users[0]) == {c, opened}
                assert await conversations(app, peer, users[2]) == {opened}
                # the client brings somebody in, and edits
                await app("conversation", "update", where={"id": begun["id"]},
                          data={"participants": peer.joins([users[2]])})  # fmt: skip
                await app("message", "updateMany", where={"content": "one"}, data={"content": "one!"})
                ingest(store)
                assert (history(store, c, bo), people(store, c)) == (["one!", "two"], {ada, bo, eve})
                desk.changed(desk.leave(c, eve))
                assert await conversations(app, peer, users[2]) == {opened}
                if name == "linked":
                    await app("conversation", "update", where={"id": begun["id"]},
                              data={"participants": {"disconnect": [{"id": users[1]}]}})  # fmt: skip
                    ingest(store)
                    assert people(store, c) == {ada}
