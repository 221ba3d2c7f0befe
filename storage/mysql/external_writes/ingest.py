"""Ingest of an app's writes: its new rows get numbers, and its edits of numbered rows become changes.

All of it happens under the locks that a commit takes, by rules of its own: an app's rows are there, whatever chatd's
rules would have said to them. See docs/mysql.md for what an app may do.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from storage import sql
from storage.changes import AdvanceReceipt
from storage.mysql import rows
from storage.mysql.connection import Connection, Row
from storage.mysql.loading import LoadedUnit
from storage.mysql.other_tables import NONE, OtherTables
from storage.mysql.saving import COUNT_ANEW, RETITLED, TITLE_TOLD, Saver
from storage.mysql.seen_tables import SeenRow
from storage.mysql.tables import TOUCHED
from storage.mysql.values import time_text
from storage.records import Conversation, Participant, pair_of
from storage.rules.receipts import receipt
from storage.rules.unit import Unit, moved_on, with_message

from .scan import ROWS_PER_INGEST, PendingRows, missing

_ROOMS = (
    f'SELECT {sql.CONVERSATION_COLUMNS}, {RETITLED} FROM "Conversation" c WHERE "id" IN ({{}}) ORDER BY "id" FOR UPDATE'
)
_SEATS = (
    f'SELECT {sql.PARTICIPANT_COLUMNS}, "id", "unreadCount", "chatdUnread", "{TOUCHED}" FROM "ConversationParticipant" '
    'WHERE "conversationId" IN ({}) ORDER BY "conversationId", "userId", "id" FOR UPDATE'
)
# Rows that the app still holds come next time: a writer must not wait for it.
_POSTS = (
    f'SELECT "conversationId", "id", "seq", "senderId", "createdAt", "status", "replyToId" IS NOT NULL, "{TOUCHED}" '
    'FROM "Message" WHERE "id" IN ({}) FOR UPDATE SKIP LOCKED'
)
_LEAVE_PAIR = 'UPDATE "Conversation" SET "pairKey" = NULL WHERE "pairKey" = ? AND "id" <> ?'
_SET_KIND = 'UPDATE "Conversation" SET "kind" = ?, "pairKey" = ? WHERE "id" = ?'
_SET_REPLIES = (
    'UPDATE "Message" m JOIN "Message" r ON r."id" = m."replyToId" AND r."conversationId" = m."conversationId" '
    f'SET m."replyToSeq" = r."seq", m."{TOUCHED}" = m."{TOUCHED}" WHERE r."seq" < m."seq" AND m."id" IN ({{}})'
)
_NEWEST_AT = (
    'SELECT "seq" FROM "Message" WHERE "conversationId" = ? AND "seq" IS NOT NULL AND "createdAt" <= ? '
    'ORDER BY "seq" DESC LIMIT 1'
)
_PASS_OVER = 'UPDATE "ConversationParticipant" SET "rev" = NULL WHERE "id" IN ({})'
_DONE_SEATS = f'UPDATE "ConversationParticipant" SET "{TOUCHED}" = NULL WHERE "id" IN ({{}})'
_DONE_POSTS = f'UPDATE "Message" SET "{TOUCHED}" = NULL WHERE "id" IN ({{}})'
_CHANGED = rows.Into.of("chatd_changed", '"conversationId", "seq", "rev"', update=rows.new_values("rev"))
_GONE = rows.Into.of("chatd_gone", '"conversationId", "seq", "at"')

_LAST_READ = 'SELECT MAX("at") FROM "chatd_receipt" WHERE "conversationId" = ? AND "userId" = ? AND "kind" = \'read\''
_PRECISION_MS = 1000
"""ms to which an app's column may round a time."""

_ROWS_PER_UPDATE = 100
"""Rows of one UPDATE."""


@attrs.frozen
class Seat:
    """A participant's row, as it is; `row.rev` is None where it was not ingested.

    `unread` is the app's count, `written` what chatd wrote there, `touched` when somebody else last wrote the row.
    """

    row: Participant
    id: str
    unread: int
    written: int
    touched: int | None


@attrs.frozen
class Post:
    """A message's row that somebody else wrote. `at`: when it was sent, by its row."""

    conversation: str
    id: str
    seq: int | None
    sender: str | None
    at: int
    status: str
    is_reply: bool
    touched: int | None


@attrs.define
class Reading:
    """Read mark set in the app, at a time of the server's; at least `least`. `delivered`: at least that far."""

    at: int = 0
    least: int = 0
    delivered: int = 0
    until: int = 0  # the app says so with this time of its own, or did before


