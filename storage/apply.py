"""The rules: how a change moves rows. Written once, over rows that a store has loaded into a `Unit`.

A store's commit is `load` (a few bulk reads), `apply` for each change, `save` (a few bulk writes): so a batch costs
the same number of statements whatever it holds, which is what a database at the other end of a wire needs.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs

from .changes import (
    AdvanceReceipt,
    Change,
    Changed,
    Leave,
    OpenDirect,
    Outcome,
    PutUser,
    Refused,
    SeeUser,
    SendMessage,
    SetMembership,
    Unchanged,
    UserSaved,
)
from .records import Conversation, Membership, Message, Participant, User, pair_of

NOT_FOUND = Refused("not_found", "no such conversation")

CountUnread = Callable[[str, str, int, int], int]
"""(conversation, user, after seq, up to seq) -> others' undeleted texts in between."""


@attrs.define
class Keys:
    """What the changes of a batch will look at."""

    users: set[str] = attrs.Factory(set)
    conversations: set[str] = attrs.Factory(set)
    pairs: set[str] = attrs.Factory(set)
    sent: set[tuple[str, str]] = attrs.Factory(set)
    parting: set[str] = attrs.Factory(set)  # conversations that somebody leaves in this very batch


@attrs.define
class Unit:
    """One transaction's rows: as loaded, then as changed, with notes of what is to be written."""

    users: dict[str, User] = attrs.Factory(dict)
    conversations: dict[str, Conversation] = attrs.Factory(dict)
    participants: dict[str, dict[str, Participant]] = attrs.Factory(dict)  # conversation -> user -> row
    pairs: dict[str, str] = attrs.Factory(dict)  # pair -> conversation
    sent: dict[tuple[str, str], Message] = attrs.Factory(dict)  # (sender, client_id) -> message
    # What is to be written, in order of first touch.
    new_users: dict[str, int] = attrs.Factory(dict)  # -> when
    changed_users: dict[str, int] = attrs.Factory(dict)
    changed_conversations: dict[str, None] = attrs.Factory(dict)
    changed_participants: dict[tuple[str, str], None] = attrs.Factory(dict)
    new_messages: list[Message] = attrs.Factory(list)
    receipts: list[tuple[str, str, str, int, int]] = attrs.Factory(list)  # conversation, user, kind, seq, at

    def put_participant(self, row: Participant) -> None:
        self.participants[row.conversation][row.user] = row
        self.changed_participants[row.conversation, row.user] = None

    def put_conversation(self, row: Conversation) -> None:
        self.conversations[row.id] = row
        self.changed_conversations[row.id] = None

    def add_message(self, row: Message) -> None:
        self.new_messages.append(row)
        if row.sender is not None and row.client_id is not None:
            self.sent[row.sender, row.client_id] = row

    def present(self, conversation: str, user: str) -> Participant | None:
        row = self.participants.get(conversation, {}).get(user)
        return row if row is not None and row.left_at is None else None


def keys_of(changes: Iterable[Change]) -> Keys:
    """What a store must load before it applies these."""
    keys = Keys()
    for change in changes:
        match change:
            case SendMessage():
                keys.conversations.add(change.conversation)
                keys.sent.add((change.user, change.client_id))
            case OpenDirect():
                keys.pairs.add(pair_of(change.user, change.other))
                keys.users.update((change.user, change.other))
            case Leave():
                keys.conversations.add(change.conversation)
                keys.parting.add(change.conversation)
            case PutUser() | SeeUser():
                keys.users.add(change.user)
            case _:
                keys.conversations.add(change.conversation)
    return keys


def users_behind(unit: Unit, keys: Keys) -> set[str]:
    """The users to load once the participants are: an event that brings somebody back names everyone."""
    found = set(keys.users)
    for conversation, rows in unit.participants.items():
        if conversation in keys.parting or any(row.left_at is not None for row in rows.values()):
            found.update(rows)
    return found


def apply_all(unit: Unit, changes: Sequence[Change]) -> tuple[list[Outcome], list[list[Participant]]]:
    """Apply the changes in order: their outcomes, and for each whose memberships the outcome still lacks."""
    outcomes: list[Outcome] = []
    moved: list[list[Participant]] = []
    for change in changes:
        outcome, members = apply(unit, change)
        outcomes.append(outcome)
        moved.append(members)
    return outcomes, moved


def finish(outcomes: list[Outcome], moved: list[list[Participant]], count: CountUnread) -> list[Outcome]:
    """Give the outcomes the memberships they lack; counted after the batch was written, up to each outcome's seq."""
    for index, members in enumerate(moved):
        if members:
            outcome = outcomes[index]
            assert isinstance(outcome, Changed | Unchanged)
            memberships = tuple(membership_of(row, outcome.room.last_seq, count) for row in members)
            outcomes[index] = attrs.evolve(outcome, memberships=memberships)
    return outcomes


