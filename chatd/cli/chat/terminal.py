"""`chatd chat`: a chat with one person in a terminal, line by line.

Reads lines and writes lines, so that it works as well between pipes: at the end of its input it waits until all that
was sent is acknowledged.
"""

import codecs
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from pathlib import Path

import attrs
import trio

from chatd.client import (
    Client,
    Closed,
    Connected,
    Conversation,
    ConversationChanged,
    Disconnected,
    Event,
    PresenceChanged,
    RequestFailed,
    Sending,
    SignIn,
    TypingChanged,
    connect,
)
from chatd.client.line import ISSUER_CODES
from chatd.client.replica import Status
from protocol.codes import ErrorCode
from protocol.objects import Message, Role
from protocol.times import from_rfc3339

from .files import SAVE, SEND, Transfers, draw, source
from .texts import printable

HISTORY_MESSAGES = 20
"""Messages shown at the beginning, and after a long absence."""

CHAT_RETRY_S = 1.0
"""Seconds until the other person is looked for again, and until what failed for now is tried again."""

MAX_UNACKNOWLEDGED = 100
"""Messages that may wait to be acknowledged before more input is read."""

PREVIEW_CHARS = 40
"""Characters of a message that tell which one is meant."""

COMMAND = re.compile(r"/[A-Za-z]+")
"""Lines that are no messages: one word behind a slash; and those of files."""

ESCAPED = re.compile(rf"/(?:{COMMAND.pattern}|{SEND.pattern}|{SAVE.pattern})")
"""Messages that would be no messages without the slash in front."""

HELP = (
    "/quit or Ctrl-D ends; /file PATH sends a file, /save N saves the file [N] here; //word sends /word; "
    "every other line is a message"
)

TICKS: dict[Status, str] = {"sent": "✓ sent", "delivered": "✓✓ delivered", "read": "✓✓ read"}


class CannotChat(Exception):
    """The chat is over for a reason that the user should know, in one line."""


class _Gone(Exception):
    """Loss of the reader of our output."""


