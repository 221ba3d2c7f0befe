"""Random batches on two stores at once, beside a model of the contract that is as naive as can be."""

import itertools
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

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
from storage.contract import Store
from storage.memory import MemoryStore
from storage.records import (
    Conversation,
    Membership,
    Message,
    MessageVersion,
    Participant,
    Reaction,
    ReceiptTime,
    Standing,
    User,
)
from storage.sqlite import SqliteStore
from support.stores import Replica

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
        return Membership(user, **self.people[user].flags, unread=self.unread(user))

    def memberships(self, *users: str) -> set[Membership]:
        return {self.membership(user) for user in users}

    def row(self) -> Conversation:
        newest = self.log[-1].sent_at if self.log else None
        pair = None if self.made_as else " ".join(sorted(CHATS[self.id]))
        kind: Literal["group", "direct"] = "group" if self.made_as else "direct"
        return Conversation(self.id, kind, pair, self.title, self.created_at, newest, len(self.log), self.rev)

    def participant(self, user: str) -> Participant:
        p = self.people[user]
        return Participant(
            self.id, user, p.role, p.joined_at, p.left_at, p.from_seq,
            *p.marks["delivered"], *p.marks["read"], p.rev, **p.flags,
        )  # fmt: skip

    def participants(self) -> set[Participant]:
        return {self.participant(user) for user in self.people}

    def append(self, id: str, sender: str | None, at: int, body: str, **more: Any) -> int:
        seq = len(self.log) + 1
        fields: dict[str, Any] = {"client_id": None, "reply_to": None, "data": None, **more}
        fields["kind"] = "text" if sender else "system"
        self.log.append(Message(self.id, seq, self.rev, id, sender, body=body, sent_at=at, **fields))
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


def ordered(outcome: Outcome) -> Outcome:
    """Without the order that nothing promises."""
    if not isinstance(outcome, Changed | Unchanged):
        return outcome
    names = ["participants", "memberships", "everyone", "users"] + ["entered"] * isinstance(outcome, Changed)
    rows: dict[str, Any] = {name: tuple(sorted(getattr(outcome, name), key=str)) for name in names}
    return attrs.evolve(outcome, **rows)


