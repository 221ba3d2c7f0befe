"""A client's own copy of its conversations, kept by the rules of `docs/protocol.md`. Synchronous and pure: no I/O.

The owner of the connection applies every frame in the order received, then asks for what the returned `Effect` says.
Messages that are only on their way are not in here.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import attrs

from protocol.frames import (
    Change,
    ChangeOk,
    Frame,
    GetOk,
    HelloOk,
    HistoryOk,
    ListOk,
    Presence,
    PresenceOk,
    SyncOk,
    Typing,
    UserChanged,
    UserListOk,
)
from protocol.objects import Info, Membership, Message, Participant, PresenceState, RevState, Summary, User
from protocol.requests import MessageHistory, Request

TYPING_TIMEOUT_S = 8.0
"""Seconds after which typing ends, should nobody say so."""

Status = Literal["sent", "delivered", "read"]

V = TypeVar("V")


@attrs.define
class Effect:
    """The effect of a frame: changed conversations by id, and requests that must follow."""

    messages: dict[str, dict[int, Message]] = attrs.Factory(dict)
    """New or newer messages of a conversation, by seq; none where something else of it changed."""
    restarted: set[str] = attrs.Factory(set)
    """Begun, or begun anew: what was held of it before is gone."""
    dropped: set[str] = attrs.Factory(set)
    """Conversations not held any more: left, or void."""
    typing: set[tuple[str, str]] = attrs.Factory(set)
    """(conversation, user)"""
    presence: set[str] = attrs.Factory(set)
    users: set[str] = attrs.Factory(set)
    sync: set[str] = attrs.Factory(set)
    """Something is missing: ask `sync` with the revs held."""
    get: set[str] = attrs.Factory(set)
    """Conversations not held, but there: ask `conversation.get`, and drop those answered with `not_found`."""


@attrs.define(eq=False)
class Conversation:
    """The copy of one conversation. `rev` is the cursor.

    All messages from `low` to `last_seq` are held, as of `rev`; `low` is 1 when none is missing. (Within a catch-up of
    several events, one that was changed lately may come after those that follow it.)
    """

    rev: int
    info: Info
    membership: Membership
    low: int
    last_seq: int
    participants: dict[str, Participant] = attrs.Factory(dict)
    messages: dict[int, Message] = attrs.Factory(dict)
    typing: dict[str, float] = attrs.Factory(dict)
    """Typing users, and until when (s, on the clock that `apply` is given)."""

    @property
    def id(self) -> str:
        """The conversation's id."""
        return self.info.id

    def timeline(self) -> list[Message]:
        """The messages held, ascending."""
        return [self.messages[seq] for seq in sorted(self.messages)]

    def status(self, message: Message) -> Status:
        """Return the status of a message for its sender.

        It counts the other present participants who came before the message or have read it.
        """
        seq = message.seq
        others = [
            p
            for p in self.participants.values()
            if p.left_at is None and p.user != message.sender and (p.from_seq <= seq or p.read_seq >= seq)
        ]
        if others and all(p.read_seq >= seq for p in others):
            return "read"
        if others and all(p.delivered_seq >= seq for p in others):
            return "delivered"
        return "sent"

    # -- taking what a frame lists: whole objects, the higher rev wins --

    def take_info(self, info: Info | None) -> None:
        if info is not None and info.rev >= self.info.rev:
            self.info = info

    def take_participants(self, participants: Iterable[Participant]) -> None:
        for participant in participants:
            held = self.participants.get(participant.user)
            if held is None or participant.rev >= held.rev:
                self.participants[participant.user] = participant

    def take_messages(self, messages: Iterable[Message]) -> dict[int, Message]:
        """Keep what is in the loaded range; return what is new or newer."""
        taken: dict[int, Message] = {}
        for message in messages:
            held = self.messages.get(message.seq)
            if message.seq >= self.low and (held is None or message.rev > held.rev):
                # `status` is as of its reply; the watermarks know better.
                taken[message.seq] = self.messages[message.seq] = _with(message, status=None)
        return taken

    def count_new(self, messages: Iterable[Message], me: str) -> int:
        """Return the number of unread messages in a change, and count them as known."""
        new = {message.seq: message for message in messages if message.seq > self.last_seq}
        self.last_seq = max(new, default=self.last_seq)
        return sum(m.sender not in (None, me) and m.deleted_at is None for m in new.values())


