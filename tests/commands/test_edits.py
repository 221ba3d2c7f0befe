"""Edits, deletions, reactions: for how long, in which order, and what those get who were away."""

from random import Random
from typing import Any

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from chatd.client import RequestFailed
from chatd.commands.emoji import is_emoji
from chatd.config import Config, Messages
from chatd.testing import Refused, daemon
from chatd.testing.harness import START
from storage.changes import Change, DeleteMessage, EditMessage, React, SendMessage
from support.steering import changes, clinic, say
from support.strict import Book

HOUR = 3_600_000
ANY = frozenset({"participant"})


# -- for how long --


@pytest.mark.parametrize("request_", ["message.edit", "message.delete"])
@pytest.mark.parametrize(
    ("hours", "age", "allowed"),
    [
        (24, 0, True),
        (24, 24 * HOUR, True),
        (24, 24 * HOUR + 1, False),
        (0.5, HOUR // 2, True),
        (0.5, HOUR // 2 + 1, False),
        (0, 0, False),
        (0, -HOUR, False),
        (876_000, 99 * 365 * 24 * HOUR, True),
    ],
)
@pytest.mark.parametrize("role", ["patient", "staff"])
async def test_senders_take_back_for_as_long_as_the_settings_say(
    request_: str, hours: float, age: int, allowed: bool, role: str, autojump_clock: MockClock
) -> None:
    fields: dict[str, Any] = {"body": "y"} if request_ == "message.edit" else {}
    other = 24 if request_ == "message.edit" else 0
    mine = {"edit_within": hours, "delete_within": other} if fields else {"edit_within": 0, "delete_within": hours}
    async with clinic(config=Config(messages=Messages(**mine))) as c:
        ada, _, conversation = await c.pair()
        sender = ada if role == "patient" else await c.server.connect("sta-1", role="staff")
        if role == "staff":
            conversation = (await sender.ask("conversation.open", with_="pat-1"))["conversation"]
        me = "pat-1" if role == "patient" else "sta-1"
        c.store.commit(
            [
                SendMessage(
                    conversation=conversation,
                    user=me,
                    client_id="old",
                    message="old",
                    body="x",
                    reply_to=None,
                    at=c.server.now() - age,
                )
            ]
        )
        if allowed or (role, request_) == ("staff", "message.delete"):
            ok = await sender.ask(request_, conversation=conversation, seq=1, **fields)
            assert ok["rev"] == 3
        else:
            with pytest.raises(Refused, match="forbidden"):
                await sender.ask(request_, conversation=conversation, seq=1, **fields)


# -- in which order --


async def test_a_message_sent_and_edited_in_one_batch_is_listed_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        books = [Book(ada), Book(bo)]
        c.writes.hold("before")
        await say(ada, conversation, "a-1")
        await wait_all_tasks_blocked()
        await say(ada, conversation, "a-2")
        for body in ("y", "z"):
            await ada.send("message.edit", conversation=conversation, seq=2, body=body)
        await ada.send("message.edit", conversation=conversation, seq=1, body="first")
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        event = changes(bo)[-1]
        assert (event["from"], event["rev"]) == (2, 6)
        assert [(m["seq"], m["body"], m["rev"]) for m in event["messages"]] == [(2, "z", 5), (1, "first", 6)]
        for book in books:
            book.agree(c.store)


@pytest.mark.parametrize("order", [("message.edit", "message.delete"), ("message.delete", "message.edit")])
async def test_an_edit_and_a_deletion_at_once(order: tuple[str, str], autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        tablet = await c.server.connect("pat-1")
        books = [Book(client) for client in (ada, bo, tablet)]
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        await wait_all_tasks_blocked()
        c.writes.hold("before")
        ids = []
        for client, request in zip((ada, tablet), order, strict=True):
            fields = {"body": "y"} if request == "message.edit" else {}
            ids.append((client, await client.send(request, conversation=conversation, seq=1, **fields)))
            await wait_all_tasks_blocked()
        c.writes.release()
        await ids[0][0].reply(ids[0][1])
        if order[1] == "message.edit":
            with pytest.raises(Refused, match="conflict"):
                await tablet.reply(ids[1][1])
        else:
            await tablet.reply(ids[1][1])
        await wait_all_tasks_blocked()
        for book in books:
            book.agree(c.store)
        assert books[1].copies[conversation].messages[1]["body"] == ""
        assert books[1].copies[conversation].membership["unread"] == 0


async def test_unread_counts_of_all_connections_move_with_a_deletion(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        office = await c.server.connect("den-1")
        books = [Book(client) for client in (ada, bo, office)]
        c.writes.hold("before")
        await say(ada, conversation, "a-0")
        await wait_all_tasks_blocked()
        # All in one batch: what counts is what is left in the end.
        await say(ada, conversation, "a-1", "a-2", "a-3")
        await wait_all_tasks_blocked()
        await bo.send("receipt", conversation=conversation, read=2)
        await wait_all_tasks_blocked()
        for seq in (1, 3):
            await ada.send("message.delete", conversation=conversation, seq=seq)
        await say(ada, conversation, "a-4")
        await wait_all_tasks_blocked()
        c.writes.release()
        await wait_all_tasks_blocked()
        for book in books:
            book.agree(c.store)
        assert [book.copies[conversation].membership["unread"] for book in books] == [0, 2, 2]


async def test_reactions_of_many_at_once(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        books = [Book(ada), Book(bo)]
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        emoji = [chr(0x1F600 + n) for n in range(21)]
        c.writes.hold("before")
        asked = [
            (client, each, await client.send("message.react", conversation=conversation, seq=1, emoji=each, on=True))
            for each in emoji
            for client in (ada, bo)
        ]
        await wait_all_tasks_blocked()
        c.writes.release()
        for client, each, id in asked:
            if each == emoji[-1]:
                with pytest.raises(Refused, match="bad_request"):
                    await client.reply(id)
            else:
                await client.reply(id)
        await wait_all_tasks_blocked()
        for book in books:
            book.agree(c.store)
        kept = books[0].copies[conversation].messages[1]["reactions"]
        assert [(r["emoji"], r["count"]) for r in kept] == [(each, 2) for each in emoji[:20]]


# -- those who were away --


async def test_changes_of_long_ago_are_fed_in_the_order_of_revs(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, bo, conversation = await c.pair()
        await say(bo, conversation, *(f"b-{n}" for n in range(1, 301)))
        await wait_all_tasks_blocked()
        book = Book(ada).read()
        await ada.abort()
        rng = Random(1)
        for n in range(260):
            seq = rng.randrange(1, 301)
            altering: list[Change] = [
                EditMessage(conversation=conversation, user="den-1", seq=seq, body=f"edit {n}", at=START, since=None),
                React(conversation=conversation, user="pat-1", seq=seq, emoji="👍", on=rng.random() < 0.7, at=START),
                DeleteMessage(conversation=conversation, user="den-1", seq=seq, at=START, since=None, by=ANY),
                SendMessage(
                    conversation=conversation,
                    user="den-1",
                    client_id=f"n-{n}",
                    message=f"n-{n}",
                    body="new",
                    reply_to=None,
                    at=START,
                ),
            ]
            c.store.commit([rng.choice(altering)])
        back = await c.server.connect()
        resumed = Book(back, book.copies)
        await back.hello("pat-1", epoch="epoch-1", revs=book.revs)
        await wait_all_tasks_blocked()
        resumed.agree(c.store)
        told = [message["rev"] for frame in changes(back) for message in frame["messages"]]
        assert told == sorted(set(told))
        assert len(changes(back)) > 1


async def test_a_thousand_edits_are_fed_and_one_more_starts_over(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        await ada.abort()
        for n in range(1001):
            c.store.commit(
                [
                    SendMessage(
                        conversation=conversation,
                        user="den-1",
                        client_id=f"n-{n}",
                        message=f"n-{n}",
                        body="x",
                        reply_to=None,
                        at=START,
                    )
                ]
            )
        for edited, reset in ((1000, False), (1001, True)):
            first = 1 if edited == 1000 else 1001
            c.store.commit(
                [
                    EditMessage(conversation=conversation, user="den-1", seq=seq, body="y", at=START, since=None)
                    for seq in range(first, edited + 1)
                ]
            )
            again = await c.server.connect()
            hello = await again.hello("pat-1", epoch="epoch-1", revs={conversation: 1002})
            assert hello["revs"][conversation] == {"rev": 1002 + edited, "reset": reset}


# -- what is an emoji --

EMOJI = [
    *("🦷", "👍", "👍🏽", "❤", "❤️", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👨‍👩‍👧‍👦", "👩🏽‍⚕️", "🏃🏿‍♀️‍➡️"),
    *("1️⃣", "#⃣", "*️⃣", "🏳️‍🌈", "🐈‍⬛", "👩‍🦰", "👩‍❤️‍💋‍👨", "🧑🏻‍🤝‍🧑🏿", "©️"),
    *("⬛", "🫩", "☠️", "🕵️‍♂️", "🙂", "⛹🏽‍♂️", "🏴‍☠️", "‼️"),
    *("❤\ufe0e", "#\ufe0e\u20e3", "⛹\ufe0f🏽"),
]
NOT_EMOJI = [
    *("", "a", "1", "#", "é", "字", "👍👍", "👍 ", " 👍", "\n", "👍\n", "🇩", "🇩🇪🇫🇷", "🇩🇪🇫", "🦷🏽"),
    *("\u200d", "\ufe0f", "👍\u200d", "\u200d👍", "❤\ufe0f\ufe0e", "12", "😀a", "1\u20e31", "e\u0301"),
    *("👨‍👩‍👧‍👦👍", "a\ufe0f", "\u20e3", "👍\ufe0f\ufe0f", "👍\u0301"),
    *("👩\u200d\u200d⚕", "\U000e0067", ":-)", "<b>", "🏻\u200d👍"),
]


@pytest.mark.parametrize("text", EMOJI, ids=ascii)
def test_one_emoji(text: str) -> None:
    assert is_emoji(text)
    assert len(text) <= 32


@pytest.mark.parametrize("text", NOT_EMOJI, ids=ascii)
def test_no_emoji_or_not_one(text: str) -> None:
    assert not is_emoji(text)


async def test_an_emoji_of_more_than_32_code_points(autojump_clock: MockClock) -> None:
    async with clinic() as c:
        ada, _, conversation = await c.pair()
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="x")
        family = "\u200d".join(["👨"] * 16)
        assert is_emoji(family + "\u200d👨")
        await ada.ask("message.react", conversation=conversation, seq=1, emoji=family, on=True)
        with pytest.raises(Refused, match="bad_request"):
            await ada.ask("message.react", conversation=conversation, seq=1, emoji=family + "\u200d👨", on=True)


# -- the client for programs --


async def test_the_client_edits_deletes_and_reacts(autojump_clock: MockClock) -> None:
    async with daemon() as server, server.client("den-1", role="dentist") as bo, server.client("pat-1") as ada:
        await bo.users()
        chat = await ada.open("den-1")
        first = await ada.send(chat.id, "It hurts")
        second = await ada.send(chat.id, "A lot")
        assert (await ada.edit(chat.id, first.seq, "It hurts when I bite")).edited_at is not None
        assert (await bo.react(chat.id, first.seq, "🦷")).reactions[0].users == ("den-1",)
        await ada.delete(chat.id, second.seq)
        with pytest.raises(RequestFailed, match="conflict"):
            await bo.react(chat.id, second.seq, "🦷")
        with pytest.raises(RequestFailed, match="forbidden"):
            await bo.edit(chat.id, first.seq, "It is fine")
        await wait_all_tasks_blocked()
        for client, unread in ((ada, 0), (bo, 1)):
            held = client.conversation(chat.id)
            assert held is not None
            one, two = held.timeline()
            assert (one.body, [r.emoji for r in one.reactions]) == ("It hurts when I bite", ["🦷"])
            assert (two.body, two.deleted_at is not None) == ("", True)
            assert held.membership.unread == unread
        assert (await bo.react(chat.id, first.seq, "🦷", on=False)).reactions == ()
