"""A client's copy against a model of the server: however the truth travels, the copy ends up equal to it."""

from collections.abc import Iterable
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chatd.client.replica import Conversation, Effect, Replica
from protocol.frames import Change, ChangeOk, GetOk, HelloOk, HistoryOk, ListOk, Presence, SyncOk, Typing, UserChanged
from protocol.objects import Info, Limits, Membership, Message, Participant, PresenceState, RevState, Summary, User
from protocol.requests import ConversationGet, MessageHistory

AT = "2026-01-01T00:00:00.000Z"
ME, OTHER, THIRD = "pat-1", "den-1", "den-2"
C = "c1"

evolve: Any = attrs.evolve


def user(id: str, name: str = "") -> User:
    return User(id=id, name=name or id, role="patient")


def participant(id: str, *, rev: int = 1, **fields: Any) -> Participant:
    plain = {"role": "member", "joined_at": AT, "from_seq": 1, "delivered_seq": 0, "read_seq": 0}
    return Participant(**{"user": id, "rev": rev, **plain, **fields})


def message(seq: int, *, rev: int, sender: str | None = OTHER, **fields: Any) -> Message:
    kind: Any = "system" if sender is None else "text"
    plain = {"conversation": C, "id": f"m{seq}", "kind": kind, "body": f"text {seq}", "sent_at": AT}
    return Message(**{"seq": seq, "rev": rev, "sender": sender, **plain, **fields})


@attrs.define
class Server:
    """One conversation as the server has it, and the event of each of its changes, as `ME` gets it."""

    rev: int = 1
    messages: dict[int, Message] = attrs.Factory(dict)
    participants: dict[str, Participant] = attrs.Factory(lambda: {id: participant(id) for id in (ME, OTHER, THIRD)})
    muted: bool = False
    archived: bool = False
    way: list[Change] = attrs.Factory(list)  # on its way to the client
    epoch: str = "one"

    @property
    def info(self) -> Info:
        return Info(id=C, kind="group", created_at=AT, last_seq=len(self.messages), rev=self.rev, title="Team")

    @property
    def membership(self) -> Membership:
        read = self.participants[ME].read_seq
        unread = sum(
            m.seq > read and m.sender not in (None, ME) and m.deleted_at is None for m in self.messages.values()
        )
        return Membership(muted=self.muted, pinned=False, archived=self.archived, unread=unread)

    @property
    def present(self) -> bool:
        return self.participants[ME].left_at is None

    def tell(self, **fields: Any) -> None:
        """The event of the newest change."""
        self.way.append(Change(conversation=C, **({"from_rev": self.rev - 1, "rev": self.rev} | fields)))

    def add(self, sender: str | None, **fields: Any) -> Message:
        """A message as part of the newest change."""
        added = message(len(self.messages) + 1, rev=self.rev, sender=sender, **fields)
        self.messages[added.seq] = added
        return added

    def send(self, sender: str) -> None:
        self.rev += 1
        sent = self.add(sender)
        woken = self.archived and sender != ME
        self.archived = self.archived and not woken
        self.tell(messages=(sent,), membership=self.membership if woken else None)

    def edit(self, seq: int) -> None:
        self.rev += 1
        self.messages[seq] = evolve(self.messages[seq], rev=self.rev, body=f"edited at {self.rev}", edited_at=AT)
        self.tell(messages=(self.messages[seq],))

    def delete(self, seq: int) -> None:
        self.rev += 1
        before = self.membership
        self.messages[seq] = evolve(self.messages[seq], rev=self.rev, body="", deleted_at=AT)
        moved = self.membership != before
        self.tell(messages=(self.messages[seq],), membership=self.membership if moved else None)

    def read(self, user: str, seq: int) -> None:
        self.rev += 1
        self.participants[user] = evolve(self.participants[user], rev=self.rev, read_seq=seq, delivered_seq=seq)
        self.tell(participants=(self.participants[user],), membership=self.membership if user == ME else None)

    def mute(self, *, muted: bool, archived: bool) -> None:
        self.muted, self.archived = muted, archived
        self.tell(from_rev=self.rev, membership=self.membership)

    def leave(self) -> None:
        self.rev += 1
        self.add(None)
        self.participants[ME] = evolve(self.participants[ME], rev=self.rev, left_at=AT)
        self.tell(participants=(self.participants[ME],), info=self.info)

    def come_back(self, *, announced: bool) -> None:
        self.rev += 1
        self.participants[ME] = evolve(
            self.participants[ME], rev=self.rev, left_at=None, from_seq=len(self.messages) + 1
        )
        messages = (self.add(None),) if announced else None
        self.tell(from_rev=0, **self.whole(), messages=messages)

    def whole(self) -> dict[str, Any]:
        return {"info": self.info, "participants": tuple(self.participants.values()), "membership": self.membership}

    def summary(self) -> Summary:
        last = self.messages[len(self.messages)] if self.messages else None
        return Summary(conversation=C, last_message=last, **self.whole())

    def since(self, rev: int, cuts: set[int]) -> Iterable[Change]:
        """A catch-up: each object once, as it is now, in events cut after these revs."""
        at = rev
        for to in [*sorted(cut for cut in cuts if rev < cut < self.rev), self.rev]:
            yield Change(
                conversation=C,
                from_rev=at,
                rev=to,
                messages=tuple(m for m in self.messages.values() if at < m.rev <= to) or None,
                participants=tuple(p for p in self.participants.values() if at < p.rev <= to) or None,
                membership=self.membership,
            )
            at = to


