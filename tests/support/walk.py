"""Random batches on two stores at once, beside a model of the contract that is as naive as can be."""

import itertools
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
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
    RemoveParticipant,
    SeeUser,
    SendMessage,
    SetMembership,
    SetTitle,
    Unchanged,
)
from storage.contract import Store
from storage.memory import MemoryStore
from storage.records import Standing
from storage.sqlite import SqliteStore
from support.model import CHATS, FULL, GROUPS, PEOPLE, Chat, Model, gist
from support.stores import Replica


def ordered(outcome: Outcome) -> Outcome:
    """Without the order that nothing promises."""
    if not isinstance(outcome, Changed | Unchanged):
        return outcome
    names = ["participants", "memberships", "everyone", "users"] + ["entered"] * isinstance(outcome, Changed)
    rows: dict[str, Any] = {name: tuple(sorted(getattr(outcome, name), key=str)) for name in names}
    return attrs.evolve(outcome, **rows)


def changes() -> st.SearchStrategy[Change]:
    """One change; its time and its message's id come when it is committed."""
    person = st.sampled_from(PEOPLE)
    mark = st.none() | st.integers(0, 9)
    flag = st.none() | st.booleans()
    in_chats = [(id, user) for id, both in CHATS.items() for user in (*both, *both, *PEOPLE)]
    in_groups = [(id, user) for id in GROUPS for user in PEOPLE]
    seats = in_chats + in_groups * 3

    @st.composite
    def seated(draw: st.DrawFn, /, kind: type[Any], where: Any = seats, **rest: st.SearchStrategy[Any]) -> Change:
        conversation, user = draw(st.sampled_from(where))
        fields = {name: draw(strategy) for name, strategy in rest.items()}
        change: Change = kind(conversation=conversation, user=user, **fields)
        return change

    @st.composite
    def opening(draw: st.DrawFn) -> Change:
        user, other = draw(person), draw(person)
        return OpenDirect("c-" + "-".join(sorted((user, other))), user, other, 0)

    send = seated(
        SendMessage,
        client_id=st.sampled_from(["k1", "k2", "k3", ""]),  # "": one of its own
        message=st.just(""),
        body=st.text(max_size=5).map(lambda text: text.replace("\0", "")),
        reply_to=st.none() | st.integers(1, 9),
        at=st.just(0),
    )
    seq = st.integers(1, 6)
    title = st.sampled_from(["Recall", "Implants"])
    rights = st.sampled_from([frozenset({"owner"}), frozenset({"owner", "member"})])
    since = st.none() | st.integers(0, 60)
    grouped = [*in_groups * 5, *in_chats[:1]]

    regroup = st.one_of(
        seated(SetTitle, grouped, title=title, message=st.just(""), at=st.just(0), by=rights),
        seated(
            AddParticipant, grouped, other=person, message=st.just(""), at=st.just(0), by=rights, limit=st.just(FULL)
        ),
        seated(RemoveParticipant, grouped, other=person, message=st.just(""), at=st.just(0), by=rights),
    )
    create = st.builds(
        CreateGroup,
        conversation=st.just(""),
        user=person,
        title=title,
        members=st.lists(person, max_size=4).map(tuple),
        client_id=st.sampled_from([None, "k1", "k2"]),
        at=st.just(0),
        limit=st.just(FULL),
    )
    body = st.sampled_from(["", "eins", "zwei"])
    whose = st.sampled_from([frozenset({"sender"}), frozenset({"sender", "participant"})])
    alter = st.one_of(
        seated(EditMessage, seq=seq, body=body, at=st.just(0), since=since),
        seated(DeleteMessage, seq=seq, at=st.just(0), since=since, by=whose),
        seated(React, seq=seq, emoji=st.sampled_from("👍🦷"), on=st.booleans(), at=st.just(0)),
        seated(React, seq=seq, emoji=st.just("👍"), on=st.just(True), at=st.just(0)),
    )
    names, roles = st.sampled_from([None, "Ada", "Ünal"]), st.sampled_from([None, "staff"])
    return st.one_of(
        send,
        send,
        seated(AdvanceReceipt, delivered=mark, read=mark, at=st.just(0)),
        seated(Leave, message=st.just(""), at=st.just(0)),
        seated(SetMembership, muted=flag, pinned=flag, archived=flag),
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
            self.commit(
                [
                    CreateGroup(
                        conversation="",
                        user=here[0],
                        title="Recall",
                        members=tuple(here[1:]),
                        client_id=None,
                        at=0,
                        limit=FULL,
                    )
                ]
            )

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
