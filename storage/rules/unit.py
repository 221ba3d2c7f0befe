"""Unit of work of the rules: one transaction's rows, with notes of what is to be written."""

from collections.abc import Sequence
from typing import Any

import attrs

from storage.changes import Changed, Outcome, Refused
from storage.keyed import KeptFile
from storage.records import Conversation, Message, Participant, User, make_conversation, with_placeholders
from storage.value import copy_with

from .token_rows import TokenRows

NOT_FOUND = Refused("not_found", "no such conversation", "conversation")
NO_USER = Refused("not_found", "no such user", "user")

Answer = tuple[Outcome, Sequence[Participant]]
"""A rule's outcome, and the participants whose memberships it lacks: those are counted when all is written."""


@attrs.define
class Unit:
    """Rows of one transaction: as loaded, then as changed, with notes of what is to be written."""

    users: dict[str, User] = attrs.Factory(dict)
    conversations: dict[str, Conversation] = attrs.Factory(dict)
    participants: dict[str, dict[str, Participant]] = attrs.Factory(dict)  # conversation -> user -> row
    pairs: dict[str, str] = attrs.Factory(dict)  # pair -> conversation
    created: dict[tuple[str, str], str] = attrs.Factory(dict)  # (creator, client_id) -> group
    sent: dict[tuple[str, str], Message] = attrs.Factory(dict)  # (sender, client_id) -> message
    messages: dict[tuple[str, int], Message] = attrs.Factory(dict)  # (conversation, seq) -> message
    files: dict[str, KeptFile] = attrs.Factory(dict)  # uploaded, by id
    tokens: TokenRows = attrs.Factory(TokenRows)
    # Rows to write, in order of first touch.
    new_users: dict[str, int] = attrs.Factory(dict)  # -> when
    changed_users: dict[str, int] = attrs.Factory(dict)
    changed_conversations: dict[str, None] = attrs.Factory(dict)
    changed_participants: dict[tuple[str, str], None] = attrs.Factory(dict)
    new_groups: list[tuple[str, str, str]] = attrs.Factory(list)  # creator, client_id, conversation
    new_messages: list[Message] = attrs.Factory(list)  # as sent, whatever happened to them since
    activities: list[int] = attrs.Factory(list)  # of those, one each
    noted: int = 0  # how many of those are in `messages`
    changed_messages: dict[tuple[str, int], None] = attrs.Factory(dict)
    retexted: list[tuple[str, int, str, str | None]] = attrs.Factory(list)  # conversation, seq, old body, new or None
    versions: list[tuple[str, int, int, str, int]] = attrs.Factory(list)  # conversation, seq, rev, old body, at
    tombstones: list[Message] = attrs.Factory(list)
    sent_files: dict[str, None] = attrs.Factory(dict)
    dropped_files: list[str] = attrs.Factory(list)
    receipts: list[tuple[str, str, str, int, int]] = attrs.Factory(list)  # conversation, user, kind, seq, at
    new_epoch: str | None = None
    _away: dict[str, Sequence[Participant]] = attrs.field(factory=dict, init=False)  # by conversation, as looked up
    newest: int = -1  # activity of any conversation, as of this transaction's beginning, then of its own changes
    began: int = -1  # `newest` of the beginning

    def begin(self, newest: int) -> None:
        """Note the highest activity that an earlier commit gave."""
        self.newest = self.began = newest

    def activity(self, at: int) -> int:
        """Return the number of this commit: the time, or one more than any before where the clock was set back.

        Never less than it returned before.
        """
        number = at if at > self.began else self.began + 1
        if number > self.newest:
            self.newest = number
        return self.newest

    def put_participant(self, row: Participant) -> None:
        self._away.pop(row.conversation, None)
        self.participants[row.conversation][row.user] = row
        self.changed_participants[row.conversation, row.user] = None

    def put_conversation(self, row: Conversation) -> None:
        self.conversations[row.id] = row
        self.changed_conversations[row.id] = None

    def add_message(self, row: Message) -> None:
        """Add a new message, after its `activity`."""
        self.new_messages.append(row)
        self.activities.append(self.newest)
        if row.sender is not None and row.client_id is not None:
            self.sent[row.sender, row.client_id] = row

    def message(self, conversation: str, seq: int) -> Message | None:
        """A message to be changed, as loaded or as this transaction left it."""
        for row in self.new_messages[self.noted :]:  # not in `add_message`: few batches come here
            self.messages[row.conversation, row.seq] = row
        self.noted = len(self.new_messages)
        return self.messages.get((conversation, seq))

    def change_message(self, row: Message) -> None:
        self.messages[row.conversation, row.seq] = row
        self.changed_messages[row.conversation, row.seq] = None
        if row.sender is not None and row.client_id is not None:
            self.sent[row.sender, row.client_id] = row

    def retext(self, old: Message, row: Message, at: int) -> None:
        """Change a message whose text is another now, or gone; the old one is kept for the record."""
        self.change_message(row)
        self.versions.append((row.conversation, row.seq, row.rev, old.body, at))
        if row.deleted_at is None:
            self.retexted.append((row.conversation, row.seq, old.body, row.body))
        else:
            self.retexted.append((row.conversation, row.seq, old.body, None))
            self.tombstones.append(row)

    def deleted_after(self, room: Conversation) -> list[Message]:
        """The tombstones that this transaction put where there were texts yet when the conversation was like this."""
        return [m for m in self.tombstones if m.conversation == room.id and m.rev > room.rev and m.seq <= room.last_seq]

    def present(self, conversation: str, user: str) -> Participant | None:
        row = self.participants.get(conversation, {}).get(user)
        return row if row is not None and row.left_at is None else None

    def away(self, conversation: str) -> Sequence[Participant]:
        """Return the participants whom a message brings back, or out of their archive: looked for once a batch.

        Rows must change by `put_participant` alone once somebody has asked.
        """
        found = self._away.get(conversation)
        if found is None:
            rows = self.participants[conversation].values()
            found = self._away[conversation] = [row for row in rows if row.archived or row.left_at is not None]
        return found

    def named(self, rows: Sequence[Participant]) -> tuple[User, ...]:
        """The users of these participants."""
        return tuple(with_placeholders(self.users, [row.user for row in rows]).values())

    def name(self, user: str) -> str:
        known = self.users.get(user)
        return known.name if known else user