def merged(events: list[Change]) -> Change:
    """Neighbours as one event; objects may come twice, the newer later."""
    return Change(
        conversation=C,
        from_rev=events[0].from_rev,
        rev=events[-1].rev,
        messages=tuple(m for event in events for m in event.messages or ()),
        participants=tuple(p for event in events for p in event.participants or ()),
    )


def hello(epoch: str = "one", **fields: Any) -> HelloOk:
    return HelloOk(
        re=1,
        user=user(ME),
        session="s",
        epoch=epoch,
        server_time=AT,
        heartbeat=25,
        limits=Limits(),
        **({"conversations": (), "users": (), "presence": (), "revs": {}} | fields),
    )


class Journey(RuleBasedStateMachine):
    """Changes happen on the server; what tells of them is merged, doubled or lost, and what is missing is asked for."""

    @initialize(listed=st.booleans(), backlog=st.integers(0, 5))
    def begin(self, listed: bool, backlog: int) -> None:
        self.server = Server()
        for _ in range(backlog):
            self.server.send(OTHER)
        self.server.way.clear()
        self.replica = Replica()
        self.take(hello(conversations=(self.server.summary(),) if listed else ()))

    def take(self, frame: Any, request: Any = None, cuts: frozenset[int] = frozenset()) -> None:
        """Apply a frame, and do what a client does about it."""
        self.follow(self.replica.apply(frame, request), cuts)

    def follow(self, effect: Effect, cuts: Iterable[int] = ()) -> None:
        if effect.sync:
            self.catch_up(set(cuts))
        elif effect.get:
            self.get()

    def catch_up(self, cuts: set[int]) -> None:
        self.server.way.clear()  # what is caught up on is not told again
        if not self.server.present:
            self.follow(self.replica.apply(SyncOk(re=1, revs={C: RevState(rev=0, reset=True)})))
            return
        for event in self.server.since(self.replica.conversations[C].rev, cuts):
            assert not self.replica.apply(event).sync
        self.take(SyncOk(re=1, revs={C: RevState(rev=self.server.rev, reset=False)}))

    def get(self) -> None:
        if not self.server.present:
            self.replica.drop(C)
            self.server.way.clear()
            return
        # Its place is in rev order: what was to be told before it was told.
        for event in self.server.way:
            self.replica.apply(event)
        self.server.way.clear()
        self.take(GetOk(re=1, users=(), **vars(self.server.summary())), ConversationGet(conversation=C))

    # -- what happens --

    @precondition(lambda self: self.server.present)
    @rule(sender=st.sampled_from([ME, OTHER, THIRD]))
    def send(self, sender: str) -> None:
        self.server.send(sender)

    @precondition(lambda self: self.server.present and self.server.messages)
    @rule(data=st.data(), delete=st.booleans())
    def change_message(self, data: st.DataObject, delete: bool) -> None:
        alive = [m.seq for m in self.server.messages.values() if m.deleted_at is None and m.sender is not None]
        if alive:
            (self.server.delete if delete else self.server.edit)(data.draw(st.sampled_from(alive)))

    @precondition(lambda self: self.server.present and self.server.messages)
    @rule(data=st.data(), reader=st.sampled_from([ME, OTHER]))
    def read(self, data: st.DataObject, reader: str) -> None:
        low, high = self.server.participants[reader].read_seq, len(self.server.messages)
        if low < high:
            self.server.read(reader, data.draw(st.integers(low + 1, high)))

    @precondition(lambda self: self.server.present)
    @rule(muted=st.booleans(), archived=st.booleans())
    def set_membership(self, muted: bool, archived: bool) -> None:
        self.server.mute(muted=muted, archived=archived)

    @precondition(lambda self: self.server.present)
    @rule()
    def leave(self) -> None:
        self.server.leave()

    @precondition(lambda self: not self.server.present)
    @rule(announced=st.booleans())
    def come_back(self, announced: bool) -> None:
        self.server.come_back(announced=announced)

    # -- how it travels --

    @precondition(lambda self: self.server.way)
    @rule(twice=st.booleans(), cuts=st.frozensets(st.integers(1, 40)))
    def deliver(self, twice: bool, cuts: frozenset[int]) -> None:
        event = self.server.way.pop(0)
        effect = self.replica.apply(event)
        self.follow(effect, cuts)
        # Not after what was asked for because of it: that shows a newer membership, which has no rev of its own.
        if twice and not (effect.sync or effect.get) and self.replica.revs().get(C) == event.rev:
            self.take(event, cuts=cuts)

    @precondition(lambda self: len(self.server.way) > 1)
    @rule(count=st.integers(2, 5), cuts=st.frozensets(st.integers(1, 40)))
    def deliver_merged(self, count: int, cuts: frozenset[int]) -> None:
        run = self.server.way[:count]
        if all(e.membership is None and e.info is None for e in run):
            del self.server.way[:count]
            self.take(merged(run), cuts=cuts)

    @precondition(lambda self: self.server.way)
    @rule(count=st.integers(1, 5), resets=st.booleans(), listed=st.booleans(), cuts=st.frozensets(st.integers(1, 40)))
    def lose_the_connection(self, count: int, resets: bool, listed: bool, cuts: frozenset[int]) -> None:
        """The rest is never told; a new connection begins with what is held."""
        self.server.way.clear()
        held = self.replica.revs()
        reset = resets or not self.server.present
        revs = {id: RevState(rev=self.server.rev, reset=reset) for id in held}
        shown = (self.server.summary(),) if listed and self.server.present else ()
        effect = self.replica.apply(hello(conversations=shown, revs=revs))
        if held and not reset:
            for event in self.server.since(held[C], set(cuts)):
                assert not self.replica.apply(event).sync
        self.follow(effect)

    @precondition(lambda self: self.server.present)
    @rule()
    def not_named(self) -> None:
        """A new connection whose `hello` named nothing."""
        self.server.way.clear()
        self.take(hello(conversations=(self.server.summary(),)))

    @precondition(lambda self: self.server.present)
    @rule()
    def restore_a_backup(self) -> None:
        self.server.way.clear()
        self.server.epoch += "+"
        held = self.replica.revs()
        self.take(hello(self.server.epoch, revs={id: RevState(rev=self.server.rev, reset=True) for id in held}))

    @precondition(lambda self: self.server.present)
    @rule(data=st.data(), limit=st.integers(1, 4))
    def load_history(self, data: st.DataObject, limit: int) -> None:
        while self.server.way:  # an answer comes after what it knows
            self.take(self.server.way.pop(0))
        held = self.replica.conversations.get(C)
        low = held.low if held else 1
        everything = list(self.server.messages.values())
        direction = data.draw(st.sampled_from(["newest", "before", "after"]))
        if direction == "after":
            after = data.draw(st.integers(0, len(everything)))
            rest, request = everything[after:], MessageHistory(conversation=C, after=after)
            page = rest[:limit]
        else:
            before = low if direction == "before" else None
            rest = everything[: before - 1] if before is not None else everything
            request = MessageHistory(conversation=C, before=before)
            page = rest[-limit:]
        self.take(HistoryOk(re=1, conversation=C, messages=tuple(page), more=len(page) < len(rest)), request)

    @invariant()
    def what_is_up_to_date_is_equal(self) -> None:
        if not self.server.way:
            held = self.replica.conversations.get(C)
            assert held is None or self.server.present
            if held is not None:
                self.check(held)

    def check(self, held: Conversation) -> None:
        server = self.server
        assert held.rev == server.rev
        assert held.participants == server.participants
        assert held.membership == server.membership
        assert held.last_seq == len(server.messages)
        assert held.messages == {seq: m for seq, m in server.messages.items() if seq >= held.low}


