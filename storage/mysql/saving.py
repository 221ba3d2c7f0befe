"""Writes of a commit after the rules were applied: the changed rows, and the app's derived columns.

For the app `unreadCount` is counted up with each message, counted anew where somebody read or came in, and `status` of
messages moves with the others' watermarks.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter

import attrs

from storage import sql
from storage.columns import quoted
from storage.records import Message
from storage.rules.unit import Unit

from . import rows
from .app_files import FilesWriter
from .connection import Connection
from .links import ImplicitTable
from .loading import LoadedUnit
from .receivers import Receivers
from .rows import NEW, UNTOUCHED, Into, Roles, new_values
from .seats import Key, Seats
from .seen_tables import SeenTable
from .tables import CHANGED, CUT_OFF, RECEIPT, TOKEN, TOUCHED, VERSION
from .values import time_text

_VERSIONS = Into.of(VERSION.name, quoted(c.name for c in VERSION.columns))
_RECEIPTS = Into.of(RECEIPT.name, quoted(c.name for c in RECEIPT.columns))
_CHANGES = Into.of(CHANGED.name, quoted(c.name for c in CHANGED.columns), update=new_values("rev"))
_TOKENS = Into.of(TOKEN.name, quoted(c.name for c in TOKEN.columns), update=new_values("revokedAt"))
_CUT_OFFS = Into.of(CUT_OFF.name, quoted(c.name for c in CUT_OFF.columns), update=new_values("at"))

# The same in all messages that are neither an answer nor the system's. Written, as a column's default may be an app's.
_SAME = {"kind": "'text'", "replyToSeq": "NULL", "data": "NULL", "replyToId": "NULL"}
_varying = itemgetter(*(place for place, column in enumerate(sql.SENT_NAMES) if column not in _SAME))

RETITLED = 'NOT (UNHEX(SHA2(c."title", 256)) <=> c."chatdTitle")'
"""Condition: the title of conversation `c` is another than was told, as an app changed it. Hashes compare exactly."""

TITLE_TOLD = 'UPDATE "Conversation" SET "chatdTitle" = UNHEX(SHA2("title", 256)) WHERE "id" IN ({})'

COUNT_ANEW = (
    'UPDATE "ConversationParticipant" p SET p."chatdUnread" = (SELECT COUNT(*) FROM "Message" m '
    'WHERE m."conversationId" = p."conversationId" AND m."seq" > p."readSeq" AND m."deletedAt" IS NULL '
    'AND m."kind" = \'text\' AND m."senderId" <> p."userId"), '
    f'p."unreadCount" = p."chatdUnread", p."{TOUCHED}" = p."{TOUCHED}" WHERE p."id" IN ({{}})'
)
_SEND_FILE = (
    'UPDATE "chatd_attachment" SET "conversation" = ?, "message" = ?, "place" = ?, "expiresAt" = NULL WHERE "id" = ?'
)
_DROP_FILES = 'DELETE FROM "chatd_attachment" WHERE "id" IN ({})'
_COUNTING = (  # the others whose watermarks count for a message (records.status_of)
    'SELECT 1 FROM "ConversationParticipant" p WHERE p."conversationId" = m."conversationId" '
    'AND p."leftAt" IS NULL AND p."rev" IS NOT NULL AND p."userId" <> m."senderId" '
    'AND (p."fromSeq" <= m."seq" OR p."readSeq" >= m."seq")'
)
_STATUS = (
    'UPDATE "Message" m SET m."status" = CASE '
    f'WHEN NOT EXISTS ({_COUNTING}) THEN m."status" '
    f'WHEN NOT EXISTS ({_COUNTING} AND p."readSeq" < m."seq") THEN \'READ\' '
    f'WHEN NOT EXISTS ({_COUNTING} AND p."deliveredSeq" < m."seq") THEN \'DELIVERED\' '
    f'ELSE m."status" END{{marks}}, m."{TOUCHED}" = m."{TOUCHED}" '
    "WHERE m.\"status\" <> 'READ' AND m.\"kind\" = 'text' AND ({})"
)
_READ_MARKS = {  # assignments go from left to right: the status is the new one
    "isRead": ', m."isRead" = m."isRead" OR m."status" = \'READ\'',
    "readAt": ', m."readAt" = CASE WHEN m."status" = \'READ\' THEN COALESCE(m."readAt", ?) ELSE m."readAt" END',
}


def status_statement(spare: Collection[str], *, timed: bool) -> str:
    """Return the UPDATE that moves the status of messages on, `SPAN` by `SPAN`, and the app's own marks with it.

    `spare`: which of those it has. `timed`: the first value is when they were read.
    """
    names = [name for name in _READ_MARKS if name in spare and (timed or name != "readAt")]
    return _STATUS.replace("{marks}", "".join(_READ_MARKS[name] for name in names))


SPAN = '(m."conversationId" = ? AND m."seq" > ? AND m."seq" <= ?)'
_IDS = 'SELECT "conversationId", "seq", "id" FROM "Message" WHERE ("conversationId", "seq") IN ({})'


_LEFT_AT = 'IF(VALUES("leftAt") <=> shown."leftAt", "leftAt", VALUES("leftAt"))'
"""Value of `leftAt`: kept as it is where the app's own mark says that somebody left, as the app may take it back."""

