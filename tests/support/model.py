"""A model of the contract that is as naive as can be."""

import itertools
from typing import Any, Literal

import attrs

from storage.changes import (
    AddParticipant,
    AdminChange,
    AdvanceReceipt,
    Change,
    Changed,
    CreateGroup,
    DeleteMessage,
    EditMessage,
    Leave,
    OpenDirect,
    Outcome,
    PutUser,
    React,
    Refused,
    RemoveParticipant,
    SeeUser,
    SendMessage,
    SetMembership,
    SetTitle,
    Unchanged,
    UserSaved,
)
from storage.records import Conversation, Membership, Message, MessageVersion, Participant, Reaction, ReceiptTime, User

PEOPLE = ("ada", "ben", "Cleo", "dän")
CHATS = {f"c-{a}-{b}": (a, b) for a, b in itertools.combinations(sorted(PEOPLE), 2)}
GROUPS = ("g0", "g1", "g2")
FULL = 3
"""Participants that the model's groups have room for."""


@attrs.define
class Person:
    """One's place in a chat."""

    joined_at: int
    from_seq: int
    rev: int
    role: Literal["member", "owner"] = "member"
    left_at: int | None = None
    marks: dict[str, tuple[int, int | None]] = attrs.Factory(dict)
    flags: dict[str, bool] = attrs.Factory(lambda: dict.fromkeys(("muted", "pinned", "archived"), False))


@attrs.define
class Chat:
    id: str
    created_at: int
    title: str | None = None
    made_as: tuple[str, str | None] | None = None  # creator and client_id of a group
    rev: int = 0
    log: list[Message] = attrs.Factory(list)
    people: dict[str, Person] = attrs.Factory(dict)
    receipts: list[tuple[str, str, int, int]] = attrs.Factory(list)  # user, kind, seq, at
    texts: list[MessageVersion] = attrs.Factory(list)  # that messages had

    def here(self, user: str) -> bool:
        return user in self.people and self.people[user].left_at is None

    def unread(self, user: str) -> int:
        read = self.people[user].marks["read"][0]
        return len([m for m in self.log if m.seq > read and m.sender not in (None, user) and m.deleted_at is None])

    def membership(self, user: str) -> Membership:
        return Membership(user=user, **self.people[user].flags, unread=self.unread(user))

    def memberships(self, *users: str) -> set[Membership]:
        return {self.membership(user) for user in users}

    def row(self) -> Conversation:
        newest = self.log[-1].sent_at if self.log else None
        pair = None if self.made_as else " ".join(sorted(CHATS[self.id]))
        kind: Literal["group", "direct"] = "group" if self.made_as else "direct"
        return Conversation(
            id=self.id,
            kind=kind,
            pair=pair,
            title=self.title,
            created_at=self.created_at,
            last_message_at=newest,
            last_seq=len(self.log),
            rev=self.rev,
        )

    def participant(self, user: str) -> Participant:
        p = self.people[user]
        delivered, read = p.marks["delivered"], p.marks["read"]
        return Participant(
            conversation=self.id, user=user, role=p.role, joined_at=p.joined_at, left_at=p.left_at, from_seq=p.from_seq,
            delivered_seq=delivered[0], delivered_at=delivered[1], read_seq=read[0], read_at=read[1], rev=p.rev,
            **p.flags,
        )  # fmt: skip

    def participants(self) -> set[Participant]:
        return {self.participant(user) for user in self.people}

    def append(self, id: str, sender: str | None, at: int, body: str, **more: Any) -> int:
        seq = len(self.log) + 1
        fields: dict[str, Any] = {"client_id": None, "reply_to": None, "data": None, **more}
        fields["kind"] = "text" if sender else "system"
        self.log.append(
            Message(conversation=self.id, seq=seq, rev=self.rev, id=id, sender=sender, body=body, sent_at=at, **fields)
        )
        return seq

    def bring_in(self, user: str, at: int, from_seq: int) -> None:
        if user in self.people:
            p = self.people[user]
            p.joined_at, p.left_at, p.from_seq, p.rev, p.role = at, None, from_seq, self.rev, "member"
            p.flags["archived"] = False
        else:
            self.people[user] = Person(at, from_seq, self.rev)
            self.people[user].marks = dict.fromkeys(("delivered", "read"), (from_seq - 1, None))

    def say(self, message: str, at: int, body: str, **data: str) -> int:
        return self.append(message, None, at, body, data=data)