TestJourney = Journey.TestCase
TestJourney.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


# -- the rules one by one --


def loaded(*messages: Message, rev: int = 5) -> tuple[Replica, Conversation]:
    """A replica with one conversation, whose loaded range is these messages."""
    server = Server(rev=rev)
    replica = Replica()
    info = evolve(server.info, last_seq=max((m.seq for m in messages), default=0))
    whole = server.whole() | {"info": info}
    replica.apply(hello())
    replica.apply(Change(conversation=C, from_rev=0, rev=rev, messages=messages, **whole))
    return replica, replica.conversations[C]


def change(from_rev: int, rev: int, **fields: Any) -> Change:
    return Change(conversation=C, from_rev=from_rev, rev=rev, **fields)


def test_a_change_moves_the_cursor_and_counts_what_is_new() -> None:
    replica, held = loaded()
    replica.apply(
        change(5, 8, messages=(message(1, rev=6), message(2, rev=7, sender=ME), message(3, rev=8, sender=None)))
    )
    assert (held.rev, held.membership.unread) == (8, 1)
    replica.apply(change(8, 9, messages=(message(1, rev=9, body="edited"),)))
    assert (held.membership.unread, held.messages[1].body) == (1, "edited")


def test_a_gap_asks_for_a_sync_and_changes_nothing() -> None:
    replica, held = loaded()
    effect = replica.apply(change(6, 7, messages=(message(2, rev=7),)))
    assert effect.sync == {C}
    assert (held.rev, held.messages) == (5, {})