class Ingest:
    """Ingest of one transaction. `at`: now, ms."""

    def __init__(self, db: Connection, saver: Saver, work: PendingRows, at: int, others: OtherTables = NONE) -> None:
        self._db = db
        self._files = others.files
        self._filed: frozenset[str] = frozenset()  # messages that have other files than before
        self._saver = saver
        self._work = work
        self._at = at
        self._unit = Unit()
        self._before: dict[tuple[str, str], Participant] = {}
        self._seats: dict[tuple[str, str], str] = {}  # (conversation, user) -> the row's id
        self._kinds: list[tuple[str, str | None, str]] = []  # kind, pair, conversation
        self._passed_over: list[str] = []
        self._numbered: list[tuple[str, int, int, int]] = []  # id, seq, rev, activity
        self._changed: list[tuple[str, int, int]] = []  # conversation, seq, rev
        self._gone: list[tuple[str, int, int]] = []  # conversation, seq, at
        self._readings: defaultdict[tuple[str, str], Reading] = defaultdict(Reading)
        self._recount: set[str] = set()  # conversations
        self._seen: defaultdict[str, list[SeenRow]] = defaultdict(list)  # conversation -> rows of who has read what
        self._seen_done: list[SeenRow] = []
        self._retitled: list[str] = []

    def run(self) -> None:
        """Lock, look, number, write."""
        db, work = self._db, self._work
        rooms: list[Conversation] = []
        for row in rows.many(db, _ROOMS, sorted(work.conversations)):
            rooms.append(sql.conversation(row))
            if row[-1]:
                self._retitled.append(rooms[-1].id)
        seats: defaultdict[str, list[Seat]] = defaultdict(list)
        touched: list[str] = [*work.seats]
        for row in rows.many(db, _SEATS, sorted(room.id for room in rooms)):
            seat = Seat(sql.participant(row), *row[-4:])
            seats[seat.row.conversation].append(seat)
            if seat.touched is not None:
                touched.append(seat.id)
        posts: defaultdict[str, list[Post]] = defaultdict(list)
        found = [Post(*row) for row in rows.many(db, _POSTS, work.posts)]
        for post in found:
            if post.sender is not None:  # where the app allows that, it is nobody's
                posts[post.conversation].append(post)
        self._take_files({post.id for post in found})
        self._hold_seen()
        for room in rooms:
            self._take(room, seats[room.id], posts[room.id])
        self._write_numbers(found)
        self._read_on()
        known = {room.id: room for room in rooms}
        self._saver.save(db, LoadedUnit(self._unit, self._seats, known, self._before, {}), self._at, ingested=True)
        rows.for_each(db, TITLE_TOLD, self._retitled)
        anew = [id for (conversation, _), id in self._seats.items() if conversation in self._recount]
        rows.for_each(db, COUNT_ANEW, anew)
        rows.for_each(db, _PASS_OVER, self._passed_over)
        rows.for_each(db, _DONE_SEATS, dict.fromkeys(touched))
        for table in {seen.table for seen in self._seen_done}:
            table.taken(db, [seen for seen in self._seen_done if seen.table is table])

    # -- one conversation --

    def _take(self, room: Conversation, seats: Sequence[Seat], posts: Sequence[Post]) -> None:
        unit = self._unit
        unit.conversations[room.id] = room
        unit.participants[room.id] = {}
        old_last = room.last_seq or 0
        self._take_seats(room, seats)
        if room.rev is not None and room.id in self._retitled:
            unit.put_conversation(moved_on(unit.conversations[room.id]))
        fresh = sorted((post for post in posts if post.seq is None), key=lambda post: (post.at, post.id))
        numbers = {post.id: self._number(post) for post in fresh}
        for post in posts:
            seq = numbers.get(post.id) or post.seq
            assert seq is not None
            told = self._note_status(post, seq)
            if post.seq is not None and (post.id in self._filed or (post.touched is not None and not told)):
                self._change(room.id, seq)
        self._take_seen(room, numbers)
        for seat in seats:
            if seat.row.rev is not None and seat.touched is not None and seat.unread < seat.written:
                reading = self._readings[room.id, seat.row.user]
                reading.at = max(reading.at, seat.touched)
                if seat.unread == 0:  # chatd counts up what it sends: nothing has come since
                    reading.least = max(reading.least, old_last)
            if seat.row.rev is not None and seat.touched is not None and seat.row.read_at is not None:
                self._readings[room.id, seat.row.user].until = seat.row.read_at
        if self._work.whole == room.id and room.rev is not None:
            for seq in missing(self._db, room.id, old_last, ROWS_PER_INGEST):
                self._change(room.id, seq)
                self._gone.append((room.id, seq, self._at))
                self._recount.add(room.id)
        if posts or any(seat.touched is not None for seat in seats):
            self._recount.add(room.id)

    def _take_files(self, posts: Collection[str]) -> None:
        """Ingest the files of messages at hand, and those of no message."""
        if self._files is not None and self._work.files:
            there = [file for file in self._work.files if file.message is None or file.message in posts]
            held = self._files.hold(self._db, there)
            self._filed = frozenset(file.message for file in held if file.message is not None)
            self._files.taken(self._db, held)

    def _hold_seen(self) -> None:
        """Lock the rows that tell who has read what; those of no message are done with."""
        for table in {seen.table for seen in self._work.seen}:
            for seen in table.hold(self._db, [seen for seen in self._work.seen if seen.table is table]):
                if seen.conversation is None:
                    self._seen_done.append(seen)
                else:
                    self._seen[seen.conversation].append(seen)

    def _take_seen(self, room: Conversation, numbers: Mapping[str, int]) -> None:
        """Note who has read up to which message, by the app's own tables. One without a number yet comes next time."""
        for seen in self._seen[room.id]:
            seq = seen.seq or numbers.get(seen.message or "")
            if seq is None:
                continue
            self._seen_done.append(seen)
            row = self._unit.participants[room.id].get(seen.user)
            if seen.read and row is not None and row.read_seq < seq:
                reading = self._readings[room.id, seen.user]
                reading.least = max(reading.least, seq)

    def _take_seats(self, room: Conversation, seats: Sequence[Seat]) -> None:
        """Ingest participants: of each user the present row, else the ingested one, else the newest."""
        by_user: defaultdict[str, list[Seat]] = defaultdict(list)
        for seat in seats:
            by_user[seat.row.user].append(seat)
        moved: list[Participant] = []
        kind: Any = room.kind  # None where the app made it
        pair = room.pair
        for user, mine in by_user.items():
            known = next((seat for seat in mine if seat.row.rev is not None), None)
            best = max(mine, key=lambda seat: (seat.row.present, seat is known, seat.row.joined_at, seat.id))
            self._seats[room.id, user] = best.id
            if known is None:
                moved.append(_newcomer(best.row, room))
                kind, pair = _kind(room, by_user.keys())
                continue
            self._before[room.id, user] = known.row
            if best is not known:
                self._passed_over.append(known.id)
                moved.append(_instead(best.row, known.row))
            elif known.touched is not None and (known.unread == known.written or not known.row.present):
                # A count that differs is what the app wrote; of anything else there is no telling.
                moved.append(known.row)
                self._before[room.id, user] = attrs.evolve(known.row, left_at=None)
            self._unit.participants[room.id][user] = known.row
        gone = self._work.whole == room.id and room.rev is not None and room.rev == self._work.people_gone_at
        if room.rev is not None and not moved and not gone:
            return
        kind = kind or "direct"
        if (kind, pair) != (room.kind, room.pair):
            self._kinds.append((kind, pair, room.id))
        after = attrs.evolve(_counted(room), kind=kind, pair=pair)
        after = moved_on(after)
        self._unit.put_conversation(after)
        for row in moved:
            self._unit.put_participant(attrs.evolve(row, rev=after.rev))
        self._find_owner(after)

    def _find_owner(self, room: Conversation) -> None:
        """A group keeps an owner while anybody is in it."""
        present = [row for row in self._unit.participants[room.id].values() if row.present]
        if room.kind == "group" and present and not any(row.role == "owner" for row in present):
            heir = min(present, key=lambda row: (row.from_seq, row.joined_at, row.user))
            self._unit.put_participant(attrs.evolve(heir, role="owner", rev=room.rev))

    def _number(self, post: Post) -> int:
        """Number the message, and return its seq."""
        unit = self._unit
        room = unit.conversations[post.conversation]
        at = max(post.at, room.last_message_at or 0)
        room = with_message(room, at, None if room.activity is None else max(at, room.activity))
        unit.put_conversation(room)
        self._numbered.append((post.id, room.last_seq, room.rev, room.listed_by))
        for row in list(unit.participants[room.id].values()):
            if row.archived and row.present and row.user != post.sender:
                unit.put_participant(attrs.evolve(row, archived=False))
        return room.last_seq

    def _note_status(self, post: Post, seq: int) -> bool:
        """Return True if `status` implies a delivery or read by the other participant of a direct conversation."""
        people = self._unit.participants[post.conversation].values()
        others = [row for row in people if row.present and row.user != post.sender]
        if len(others) != 1:
            return False  # the app's one status doesn't tell who
        (other,) = others
        reading = None
        if post.status == "READ" and other.read_seq < seq:
            reading = self._readings[post.conversation, other.user]
            reading.at = max(reading.at, post.touched or 0)
            reading.least = max(reading.least, seq)
        elif post.status == "DELIVERED" and other.delivered_seq < seq:
            reading = self._readings[post.conversation, other.user]
            reading.delivered = max(reading.delivered, seq)
        return reading is not None

    def _change(self, conversation: str, seq: int) -> None:
        """Note that a message changed or was deleted."""
        room = moved_on(self._unit.conversations[conversation])
        self._unit.put_conversation(room)
        self._changed.append((conversation, seq, room.rev))

    # -- writing --

    def _write_numbers(self, posts: Sequence[Post]) -> None:
        """Before anything is asked that goes by them."""
        db = self._db
        for kind, pair, conversation in self._kinds:
            if pair is not None:  # the newest conversation of two is the one that is found
                db.run(_LEAVE_PAIR, (pair, conversation))
            db.run(_SET_KIND, (kind, pair, conversation))
        for some in _some(self._numbered):
            # As bytes: beside texts, large numbers would be compared as floating point.
            by_id = f'CASE CAST("id" AS BINARY) {" ".join(["WHEN ? THEN ?"] * len(some))} END'
            db.run(
                f'UPDATE "Message" SET "seq" = {by_id}, "rev" = {by_id}, "chatdActivity" = {by_id}, '
                f'"{TOUCHED}" = NULL WHERE "id" IN ({", ".join("?" * len(some))})',
                [*_flat((id, seq) for id, seq, *_ in some), *_flat((id, rev) for id, _, rev, _ in some),
                 *_flat((id, activity) for id, *_, activity in some), *(id for id, *_ in some)],
            )  # fmt: skip
        replies = {post.id for post in posts if post.is_reply}
        rows.for_each(db, _SET_REPLIES, [id for id, *_ in self._numbered if id in replies])
        for some in _some(self._changed):
            cases = " ".join(["WHEN ? THEN ?"] * len(some))
            pairs = rows.exact_pairs(db, [(id, seq) for id, seq, _ in some])
            keys = ", ".join(["(?, ?)"] * len(pairs))
            db.run(
                f'UPDATE "Message" SET "changedRev" = CASE CONCAT("conversationId", \' \', "seq") {cases} END, '
                f'"{TOUCHED}" = NULL WHERE ("conversationId", "seq") IN ({keys})',
                [*_flat((f"{id} {seq}", rev) for id, seq, rev in some), *_flat(pairs)],
            )
        _CHANGED.write(db, self._changed)
        _GONE.write(db, self._gone)
        rows.for_each(db, _DONE_POSTS, [post.id for post in posts])

    def _read_on(self) -> None:
        """Move the watermarks of those who read in the app: up to the newest message that there was then."""
        if not self._readings:
            return
        (now,) = self._db.one("SELECT NOW(3)") or (self._at,)
        for (conversation, user), reading in self._readings.items():
            read = reading.least
            if reading.at:
                then = time_text(reading.at + self._at - now)  # messages bear the daemon's time
                newest = self._db.one(_NEWEST_AT, (conversation, then))
                read = max(read, newest[0] if newest else 0)
            if reading.until:
                read = max(read, self._read_until(conversation, user, reading.until))
            delivered = max(read, reading.delivered)
            if not delivered:
                continue
            receipt(
                self._unit,
                AdvanceReceipt(
                    conversation=conversation, user=user, delivered=delivered or None, read=read or None, at=self._at
                ),
            )

    def _read_until(self, conversation: str, user: str, at: int) -> int:
        """The newest message that somebody has read, where `readAt` is not chatd's own writing; else 0."""
        (known,) = self._db.one(_LAST_READ, (conversation, user)) or (None,)
        if known is not None and at < known + _PRECISION_MS:
            return 0
        newest = self._db.one(_NEWEST_AT, (conversation, time_text(at)))
        return newest[0] if newest else 0


