"""The chat in a terminal: against a daemon in virtual time, and as processes that talk through a real one."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from chatd.cli.chat.terminal import preview, read_lines
from chatd.cli.chat.texts import printable
from chatd.client import Closed
from chatd.testing import TestClient, daemon
from storage.memory import MemoryStore
from storage.records import Attachment
from support import process
from support.terminals import Terminal, terminal, window

# -- in virtual time --


@asynccontextmanager
async def talking(**more: Any) -> AsyncIterator[tuple[Terminal, TestClient, str]]:
    """A patient at a terminal, and a dentist."""
    async with daemon() as server:
        bo = await server.connect("den-1", role="dentist", name="Bo")
        await (await server.connect("pat-1", name="Ada")).aclose()
        conversation = (await bo.ask("conversation.open", with_="pat-1"))["conversation"]
        async with terminal(server, "pat-1", "den-1", **more) as ada:
            await ada.see("you talk to Bo")
            yield ada, bo, conversation


async def test_a_message_and_its_ticks(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, conversation):
        await ada.see("Bo is online")
        await ada.keys.send("It hurts")
        assert (await ada.see("It hurts")).endswith("Ada: It hurts")
        await ada.see("✓ sent: It hurts")
        await bo.expect("change", messages=[{"body": "It hurts"}])
        await bo.ask("receipt", conversation=conversation, delivered=1)
        await ada.see("✓✓ delivered: It hurts")
        await bo.ask("receipt", conversation=conversation, read=1)
        await ada.see("✓✓ read: It hurts")


async def test_chat_at_a_terminal_shows_typed_lines_once(autojump_clock: MockClock) -> None:
    async with talking(echo=False) as (ada, _, _):
        await ada.keys.send("It hurts")
        await ada.keys.send("a lot")
        await trio.sleep(1)
        assert [line.strip() for line in ada.lines] == ["-- Bo is online", "✓ sent: It hurts", "✓ sent: a lot"]


async def test_message_received_is_shown_and_read(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, conversation):
        await bo.tell("typing", conversation=conversation, active=True)
        await ada.see("Bo is typing ...")
        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="Where?\n00:00 Ada: \x1b[2Jhere")
        await ada.see("Bo: Where?\n    00:00 Ada: [2Jhere")
        await bo.expect("change", participants=[{"user": "pat-1", "read_seq": 1, "delivered_seq": 1}])


async def test_message_sent_shows_its_status(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, conversation):
        await ada.keys.send("It hurts")
        await ada.see("✓ sent: It hurts")
        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="Where?")
        await ada.see("Bo: Where?")
        await bo.ask("message.edit", conversation=conversation, seq=2, body="Where\x1b exactly?")
        await ada.see("-- Bo edited: Where exactly?")
        await bo.ask("message.react", conversation=conversation, seq=1, emoji="🦷", on=True)
        await ada.see("-- Bo reacted 🦷 to: It hurts")
        await bo.ask("message.react", conversation=conversation, seq=2, emoji="👍", on=True)
        assert (await ada.see("Bo")) == "-- Bo reacted 👍 to: Where exactly?", "and not that it was edited"
        await bo.ask("message.react", conversation=conversation, seq=1, emoji="🦷", on=False)
        await ada.see("-- Bo took back 🦷 from: It hurts")
        await bo.ask("message.delete", conversation=conversation, seq=2)
        await ada.see("-- deleted: a message of Bo, ")
        async with terminal(ada.server, "pat-1", "den-1") as again:
            await bo.ask("message.react", conversation=conversation, seq=1, emoji="🦷", on=True)
            await again.see("Bo: (deleted)")


async def test_history_shows_edits_and_reactions(autojump_clock: MockClock) -> None:
    async with talking() as (first, bo, conversation):
        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="Were?")
        await bo.ask("message.edit", conversation=conversation, seq=1, body="Where?")
        for emoji in ("👍", "🦷"):
            await bo.ask("message.react", conversation=conversation, seq=1, emoji=emoji, on=True)
        await first.server.clients[1].abort()
        async with terminal(first.server, "pat-1", "den-1") as ada:
            assert (await ada.see("Where?")).endswith("Bo: Where? (edited)  [👍 🦷]")


async def test_files_are_shown_with_their_addresses(autojump_clock: MockClock) -> None:
    """Of an app that keeps files beside a shared store; a reaction makes everybody hear of one that came later."""
    async with talking() as (ada, bo, conversation):
        store = ada.server.daemon.parts.gate.store
        assert isinstance(store, MemoryStore)

        def attach(*names: str) -> None:
            (message,) = store._messages[conversation]
            files = tuple(
                Attachment(id=name, name=f"{name}\x1b.png", type="image/png", size=1, url=f"/files/{name}")
                for name in names
            )
            store._messages[conversation] = [attrs.evolve(message, body="", attachments=files)]

        await bo.ask("message.send", conversation=conversation, client_id="b-1", body="look")
        await ada.see("Bo: look")
        attach("a", "b")
        await bo.ask("message.react", conversation=conversation, seq=1, emoji="👍", on=True)
        await ada.see("-- Bo added <b.png: /files/b>")
        async with terminal(ada.server, "pat-1", "den-1") as again:
            assert (await again.see("Bo: ")).endswith("Bo: <a.png: /files/a> <b.png: /files/b>  [👍]")


async def test_history_comes_first(autojump_clock: MockClock) -> None:
    async with daemon() as server:
        bo = await server.connect("den-1", role="dentist", name="Bo")
        old = await server.connect("pat-1", name="Ada")
        conversation = (await old.ask("conversation.open", with_="den-1"))["conversation"]
        for n in range(1, 31):
            await (old if n % 2 else bo).ask("message.send", conversation=conversation, client_id=f"{n}", body=f"n{n}.")
        await bo.ask("receipt", conversation=conversation, read=30)
        async with terminal(server, "pat-1", "den-1") as ada:
            await ada.see("n30.")
            assert not any("n10." in line for line in ada.lines)
            await ada.keys.send("next")
            await ada.see("✓ sent: next")
        async with terminal(server, "pat-1", "den-1") as ada:
            assert (await ada.see("n29.")).endswith("(read)")
            assert (await ada.see("next")).endswith("(sent)")


async def test_a_lost_connection_is_told_and_nothing_else_lost(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, conversation):
        await ada.cut()
        await ada.see("no connection to http://127.0.0.1")
        await ada.keys.send("still there?")
        for n in range(60):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=f"n{n}.")
        await trio.sleep(30)
        assert not any("no connection" in line for line in ada.lines)  # once is enough
        ada.down = False
        await ada.see("-- connected")
        for n in range(60):
            await ada.see(f"n{n}.")
        await ada.see("✓ sent: still there?")
        await bo.expect("change", messages=[{"body": "still there?"}])


async def test_reset_shows_the_newest_messages(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, conversation):
        await ada.cut()
        for n in range(1, 1102):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=f"n{n}.")
        ada.down = False
        await ada.see("1080 messages before these")
        await ada.see("n1081.")
        await ada.see("n1101.")


async def test_the_other_comes_and_goes(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, _):
        await ada.see("Bo is online")
        await bo.aclose()
        await ada.see("Bo is offline")
        await ada.server.connect("den-1")
        await ada.see("Bo is online")


async def test_absence_of_the_other_is_told_once_connected(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, _):
        await ada.see("Bo is online")
        await ada.cut()
        await ada.see("no connection")
        await bo.aclose()
        await trio.sleep(30)
        ada.down = False
        await ada.see("Bo is offline")
        assert not any("connected" in line for line in ada.lines), "that came first"
        await ada.cut()
        await ada.see("no connection")
        await ada.server.connect("den-1")
        ada.down = False
        await ada.see("-- connected")
        await ada.see("Bo is online")
        await ada.cut()
        await ada.see("no connection")
        ada.down = False
        await ada.see("-- connected")
        await trio.sleep(30)
        assert ada.lines == [], "what was said is not said again"


async def test_chat_waits_for_a_user_who_is_not_there_yet(autojump_clock: MockClock) -> None:
    async with daemon() as server, terminal(server, "pat-1", "den-1") as ada:
        await ada.see("waiting for den-1 to appear ...")
        await ada.keys.send("first")
        await trio.sleep(60)
        assert ada.lines == []
        bo = await server.connect("den-1", role="dentist")
        await ada.see("✓ sent: first")
        await bo.expect("change", messages=[{"body": "first"}])


async def test_the_end_of_the_input_waits_for_what_was_sent(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, _):
        await ada.cut()
        for n in range(250):
            await ada.keys.send(f"n{n}.")
        await ada.keys.aclose()
        await trio.sleep(100)
        assert not ada.over.is_set()
        ada.down = False
        with trio.fail_after(60):
            await ada.over.wait()
        for n in range(250):
            await bo.expect("change", messages=[{"body": f"n{n}."}])
        await ada.see("n249.")


async def test_quit_ends_at_once_and_says_what_was_not_sent(autojump_clock: MockClock) -> None:
    async with talking() as (ada, _, _):
        await ada.cut()
        for line in ("one", "two", "/quit"):
            await ada.keys.send(line)
        await ada.over.wait()
        await ada.see("-- not sent: 2 messages")


async def test_a_word_behind_a_slash_is_no_message(autojump_clock: MockClock) -> None:
    async with talking() as (ada, bo, _):
        for line in ("/help", "/hlep", "//help", "/usr/bin", "/ 2", "//x/y"):
            await ada.keys.send(line)
        await ada.see("-- /quit or Ctrl-D ends;")
        await ada.see("-- there is no /hlep; /quit or Ctrl-D ends;")
        for body in ("/help", "/usr/bin", "/ 2", "//x/y"):
            await bo.expect("change", messages=[{"body": body}])
            await ada.see(f"✓ sent: {body}")


async def test_a_refused_message_says_so(autojump_clock: MockClock) -> None:
    async with talking() as (ada, _, _):
        await ada.keys.send("x" * 10_001)
        await ada.see("-- not sent: xxx")
        await ada.keys.send("fine")
        await ada.see("✓ sent: fine")


async def test_a_refusal_ends_the_chat(autojump_clock: MockClock) -> None:
    reasons: list[str] = []
    try:
        async with daemon(development=False) as server, terminal(server, "pat-1", "den-1") as ada:
            await ada.over.wait()
    except* Closed as group:
        reasons.append(str(group.exceptions))
    assert "development mode" in reasons[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 👩\u200d⚕️ Zahnärztin עברית", "plain 👩\u200d⚕️ Zahnärztin עברית"),
        ("\x1b[31mred\x1b]0;title\x07", "[31mred]0;title"),
        ("\x9b31m\x85\x7f", "31m"),
        ("a\r\nb\nc\u2028d\u2029e", "a\n    b\n    c\n    d\n    e"),
        ("a\rb\tc", "ab c"),
        ("\u202eevil\u2066", "evil"),
    ],
)
def test_control_characters_are_left_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_preview_is_short_and_on_one_line() -> None:
    assert preview("a\nb") == "a b"
    assert len(preview("x" * 100)) == 40


async def test_lines_are_read_as_they_come(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes("one\n\n  zwölf \r\n\x1b[31m\n".encode() + b"\xff\nlast")
    typed, lines = trio.open_memory_channel[str](10)
    with file.open("rb") as opened:
        await read_lines(opened.fileno(), typed)
    assert [line async for line in lines] == ["one", "zwölf", "[31m", "\ufffd", "last"]


# -- as processes --


ADA = ("--as", "pat-1", "--name", "Ada", "--with", "den-1")
BO = ("--as", "den-1", "--name", "Dr. Bo", "--role", "dentist", "--with", "pat-1")


async def test_two_people_talk(tmp_path: Path) -> None:
    async with process.running(tmp_path) as daemon:
        server = f"http://127.0.0.1:{daemon.port}"
        async with window(server, *ADA) as ada:
            await ada.see("waiting for den-1 to appear ...")
            await ada.type("It hurts\n")
            async with window(server, *BO) as bo:
                await bo.see("Ada: It hurts")
                await ada.see("✓✓ read: It hurts")
                await bo.type("Where?\nWhen you bite?\n")
                await ada.see("Dr. Bo: When you bite?")
                assert ada.output.index("Where?") < ada.output.index("When you bite?")
                await bo.see("✓✓ read")
                await ada.type("Yes")  # without an end of line
                assert await ada.end() == 0
                await bo.see("Ada: Yes")
                bo.process.send_signal(signal.SIGINT)
                assert await bo.wait() == 0
            async with window(server, *ADA) as ada:
                await ada.see("When you bite?")
                await ada.type("/quit\ntoo late\n" * 2)
                assert await ada.wait() == 0


async def test_one_that_nobody_reads_ends(tmp_path: Path) -> None:
    async with process.running(tmp_path) as daemon, window(f"http://127.0.0.1:{daemon.port}", *ADA) as ada:
        await ada.see("waiting")
        assert ada.process.stdout is not None
        await ada.process.stdout.aclose()
        async with window(f"http://127.0.0.1:{daemon.port}", *BO):
            assert await ada.wait() == 0


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--as", "a b", "--with", "den-1"), "printable ASCII"),
        (("--as", "pat-1", "--with", "pat-1"), "oneself"),
        (("--as", "pat-1", "--with", "den-1", "--server", "chat.example"), "no URL of a server"),
    ],
)
async def test_chat_that_cannot_begin_says_why(flags: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    async with process.running(tmp_path) as daemon, window(f"http://127.0.0.1:{daemon.port}", *flags) as chat:
        await chat.see(complaint)
        assert await chat.wait() == 2
        assert "Traceback" not in chat.output