def test_older_change_brings_nothing_back() -> None:
    replica, held = loaded(message(1, rev=5, body="newer"))
    replica.apply(change(2, 3, messages=(message(1, rev=3, body="older"),)))
    assert (held.rev, held.messages[1].body) == (5, "newer")


def test_an_unknown_conversation_is_asked_for() -> None:
    replica = Replica()
    replica.apply(hello())
    assert replica.apply(change(3, 4, messages=(message(1, rev=4),))).get == {C}
    assert replica.apply(ChangeOk(re=1, conversation=C, from_rev=3, rev=4)).get == {C}
    assert not replica.conversations


def test_an_open_that_found_something_loads_it() -> None:
    replica = Replica()
    replica.apply(hello())
    server = Server(rev=7)
    effect = replica.apply(ChangeOk(re=1, conversation=C, from_rev=7, rev=7, created=False, **server.whole()))
    assert (effect.restarted, replica.revs()) == ({C}, {C: 7})


def test_a_message_below_the_range_waits_for_history() -> None:
    replica, held = loaded(message(9, rev=5))
    replica.apply(change(5, 6, messages=(message(4, rev=6, body="edited"),)))
    assert list(held.messages) == [9]
    page = tuple(message(seq, rev=6) for seq in range(3, 9))
    replica.apply(HistoryOk(re=1, conversation=C, messages=page, more=True), MessageHistory(conversation=C, before=9))
    assert (held.low, list(held.messages)) == (3, [9, *range(3, 9)])
    effect = replica.apply(change(6, 7, messages=(message(4, rev=7, body="edited"),)))
    assert list(effect.messages[C]) == [4]


def test_a_page_apart_from_the_range_is_not_held() -> None:
    replica, held = loaded(message(9, rev=5))
    page = (message(2, rev=2), message(3, rev=3))
    replica.apply(HistoryOk(re=1, conversation=C, messages=page, more=True), MessageHistory(conversation=C, before=4))
    assert (held.low, list(held.messages)) == (9, [9])


def test_own_leave_drops_the_conversation() -> None:
    replica, _ = loaded()
    effect = replica.apply(change(5, 6, participants=(participant(ME, rev=6, left_at=AT),), info=Server(rev=6).info))
    assert (effect.dropped, effect.get, replica.conversations) == ({C}, set(), {})
    again = replica.apply(change(5, 6, participants=(participant(ME, rev=6, left_at=AT),), info=Server(rev=6).info))
    assert not again.get


