"""What an app changes in rows that chatd knows, in its own tables, reaches those who are connected to a real daemon."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from support import mariadb, prisma_app
from support.process import running
from support.wsclient import Client, Frame, connected

REVOKED = 4503

SOON = 10.0
"""Seconds, at most, for what takes two on a quiet machine."""


@attrs.frozen
class Clinic:
    """Two people with a direct conversation and a group, each with a message; and the app's own session."""

    app: Any
    ada: Client
    bo: Client
    direct: str
    group: str

    def writes(self, statement: str, *values: object) -> None:
        self.app.execute(statement, values)

    async def both_hear(self, matches: Any) -> Frame:
        """The same event at each."""
        with trio.fail_after(SOON):
            first, second = [await client.heard(matches) for client in (self.ada, self.bo)]
        assert first.keys() - {"membership"} == second.keys() - {"membership"}
        return first


@asynccontextmanager
async def clinic(folder: Path) -> AsyncIterator[Clinic]:
    server = mariadb.server()
    name = server.database()
    with server.session(name) as app:
        app.execute("SET time_zone = '+00:00'")
        async with (
            running(folder, "--database", server.url(name)) as daemon,
            connected(daemon, "ada", role="patient") as ada,
            connected(daemon, "bo") as bo,
        ):
            direct = await ada.open("bo")
            made = await bo.ask("conversation.create", title="Recall", members=["ada"], client_id="g-1")
            for conversation in direct, made["conversation"]:
                await bo.say(conversation, f"hello {conversation}")
                for client in ada, bo:
                    await client.load(conversation)
            yield Clinic(app, ada, bo, direct, made["conversation"])