def membership_of(row: Participant, last_seq: int, count: CountUnread) -> Membership:
    """A participant's membership as of `last_seq`."""
    unread = count(row.conversation, row.user, row.read_seq, last_seq) if row.read_seq < last_seq else 0
    return Membership(row.user, row.muted, row.pinned, row.archived, unread)


def apply(unit: Unit, change: Change) -> tuple[Outcome, list[Participant]]:
    """One change: its outcome, and the participants whose memberships it lacks."""
    match change:
        case SendMessage():
            return _send(unit, change)
        case AdvanceReceipt():
            return _receipt(unit, change)
        case PutUser():
            return _put_user(unit, change), []
        case SeeUser():
            return _see_user(unit, change), []
        case OpenDirect():
            return _open(unit, change)
        case Leave():
            return _leave(unit, change), []
        case SetMembership():
            return _set_membership(unit, change)


def _next(conversation: Conversation, *, message_at: int | None = None) -> Conversation:
    """The conversation one rev on, and one message on where `message_at` is given. (`attrs.evolve` costs 5 us.)"""
    c = conversation
    if message_at is None:
        return Conversation(c.id, c.kind, c.pair, c.title, c.created_at, c.last_message_at, c.last_seq, c.rev + 1)
    return Conversation(c.id, c.kind, c.pair, c.title, c.created_at, message_at, c.last_seq + 1, c.rev + 1)


def _send(unit: Unit, change: SendMessage) -> tuple[Outcome, list[Participant]]:
    before = unit.conversations.get(change.conversation)
    sender = unit.present(change.conversation, change.user)
    if before is None or sender is None:
        return NOT_FOUND, []
    known = unit.sent.get((change.user, change.client_id))
    if known is not None:
        if known.conversation != change.conversation:
            return Refused("conflict", "this client_id was used in another conversation"), []
        return Unchanged(before, messages=(known,), duplicate=True), []
    if change.reply_to is not None and not 1 <= change.reply_to <= before.last_seq:
        return Refused("bad_request", "`reply_to`: there is no such message in this conversation"), []
    after = _next(before, message_at=change.at)
    message = Message(
        after.id,
        after.last_seq,
        after.rev,
        change.message,
        change.user,
        change.client_id,
        "text",
        change.body,
        change.reply_to,
        None,
        change.at,
    )
    back: list[Participant] = []
    moved: list[Participant] = []
    for row in list(unit.participants[after.id].values()):
        if row.user == change.user:
            continue
        if row.left_at is not None:
            if before.kind == "direct":
                back.append(_brought_back(unit, row, before, after, change.at))
        elif row.archived:
            row = attrs.evolve(row, archived=False)
            unit.put_participant(row)
            moved.append(row)
    unit.put_conversation(after)
    unit.add_message(message)
    if not back:
        return Changed(after, before.rev, after.rev, messages=(message,)), moved
    return _with_everyone(unit, after, before.rev, messages=(message,), entered=back), moved + back


def _brought_back(unit: Unit, row: Participant, before: Conversation, after: Conversation, at: int) -> Participant:
    """Somebody in again: their watermarks stay (what they missed is unread), the list shows the conversation."""
    row = attrs.evolve(
        row, joined_at=at, left_at=None, from_seq=before.last_seq + 1, rev=after.rev, archived=False
    )
    unit.put_participant(row)
    return row


def _with_everyone(
    unit: Unit,
    after: Conversation,
    from_rev: int,
    *,
    messages: tuple[Message, ...] = (),
    entered: Sequence[Participant],
    created: bool = False,
) -> Changed:
    everyone = tuple(unit.participants[after.id].values())
    return Changed(
        after,
        from_rev,
        after.rev,
        messages=messages,
        participants=tuple(entered),
        entered=tuple(row.user for row in entered),
        everyone=everyone,
        users=tuple(unit.users[row.user] for row in everyone if row.user in unit.users),
        created=created,
    )