_SEAT_MARKS = {
    "deletedAt": 'IF(VALUES("leftAt") IS NULL, NULL, "deletedAt")',
    "isActive": 'IF(VALUES("leftAt") IS NULL, TRUE, "isActive")',
}
"""The app's own marks, where somebody comes back."""


class Saver:
    """Writes units. `spare`: which of the app's spare columns are there, by table. `constants`: what is written to
    columns that only the app has a word for. `receivers`: for an app whose messages name one. `app_files`: for one that
    is to have files, too. `seen`: its tables of who has read what. `link`: its many-to-many, in place of
    participants."""

    def __init__(
        self,
        roles: Roles,
        spare: Mapping[str, Collection[str]],
        *,
        constants: Mapping[str, Mapping[str, str]] | None = None,
        receivers: Receivers | None = None,
        app_files: FilesWriter | None = None,
        seats: Seats | None = None,
        seen: Sequence[SeenTable] = (),
        link: ImplicitTable | None = None,
    ) -> None:
        self._link = link
        self._keys = seats or Seats()
        self._seen = [table for table in seen if not table.lacking]
        self._roles = roles
        self._app_files = app_files
        self._receivers = receivers
        always = constants or {}
        room, seat, message = (always.get(name, {}) for name in ("Conversation", "ConversationParticipant", "Message"))
        # Not one statement for both: what clashes with another's pair or client_id must fail, not change its row.
        self._new_rooms = Into.of(
            "Conversation", f'{sql.CONVERSATION_COLUMNS}, "updatedAt", "creatorId", "clientId"', also=room
        )
        self._rooms = Into.of(
            "Conversation",
            f'{sql.CONVERSATION_COLUMNS}, "updatedAt"',
            also=room,
            update=new_values("title", "lastMessageAt", "lastSeq", "rev", "chatdActivity", "updatedAt"),
        )
        self._dated_seats = "updatedAt" in spare.get("ConversationParticipant", ())
        self._dated_messages = "updatedAt" in spare.get("Message", ())
        taken = [column.strip('"') for column in sql.PARTICIPANT_COLUMNS.split(", ")[2:]]
        seat_columns = ["id", "conversationId", "userId", *taken, *(["updatedAt"] * self._dated_seats)]
        dated = {"updatedAt": 'GREATEST("updatedAt", VALUES("updatedAt"))'} if self._dated_seats else {}
        marks = {name: sql for name, sql in _SEAT_MARKS.items() if name in spare.get("ConversationParticipant", ())}
        # The first assignment goes by the marks, before they are written.
        written = new_values(*(column for column in taken if column != "leftAt"))
        update = {"leftAt": _LEFT_AT, **written, **marks, **dated, **UNTOUCHED}
        self._seats = self._keys.into(seat_columns, partial(Into.of, also={**seat, **NEW}, update=update))
        more = {column: f'"{column}" + VALUES("{column}")' for column in ("chatdUnread", "unreadCount")}
        self._counts = self._keys.into(
            ["id", "conversationId", "userId", "chatdUnread", "unreadCount", *(["updatedAt"] * self._dated_seats)],
            partial(Into.of, also=seat, update={**more, **UNTOUCHED}),
        )
        spares = (', "updatedAt"' if self._dated_messages else "") + (', "receiverId"' if receivers else "")
        sent = f', "chatdActivity"{spares}'
        self._messages = Into.of("Message", f'{sql.SENT_MESSAGE_COLUMNS}, "replyToId"{sent}', also={**message, **NEW})
        self._texts = Into.of("Message", quoted(_varying(sql.SENT_NAMES)) + sent, also={**_SAME, **message, **NEW})
        self._marked = "isDeleted" in spare.get("Message", ())
        more_changed = spares + (', "isDeleted"' if self._marked else "")
        changed = ["content", "editedAt", "deletedAt", "changedRev", "reactions", *(["isDeleted"] * self._marked)]
        self._changes = Into.of(
            "Message",
            f'{sql.SENT_MESSAGE_COLUMNS}, "editedAt", "deletedAt", "changedRev", "reactions"{more_changed}',
            also={**message, **NEW},
            update={**new_values(*changed, *(["updatedAt"] if self._dated_messages else [])), **UNTOUCHED},
        )
        self._status, self._timed = (
            status_statement(spare.get("Message", ()), timed=True),
            "readAt" in spare.get("Message", ()),
        )
        self._users = Into.of("User", f'{sql.USER_COLUMNS}, "createdAt", "updatedAt"', also=always.get("User", {}))

    def save(self, db: Connection, loaded: LoadedUnit, at: int, *, ingested: bool = False) -> None:
        """Write what changed. `at`: the newest time in the batch, ms. `ingested`: the app has written it itself."""
        unit = loaded.unit
        self._save_users(db, loaded)
        made = {conversation: (user, client_id) for user, client_id, conversation in unit.new_groups}
        rooms = [
            (*sql.conversation_row(c), c.active_at)
            for c in map(unit.conversations.__getitem__, unit.changed_conversations)
        ]
        new = (row for row in rooms if row[0] not in loaded.rooms)
        self._new_rooms.write(db, ((*row, *made.get(row[0], (None, None))) for row in new))
        self._rooms.write(db, (row for row in rooms if row[0] in loaded.rooms))
        rows.for_each(db, TITLE_TOLD, _retitled(loaded))
        self._save_seats(db, loaded, at)
        self._keys.learn(db, loaded.seats, unit.changed_participants)
        if self._link is not None and not ingested:
            self._link.write(db, *_come_and_gone(loaded))
        self._save_messages(db, unit, at)
        _VERSIONS.write(db, unit.versions)
        _RECEIPTS.write(db, unit.receipts)
        self._save_unread(db, loaded, at)
        self._save_status(db, loaded, at)
        self._save_seen(db, loaded, at)
        _save_tokens(db, unit)
        self._save_files(db, unit, at)
        if unit.new_epoch is not None:
            db.run(sql.SET_EPOCH, (unit.new_epoch,))

    def _save_files(self, db: Connection, unit: Unit, at: int) -> None:
        for id in unit.sent_files:
            file = unit.files[id]
            db.run(_SEND_FILE, (file.conversation, file.message, file.place, id))
        rows.for_each(db, _DROP_FILES, unit.dropped_files)
        if self._app_files is not None and unit.sent_files:
            self._app_files.send(db, (unit.files[id] for id in unit.sent_files), at)
        if self._app_files is not None and unit.dropped_files:
            self._app_files.drop(db, unit)

    def _save_users(self, db: Connection, loaded: LoadedUnit) -> None:
        unit, roles = loaded.unit, self._roles
        new = [unit.users[id] for id in unit.new_users]
        self._users.write(
            db,
            ((u.id, u.name, roles.theirs(u.role), *sql.user_row(u)[3:], unit.new_users[u.id],
              unit.new_users[u.id]) for u in new),
        )  # fmt: skip
        seen: list[str] = []
        for id, at in unit.changed_users.items():
            user, before = unit.users[id], loaded.users.get(id)
            if before is not None and user == attrs.evolve(before, last_seen_at=user.last_seen_at):
                seen.append(id)
                continue
            # A role that didn't change stays as it is: the app may know roles that chatd has no word for.
            sets = {"updatedAt": time_text(at), "lastSeenAt": time_text(user.last_seen_at)}
            if before is None or user.disabled_at != before.disabled_at:
                sets["disabledAt"] = time_text(user.disabled_at)
            if before is None or user.name != before.name:
                sets["name"] = user.name
            if before is None or user.role != before.role:
                sets["role"] = roles.theirs(user.role)
            columns = ", ".join(f'"{column}" = ?' for column in sets)
            db.run(f'UPDATE "User" SET {columns} WHERE "id" = ?', (*sets.values(), id))
        for start in range(0, len(seen), 50):
            some = seen[start : start + 50]
            values = [value for id in some for value in (id, time_text(unit.users[id].last_seen_at))]
            db.ask_many(
                f'UPDATE "User" SET "lastSeenAt" = CASE CAST("id" AS BINARY) {{}} END, "{TOUCHED}" = "{TOUCHED}" '
                f'WHERE "id" IN ({", ".join("?" * len(some))})',
                "WHEN ? THEN ?", len(some), (*values, *some), between=" ",
            )  # fmt: skip

    def _save_seats(self, db: Connection, loaded: LoadedUnit, at: int) -> None:
        dated, people = (at,) if self._dated_seats else (), loaded.unit.participants
        self._seats.write(
            db,
            (
                (loaded.seats.get(key) or self._keys.new(key), *sql.participant_row(people[key[0]][key[1]]), *dated)
                for key in loaded.unit.changed_participants
            ),
        )

    def _save_messages(self, db: Connection, unit: Unit, at: int) -> None:
        texts: list[tuple[Message, int]] = []
        others: list[tuple[Message, int]] = []
        for m, activity in zip(unit.new_messages, unit.activities, strict=True):
            is_plain = m.kind == "text" and m.reply_to is None and m.data is None
            (texts if is_plain else others).append((m, activity))
        self._texts.write(
            db, ((*_varying(sql.sent_message_row(m)), number, *self._more(unit, m, at)) for m, number in texts)
        )
        answered = _answered(db, unit.new_messages, [m for m, _ in others])
        self._messages.write(
            db,
            (
                (*rows.message_values(m, sql.sent_message_row(m)), answered.get((m.conversation, m.reply_to)),
                 number, *self._more(unit, m, at))
                for m, number in others
            ),
        )  # fmt: skip
        changed = [unit.messages[key] for key in unit.changed_messages]
        self._changes.write(
            db,
            (
                (*rows.message_values(m, sql.changed_message_row(m)), *self._more(unit, m, at),
                 *((m.deleted_at is not None,) if self._marked else ()))
                for m in changed
            ),
        )  # fmt: skip
        _CHANGES.write(db, ((m.conversation, m.seq, m.rev) for m in changed))

    def _more(self, unit: Unit, m: Message, at: int) -> tuple[int | str | None, ...]:
        """The values of the app's spare columns of messages."""
        dated = (at,) if self._dated_messages else ()
        return dated if self._receivers is None else (*dated, self._receivers.receiver(unit, m))

    def _save_unread(self, db: Connection, loaded: LoadedUnit, at: int) -> None:
        """The app's copies of unread counts.

        Where the app has lowered one, or raised it, the difference to what chatd wrote there stays to be seen.
        """
        unit, anew = loaded.unit, _to_count(loaded)
        more: Counter[tuple[str, str]] = Counter()
        sent = Counter([(m.conversation, m.sender) for m in unit.new_messages if m.sender is not None])
        for (conversation, sender), number in sent.items():
            for row in unit.participants[conversation].values():
                if row.present and row.user != sender and (conversation, row.user) not in anew:
                    more[conversation, row.user] += number
        dated = (at,) if self._dated_seats else ()
        self._counts.write(
            db, ((loaded.seats.get(key) or self._keys.new(key), *key, n, n, *dated) for key, n in sorted(more.items()))
        )
        rows.for_each(db, COUNT_ANEW, sorted(loaded.seats.get(key) or str(self._keys.new(key)) for key in anew))

    def _save_status(self, db: Connection, loaded: LoadedUnit, at: int) -> None:
        """Update the status of messages that watermarks passed, or that somebody no longer has to read."""
        spans: dict[str, tuple[int, int]] = {}
        for conversation, low, high in _passed(loaded):
            known = spans.get(conversation, (low, high))
            spans[conversation] = min(low, known[0]), max(high, known[1])
        found = [(conversation, *span) for conversation, span in sorted(spans.items())]
        timed = [time_text(at)] if self._timed else []
        for start in range(0, len(found), 100):
            some = found[start : start + 100]
            values = [*timed, *(value for span in some for value in span)]
            db.ask_many(self._status, SPAN, len(some), values, between=" OR ")

    def _save_seen(self, db: Connection, loaded: LoadedUnit, at: int) -> None:
        """Write to the app's tables of who has read what."""
        for key in loaded.unit.changed_participants if self._seen else ():
            now, before = loaded.unit.participants[key[0]][key[1]], loaded.participants.get(key)
            if before is not None and now.read_seq > before.read_seq:
                for table in self._seen:
                    table.write(db, *key, above=before.read_seq, upto=now.read_seq, at=at)