def _newcomer(row: Participant, room: Conversation) -> Participant:
    """A row that the app made, with watermarks: what was said before is neither unread nor undelivered."""
    last = room.last_seq or 0
    return attrs.evolve(row, from_seq=last + 1, delivered_seq=last, read_seq=last)


def _instead(row: Participant, known: Participant) -> Participant:
    """A second row of a user who left by the first: they are back, with what they missed."""
    return attrs.evolve(
        known, joined_at=row.joined_at, left_at=row.left_at, muted=row.muted, pinned=row.pinned, archived=row.archived
    )


def _kind(room: Conversation, users: Iterable[str]) -> tuple[Any, str | None]:
    """Kind and pair: of two people it is direct, unless it was a group or has a title."""
    people = sorted(users)
    if room.kind == "group" or room.title or len(people) > 2:
        return "group", None
    return "direct", pair_of(*people) if len(people) == 2 else room.pair


def _counted(room: Conversation) -> Conversation:
    """The app's own has no numbers yet, or those of an adoption that was broken off."""
    last = room.last_seq or 0
    return room if room.rev is not None else attrs.evolve(room, last_seq=last, rev=last)


def _some(values: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(values), _ROWS_PER_UPDATE):
        yield values[start : start + _ROWS_PER_UPDATE]


def _flat(pairs: Iterable[Row]) -> list[Any]:
    return [value for pair in pairs for value in pair]