def moved_on(conversation: Conversation) -> Conversation:
    """Return the conversation one rev on."""
    return copy_with(conversation, rev=conversation.rev + 1)


def with_message(conversation: Conversation, at: int, activity: int | None) -> Conversation:
    """Return the conversation one rev and one message on, which was sent at `at`."""
    c = conversation
    return make_conversation(  # not `copy_with`, which takes twice as long
        id=c.id,
        kind=c.kind,
        pair=c.pair,
        title=c.title,
        created_at=c.created_at,
        last_message_at=at,
        last_seq=c.last_seq + 1,
        rev=c.rev + 1,
        activity=activity,
    )


MAX_STEP_BACK_MS = 2 * 3_600_000
"""Ms by which a clock may be set back, as at the end of summer time, without a message that seems older than the one
before it. Beyond, the time before was wrong."""


def time_after(conversation: Conversation, at: int) -> int:
    """Return the time of a message that is sent at `at`: not before the newest message's, if the clock was set back."""
    last = conversation.last_message_at
    return last if last is not None and at < last <= at + MAX_STEP_BACK_MS else at


def newcomer(unit: Unit, before: Conversation, after: Conversation, user: str, role: Any, at: int) -> Participant:
    """Add a new participant: what was said before is neither unread nor undelivered."""
    row = Participant(
        conversation=after.id,
        user=user,
        role=role,
        joined_at=at,
        left_at=None,
        from_seq=before.last_seq + 1,
        delivered_seq=before.last_seq,
        delivered_at=None,
        read_seq=before.last_seq,
        read_at=None,
        rev=after.rev,
    )
    unit.put_participant(row)
    return row


def brought_back(unit: Unit, row: Participant, before: Conversation, after: Conversation, at: int) -> Participant:
    """Bring a participant back, as a member: watermarks stay (what they missed is unread), and the list shows it."""
    row = attrs.evolve(
        row, role="member", joined_at=at, left_at=None, from_seq=before.last_seq + 1, rev=after.rev, archived=False
    )
    unit.put_participant(row)
    return row


def with_everyone(
    unit: Unit,
    after: Conversation,
    from_rev: int,
    *,
    messages: tuple[Message, ...] = (),
    entered: Sequence[Participant],
    created: bool = False,
) -> Changed:
    """Return the outcome of a change that brought somebody in, who needs to see everything."""
    everyone = tuple(unit.participants[after.id].values())
    return Changed(
        room=after,
        from_rev=from_rev,
        rev=after.rev,
        messages=messages,
        participants=tuple(entered),
        entered=tuple(row.user for row in entered),
        everyone=everyone,
        users=unit.named(everyone),
        created=created,
    )


def told(unit: Unit, after: Conversation, id: str, at: int, body: str, data: dict[str, Any]) -> Message:
    """Add a system message, the newest of `after`, and return it."""
    message = Message(
        conversation=after.id,
        seq=after.last_seq,
        rev=after.rev,
        id=id,
        sender=None,
        client_id=None,
        kind="system",
        body=body,
        reply_to=None,
        data=data,
        sent_at=at,
    )
    unit.add_message(message)
    return message