def _receipt(unit: Unit, change: AdvanceReceipt) -> tuple[Outcome, list[Participant]]:
    before = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if before is None or row is None:
        return NOT_FOUND, []
    read = change.read or 0
    delivered = max(change.delivered or 0, read)
    if delivered > before.last_seq:
        name = "read" if read > before.last_seq else "delivered"
        return Refused("bad_request", f"`{name}`: the newest message is {before.last_seq}"), []
    if delivered <= row.delivered_seq and read <= row.read_seq:
        return Unchanged(before, participants=(row,)), []
    after = _next(before)
    delivered_seq, delivered_at, read_seq, read_at = row.delivered_seq, row.delivered_at, row.read_seq, row.read_at
    if delivered > delivered_seq:
        delivered_seq, delivered_at = delivered, change.at
        unit.receipts.append((row.conversation, row.user, "delivered", delivered, change.at))
    if read > read_seq:
        read_seq, read_at = read, change.at
        unit.receipts.append((row.conversation, row.user, "read", read, change.at))
    moved = Participant(
        row.conversation,
        row.user,
        row.role,
        row.joined_at,
        None,
        row.from_seq,
        delivered_seq,
        delivered_at,
        read_seq,
        read_at,
        after.rev,
        row.muted,
        row.pinned,
        row.archived,
    )
    unit.put_conversation(after)
    unit.put_participant(moved)
    return Changed(after, before.rev, after.rev, participants=(moved,)), [moved] if read > row.read_seq else []


def _open(unit: Unit, change: OpenDirect) -> tuple[Outcome, list[Participant]]:
    if change.user == change.other:
        return Refused("bad_request", "`with`: a conversation with oneself"), []
    if change.other not in unit.users or change.user not in unit.users:
        return Refused("not_found", "no such user"), []
    pair = pair_of(change.user, change.other)
    known = unit.pairs.get(pair)
    if known is None:
        before = Conversation(change.conversation, "direct", pair, None, change.at, None, 0, 0)
        unit.pairs[pair] = before.id
        unit.participants[before.id] = {}
    else:
        before = unit.conversations[known]
    after = _next(before)
    rows = unit.participants[before.id]
    entered = []
    for user in (change.user, change.other):
        row = rows.get(user)
        if row is None:
            row = Participant(before.id, user, "member", change.at, None, before.last_seq + 1,
                              before.last_seq, None, before.last_seq, None, after.rev)  # fmt: skip
            unit.put_participant(row)
            entered.append(row)
        elif row.left_at is not None:
            entered.append(_brought_back(unit, row, before, after, change.at))
    if not entered:
        everyone = tuple(rows.values())
        users = tuple(unit.users[row.user] for row in everyone if row.user in unit.users)
        return Unchanged(before, everyone=everyone, users=users), [rows[change.user]]
    unit.put_conversation(after)
    outcome = _with_everyone(unit, after, before.rev, entered=entered, created=known is None)
    mine = [] if any(row.user == change.user for row in entered) else [rows[change.user]]
    return outcome, [*mine, *entered]


def _leave(unit: Unit, change: Leave) -> Outcome:
    before = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if before is None or row is None:
        return NOT_FOUND
    if before.kind != "direct":
        return Refused("bad_request", "not available yet")
    after = _next(before, message_at=change.at)
    user = unit.users.get(change.user)
    message = Message(
        after.id,
        after.last_seq,
        after.rev,
        change.message,
        None,
        None,
        "system",
        f"{user.name if user else change.user} left the conversation.",
        None,
        {"event": "left", "by": change.user},
        change.at,
    )
    gone = attrs.evolve(row, left_at=change.at, rev=after.rev)
    unit.put_participant(gone)
    unit.put_conversation(after)
    unit.add_message(message)
    return Changed(after, before.rev, after.rev, messages=(message,), participants=(gone,), left=(gone.user,))


def _set_membership(unit: Unit, change: SetMembership) -> tuple[Outcome, list[Participant]]:
    room = unit.conversations.get(change.conversation)
    row = unit.present(change.conversation, change.user)
    if room is None or row is None:
        return NOT_FOUND, []
    after = attrs.evolve(
        row,
        muted=row.muted if change.muted is None else change.muted,
        pinned=row.pinned if change.pinned is None else change.pinned,
        archived=row.archived if change.archived is None else change.archived,
    )
    if after == row:
        return Unchanged(room), [row]
    unit.put_participant(after)
    return Changed(room, room.rev, room.rev), [after]


def _put_user(unit: Unit, change: PutUser) -> Outcome:
    known = unit.users.get(change.user)
    if known is None:
        user = User(change.user, change.name or change.user, change.role or "patient")
        unit.users[user.id] = user
        unit.new_users[user.id] = change.at
        return UserSaved(user, changed=False)
    user = attrs.evolve(known, name=change.name or known.name, role=change.role or known.role)
    if user != known:
        unit.users[user.id] = user
        unit.changed_users[user.id] = change.at
    return UserSaved(user, changed=user != known)


def _see_user(unit: Unit, change: SeeUser) -> Outcome:
    known = unit.users.get(change.user)
    if known is None:
        return Refused("not_found", "no such user")
    user = attrs.evolve(known, last_seen_at=max(change.at, known.last_seen_at or 0))
    unit.users[user.id] = user
    unit.changed_users[user.id] = change.at
    return UserSaved(user, changed=False)
