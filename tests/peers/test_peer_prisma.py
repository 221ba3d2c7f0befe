"""An app with a real Prisma client and chatd on the same tables, at the same time: each sees what the other did."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from support import mariadb, prisma_app
from support.prisma import Prisma, node, prisma
from support.process import Daemon, run, running
from support.wsclient import Client, Frame, connected

SOON = 2.0
"""Seconds within which chatd serves what the app wrote."""

SLACK = 3.0
"""Seconds more: this machine may be busy with other things."""


@attrs.frozen
class Clinic:
    """The app, and ada and bo connected to the daemon."""

    app: Prisma
    daemon: Daemon
    ada: Client
    bo: Client

    async def unread(self, conversation: str) -> dict[str, int]:
        """As the app reads it."""
        rows = await self.app("conversationParticipant", "findMany", where={"conversationId": conversation})
        return {row["userId"]: row["unreadCount"] for row in rows}

    async def statuses(self, conversation: str) -> list[str]:
        rows = await self.app(
            "message", "findMany", where={"conversationId": conversation}, orderBy=[{"createdAt": "asc"}, {"id": "asc"}]
        )
        return [row["status"] for row in rows]

    async def agree(self, conversation: str) -> None:
        """Both sides have the same messages, counts and times."""
        rows = await self.app(
            "message", "findMany", where={"conversationId": conversation}, orderBy={"createdAt": "asc"}
        )
        unread = await self.unread(conversation)
        for client, user in (self.ada, "ada"), (self.bo, "bo"):
            history = await client.ask("message.history", conversation=conversation, limit=200)
            assert [(m["id"], m["sender"], m["body"], m["sent_at"]) for m in history["messages"]] == [
                (row["id"], row["senderId"], row["content"], row["createdAt"]) for row in rows
            ]
            assert [m["seq"] for m in history["messages"]] == list(range(1, len(rows) + 1))
            for message, row in zip(history["messages"], rows, strict=True):
                if message["sender"] == user:
                    assert message["status"] == row["status"].lower()
            summary = await client.ask("conversation.get", conversation=conversation)
            assert summary["membership"]["unread"] == unread[user]
        found = await self.app("conversation", "findUnique", where={"id": conversation})
        assert found["lastMessageAt"] == found["updatedAt"] == rows[-1]["createdAt"]


@asynccontextmanager
async def clinic(folder: Path) -> AsyncIterator[Clinic]:
    """An app's database that was adopted, and both at work on it."""
    node()
    with prisma_app.with_people() as made:
        url = mariadb.server().url(made.database)
        adopted = run("db", "adopt", "--apply", cwd=folder, env={"DATABASE_URL": url})
        assert adopted.returncode == 0, adopted.stderr
        made.run("UPDATE chatd_meta SET value = '1' WHERE `key` = 'development'")  # so that nobody needs a token
        async with (
            prisma(url) as app,
            running(folder, env={"DATABASE_URL": url}) as daemon,
            connected(daemon, "ada", role="patient") as ada,
            connected(daemon, "bo") as bo,
        ):
            yield Clinic(app, daemon, ada, bo)