class Model:
    """The contract, one change at a time."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.chats: dict[str, Chat] = {}

    def apply(self, change: Change) -> Gist | User | str:
        assert not isinstance(change, AdminChange)
        match change:
            case PutUser(user, name, role):
                old = self.users.get(user, User(user, user, "patient"))
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


def changes() -> st.SearchStrategy[Change]:
    """One change; its time and its message's id come when it is committed."""
    person = st.sampled_from(PEOPLE)
    mark = st.none() | st.integers(0, 9)
    flag = st.none() | st.booleans()
    in_chats = [(id, user) for id, both in CHATS.items() for user in (*both, *both, *PEOPLE)]
    in_groups = [(id, user) for id in GROUPS for user in PEOPLE]
    seats = in_chats + in_groups * 3

    @st.composite
    def seated(draw: st.DrawFn, kind: type[Any], *rest: st.SearchStrategy[Any]) -> Change:
        change: Change = kind(*draw(st.sampled_from(seats)), *(draw(strategy) for strategy in rest))
        return change

    @st.composite
    def opening(draw: st.DrawFn) -> Change:
        user, other = draw(person), draw(person)
        return OpenDirect("c-" + "-".join(sorted((user, other))), user, other, 0)

    send = seated(
        SendMessage,
        st.sampled_from(["k1", "k2", "k3", ""]),  # "": one of its own
        st.just(""),
        st.text(max_size=5).map(lambda text: text.replace("\0", "")),
        st.none() | st.integers(1, 9),
        st.just(0),
    )
    seq = st.integers(1, 6)
    title = st.sampled_from(["Recall", "Implants"])
    rights = st.sampled_from([frozenset({"owner"}), frozenset({"owner", "member"})])
    since = st.none() | st.integers(0, 60)
    grouped = st.sampled_from([*in_groups * 5, *in_chats[:1]])

    @st.composite
    def in_group(draw: st.DrawFn, kind: type[Any], *rest: st.SearchStrategy[Any]) -> Change:
        change: Change = kind(*draw(grouped), *(draw(strategy) for strategy in rest))
        return change

    regroup = st.one_of(
        in_group(SetTitle, title, st.just(""), st.just(0), rights),
        in_group(AddParticipant, person, st.just(""), st.just(0), rights, st.just(FULL)),
        in_group(RemoveParticipant, person, st.just(""), st.just(0), rights),
    )
    create = st.builds(
        CreateGroup,
        st.just(""),
        person,
        title,
        st.lists(person, max_size=4).map(tuple),
        st.sampled_from([None, "k1", "k2"]),
        st.just(0),
        st.just(FULL),
    )
    body = st.sampled_from(["", "eins", "zwei"])
    whose = st.sampled_from([frozenset({"sender"}), frozenset({"sender", "participant"})])
    alter = st.one_of(
        seated(EditMessage, seq, body, st.just(0), since),
        seated(DeleteMessage, seq, st.just(0), since, whose),
        seated(React, seq, st.sampled_from("👍🦷"), st.booleans(), st.just(0)),
        seated(React, seq, st.just("👍"), st.just(True), st.just(0)),
    )
    names, roles = st.sampled_from([None, "Ada", "Ünal"]), st.sampled_from([None, "staff"])
    return st.one_of(
        send,
        send,
        seated(AdvanceReceipt, mark, mark, st.just(0)),
        seated(Leave, st.just(""), st.just(0)),
        seated(SetMembership, flag, flag, flag),
        opening(),
        create,
        regroup,
        regroup,
        alter,
        alter,
        st.builds(PutUser, person, names, roles, st.just(0)),
        st.builds(SeeUser, person, st.just(0)),
    )


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "chat.db"
        self.sqlite = self.open()
        self.memory = MemoryStore(epoch="e")
        self.stores: tuple[Store, ...] = (self.memory, self.sqlite)
        self.model = Model()
        self.numbers = itertools.count(1)
        self.groups = itertools.count()
        self.past: dict[str, list[Replica]] = {}  # each conversation as it was once

    def open(self) -> SqliteStore:
        return SqliteStore(self.path, new_epoch=lambda: "e", durability="normal")

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()

    @initialize(
        known=st.sets(st.sampled_from(PEOPLE)),
        opened=st.sets(st.sampled_from(sorted(CHATS))),
        groups=st.lists(st.permutations(PEOPLE), max_size=2),
    )
    def begin(self, known: set[str], opened: set[str], groups: list[list[str]]) -> None:
        self.commit([PutUser(user, None, None, 0) for user in sorted(known)])
        self.commit([OpenDirect(id, *CHATS[id], 0) for id in sorted(opened)])
        for people in groups:
            here = [user for user in people[:FULL] if user in known] or people[:1]
            self.commit([CreateGroup("", here[0], "Recall", tuple(here[1:]), None, 0, FULL)])

    @rule(batch=st.lists(changes(), max_size=8))
    def commit(self, batch: list[Change]) -> None:
        batch = [self.stamped(change) for change in batch]
        from_memory, from_sqlite = (store.commit(batch) for store in self.stores)
        assert list(map(ordered, from_memory)) == list(map(ordered, from_sqlite))
        assert list(map(gist, from_sqlite)) == list(map(self.model.apply, batch))

    def stamped(self, change: Change) -> Change:
        assert not isinstance(change, AdminChange)
        number = next(self.numbers)
        match change:
            case SendMessage():
                client_id = change.client_id or f"k-{number}"
                return attrs.evolve(change, message=f"m{number}", client_id=client_id, at=number)
            case Leave() | SetTitle() | AddParticipant() | RemoveParticipant():
                return attrs.evolve(change, message=f"m{number}", at=number)
            case CreateGroup():
                return attrs.evolve(change, conversation=f"g{next(self.groups)}", at=number)
            case SetMembership():
                return change
        return attrs.evolve(change, at=number)

    @rule()
    def close_and_open(self) -> None:
        self.sqlite.close()
        self.sqlite = self.open()
        self.stores = (self.memory, self.sqlite)

    @rule()
    def fail_and_repair(self) -> None:
        self.sqlite._failed = True
        self.sqlite.repair()

    @rule(data=st.data(), limit=st.integers(1, 6))
    def catch_up(self, data: st.DataObject, limit: int) -> None:
        """A client that was away since some moment gets to the present, whatever the chunks."""
        for id, past in self.past.items():
            user = data.draw(st.sampled_from(CHATS.get(id, PEOPLE)))
            held = data.draw(st.sampled_from(past))
            for store in self.stores:
                if not self.model.chats[id].here(user):
                    assert store.since(id, user, held.rev, limit=limit) is None
                    continue
                replica = held.copy()
                replica.catch_up(store, id, user, limit=limit)
                assert replica == Replica.of(store, id, user)

    @invariant()
    def chats_are_as_the_model_has_them(self) -> None:
        for chat in self.model.chats.values():
            for row in chat.participants():
                assert row.read_seq <= row.delivered_seq <= len(chat.log)
                assert row.rev <= chat.rev
            for store in self.stores:
                room = store.room(chat.id)
                assert room is not None
                assert room.conversation == chat.row()
                assert set(room.participants) == chat.participants()
                for seq in (1, len(chat.log)):
                    assert store.receipt_times(chat.id, seq) == self.model.receipt_times(chat, seq)
                for seq in range(1, len(chat.log) + 1):
                    if chat.log[seq - 1].rev > chat.log[seq - 1].seq + 1:  # perhaps changed
                        assert store.versions(chat.id, seq) == [v for v in chat.texts if v.seq == seq]
                for user in PEOPLE:
                    self.check_view(store, chat, user)

    def check_view(self, store: Store, chat: Chat, user: str) -> None:
        """What one user sees of a chat."""
        found = store.summary(chat.id, user)
        page = store.history(chat.id, user, before=None, after=None, limit=1000)
        revs = {chat.id: chat.rev}
        if not chat.here(user):
            assert found is None
            assert page is None
            assert store.standings(user, revs) == {chat.id: Standing(0, reset=True)}
            return
        assert found is not None
        assert page is not None
        summary, users = found
        assert list(page.messages) == chat.log
        assert [m.seq for m in page.messages] == list(range(1, len(chat.log) + 1))
        assert summary.membership == chat.membership(user)
        assert summary.last_message == (chat.log[-1] if chat.log else None)
        assert users == {id: self.model.users[id] for id in chat.people}
        assert store.standings(user, revs) == {chat.id: Standing(chat.rev, reset=False)}
        if store is self.memory:
            past = self.past.setdefault(chat.id, [])
            if not past or past[-1].rev < chat.rev:
                past.append(Replica.of(store, chat.id, user))

    @invariant()
    def lists_are_as_the_model_has_them(self) -> None:
        for store, user in itertools.product(self.stores, PEOPLE):
            assert store.user(user) == self.model.users.get(user)
            for archived in (False, True):
                page = store.summaries(user, archived=archived, after=None, limit=50)
                assert [s.room.conversation.id for s in page.summaries] == self.model.listed(user, archived=archived)
            here = [chat for chat in self.model.chats.values() if chat.here(user)]
            assert sorted(store.memberships(user)) == sorted(
                (chat.id, chat.rev, frozenset(p for p in chat.people if chat.here(p))) for chat in here
            )

    @invariant()
    def the_view_counts_as_the_model_does(self) -> None:
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            rows = set(db.execute('SELECT * FROM "unreadCount"'))
        chats = self.model.chats.values()
        assert rows == {(c.id, user, c.unread(user)) for c in chats for user in c.people if c.here(user)}


Stores.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None, print_blob=True)
TestStores = Stores.TestCase