async def test_title_of_the_app_reaches_clients(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        before = c.ada.copies[c.group].rev
        c.writes("UPDATE Conversation SET title = %s WHERE id = %s", "Checkup 🦷", c.group)
        event = await c.both_hear(lambda frame: (frame.get("info") or {}).get("title") == "Checkup 🦷")
        assert (event["conversation"], event["from"], event["rev"]) == (c.group, before, before + 1)
        assert event["info"]["rev"] == before + 1
        assert "messages" not in event
        assert (await c.ada.ask("conversation.get", conversation=c.group))["info"] == event["info"]
        await c.bo.ask("conversation.update", conversation=c.group, title="By chatd")
        c.writes("UPDATE Conversation SET title = %s WHERE id = %s", "By the app", c.group)
        event = await c.both_hear(lambda frame: (frame.get("info") or {}).get("title") == "By the app")
        assert event["rev"] == before + 3


async def test_message_changed_by_the_app_reaches_clients(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        before = c.ada.copies[c.direct].messages[1]
        c.writes("UPDATE Message SET content = %s, editedAt = NOW(3) WHERE id = %s", "Otherwise", before["id"])
        event = await c.both_hear(lambda frame: any(m["body"] == "Otherwise" for m in frame.get("messages") or ()))
        (message,) = event["messages"]
        assert (message["seq"], message["rev"], message["id"]) == (1, event["rev"], before["id"])
        assert message["rev"] > before["rev"]
        assert message["edited_at"]
        page = await c.ada.ask("message.history", conversation=c.direct)
        assert [m["body"] for m in page["messages"]] == ["Otherwise"]
        c.writes("UPDATE Message SET deletedAt = NOW(3) WHERE id = %s", before["id"])
        event = await c.both_hear(lambda frame: any(m.get("deleted_at") for m in frame.get("messages") or ()))
        assert [(m["seq"], m["body"], m["rev"]) for m in event["messages"]] == [(1, "", event["rev"])]


async def test_role_in_a_group_set_by_the_app_reaches_clients(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        c.writes(
            "UPDATE ConversationParticipant SET role = 'owner' WHERE conversationId = %s AND userId = 'ada'", c.group
        )
        event = await c.both_hear(
            lambda frame: any(p["user"] == "ada" and p["role"] == "owner" for p in frame.get("participants") or ())
        )
        assert [p["rev"] for p in event["participants"]] == [event["rev"]]
        assert (await c.ada.ask("conversation.update", conversation=c.group, title="Mine"))["info"]["title"] == "Mine"


async def test_user_changed_by_the_app_reaches_clients(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:

        async def tells(column: str, value: str, **shown: str) -> None:
            c.writes(f"UPDATE User SET {column} = %s WHERE id = 'ada'", value)
            await c.both_hear(lambda frame: frame["type"] == "user" and shown.items() <= frame["user"].items())

        await tells("name", "Ada Lovelace", id="ada", name="Ada Lovelace")
        await tells(
            "avatarUrl", "https://app.example/ada.png", name="Ada Lovelace", avatar_url="https://app.example/ada.png"
        )
        assert (await c.ada.refused("message.delete", conversation=c.direct, seq=1))["code"] == "forbidden"
        await tells("role", "STAFF", id="ada", role="staff")
        (stone,) = (await c.ada.ask("message.delete", conversation=c.direct, seq=1))["messages"]
        assert stone["deleted_at"], "staff may delete what others wrote"
        c.writes("UPDATE User SET disabledAt = NOW(3) WHERE id = 'ada'")
        with trio.fail_after(SOON):
            await c.ada.closed.wait()
        assert c.ada.close_code == REVOKED
        await c.bo.heard(lambda frame: frame["type"] == "user" and frame["user"].get("disabled"))


async def test_deleted_user_is_cut_off_and_their_messages_stay(tmp_path: Path) -> None:
    """As where the app's tables have no foreign keys, or not between these."""
    async with clinic(tmp_path) as c:
        await c.ada.say(c.direct, "from Ada")
        c.writes("SET foreign_key_checks = 0")
        c.writes("DELETE FROM User WHERE id = 'ada'")
        with trio.fail_after(SOON):
            await c.ada.closed.wait()
        assert c.ada.close_code == REVOKED
        page = await c.bo.ask("message.history", conversation=c.direct)
        assert [(m["sender"], m["body"]) for m in page["messages"]][1:] == [("ada", "from Ada")]


async def test_deleted_user_of_cascading_keys_leaves_tombstones(tmp_path: Path) -> None:
    async with clinic(tmp_path) as c:
        await c.ada.say(c.group, "from Ada")
        for table in "Message", "ConversationParticipant":
            c.writes(f"DELETE FROM {table} WHERE {'senderId' if table == 'Message' else 'userId'} = 'ada'")
        c.writes("SET foreign_key_checks = 0")
        c.writes("DELETE FROM User WHERE id = 'ada'")
        with trio.fail_after(SOON):
            await c.ada.closed.wait()
        assert c.ada.close_code == REVOKED
        await c.bo.heard(lambda frame: any(m.get("deleted_at") for m in frame.get("messages") or ()))
        await c.bo.say(c.group, "next")
        page = await c.bo.ask("message.history", conversation=c.group)
        assert [(m["seq"], m["body"]) for m in page["messages"]] == [(1, f"hello {c.group}"), (2, ""), (3, "next")]


async def test_files_of_the_app_are_shown_with_their_messages(tmp_path: Path) -> None:
    """Of an app that has a table for them: with the message, after it, and to who comes back."""
    with prisma_app.app(*prisma_app.PLAIN, *prisma_app.FILES) as app:
        app.now = time.time_ns() // 1_000_000
        prisma_app.people(app)
        prisma_app.adopt(app)
        app.run("UPDATE chatd_meta SET value = '1' WHERE `key` = 'development'")  # so that nobody needs a token
        url = mariadb.server().url(app.database)
        async with running(tmp_path, "--database", url) as daemon, connected(daemon, "bo") as bo:
            async with connected(daemon, "ada", role="patient") as ada:
                conversation = await ada.open("bo")
                await bo.load(conversation)
                epoch, copies = ada.hello["epoch"], {conversation: attrs.evolve(ada.copies[conversation])}
            app.run("BEGIN")
            (message,) = app.say(conversation, "ada", "")
            app.attach(message, "f-1", width=640, height=480, thumbnailUrl="https://cdn.example/t.png")
            app.run("COMMIT")
            first = {
                "id": "f-1", "name": "f-1.png", "type": "image/png", "size": 1024, "url": "/files/f-1.png",
                "width": 640, "height": 480, "thumbnail_url": "https://cdn.example/t.png",
            }  # fmt: skip
            with trio.fail_after(SOON):
                event = await bo.heard(lambda frame: frame.get("messages"))
            assert [(m["id"], m["body"], m["attachments"]) for m in event["messages"]] == [(message, "", [first])]
            app.attach(message, "f-2")
            with trio.fail_after(SOON):
                event = await bo.heard(
                    lambda frame: any(len(m["attachments"]) == 2 for m in frame.get("messages") or ())
                )
            (told,) = event["messages"]
            assert (told["rev"], told["attachments"][0], told["attachments"][1]["id"]) == (event["rev"], first, "f-2")
            got = await bo.ask("conversation.get", conversation=conversation)
            listed = await bo.ask("conversation.list")
            page = await bo.ask("message.history", conversation=conversation)
            assert [got["last_message"], listed["conversations"][0]["last_message"], *page["messages"]] == [told] * 3
            async with connected(daemon, "ada", role="patient", copies=copies, epoch=epoch) as back:
                copy = await back.caught_up(conversation, event["rev"])
                assert copy == bo.copies[conversation]
                assert copy.messages[1]["attachments"] == told["attachments"]
                stone = await back.ask("message.delete", conversation=conversation, seq=1)
                assert stone["messages"][0]["attachments"] == []
