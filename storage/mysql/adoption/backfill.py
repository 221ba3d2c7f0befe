"""Taking an app's conversations in: their messages numbered, their watermarks found, their pairs told apart.

Each step is a transaction under the locks of its conversations, about a thousand rows long, and leaves nothing that
the next run couldn't go on from: a conversation counts as ingested when it has a `rev`, which comes last. The app may
write meanwhile. Rows that it adds behind the numbers are left for the daemon, which looks for such rows while it runs.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import attrs

from storage.contract import StoreError
from storage.mysql import rows
from storage.mysql.connection import Connection, Row
from storage.mysql.errors import DUPLICATE, RETRYABLE, Error, code
from storage.mysql.rows import NEW, Into, new_values
from storage.mysql.saving import COUNT_ANEW, SPAN, TITLE_TOLD, status_statement
from storage.mysql.seats import Seats
from storage.mysql.tables import TOUCHED
from storage.mysql.values import is_date, time_text
from storage.records import pair_of

from .read_state import ReadState

MESSAGES_PER_BATCH = 2000
"""Messages of one transaction."""

CONVERSATIONS_PER_BATCH = 100
"""Most conversations that are backfilled together."""

MAX_ATTEMPTS = 20
"""Attempts for a transaction that lost its race with the app's."""

_PARTS_PER_UNION = 50
"""Most parts of one UNION."""

Given = TypeVar("Given")
Result = TypeVar("Result")