class Replica:
    """The client's copy of the server's state. `user` and `epoch` are None until the first `hello`."""

    def __init__(self) -> None:
        self.user: User | None = None
        self.epoch: str | None = None
        self.conversations: dict[str, Conversation] = {}
        self.users: dict[str, User] = {}
        self.presence: dict[str, PresenceState] = {}

    def revs(self) -> dict[str, int]:
        """The cursors, for `hello` and `sync`."""
        return {id: conversation.rev for id, conversation in self.conversations.items()}

    def online(self, user: str) -> bool:
        """Return True if the user is known to be online."""
        state = self.presence.get(user)
        return state is not None and state.online

    def apply(self, frame: Frame, request: Request | None = None, *, now: float = 0.0) -> Effect:
        """Take a frame in. `request`: what an `ok` answers; `now`: s, on any clock that goes forward."""
        effect = Effect()
        match frame:
            case HelloOk():
                self._hello(frame, effect)
            case Change() | ChangeOk():
                self._take_users(frame.users, effect)
                self._change(frame, effect)
            case GetOk():
                self._take_users(frame.users, effect)
                self._summary(frame, effect)
            case ListOk():
                self._take_users(frame.users, effect)
                self._summaries(frame.conversations, effect)
            case HistoryOk():
                assert isinstance(request, MessageHistory), "a page needs its request: that tells what it covers"
                self._history(frame, request, effect)
            case SyncOk():
                self._resets(frame.revs, effect)
            case UserListOk():
                self._take_users(frame.users, effect)
            case UserChanged():
                self._take_users([frame.user], effect)
            case PresenceOk():
                for state in frame.presence:
                    self._take_presence(state, effect)
            case Presence():
                state = PresenceState(user=frame.user, online=frame.online, last_seen=frame.last_seen)
                self._take_presence(state, effect)
            case Typing():
                self._typing(frame, now, effect)
            case _:
                pass
        return effect

    def expire_typing(self, now: float) -> Effect:
        """End the typing whose time is over."""
        effect = Effect()
        for conversation in self.conversations.values():
            for user in [user for user, until in conversation.typing.items() if until <= now]:
                self._stop_typing(conversation, user, effect)
        return effect

    def typing_until(self) -> float:
        """Return the time at which `expire_typing` has something to do next; infinity if nobody types."""
        return min((min(c.typing.values()) for c in self.conversations.values() if c.typing), default=float("inf"))

    def drop(self, conversation: str) -> Effect:
        """Forget a conversation: it is not the user's (any more)."""
        effect = Effect()
        self._drop(conversation, effect)
        return effect

    # -- a connection begins --

    def _hello(self, frame: HelloOk, effect: Effect) -> None:
        self.user = frame.user
        if frame.conversations is None:
            return  # the session was renewed; the connection goes on
        held = set(self.conversations)
        if self.epoch not in (None, frame.epoch):
            for id in held:
                self._drop(id, effect)
            effect.users |= self.users.keys()
            self.users.clear()
            effect.get |= held
        self.epoch = frame.epoch
        self._take_users([frame.user, *(frame.users or ())], effect)
        for conversation in self.conversations.values():
            for user in list(conversation.typing):
                self._stop_typing(conversation, user, effect)
        self._all_presence(frame.presence or (), effect)
        named = frame.revs or {}
        self._resets(named, effect)
        current = self._summaries(frame.conversations, effect)
        # A conversation that wasn't named is not fed: it may have moved unseen.
        effect.sync |= self.conversations.keys() & held - named.keys() - current

    def _all_presence(self, states: Iterable[PresenceState], effect: Effect) -> None:
        before, self.presence = self.presence, {state.user: state for state in states}
        for user in before.keys() | self.presence.keys():
            if user not in before or before[user].online != self.online(user):
                effect.presence.add(user)

    def _resets(self, revs: dict[str, RevState], effect: Effect) -> None:
        for id, state in revs.items():
            if state.reset:
                self._drop(id, effect)
                effect.get.add(id)

    # -- summaries and pages --

    def _summaries(self, summaries: Iterable[object], effect: Effect) -> set[str]:
        """Take summaries in; return which of the conversations are now held as of their newest rev."""
        current = set()
        for summary in summaries:
            assert isinstance(summary, Summary)  # `Encoded` is for the server's side
            if self._summary(summary, effect).rev >= summary.info.rev:
                current.add(summary.conversation)
        return current

    def _summary(self, summary: Summary | GetOk, effect: Effect) -> Conversation:
        conversation = self.conversations.get(summary.conversation)
        if conversation is None:
            last = [summary.last_message] if summary.last_message is not None else []
            conversation = self._begin(summary.info.rev, summary.info, summary.membership, last, effect)
        # Where it is ahead of the cursor, a catch-up brings the messages: the last one alone would leave a hole.
        conversation.take_info(summary.info)
        conversation.take_participants(summary.participants)
        conversation.membership = summary.membership
        self._note(conversation, {}, effect)
        return conversation

    def _begin(
        self, rev: int, info: Info, membership: Membership, messages: Sequence[Message], effect: Effect
    ) -> Conversation:
        """Start a conversation (anew), with the newest messages where there are some."""
        seqs = {message.seq for message in messages}
        low = info.last_seq + 1
        while low - 1 in seqs:
            low -= 1
        conversation = self.conversations[info.id] = Conversation(rev, info, membership, low, info.last_seq)
        effect.restarted.add(info.id)
        effect.dropped.discard(info.id)
        effect.get.discard(info.id)
        self._note(conversation, conversation.take_messages(messages), effect)
        return conversation

    def _history(self, page: HistoryOk, request: MessageHistory, effect: Effect) -> None:
        """Take a page in if it touches the loaded range."""
        conversation = self.conversations.get(page.conversation)
        if conversation is None:
            return
        messages = [message for message in page.messages if isinstance(message, Message)]
        if request.after is not None:
            low = request.after + 1
            high = messages[-1].seq if page.more and messages else None
        else:
            low = messages[0].seq if page.more and messages else 1
            high = None if request.before is None else request.before - 1
        if high is None or high >= conversation.low - 1:
            conversation.low = min(conversation.low, low)
        self._note(conversation, conversation.take_messages(messages), effect)

    # -- changes --

    def _change(self, frame: Change | ChangeOk, effect: Effect) -> None:
        conversation = self.conversations.get(frame.conversation)
        if self._has_left(frame, conversation):
            self._drop(frame.conversation, effect)
        elif conversation is None or (frame.from_rev == 0 and frame.rev >= conversation.rev):
            self._start(frame, effect)
        elif frame.from_rev > conversation.rev:
            effect.sync.add(conversation.id)
        else:
            self._take_change(conversation, frame, effect)

    def _has_left(self, frame: Change | ChangeOk, conversation: Conversation | None) -> bool:
        held = conversation.participants.get(self._me) if conversation else None
        return any(
            p.user == self._me and p.left_at is not None and (held is None or p.rev >= held.rev)
            for p in frame.participants or ()
        )

    def _start(self, frame: Change | ChangeOk, effect: Effect) -> None:
        """A conversation that isn't held, or starts anew: that takes a whole one."""
        whole = frame.from_rev == 0 or isinstance(frame, ChangeOk)
        if not whole or frame.info is None or frame.membership is None or not frame.participants:
            effect.get.add(frame.conversation)
            return
        conversation = self._begin(frame.rev, frame.info, frame.membership, frame.messages or (), effect)
        conversation.take_participants(frame.participants)

    def _take_change(self, conversation: Conversation, frame: Change | ChangeOk, effect: Effect) -> None:
        messages = frame.messages or ()
        for message in messages:
            if message.seq > conversation.last_seq and message.sender in conversation.typing:
                self._stop_typing(conversation, message.sender, effect)
        unread = conversation.membership.unread + conversation.count_new(messages, self._me)
        if frame.membership is None:
            conversation.membership = _with(conversation.membership, unread=unread)
        elif frame.rev >= conversation.rev:
            conversation.membership = frame.membership
        conversation.take_info(frame.info)
        conversation.take_participants(frame.participants or ())
        conversation.rev = max(conversation.rev, frame.rev)
        self._note(conversation, conversation.take_messages(messages), effect)

    @property
    def _me(self) -> str:
        return self.user.id if self.user is not None else ""

    def _drop(self, id: str, effect: Effect) -> None:
        if self.conversations.pop(id, None) is not None:
            effect.dropped.add(id)

    @staticmethod
    def _note(conversation: Conversation, messages: dict[int, Message], effect: Effect) -> None:
        effect.messages.setdefault(conversation.id, {}).update(messages)

    # -- people --

    def _take_users(self, users: Iterable[User] | None, effect: Effect) -> None:
        for user in users or ():
            if self.users.get(user.id) != user:
                self.users[user.id] = user
                effect.users.add(user.id)

    def _take_presence(self, state: PresenceState, effect: Effect) -> None:
        if self.presence.get(state.user) != state:
            self.presence[state.user] = state
            effect.presence.add(state.user)

    def _typing(self, frame: Typing, now: float, effect: Effect) -> None:
        conversation = self.conversations.get(frame.conversation)
        if conversation is None:
            return
        if not frame.active:
            self._stop_typing(conversation, frame.user, effect)
            return
        if frame.user not in conversation.typing:
            effect.typing.add((conversation.id, frame.user))
        conversation.typing[frame.user] = now + TYPING_TIMEOUT_S

    @staticmethod
    def _stop_typing(conversation: Conversation, user: str, effect: Effect) -> None:
        if conversation.typing.pop(user, None) is not None:
            effect.typing.add((conversation.id, user))


def _with(value: V, **changed: Any) -> V:
    """A copy with other fields."""
    evolve: Any = attrs.evolve  # mypy doesn't know the protocol's classes as attrs'
    copy: V = evolve(value, **changed)
    return copy