@attrs.frozen
class Gist:
    """What of an outcome a client goes by."""

    chat: str
    from_rev: int
    rev: int
    seqs: tuple[int, ...] = ()
    touched: frozenset[str] = frozenset()
    memberships: frozenset[Membership] = frozenset()
    entered: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    everyone: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    created: bool = False
    titled: bool = False
    duplicate: bool = False


def gist(outcome: Outcome) -> Gist | User | str:
    match outcome:
        case Refused():
            return outcome.reason
        case UserSaved():
            return outcome.user
    assert isinstance(outcome, Changed | Unchanged)
    more: dict[str, Any] = {}
    if isinstance(outcome, Changed):
        assert outcome.rev == outcome.room.rev
        more = {
            "from_rev": outcome.from_rev,
            "touched": frozenset(p.user for p in outcome.participants),
            "entered": frozenset(outcome.entered),
            "left": frozenset(outcome.left),
            "created": outcome.created,
            "titled": outcome.titled,
        }
    else:
        more = {"from_rev": outcome.room.rev, "duplicate": outcome.duplicate}
    return Gist(
        chat=outcome.room.id,
        rev=outcome.room.rev,
        seqs=tuple(m.seq for m in outcome.messages),
        memberships=frozenset(outcome.memberships),
        everyone=frozenset(p.user for p in outcome.everyone),
        named=frozenset(u.id for u in outcome.users),
        **more,
    )