_WAITING = (
    'SELECT c."id", COALESCE(c."lastSeq", 0) + '
    '(SELECT COUNT(*) FROM "Message" m WHERE m."conversationId" = c."id" AND m."seq" IS NULL) '
    'FROM "Conversation" c WHERE c."rev" IS NULL AND c."id" > ? ORDER BY c."id" LIMIT ?'
)
_COUNT = (
    'SELECT (SELECT COUNT(*) FROM "Conversation" c WHERE c."rev" IS NULL) + '
    '(SELECT COUNT(*) FROM "Message" m WHERE m."seq" IS NULL)'
)
_LOCK = (
    'SELECT c."id", COALESCE(c."lastSeq", 0) FROM "Conversation" c '
    'WHERE c."rev" IS NULL AND c."id" IN ({}) ORDER BY c."id" FOR UPDATE'
)
_DATED = is_date('i."createdAt"')
_NUMBER = (
    'UPDATE "Message" m JOIN ('
    "SELECT x.one, ROW_NUMBER() OVER (PARTITION BY x.two ORDER BY x.three, x.one) AS place FROM ("
    f'SELECT i."id" AS one, i."conversationId" AS two, IF({_DATED}, i."createdAt", NULL) AS three '
    'FROM "Message" i '
    'WHERE i."conversationId" IN ({}) AND i."seq" IS NULL AND i."senderId" IS NOT NULL '
    "ORDER BY two, three, one LIMIT ?) x"
    ') k ON k.one = m."id" JOIN "Conversation" c ON c."id" = m."conversationId" '
    'SET m."seq" = COALESCE(c."lastSeq", 0) + k.place, m."rev" = COALESCE(c."lastSeq", 0) + k.place + 1, '
    f'm."{TOUCHED}" = NULL'
)
_NUMBERED = (
    'UPDATE "Conversation" c SET c."lastSeq" = COALESCE((SELECT m."seq" FROM "Message" m '
    'WHERE m."conversationId" = c."id" AND m."seq" IS NOT NULL ORDER BY m."seq" DESC LIMIT 1), 0) WHERE c."id" IN ({})'
)
_STRANGERS = (  # who wrote, and is in no list
    'SELECT m."conversationId", u."id", MIN(m."createdAt"), MAX(m."createdAt") FROM "Message" m '
    'JOIN "User" u ON u."id" = m."senderId" LEFT JOIN "ConversationParticipant" p '
    'ON p."conversationId" = m."conversationId" AND p."userId" = m."senderId" '
    'WHERE m."conversationId" IN ({}) AND p."id" IS NULL GROUP BY m."conversationId", u."id"'
)
_SEATS = (
    'SELECT p."conversationId", p."userId", p."id", p."joinedAt", p."leftAt", COALESCE(p."unreadCount", 0), p."readAt" '
    'FROM "ConversationParticipant" p WHERE p."conversationId" IN ({}) ORDER BY p."id" FOR UPDATE'
)
_OTHERS = 'FROM "Message" m WHERE m."conversationId" = ? AND m."seq" IS NOT NULL AND m."senderId" <> ?'
_NEWEST = 'ORDER BY m."seq" DESC LIMIT 1'
_MARKS = (  # behind which so many texts of others are; up to which others' messages say that they were read, and came
    f'(SELECT ?, COALESCE((SELECT m."seq" - 1 {_OTHERS} AND m."deletedAt" IS NULL {_NEWEST} OFFSET ?), 0), '
    f'COALESCE((SELECT m."seq" {_OTHERS} AND m."status" = \'READ\' {_NEWEST}), 0), '
    f"COALESCE((SELECT m.\"seq\" {_OTHERS} AND m.\"status\" IN ('READ', 'DELIVERED') {_NEWEST}), 0))"
)
_BEFORE = (
    '(SELECT ?, COUNT(*) FROM "Message" m WHERE m."conversationId" = ? AND m."seq" IS NOT NULL AND m."createdAt" < ?)'
)
_READ_UNTIL = (
    '(SELECT ?, COALESCE(MAX(m."seq"), 0) FROM "Message" m '
    'WHERE m."conversationId" = ? AND m."seq" IS NOT NULL AND m."createdAt" <= ?)'
)
_REPLIES = (
    'UPDATE "Message" m JOIN "Message" r ON r."id" = m."replyToId" AND r."conversationId" = m."conversationId" '
    f'SET m."replyToSeq" = r."seq", m."{TOUCHED}" = m."{TOUCHED}" '
    'WHERE m."replyToId" IS NOT NULL AND m."replyToSeq" IS NULL AND r."seq" < m."seq" AND ({})'
)
_STATE = (
    'SELECT c."id", c."kind", c."createdAt", COALESCE((SELECT m."createdAt" FROM "Message" m '
    'WHERE m."conversationId" = c."id" AND m."seq" = c."lastSeq"), c."lastMessageAt") '
    'FROM "Conversation" c WHERE c."rev" IS NULL AND c."id" IN ({}) ORDER BY c."id" FOR UPDATE'
)
_TITLED = 'SELECT c."id" FROM "Conversation" c WHERE COALESCE(c."title", \'\') <> \'\' AND c."id" IN ({})'
_MEMBERS = (
    'SELECT p."conversationId", p."userId" FROM "ConversationParticipant" p '
    'WHERE p."rev" IS NOT NULL AND p."conversationId" IN ({})'
)
_PAIRS = (
    'SELECT c."pairKey", c."id", c."createdAt", c."lastMessageAt" FROM "Conversation" c '
    'WHERE c."pairKey" IN ({}) FOR UPDATE'
)
_UNPAIR = 'UPDATE "Conversation" c SET c."pairKey" = NULL WHERE c."id" IN ({})'
_TAKEN = (
    'UPDATE "Conversation" c SET c."pairKey" = ?, c."lastMessageAt" = ?, c."rev" = c."lastSeq" + 1 WHERE c."id" = ?'
)