def test_conversation_not_named_by_hello_is_synced_if_it_moved() -> None:
    replica, held = loaded(rev=5)
    assert replica.apply(hello()).sync == {C}
    assert not replica.apply(hello(conversations=(Server(rev=5).summary(),))).sync
    assert replica.apply(hello(conversations=(Server(rev=6).summary(),))).sync == {C}
    assert held.rev == 5


def test_another_epoch_voids_everything() -> None:
    replica, _ = loaded()
    effect = replica.apply(hello("two"))
    assert (effect.dropped, effect.get, replica.revs(), replica.epoch) == ({C}, {C}, {}, "two")


def test_a_reset_that_the_list_makes_good_needs_no_question() -> None:
    replica, _ = loaded(rev=5)
    revs = {C: RevState(rev=9, reset=True)}
    effect = replica.apply(hello(revs=revs, conversations=(Server(rev=9).summary(),)))
    assert (effect.get, effect.dropped, effect.restarted, replica.revs()) == (set(), set(), {C}, {C: 9})


def test_a_renewed_session_changes_nothing() -> None:
    replica, _ = loaded()
    assert replica.apply(hello(conversations=None, revs=None, users=None, presence=None)) == Effect()


def test_status_follows_from_the_watermarks() -> None:
    own = message(3, rev=5, sender=ME)
    replica, held = loaded(own)
    assert held.status(own) == "sent"
    both = (participant(OTHER, rev=6, delivered_seq=3), participant(THIRD, rev=7, delivered_seq=4))
    replica.apply(change(5, 7, participants=both))
    assert held.status(own) == "delivered"
    replica.apply(change(7, 8, participants=(participant(OTHER, rev=8, delivered_seq=3, read_seq=3),)))
    assert held.status(own) == "delivered"
    replica.apply(change(8, 9, participants=(participant(THIRD, rev=9, left_at=AT),)))
    assert held.status(own) == "read"
    replica.apply(change(9, 10, participants=(participant(OTHER, rev=10, from_seq=4),)))
    assert held.status(own) == "sent"  # nobody left who counts


def test_typing_ends_by_a_message_by_itself_or_with_the_connection() -> None:
    replica, held = loaded()
    typing = Typing(conversation=C, user=OTHER, active=True)
    assert replica.apply(typing, now=100).typing == {(C, OTHER)}
    assert not replica.apply(typing, now=103).typing
    assert replica.typing_until() == 111
    assert not replica.expire_typing(110.9).typing
    assert replica.expire_typing(111).typing == {(C, OTHER)}
    assert replica.typing_until() == float("inf")
    replica.apply(typing, now=120)
    assert replica.apply(change(5, 6, messages=(message(1, rev=6),))).typing == {(C, OTHER)}
    replica.apply(typing, now=130)
    assert replica.apply(evolve(typing, active=False), now=131).typing == {(C, OTHER)}
    replica.apply(typing, now=140)
    assert replica.apply(hello()).typing == {(C, OTHER)}
    assert held.typing == {}


def test_people_come_go_and_change() -> None:
    replica = Replica()
    there = PresenceState(user=OTHER, online=True)
    effect = replica.apply(hello(users=(user(OTHER),), presence=(there,)))
    assert (effect.presence, effect.users) == ({OTHER}, {ME, OTHER})
    assert replica.online(OTHER)
    assert replica.apply(Presence(user=OTHER, online=False, last_seen=AT)).presence == {OTHER}
    assert not replica.online(OTHER)
    assert replica.apply(UserChanged(user=user(OTHER, "Bo"))).users == {OTHER}
    assert not replica.apply(UserChanged(user=user(OTHER, "Bo"))).users
    replica.apply(Presence(user=OTHER, online=True))
    assert replica.apply(hello()).presence == {OTHER}  # not listed, so not online
    assert not replica.online(OTHER)


def test_a_listed_page_loads_conversations() -> None:
    replica = Replica()
    replica.apply(hello())
    effect = replica.apply(ListOk(re=1, conversations=(Server(rev=4).summary(),), users=()))
    assert (effect.restarted, replica.revs()) == ({C}, {C: 4})