def _come_and_gone(loaded: LoadedUnit) -> tuple[list[Key], list[Key]]:
    """Return the participants who have come in, or are back, and those who have left."""
    come: list[Key] = []
    gone: list[Key] = []
    for key in loaded.unit.changed_participants:
        now, before = loaded.unit.participants[key[0]][key[1]], loaded.participants.get(key)
        if now.present != (before is not None and before.present):
            (come if now.present else gone).append(key)
    return come, gone


def _retitled(loaded: LoadedUnit) -> list[str]:
    """The conversations to which this batch gave a title, or another one."""
    found: list[str] = []
    for id in loaded.unit.changed_conversations:
        title, before = loaded.unit.conversations[id].title, loaded.rooms.get(id)
        if title != (None if before is None else before.title):
            found.append(id)
    return found


def _to_count(loaded: LoadedUnit) -> set[tuple[str, str]]:
    """Return the participants whose unread count moved otherwise than by what was sent."""
    unit = loaded.unit
    found: set[tuple[str, str]] = set()
    for key in unit.changed_participants:
        now, before = unit.participants[key[0]][key[1]], loaded.participants.get(key)
        if before is None or now.read_seq != before.read_seq or now.left_at != before.left_at:
            found.add(key)
    for stone in unit.tombstones:
        for row in unit.participants[stone.conversation].values():
            if row.read_seq < stone.seq:
                found.add((row.conversation, row.user))
    return found