async def soon(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(SOON + SLACK):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await trio.sleep(0.02)


async def event(client: Client, matches: Callable[[Frame], Any]) -> Frame:
    """The first change that came to the client and is like that."""
    found: list[Frame] = []

    def came() -> bool:
        found.extend(frame for frame in client.events("change") if matches(frame))
        return bool(found)

    await soon(came)
    return found[0]


async def test_app_changes_reach_those_who_are_connected(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        made = await c.app(
            "conversation", "create", data={"participants": {"create": [{"userId": "ada"}, {"userId": "bo"}]}}
        )
        conversation = made["id"]
        for client in c.ada, c.bo:
            begun = await event(client, lambda frame: frame["conversation"] == conversation)
            assert (begun["from"], begun["info"]["kind"], len(begun["participants"])) == (0, "direct", 2)
        assert await c.ada.open("bo") == conversation

        written = await c.app("message", "create", data={"conversationId": conversation, "senderId": "bo",
                                                         "content": "Wie geht es Ihnen?"})  # fmt: skip
        await c.app("conversationParticipant", "updateMany", where={"conversationId": conversation, "userId": "ada"},
                    data={"unreadCount": {"increment": 1}})  # fmt: skip
        change = await event(c.ada, lambda frame: frame.get("messages"))
        assert [(m["id"], m["seq"], m["body"]) for m in change["messages"]] == [(written["id"], 1, written["content"])]
        await c.agree(conversation)
        assert await c.unread(conversation) == {"ada": 1, "bo": 0}

        await c.app("conversationParticipant", "updateMany", where={"conversationId": conversation, "userId": "ada"},
                    data={"isMuted": True})  # fmt: skip
        change = await event(c.ada, lambda frame: (frame.get("membership") or {}).get("muted"))
        assert change["membership"]["unread"] == 1

        await c.app("conversationParticipant", "updateMany", where={"conversationId": conversation, "userId": "bo"},
                    data={"leftAt": "2026-01-01T00:00:00.000Z"})  # fmt: skip
        for client in c.ada, c.bo:
            await event(client, lambda frame: any(p["left_at"] for p in frame.get("participants") or ()))
        assert (await c.bo.refused("conversation.get", conversation=conversation))["code"] == "not_found"


async def test_app_and_chatd_send_read_and_mark_by_turns(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        conversation = await c.ada.open("bo")
        for n in range(3):
            await c.ada.say(conversation, f"k-{n}", f"Nr. {n} 🦷")
        await c.agree(conversation)
        assert await c.unread(conversation) == {"ada": 0, "bo": 3}
        assert await c.statuses(conversation) == ["SENT", "SENT", "SENT"]

        await c.bo.ask("receipt", conversation=conversation, delivered=3)
        await c.bo.ask("receipt", conversation=conversation, read=1)
        assert await c.statuses(conversation) == ["READ", "DELIVERED", "DELIVERED"]
        await c.agree(conversation)

        # The app marks as read, in either of the ways that apps do.
        await c.app("conversationParticipant", "updateMany", where={"conversationId": conversation, "userId": "bo"},
                    data={"unreadCount": 0})  # fmt: skip
        read = await event(c.ada, lambda frame: any(p["read_seq"] == 3 for p in frame.get("participants") or ()))
        assert read["participants"][0]["user"] == "bo"
        await event(c.bo, lambda frame: (frame.get("membership") or {}).get("unread") == 0)
        assert await c.statuses(conversation) == ["READ", "READ", "READ"]

        await c.bo.say(conversation, "b-1", "gut")
        assert await c.unread(conversation) == {"ada": 1, "bo": 0}
        await c.app("message", "updateMany", where={"conversationId": conversation, "senderId": {"not": "ada"},
                                                    "status": {"not": "READ"}}, data={"status": "READ"})  # fmt: skip
        await event(c.bo, lambda frame: any(p["read_seq"] == 4 for p in frame.get("participants") or ()))
        await c.agree(conversation)
        assert await c.unread(conversation) == {"ada": 0, "bo": 0}

        await c.app("conversationParticipant", "updateMany", where={"conversationId": conversation, "userId": "ada"},
                    data={"unreadCount": 7})  # fmt: skip

        async def put_back() -> bool:
            return await c.unread(conversation) == {"ada": 0, "bo": 0}

        await soon(put_back)
        await c.agree(conversation)


async def test_app_and_chatd_write_at_once_and_each_message_has_a_number(tmp_path: Path) -> None:
    """Messages of both sides under way together: each has a number, and nobody is held up."""
    async with clinic(tmp_path) as c:
        conversation = await c.ada.open("bo")
        assert await c.bo.open("ada") == conversation
        many = 40

        async def by_chatd() -> None:
            for n in range(many):
                await c.ada.say(conversation, f"k-{n}")

        async def by_the_app() -> None:
            for n in range(many):
                await c.app("message", "create", data={"conversationId": conversation, "senderId": "bo",
                                                       "content": f"app {n}"})  # fmt: skip
                await c.app("conversation", "update", where={"id": conversation},
                            data={"lastMessageAt": "2026-01-01T00:00:00.000Z"})  # fmt: skip

        async with trio.open_nursery() as nursery:
            nursery.start_soon(by_chatd)
            nursery.start_soon(by_the_app)

        def all_there() -> bool:
            return all(client.copies[conversation].last_seq == 2 * many for client in (c.ada, c.bo))

        await soon(all_there)
        for client in c.ada, c.bo:
            copy = client.copies[conversation]
            assert sorted(copy.messages) == list(range(1, 2 * many + 1))
            mine = [copy.messages[seq]["body"] for seq in sorted(copy.messages) if copy.messages[seq]["sender"] == "bo"]
            assert mine == [f"app {n}" for n in range(many)]
        assert await c.unread(conversation) == {"ada": many, "bo": many}