class Model:
    """The contract, one change at a time."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.chats: dict[str, Chat] = {}

    def apply(self, change: Change) -> Gist | User | str:
        assert not isinstance(change, AdminChange)
        match change:
            case PutUser(user, name, role):
                old = self.users.get(user, User(id=user, name=user, role="patient"))
                self.users[user] = attrs.evolve(old, name=name or old.name, role=role or old.role)
                return self.users[user]
            case SeeUser(user, at):
                if user not in self.users:
                    return "not_found"
                self.users[user] = attrs.evolve(self.users[user], last_seen_at=at)
                return self.users[user]
            case OpenDirect():
                return self.open(change)
            case CreateGroup():
                return self.create(change)
        chat = self.chats.get(change.conversation)
        if chat is None or not chat.here(change.user):
            return "not_found"
        match change:
            case SendMessage():
                return self.send(chat, change)
            case AdvanceReceipt():
                return self.receive(chat, change)
            case Leave():
                return self.leave(chat, change)
            case SetMembership():
                return self.set(chat, change)
            case SetTitle() | AddParticipant() | RemoveParticipant():
                return self.regroup(chat, change)
            case EditMessage() | DeleteMessage() | React():
                return self.alter(chat, change)

    def create(self, change: CreateGroup) -> Gist | str:
        for chat in self.chats.values():
            if change.client_id is not None and chat.made_as == (change.user, change.client_id):
                if not chat.here(change.user):
                    return "not_found"
                return Gist(
                    chat.id, chat.rev, chat.rev, everyone=frozenset(chat.people), named=frozenset(chat.people),
                    memberships=frozenset(chat.memberships(change.user)), duplicate=True,
                )  # fmt: skip
        everyone = frozenset((change.user, *change.members))
        if len(everyone) > change.limit:
            return "bad_request"
        if not everyone <= self.users.keys():
            return "not_found"
        chat = Chat(change.conversation, change.at, change.title, (change.user, change.client_id), rev=1)
        self.chats[chat.id] = chat
        for user in everyone:
            chat.bring_in(user, change.at, 1)
        chat.people[change.user].role = "owner"
        return Gist(
            chat.id, 0, 1, touched=everyone, entered=everyone, everyone=everyone, named=everyone, created=True,
            memberships=frozenset(chat.memberships(*everyone)),
        )  # fmt: skip

    def regroup(self, chat: Chat, change: SetTitle | AddParticipant | RemoveParticipant) -> Gist | str:
        if not chat.made_as:
            return "bad_request"
        if chat.people[change.user].role not in change.by:
            return "forbidden"
        name = self.users[change.user].name
        if isinstance(change, SetTitle):
            if change.title == chat.title:
                return Gist(chat.id, chat.rev, chat.rev)
            chat.rev += 1
            chat.title = change.title
            body = f'{name} changed the title to "{change.title}".'
            seq = chat.say(change.message, change.at, body, event="title", by=change.user, title=change.title)
            return Gist(chat.id, chat.rev - 1, chat.rev, seqs=(seq,), titled=True)
        other = change.other
        if isinstance(change, RemoveParticipant):
            if other not in chat.people:
                return "not_found"
            if not chat.here(other):
                return Gist(chat.id, chat.rev, chat.rev)
            return self.part(chat, other, change.user, change.message, change.at)
        if chat.here(other):
            return Gist(chat.id, chat.rev, chat.rev)
        if other not in self.users:
            return "not_found"
        if len([user for user in chat.people if chat.here(user)]) == change.limit:
            return "conflict"
        chat.rev += 1
        chat.bring_in(other, change.at, len(chat.log) + 1)
        body = f"{name} added {self.users[other].name}."
        seq = chat.say(change.message, change.at, body, event="added", by=change.user, user=other)
        one, everyone = frozenset((other,)), frozenset(chat.people)
        return Gist(
            chat.id, chat.rev - 1, chat.rev, seqs=(seq,), touched=one, entered=one, everyone=everyone, named=everyone,
            memberships=frozenset(chat.memberships(other)),
        )  # fmt: skip

    def alter(self, chat: Chat, change: EditMessage | DeleteMessage | React) -> Gist | str:
        if not 1 <= change.seq <= len(chat.log):
            return "not_found"
        m = chat.log[change.seq - 1]
        if m.sender is None:
            return "forbidden"
        dead = m.deleted_at is not None
        mine = m.sender == change.user
        late = not isinstance(change, React) and change.since is not None and m.sent_at < change.since
        before = {user: chat.unread(user) for user in chat.people}
        unchanged = Gist(chat.id, chat.rev, chat.rev, seqs=(m.seq,))
        now: dict[str, Any]
        match change:
            case EditMessage():
                if not mine:
                    return "forbidden"
                if dead:
                    return "conflict"
                if late:
                    return "forbidden"
                if m.body == change.body:
                    return unchanged
                now = {"body": change.body, "edited_at": change.at}
            case DeleteMessage():
                if not ("participant" in change.by or (mine and "sender" in change.by)):
                    return "forbidden"
                if dead:
                    return unchanged
                if late and "participant" not in change.by:
                    return "forbidden"
                now = {"body": "", "reactions": (), "deleted_at": change.at}
            case React():
                if dead:
                    return "conflict"
                pairs = [(r.emoji, user) for r in m.reactions for user in r.users]
                if ((change.emoji, change.user) in pairs) == change.on:
                    return unchanged
                if change.on:
                    pairs.append((change.emoji, change.user))
                else:
                    pairs.remove((change.emoji, change.user))
                order = [r.emoji for r in m.reactions] + [change.emoji]
                kept = dict.fromkeys(emoji for emoji in order if emoji in [e for e, _ in pairs])
                now = {"reactions": tuple(Reaction(e, tuple(u for f, u in pairs if f == e)) for e in kept)}
        chat.rev += 1
        if "body" in now:
            chat.texts.append(MessageVersion(m.seq, chat.rev, m.body, change.at))
        chat.log[m.seq - 1] = attrs.evolve(m, rev=chat.rev, **now)
        moved = [user for user, count in before.items() if chat.here(user) and chat.unread(user) != count]
        return Gist(chat.id, chat.rev - 1, chat.rev, seqs=(m.seq,), memberships=frozenset(chat.memberships(*moved)))

    def open(self, change: OpenDirect) -> Gist | str:
        if change.user == change.other:
            return "bad_request"
        both = frozenset((change.user, change.other))
        if not both <= self.users.keys():
            return "not_found"
        created = change.conversation not in self.chats
        chat = self.chats.setdefault(change.conversation, Chat(change.conversation, change.at))
        missing = frozenset(user for user in both if not chat.here(user))
        before = chat.rev
        if missing:
            chat.rev += 1
            for user in missing:
                chat.bring_in(user, change.at, len(chat.log) + 1)
        return Gist(
            chat.id, before, chat.rev, touched=missing, entered=missing, everyone=both, named=both, created=created,
            memberships=frozenset(chat.memberships(change.user, *missing)),
        )  # fmt: skip

    def send(self, chat: Chat, change: SendMessage) -> Gist | str:
        for known in self.chats.values():
            for m in known.log:
                if (m.sender, m.client_id) == (change.user, change.client_id):
                    if known is not chat:
                        return "conflict"
                    return Gist(chat.id, chat.rev, chat.rev, seqs=(m.seq,), duplicate=True)
        if change.reply_to is not None and change.reply_to > len(chat.log):
            return "bad_request"
        chat.rev += 1
        seq = chat.append(
            change.message, change.user, change.at, change.body, client_id=change.client_id, reply_to=change.reply_to
        )
        others = chat.people.keys() - {change.user}
        hidden = frozenset(user for user in others if chat.here(user) and chat.people[user].flags["archived"])
        for user in hidden:
            chat.people[user].flags["archived"] = False
        back = frozenset[str]() if chat.made_as else frozenset(user for user in others if not chat.here(user))
        for user in back:
            chat.bring_in(user, change.at, seq)
        all_of_them = frozenset(chat.people) if back else frozenset[str]()
        return Gist(
            chat.id, chat.rev - 1, chat.rev, seqs=(seq,), touched=back, entered=back,
            everyone=all_of_them, named=all_of_them, memberships=frozenset(chat.memberships(*hidden, *back)),
        )  # fmt: skip

    def receive(self, chat: Chat, change: AdvanceReceipt) -> Gist | str:
        read = change.read or 0
        wanted = {"delivered": max(change.delivered or 0, read), "read": read}
        if wanted["delivered"] > len(chat.log):
            return "bad_request"
        person = chat.people[change.user]
        moved = [kind for kind, seq in wanted.items() if seq > person.marks[kind][0]]
        if not moved:
            return Gist(chat.id, chat.rev, chat.rev)
        chat.rev += 1
        person.rev = chat.rev
        for kind in moved:
            person.marks[kind] = (wanted[kind], change.at)
            chat.receipts.append((change.user, kind, wanted[kind], change.at))
        return Gist(
            chat.id, chat.rev - 1, chat.rev, touched=frozenset((change.user,)),
            memberships=frozenset(chat.memberships(change.user) if "read" in moved else ()),
        )  # fmt: skip

    def leave(self, chat: Chat, change: Leave) -> Gist:
        return self.part(chat, change.user, change.user, change.message, change.at)

    def part(self, chat: Chat, user: str, by: str, message: str, at: int) -> Gist:
        chat.rev += 1
        chat.people[user].left_at = at
        chat.people[user].rev = chat.rev
        here = sorted((p.joined_at, id) for id, p in chat.people.items() if chat.here(id))
        heirs = set()
        if chat.made_as and here and not [id for _, id in here if chat.people[id].role == "owner"]:
            heirs = {here[0][1]}
            chat.people[here[0][1]].role = "owner"
            chat.people[here[0][1]].rev = chat.rev
        name = self.users[by].name
        if user == by:
            seq = chat.say(message, at, f"{name} left the conversation.", event="left", by=by)
        else:
            body = f"{name} removed {self.users[user].name}."
            seq = chat.say(message, at, body, event="removed", by=by, user=user)
        return Gist(
            chat.id, chat.rev - 1, chat.rev, seqs=(seq,), touched=frozenset({user} | heirs), left=frozenset({user})
        )

    def set(self, chat: Chat, change: SetMembership) -> Gist:
        for name in ("muted", "pinned", "archived"):
            wanted = getattr(change, name)
            if wanted is not None:
                chat.people[change.user].flags[name] = wanted
        return Gist(chat.id, chat.rev, chat.rev, memberships=frozenset(chat.memberships(change.user)))

    def listed(self, user: str, *, archived: bool) -> list[str]:
        chats = [c for c in self.chats.values() if c.here(user) and c.people[user].flags["archived"] == archived]

        def place(chat: Chat) -> tuple[bool, int, str]:
            return chat.people[user].flags["pinned"], chat.log[-1].sent_at if chat.log else chat.created_at, chat.id

        return [chat.id for chat in sorted(chats, key=place, reverse=True)]

    def receipt_times(self, chat: Chat, seq: int) -> list[ReceiptTime]:
        def first(user: str, kind: str) -> int | None:
            times = [at for who, what, upto, at in chat.receipts if (who, what) == (user, kind) and upto >= seq]
            return min(times, default=None)

        return [ReceiptTime(user, first(user, "delivered"), first(user, "read")) for user in sorted(chat.people)]