@attrs.frozen
class _Seat:
    """A participant's row that counts."""

    conversation: str
    user: str
    id: str
    joined_at: int
    left_at: int | None
    unread: int
    read_at: int | None

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Rank among several rows of one user: a present one is highest, then the newest."""
        return self.left_at is None, self.joined_at, self.id


class Backfill:
    """Backfill of what an app wrote before its adoption.

    `known`: what the app's tables say of who has read what. `dated`: whether participants have the app's `updatedAt`.
    `progress` is told how many conversations and messages each transaction was done with.
    """

    def __init__(
        self, db: Connection, known: ReadState, seats: Seats, *, dated: bool, progress: Callable[[int], None]
    ) -> None:
        self._keys = seats
        also = {**db.names.constants.get("ConversationParticipant", {}), **NEW}
        self._known = known
        self._status = status_statement(known.marks, timed=False)
        self._db = db
        self._progress = progress
        updated = ["updatedAt"] * dated
        self._dated = dated
        self._strangers = seats.into(
            ["id", "conversationId", "userId", "joinedAt", "leftAt", *updated], partial(Into.of, also=also)
        )
        marks = ["role", "fromSeq", "deliveredSeq", "readSeq", "rev"]
        self._marks = seats.into(
            ["id", "conversationId", "userId", *marks, *updated],
            partial(Into.of, also=also, update={**new_values(*marks), **NEW}),
        )

    def waiting(self) -> int:
        """Conversations and messages, counted together."""
        ((count,),) = self._db.run(_COUNT)
        self._db.commit()
        return int(count)

    def run(self) -> None:
        """Backfill every conversation. Raises PyMySQL's errors, and StoreError where the app holds on to its rows."""
        after = ""
        while True:
            found = self._db.run(_WAITING, (after, CONVERSATIONS_PER_BATCH))
            self._db.commit()
            if not found:
                return
            for ids in _bunches(found):
                self._take_in(ids)
            after = found[-1][0]

    def _take_in(self, ids: Sequence[str]) -> None:
        more = True
        while more:
            count = self._transaction(self._number, ids)
            self._progress(count)
            more = count >= MESSAGES_PER_BATCH
        tops = self._transaction(self._tops, ids)
        for low in range(0, max(tops.values(), default=0), MESSAGES_PER_BATCH):
            spans = [(id, low, low + MESSAGES_PER_BATCH) for id, top in tops.items() if low < top]
            self._transaction(self._tell, spans)
        self._transaction(self._finish, ids)
        self._progress(len(ids))

    def _transaction(self, work: Callable[[Given], Result], given: Given) -> Result:
        """Commit what is done, or do it again."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                result = work(given)
                self._db.commit()
            except Error as error:
                if code(error) not in RETRYABLE - {DUPLICATE}:
                    raise
                self._db.roll_back()
                time.sleep(random.uniform(0.0, 0.05) * attempt)
            else:
                return result
        raise StoreError("other programs hold on to the rows of a conversation: run this again at a quieter time")

    # -- numbers and watermarks --

    def _number(self, ids: Sequence[str]) -> int:
        """Number the next messages, how many; where they are the last, find the watermarks, too."""
        db = self._db
        ours = list(self._tops(ids))
        if not ours:
            return 0
        db.run_many(_NUMBER, "?", len(ours), (*ours, MESSAGES_PER_BATCH))
        ((count,),) = db.run("SELECT ROW_COUNT()")
        rows.for_each(db, _NUMBERED, ours)
        if count < MESSAGES_PER_BATCH:
            self._seat_strangers(ours)
            self._mark(self._tops(ours), self._seats(ours))
        return int(count)

    def _tops(self, ids: Sequence[str]) -> dict[str, int]:
        """Conversation -> its highest number, of those that are not ingested yet; they are locked."""
        return dict(rows.many(self._db, _LOCK, ids))

    def _seat_strangers(self, ids: Sequence[str]) -> None:
        """Add a row, as of one who left, for each sender without one: they see nothing of the conversation."""
        found = list(rows.many(self._db, _STRANGERS, ids))
        self._strangers.write(
            self._db,
            (
                (
                    self._keys.new((conversation, user)),
                    conversation,
                    user,
                    first,
                    last,
                    *([last] if self._dated else []),
                )
                for conversation, user, first, last in found
            ),
        )

    def _seats(self, ids: Sequence[str]) -> list[_Seat]:
        """Return one row of each user. Others of the same user are marked so that no scan finds them."""
        best: dict[tuple[str, str], _Seat] = {}
        all_of_them = [_Seat(*row) for row in rows.many(self._db, _SEATS, ids)]
        for seat in all_of_them:
            known = best.get((seat.conversation, seat.user))
            if known is None or seat.rank > known.rank:
                best[seat.conversation, seat.user] = seat
        others = {seat.id for seat in all_of_them} - {seat.id for seat in best.values()}
        rows.for_each(
            self._db, f'UPDATE "ConversationParticipant" SET "rev" = NULL, "{TOUCHED}" = NULL WHERE "id" IN ({{}})',
            sorted(others),
        )  # fmt: skip
        return list(best.values())

    def _mark(self, tops: dict[str, int], seats: list[_Seat]) -> None:
        members: dict[str, list[_Seat]] = {}
        for seat in seats:
            members.setdefault(seat.conversation, []).append(seat)
        titled = {id for (id,) in rows.many(self._db, _TITLED, tops)}
        groups = {id for id in tops if id in titled or len(members.get(id, ())) > 2}
        marks = {row[0]: row[1:] for row in self._united(_MARKS, (
            (seat.id, seat.conversation, seat.user, max(0, seat.unread - 1), *[seat.conversation, seat.user] * 2)
            for seat in seats
        ))}  # fmt: skip
        until = {row[0]: row[1] for row in self._united(_READ_UNTIL, (
            (seat.id, seat.conversation, time_text(seat.read_at)) for seat in seats if seat.read_at is not None
        ))}  # fmt: skip
        seen = self._known.seen(self._db, tops)
        firsts = {row[0]: row[1] + 1 for row in self._united(_BEFORE, (
            (seat.id, seat.conversation, time_text(seat.joined_at)) for seat in seats if seat.conversation in groups
        ))}  # fmt: skip
        owners = set()
        for id in groups:
            present = [seat for seat in members.get(id, ()) if seat.left_at is None]
            owners |= {min(present, key=lambda seat: (seat.joined_at, seat.user))} if present else set()
        written = []
        for seat in seats:
            unread_from, read, delivered = marks[seat.id]
            top = tops[seat.conversation]
            read = max(read, until.get(seat.id, 0), min(top, seen.get((seat.conversation, seat.user), 0)))
            if self._known.counted:
                read = max(read, unread_from if seat.unread > 0 else top)
            elif not self._known.told:
                read = top
            role = "owner" if seat in owners else "member"
            written.append(
                (seat.id, seat.conversation, seat.user, role, firsts.get(seat.id, 1), max(read, delivered), read, 1)
                + ((seat.joined_at,) if self._dated else ())
            )
        self._marks.write(self._db, written)
        rows.for_each(self._db, COUNT_ANEW, sorted(seat.id for seat in seats))
        for kind, ids in ("group", groups), ("direct", tops.keys() - groups):
            rows.for_each(self._db, f'UPDATE "Conversation" SET "kind" = \'{kind}\' WHERE "id" IN ({{}})', sorted(ids))

    def _united(self, statement: str, asked: Iterator[Row]) -> Iterator[Row]:
        rest = list(asked)
        while rest:
            some, rest = rest[:_PARTS_PER_UNION], rest[_PARTS_PER_UNION:]
            values = [value for one in some for value in one]
            yield from self._db.run_many("{}", statement, len(some), values, between=" UNION ALL ")

    # -- what follows from those --

    def _tell(self, spans: list[tuple[str, int, int]]) -> None:
        """Write which messages others answer, and their status for the app, which only moves forward."""
        if self._tops([id for id, _, _ in spans]):
            values = [value for span in spans for value in span]
            for statement in _REPLIES, self._status:
                self._db.run_many(statement, SPAN, len(spans), values, between=" OR ")

    def _finish(self, ids: Sequence[str]) -> None:
        """Finish conversations; of several of one pair the newest is found when it is opened."""
        db = self._db
        found = [(id, kind, last or created, last) for id, kind, created, last in rows.many(db, _STATE, ids)]
        users: dict[str, list[str]] = {}
        for conversation, user in rows.many(db, _MEMBERS, ids):
            users.setdefault(conversation, []).append(user)
        pairs = {
            id: pair_of(*users[id]) for id, kind, _, _ in found if kind == "direct" and len(users.get(id, ())) == 2
        }
        best: dict[str, tuple[int, str]] = {}
        for pair, id, created, last in rows.many(db, _PAIRS, sorted(set(pairs.values()))):
            best[pair] = last or created, id
        before = set(best.values())
        for id, _, at, _ in found:
            if id in pairs and (pairs[id] not in best or best[pairs[id]] < (at, id)):
                best[pairs[id]] = at, id
        after = set(best.values())
        rows.for_each(db, _UNPAIR, sorted(id for _, id in before - after))
        for id, _, at, last in found:
            db.run(_TAKEN, (pairs.get(id) if (at, id) in after else None, time_text(last), id))
        rows.for_each(db, TITLE_TOLD, [id for id, *_ in found])


def _bunches(found: Sequence[Row]) -> Iterator[list[str]]:
    """The conversations in bunches of no more messages than a transaction has; a longer one by itself."""
    bunch: list[str] = []
    size = 0
    for id, count in found:
        if bunch and size + count > MESSAGES_PER_BATCH:
            yield bunch
            bunch, size = [], 0
        bunch.append(id)
        size += count
    if bunch:
        yield bunch
