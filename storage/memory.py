"""The reference: a store in dictionaries, for tests and for reading what a store should do."""

import bisect
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from storage.apply import apart, apply_all, finish, keys_of, membership_of, together, users_behind
from storage.bounds import MAX_CHANGED_OBJECTS, cut, page_length
from storage.changes import Change, Outcome
from storage.files import waits_for
from storage.keyed import KEPT_FILE, KeptFile, MemoryRows, R, RowKind
from storage.records import (
    ChangesSince,
    Conversation,
    Credentials,
    Hit,
    IssuedToken,
    Message,
    MessagePage,
    MessageVersion,
    Participant,
    Place,
    ReceiptTime,
    Room,
    SearchPage,
    Standing,
    Summary,
    SummaryPage,
    User,
    with_placeholders,
)
from storage.rules.unit import Unit
from storage.search import fold, matches

MESSAGES_PER_SEARCH = 10_000
"""Messages that one call of `search` looks at."""


class MemoryStore:
    """A `Store` that forgets everything when it is closed."""

    def __init__(self, *, epoch: str, development: bool = False) -> None:
        self.epoch = epoch
        self.development = development
        self.generation = 0
        self.damaged: Sequence[tuple[str, int]] = ()
        self._lock = threading.Lock()
        self._users: dict[str, User] = {}
        self._conversations: dict[str, Conversation] = {}
        self._participants: dict[str, dict[str, Participant]] = {}
        self._of_user: dict[str, set[str]] = {}
        self._messages: dict[str, list[Message]] = {}  # by seq - 1
        self._versions: dict[tuple[str, int], list[MessageVersion]] = {}  # ascending
        self._order: list[tuple[str, int]] = []  # (conversation, seq) of all messages, as they came
        self._pairs: dict[str, str] = {}
        self._created: dict[tuple[str, str], str] = {}
        self._sent: dict[tuple[str, str], Message] = {}
        self._tokens: dict[str, IssuedToken] = {}
        self._cut_offs: dict[str, int] = {}
        self._keyed = MemoryRows()
        self._newest = -1  # activity
        self._receipts: dict[tuple[str, str, str], list[tuple[int, int]]] = {}  # -> (seq, at), ascending

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        with self._lock:
            keyed, changes = apart(self._keyed, changes)
            keys = keys_of(changes)
            unit = Unit()
            unit.begin(self._newest)
            unit.pairs = {pair: self._pairs[pair] for pair in keys.pairs if pair in self._pairs}
            unit.created = {key: self._created[key] for key in keys.created if key in self._created}
            for conversation in keys.conversations.union(unit.pairs.values(), unit.created.values()):
                if conversation in self._conversations:
                    unit.conversations[conversation] = self._conversations[conversation]
                    unit.participants[conversation] = dict(self._participants[conversation])
            unit.users = {id: self._users[id] for id in users_behind(unit, keys) if id in self._users}
            unit.tokens.tokens = {
                token.jti: token
                for token in self._tokens.values()
                if token.jti in keys.tokens or token.user in keys.tokens_of
            }
            unit.tokens.cut_offs = {id: self._cut_offs[id] for id in keys.tokens_of if id in self._cut_offs}
            unit.sent = {key: self._sent[key] for key in keys.sent if key in self._sent}
            for conversation, seq in keys.messages:
                if 1 <= seq <= len(self._messages.get(conversation, ())):
                    unit.messages[conversation, seq] = self._messages[conversation][seq - 1]
            files = {id: self._keyed.get(KEPT_FILE, id) for id in keys.files}
            unit.files = {id: file for id, file in files.items() if file is not None}
            outcomes, moved = apply_all(unit, changes)
            self._save(unit)
            self._newest = unit.newest
            return together(finish(unit, outcomes, moved, self._unread), keyed)

    def _save(self, unit: Unit) -> None:
        self._users.update(unit.users)
        self._pairs.update(unit.pairs)
        self._created.update(unit.created)
        for id in unit.changed_conversations:
            self._conversations[id] = unit.conversations[id]
            self._participants.setdefault(id, {})
            self._messages.setdefault(id, [])
        for conversation, user in unit.changed_participants:
            self._participants[conversation][user] = unit.participants[conversation][user]
            self._of_user.setdefault(user, set()).add(conversation)
        for message in unit.new_messages:
            self._messages[message.conversation].append(message)
            self._order.append((message.conversation, message.seq))
            self._note(message)
        for conversation, seq in unit.changed_messages:
            message = self._messages[conversation][seq - 1] = unit.messages[conversation, seq]
            self._note(message)
        for id in unit.sent_files:
            self._keyed.put(KEPT_FILE, unit.files[id])
        self._keyed.delete(KEPT_FILE, unit.dropped_files)
        for conversation, seq, rev, body, at in unit.versions:
            self._versions.setdefault((conversation, seq), []).append(MessageVersion(seq, rev, body, at))
        for conversation, user, kind, seq, at in unit.receipts:
            self._receipts.setdefault((conversation, user, kind), []).append((seq, at))
        self._tokens.update((jti, unit.tokens.tokens[jti]) for jti in unit.tokens.changed)
        self._cut_offs.update(unit.tokens.cut_offs)
        before = unit.tokens.forget_before
        if before is not None:
            self._tokens = {jti: token for jti, token in self._tokens.items() if token.expires_at >= before}
        self.epoch = unit.new_epoch or self.epoch

    def _note(self, message: Message) -> None:
        if message.sender is not None and message.client_id is not None:
            self._sent[message.sender, message.client_id] = message

    def repair(self) -> None:
        pass

    def close(self) -> None:
        pass

    def user(self, user: str) -> User | None:
        return self._users.get(user)

    def users(self, ids: Collection[str]) -> dict[str, User]:
        return {id: self._users[id] for id in ids if id in self._users}

    def _people(self, ids: Collection[str]) -> dict[str, User]:
        return with_placeholders(self._users, ids)

    def list_users(
        self, *, roles: Collection[str], but: str, query: str | None, after: tuple[Any, ...] | None, limit: int
    ) -> tuple[list[User], tuple[Any, ...] | None]:
        with self._lock:
            found = sorted(
                (fold(user.name), user.id)
                for user in self._users.values()
                if user.role in roles
                and user.id != but
                and user.disabled_at is None
                and (query is None or fold(query) in fold(user.name))
                and (after is None or (fold(user.name), user.id) > after)
            )
        page = [self._users[id] for _, id in found[:limit]]
        return page, found[limit - 1] if len(found) > limit else None

    def credentials(self, user: str, jti: str) -> Credentials:
        with self._lock:
            known = self._users.get(user)
            if known is None:
                return Credentials(None, None, None)
            return Credentials(known, self._tokens.get(jti), self._cut_offs.get(user))

    def all_users(self, *, after: str | None, limit: int) -> list[User]:
        with self._lock:
            return [self._users[id] for id in sorted(id for id in self._users if id > (after or ""))[:limit]]

    def tokens(self, *, user: str | None, after: tuple[int, str] | None, limit: int) -> list[IssuedToken]:
        with self._lock:
            found = sorted((t.issued_at, t.jti) for t in self._tokens.values() if user is None or t.user == user)
            return [self._tokens[jti] for issued, jti in found if (issued, jti) > (after or (-1, ""))][:limit]

    def row(self, kind: RowKind[R], key: str) -> R | None:
        with self._lock:
            return self._keyed.get(kind, key)

    def rows(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        with self._lock:
            return self._keyed.find(kind, field, value, after=after, limit=limit)

    def room(self, conversation: str) -> Room | None:
        with self._lock:
            return self._room(conversation)

    def _room(self, conversation: str) -> Room | None:
        row = self._conversations.get(conversation)
        return None if row is None else Room(row, tuple(self._participants[conversation].values()))

    def _summary(self, conversation: str, user: str) -> Summary | None:
        room = self._room(conversation)
        if room is None or not room.present(user):
            return None
        row = self._participants[conversation][user]
        messages = self._messages[conversation]
        membership = membership_of(row, room.conversation.last_seq, self._unread)
        return Summary(room, membership, messages[-1] if messages else None)

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        with self._lock:
            of_user = sorted(self._of_user.get(user, ()))
            found = [s for s in (self._summary(id, user) for id in of_user) if s and s.membership.archived == archived]
            found.sort(key=self.key_of, reverse=True)
            if after is not None:
                found = [s for s in found if self.key_of(s) < after]
            page = tuple(found[: page_length(len(s.room.participants) for s in found[:limit])])
            users = self._people({p.user for s in page for p in s.room.participants})
            return SummaryPage(page, users, self.key_of(page[-1]) if len(found) > len(page) else None)

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        with self._lock:
            summary = self._summary(conversation, user)
            if summary is None:
                return None
            return summary, self._people([p.user for p in summary.room.participants])

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        c = summary.room.conversation
        return int(summary.membership.pinned), c.listed_by, c.id

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        with self._lock:
            room = self._room(conversation)
            if room is None or not room.present(user):
                return None
            messages = self._messages[conversation]
            if after is not None:
                page = messages[after : after + limit]
                more = len(messages) > after + limit
            else:
                end = len(messages) if before is None else max(0, min(before - 1, len(messages)))
                page = messages[max(0, end - limit) : end]
                more = end > limit
            return MessagePage(tuple(page), more, room.participants)

    def file(self, id: str, user: str, at: int) -> KeptFile | None:
        with self._lock:
            file = self._keyed.get(KEPT_FILE, id)
            if file is None or file.conversation is None:
                return file if file is not None and waits_for(file, user, at) else None
            room = self._room(file.conversation)
            return file if room is not None and room.present(user) else None

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        with self._lock:
            return {conversation: self._standing(conversation, user, rev) for conversation, rev in revs.items()}

    def _standing(self, conversation: str, user: str, rev: int) -> Standing:
        room = self._room(conversation)
        if room is None or not room.present(user):
            return Standing(0, reset=True)
        now = room.conversation.rev
        changed = sum(message.rev > rev for message in self._messages[conversation])
        return Standing(now, reset=rev > now or changed > MAX_CHANGED_OBJECTS)

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> ChangesSince | None:
        with self._lock:
            room = self._room(conversation)
            if room is None or not room.present(user):
                return None
            newer = (message for message in self._messages[conversation] if message.rev > rev)
            through, participants, messages = cut(room, rev, newer, limit)
            row = self._participants[conversation][user]
            return ChangesSince(
                room=room,
                through=through,
                participants=participants,
                messages=messages,
                membership=membership_of(row, room.conversation.last_seq, self._unread),
                users=self._people([p.user for p in participants]),
            )

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        with self._lock:
            rooms = [self._room(id) for id in sorted(self._of_user.get(user, ()))]
            return [
                (room.conversation.id, room.conversation.rev, frozenset(p.user for p in room.participants if p.present))
                for room in rooms
                if room is not None and room.present(user)
            ]

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        with self._lock:
            users = sorted(self._participants.get(conversation, ()))

            def when(user: str, kind: str) -> int | None:
                advances = self._receipts.get((conversation, user, kind), [])
                index = bisect.bisect_left(advances, (seq, 0))
                return advances[index][1] if index < len(advances) else None

            return [ReceiptTime(user, when(user, "delivered"), when(user, "read")) for user in users]

    def search(
        self, user: str, words: Sequence[str], *, conversation: str | None, before: Place | None, limit: int
    ) -> SearchPage | None:
        with self._lock:
            rooms = {id for id in self._of_user.get(user, ()) if self._participants[id][user].present}
            if conversation is not None:
                if conversation not in rooms:
                    return None
                rooms = {conversation}
            start = len(self._order) if before is None else min(before[0] - 1, len(self._order))
            found: list[Hit] = []
            for place in range(start, max(0, start - MESSAGES_PER_SEARCH), -1):
                id, seq = self._order[place - 1]
                message = self._messages[id][seq - 1]
                if id in rooms and message.deleted_at is None and matches(message.body, words):
                    if len(found) == limit:
                        return SearchPage(tuple(found), found[-1].place)
                    found.append(Hit((place, id, seq), message))
            end = start - MESSAGES_PER_SEARCH + 1
            return SearchPage(tuple(found), (end, "", 0) if end > 1 else None)

    def index(self, limit: int) -> int:  # noqa: ARG002
        return 0

    def refill(self, limit: int) -> int:  # noqa: ARG002
        return 0

    def versions(self, conversation: str, seq: int) -> list[MessageVersion]:
        with self._lock:
            return list(self._versions.get((conversation, seq), ()))

    def _unread(self, conversation: str, marks: Mapping[str, int], upto: int) -> dict[str, int]:
        return {
            user: sum(
                message.sender is not None and message.sender != user and message.deleted_at is None
                for message in self._messages[conversation][after:upto]
            )
            for user, after in marks.items()
        }