def run(
    server: str,
    other: str,
    *,
    user: str | None = None,
    name: str | None = None,
    role: Role | None = None,
    token: str | SignIn | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> bool:
    """Chat until the end of the input, `/quit`, or a signal; as `user`, or as the token's. Raises CannotChat.

    Returns True if all that was typed has been kept.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ticks gets "?"
    try:
        connection = connect(server, user=user, name=name, role=role, token=token, ssl_context=ssl_context)
    except ValueError as error:
        raise CannotChat(str(error)) from None
    try:
        # A user without a token is in development mode, where others appear as they connect.
        return trio.run(_main, connection, server, other, user is not None)
    except _Gone:
        # Python flushes once more at exit, and must not complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True


async def _main(connection: AbstractAsyncContextManager[Client], server: str, other: str, awaits: bool) -> bool:
    failure: Exception | None = None
    chat: TerminalChat | None = None
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_at_signal, signals, nursery.cancel_scope)
                async with connection as client:
                    typed, lines = trio.open_memory_channel[str](0)
                    nursery.start_soon(read_lines, sys.stdin.fileno(), typed)
                    echo = not sys.stdin.isatty()
                    chat = TerminalChat(client, other, server, write, echo=echo, awaits=awaits, draw=draw)
                    await chat.run(lines)
                nursery.cancel_scope.cancel()
    except* (Closed, RequestFailed, _Gone) as group:
        failure = leaf(group)
    if isinstance(failure, RequestFailed | Closed):
        reason = failure.message if isinstance(failure, RequestFailed) else failure.reason
        raise CannotChat(f"{server}: {printable(reason, ' ')}")
    if failure is not None:
        raise failure
    return chat is None or not chat.lost


async def _stop_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


def write(line: str) -> None:
    """A line on standard output. Raises _Gone."""
    try:
        print(line, flush=True)
    except OSError:
        raise _Gone from None


async def read_lines(fd: int, typed: trio.MemorySendChannel[str]) -> None:
    """Send on the lines of a file, pipe or terminal, then close the channel; empty ones are left out."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest, data = "", b"\n"
    async with typed:
        while data:
            # A thread, as files can't be polled; the descriptor, as a thread left in `sys.stdin` would block the exit.
            data = await trio.to_thread.run_sync(os.read, fd, 65_536, abandon_on_cancel=True)
            *lines, rest = (rest + decoder.decode(data, final=not data)).split("\n")
            for line in lines if data else [*lines, rest]:
                if clean := printable(line, "").strip():
                    await typed.send(clean)


def clock(text: str) -> str:
    """A time of the wire as the local time of day, with the date unless that is today's."""
    at = datetime.fromtimestamp(from_rfc3339(text) / 1000).astimezone()
    return at.strftime("%H:%M" if at.date() == datetime.now().astimezone().date() else "%Y-%m-%d %H:%M")


@attrs.define(eq=False)
class TerminalChat:
    """A conversation on its way to the screen and back.

    `echo`: show what is typed, too, as no terminal does it. `awaits`: somebody who doesn't exist is waited for. `draw`:
    shows how far a file is. `lost`: messages that were typed, and not kept.
    """

    client: Client
    other: str
    server: str
    write: Callable[[str], None]
    echo: bool
    awaits: bool = True
    draw: Callable[[str], None] = lambda text: None
    lost: int = 0
    _conversation: str | None = None
    _found: trio.Event = attrs.Factory(trio.Event)
    _shown: int = 0  # the seq up to which messages are on the screen
    _ticks: dict[int, Status] = attrs.Factory(dict)  # what was said of own messages that are not read yet
    _typed: set[str] = attrs.Factory(set)  # client ids of what was typed here and is not on the screen
    _drawn: trio.Event = attrs.Factory(trio.Event)
    _unsent: int = 0
    _epoch: str | None = None  # of the history that is on the screen
    _offline: bool = False
    _met: bool = False  # there was a connection
    _online: bool | None = None  # what was said of the other
    _said: dict[int, Message] = attrs.Factory(dict)  # messages as they were when they were last spoken of
    _files: Transfers = attrs.Factory(lambda chat: Transfers(chat.client, chat._note, chat.draw), takes_self=True)

    async def run(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        """Chat until the end of `lines`. Raises Closed and RequestFailed, in a group."""
        try:
            await self._run(lines)
        finally:
            if self._unsent:
                self.lost += self._unsent
                self._note(f"not sent: {self._unsent} message{'s' if self._unsent > 1 else ''}")

    async def _run(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        async with trio.open_nursery() as nursery:
            typed, to_send = trio.open_memory_channel[str | Path](MAX_UNACKNOWLEDGED)
            nursery.start_soon(self._listen, nursery)
            nursery.start_soon(self._send, to_send, nursery.cancel_scope)
            nursery.start_soon(self._find)
            nursery.start_soon(self._acknowledge)
            async with typed:
                async for line in lines:
                    if line == "/quit":
                        nursery.cancel_scope.cancel()
                        break
                    if found := SAVE.fullmatch(line):
                        nursery.start_soon(self._files.save, int(found[1]))
                        continue
                    if found := SEND.fullmatch(line):
                        self._unsent += 1
                        await typed.send(source(found[1]))
                        continue
                    if COMMAND.fullmatch(line):
                        self._note(HELP if line == "/help" else f"there is no {line}; {HELP}")
                        continue
                    self._unsent += 1
                    await typed.send(line[1:] if ESCAPED.fullmatch(line) else line)

    # -- what leaves --

    async def _find(self) -> None:
        """Wait until there is somebody to talk to, and show what was said before."""
        waiting = False
        while True:
            try:
                conversation = (await self.client.open(self.other)).id
                page, _ = await self.client.history(conversation, limit=HISTORY_MESSAGES)
                await self.client.presence([self.other])
                break
            except RequestFailed as error:
                if error.code == ErrorCode.NOT_FOUND and not self.awaits:
                    raise Closed(f"there is no {self.other} whom you may talk to") from None
                if not (error.temporary or error.code == ErrorCode.NOT_FOUND):
                    raise
                if error.code == ErrorCode.NOT_FOUND and not waiting:
                    waiting = True
                    self._note(f"there is no {self.other} yet; waiting for {self.other} to appear ...")
                await trio.sleep(error.retry_after or CHAT_RETRY_S)
        if self._epoch is not None and (self._epoch != self.client.replica.epoch or self._went_back(conversation)):
            self._note("the server went back to a backup; what follows is what it has now")
        self._epoch = self.client.replica.epoch
        self._note(f"you talk to {self._name(self.other)}; /quit ends, /help lists what else there is")
        self._tell_presence()
        self._ticks.clear()
        self._said.clear()
        self._shown = page[0].seq - 1 if page else 0
        self._conversation = conversation
        held = self.client.conversation(conversation)
        if held is not None:
            self._show(held, status=True)
        self._found.set()

    async def _send(self, lines: trio.MemoryReceiveChannel[str | Path], end: trio.CancelScope) -> None:
        places = trio.Semaphore(MAX_UNACKNOWLEDGED)
        async with trio.open_nursery() as underway, lines:
            async for line in lines:
                await places.acquire()
                await self._found.wait()
                body, files = (line, []) if isinstance(line, str) else ("", await self._upload(line))
                if not body and not files:
                    places.release()
                    continue
                assert self._conversation is not None
                sending = self.client.post(self._conversation, body, attachments=files)
                self._typed.add(sending.client_id)
                underway.start_soon(self._settle, sending, places)
        with trio.move_on_after(CHAT_RETRY_S):  # it is kept; what is still to be shown hardly matters
            while self._typed:
                await self._drawn.wait()
        end.cancel()

    async def _upload(self, file: Path) -> list[str]:
        id = await self._files.upload(file)
        if id is None:
            self._unsent -= 1
            self.lost += 1
        return [] if id is None else [id]

    async def _settle(self, sending: Sending, places: trio.Semaphore) -> None:
        try:
            await sending.acknowledged()
            self._unsent -= 1
        except RequestFailed as error:
            self._unsent -= 1
            self.lost += 1
            self._typed.discard(sending.client_id)
            self._note(f"not sent: {preview(sending.body)} ({printable(error.message, ' ')})")
        finally:
            places.release()

    async def _acknowledge(self) -> None:
        """Say that what is on the screen was read."""
        while True:
            await self._found.wait()
            held = self.client.conversation(self._conversation or "")
            drawn = self._drawn
            if held is None or self._shown <= held.participants[self._me].read_seq:
                await drawn.wait()
                continue
            try:
                await self.client.receipt(held.id, read=self._shown)
            except RequestFailed as error:
                await trio.sleep(error.retry_after or CHAT_RETRY_S)

    # -- what comes --

    async def _listen(self, nursery: trio.Nursery) -> None:
        async for event in self.client.events():
            await self._tell(event, nursery)
            self._drawn.set()
            self._drawn = trio.Event()

    async def _tell(self, event: Event, nursery: trio.Nursery) -> None:
        match event:
            case Connected():
                if self._offline:
                    self._note("connected")
                self._offline, self._met = False, True
                if self._conversation is not None:
                    self._tell_presence()
            case Disconnected():
                self._end_where_no_use(event)
                if not self._offline:
                    self._note(f"no connection to {self.server} ({printable(event.reason, ' ')}), trying again ...")
                self._offline = True
            case ConversationChanged(conversation=self._conversation):
                if event.dropped or self._is_another_history():
                    self._conversation = None
                    self._found = trio.Event()
                    nursery.start_soon(self._find)
                else:
                    await self._update(event)
            case TypingChanged(conversation=self._conversation, user=self.other, active=True):
                self._note(f"{self._name(self.other)} is typing ...")
            case PresenceChanged(user=self.other) if self._conversation is not None and not self._offline:
                self._tell_presence()
            case _:
                pass

    def _end_where_no_use(self, event: Disconnected) -> None:
        """Raise Closed where TLS failed before there ever was a connection: trying again won't mend that."""
        if self._met or not isinstance(event.cause, ssl.SSLError):
            return
        untrusted = getattr(event.cause, "verify_code", None) in ISSUER_CODES
        hint = "; for one of your own making give --ca FILE, with it or its issuer's" if untrusted else ""
        raise Closed(f"{event.reason}{hint}")

    def _is_another_history(self) -> bool:
        """Return True if what is on the screen is not what the server has: a backup was restored."""
        return self.client.replica.epoch != self._epoch or self._went_back(self._conversation)

    def _went_back(self, conversation: str | None) -> bool:
        held = self.client.conversation(conversation or "")
        return held is not None and held.last_seq < self._shown

    async def _update(self, event: ConversationChanged) -> None:
        held = self.client.conversation(event.conversation)
        if held is not None and held.low > self._shown + 1:  # it began anew, after a long absence
            with suppress(RequestFailed):
                await self.client.history(held.id, before=held.low, limit=HISTORY_MESSAGES)
            held = self.client.conversation(event.conversation)
        if held is None or event.conversation != self._conversation:
            return
        if held.low > self._shown + 1:
            self._note(f"{held.low - self._shown - 1} messages before these")
            self._shown = held.low - 1
        for message in event.messages:
            if message.seq <= self._shown:
                self._tell_again(message)
        self._show(held)
        self._tell_ticks(held)

    def _show(self, held: Conversation, *, status: bool = False) -> None:
        """Write what follows on what is on the screen."""
        while (message := held.messages.get(self._shown + 1)) is not None:
            self._shown += 1
            self._said[message.seq] = message
            mine = message.sender == self._me
            state = held.status(message)
            if mine:
                self._ticks[message.seq] = state if status else "sent"
            typed = message.client_id in self._typed
            self._typed.discard(message.client_id or "")
            if self.echo or not typed:
                self.write(self._line(message) + (f"  ({state})" if mine and status else ""))
            if mine and not status:
                self.write(f"        {TICKS['sent']}: {preview(message.body)}")

    def _tell_ticks(self, held: Conversation) -> None:
        moved: dict[Status, list[Message]] = {}
        for seq, said in list(self._ticks.items()):
            message = held.messages.get(seq)
            if message is None or said == "read":
                del self._ticks[seq]
            elif (state := held.status(message)) != said:
                self._ticks[seq] = state
                moved.setdefault(state, []).append(message)
        for state, messages in moved.items():
            if state != "sent":
                which = preview(messages[0].body) if len(messages) == 1 else f"{len(messages)} messages"
                self.write(f"        {TICKS[state]}: {which}")

    def _tell_again(self, message: Message) -> None:
        """Say what became of a message that is on the screen."""
        before = self._said.get(message.seq)
        self._said[message.seq] = message
        if message.deleted_at is not None:
            self._note(f"deleted: a message of {self._name(message.sender)}, {clock(message.sent_at)}")
            return
        if message.edited_at is not None and (before is None or before.edited_at != message.edited_at):
            self._note(f"{self._name(message.sender)} edited: {printable(message.body)}")
        for file in message.attachments:
            if before is not None and file not in before.attachments:
                self._note(f"{self._name(message.sender)} added {self._files.shown(file)}")
        now, then = _reactions(message), _reactions(before) if before is not None else []
        for user, emoji in [each for each in now if each not in then]:
            self._note(f"{self._name(user)} reacted {printable(emoji, ' ')} to: {preview(message.body)}")
        for user, emoji in [each for each in then if each not in now]:
            self._note(f"{self._name(user)} took back {printable(emoji, ' ')} from: {preview(message.body)}")

    def _tell_presence(self) -> None:
        online = self.client.replica.online(self.other)
        if online != self._online:
            self._online = online
            self._note(f"{self._name(self.other)} is {'online' if online else 'offline'}")

    def _line(self, message: Message) -> str:
        if message.deleted_at is not None:
            return f"{clock(message.sent_at)} {self._name(message.sender)}: (deleted)"
        edited = " (edited)" if message.edited_at is not None else ""
        emoji = "".join(f" {printable(r.emoji, ' ')}{r.count if r.count > 1 else ''}" for r in message.reactions)
        parts = [printable(message.body), *map(self._files.shown, message.attachments)]
        line = f"{clock(message.sent_at)} {self._name(message.sender)}: {' '.join(filter(None, parts))}{edited}"
        return f"{line}  [{emoji.strip()}]" if emoji else line

    @property
    def _me(self) -> str:
        """Return the signed-in user: there is one where a conversation is held."""
        assert self.client.user is not None
        return self.client.user.id

    def _note(self, text: str) -> None:
        self.write(f"-- {text}")

    def _name(self, user: str | None) -> str:
        if user is None:
            return "(chat)"
        known = self.client.replica.users.get(user)
        return printable(known.name if known else user, " ")


def _reactions(message: Message) -> list[tuple[str, str]]:
    """Return the reactions with the names of those who reacted."""
    return [(user, reaction.emoji) for reaction in message.reactions for user in reaction.users]


def preview(body: str) -> str:
    """A message's beginning, on one line."""
    line = printable(body, " ")
    return line if len(line) <= PREVIEW_CHARS else line[: PREVIEW_CHARS - 3] + "..."


def leaf(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first exception in a group of groups."""
    error = group.exceptions[0]
    return leaf(error) if isinstance(error, BaseExceptionGroup) else error