def _answered(
    db: Connection, messages: Iterable[Message], replies: Iterable[Message]
) -> dict[tuple[str, int | None], str]:
    """The ids of what the replies are to: of messages that are there, or of the new ones."""
    wanted = {(m.conversation, m.reply_to) for m in replies if m.reply_to is not None}
    if not wanted:
        return {}
    known: dict[tuple[str, int | None], str] = {(m.conversation, m.seq): m.id for m in messages}
    wanted -= known.keys()
    known.update(((conversation, seq), id) for conversation, seq, id in rows.by_pair(db, _IDS, wanted))
    return known


def _passed(loaded: LoadedUnit) -> Iterator[tuple[str, int, int]]:
    """(conversation, low, high): messages with low < seq <= high may have another status."""
    unit = loaded.unit
    for key in unit.changed_participants:
        now, before = unit.participants[key[0]][key[1]], loaded.participants.get(key)
        if before is None:
            continue
        if before.present and not now.present:
            yield key[0], before.read_seq, unit.conversations[key[0]].last_seq
            continue
        for old, new in (before.delivered_seq, now.delivered_seq), (before.read_seq, now.read_seq):
            if new > old:
                yield key[0], old, new


def _save_tokens(db: Connection, unit: Unit) -> None:
    tokens = unit.tokens
    _TOKENS.write(db, (sql.token_row(tokens.tokens[jti]) for jti in tokens.changed))
    _CUT_OFFS.write(db, ((user, tokens.cut_offs[user]) for user in tokens.moved))
    if tokens.forget_before is not None:
        db.run(sql.FORGET_TOKENS, (tokens.forget_before,))
