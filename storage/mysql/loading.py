"""Loading of a commit's rows, with locks, before the rules are applied: few statements, whatever the batch holds."""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain

import attrs

from storage import sql
from storage.apply import keys_of, users_behind
from storage.changes import Change, PutUser, SeeUser, SetDisabled
from storage.keyed import KEPT_FILE, row_of, select
from storage.records import Conversation, Participant, User
from storage.rules.unit import Unit

from . import rows
from .attachments import FilesTable, with_files
from .connection import Connection, Row
from .like_ids import likenesses
from .listed_files import ListedFiles

_PAIRS = 'SELECT "pairKey", "id" FROM "Conversation" WHERE "rev" IS NOT NULL AND "pairKey" IN ({})'
_GROUPS = 'SELECT "creatorId", "clientId", "id" FROM "Conversation" WHERE ("creatorId", "clientId") IN ({})'
_SENT = f'SELECT {sql.READ_MESSAGE} FROM "Message" WHERE ("senderId", "clientId") IN ({{}})'
_AT = f'SELECT {sql.READ_MESSAGE} FROM "Message" WHERE ("conversationId", "seq") IN ({{}})'
USERS = f'SELECT {sql.USER_COLUMNS} FROM "User" WHERE "id" IN ({{}})'
_TOKENS = f'SELECT {sql.TOKEN_COLUMNS} FROM "chatd_token" WHERE "jti" IN ({{}})'
_TOKENS_OF = f'SELECT {sql.TOKEN_COLUMNS} FROM "chatd_token" WHERE "revokedAt" IS NULL AND "userId" IN ({{}})'
_FILES = f'{select(KEPT_FILE)} WHERE "id" IN ({{}}) ORDER BY "id" FOR UPDATE'
_CUT_OFFS = 'SELECT "userId", "at" FROM "chatd_cut_off" WHERE "userId" IN ({})'


@attrs.frozen
class LoadedUnit:
    """A unit, and what of the rows it has no word for. `seats`: (conversation, user) -> the participant row's id.

    `rooms`, `participants`, `users`: what was there, as it was. `alike`: new users whose ids the database takes for
    others', with those; `taken`: those of them that are there.
    """

    unit: Unit
    seats: dict[tuple[str, str], str]
    rooms: dict[str, Conversation]
    participants: dict[tuple[str, str], Participant]
    users: dict[str, User]
    alike: Mapping[str, frozenset[str]] = attrs.Factory(dict)
    taken: Collection[str] = ()


def load(
    db: Connection,
    changes: Sequence[Change],
    make_user: Callable[[Row], User],
    *,
    resent: bool,
    newest: int,
    collation: str | None = None,
    files: FilesTable | None = None,
    listed: ListedFiles | None = None,
) -> LoadedUnit:
    """Lock the conversations, in the order of their ids, and what else changes; read the rest.

    `resent`: messages may be there already under their client_id. Else they are taken for new, and if one isn't, the
    unique key refuses it: a look-up of every message costs a sixth of a batch, and hardly ever finds any.

    `newest`: the highest activity that is known, but for that of the conversations at hand. `collation`: of users' ids.

    The locks come first, so all that follows is as the last transaction that held them left it.
    """
    keys = keys_of(changes)
    unit = Unit()
    unit.pairs = dict(rows.many(db, _PAIRS, keys.pairs))
    unit.created = {
        (row[0], row[1].decode()): row[2]
        for row in rows.by_pair(db, _GROUPS, keys.created, of="Conversation.creatorId")
    }
    wanted = sorted(keys.conversations.union(unit.pairs.values(), unit.created.values()))
    locked_rooms = rows.many(db, f'{rows.ROOMS} ORDER BY "id" FOR UPDATE', wanted)
    locked_seats = rows.many(db, f"{rows.SEATS} FOR UPDATE", wanted)
    sent = rows.by_pair(db, _SENT, keys.sent if resent else (), of="Message.senderId")
    at = rows.by_pair(db, _AT, keys.messages)
    tokens = chain(rows.many(db, _TOKENS, keys.tokens), rows.many(db, _TOKENS_OF, keys.tokens_of))
    cut_offs = rows.many(db, _CUT_OFFS, keys.tokens_of)
    uploaded = rows.many(db, _FILES, sorted(keys.files))
    # Only now does anybody look: all of it takes one round trip.
    for row in locked_rooms:
        room = unit.conversations[row[0]] = sql.conversation(row)
        unit.participants[row[0]] = {}
        newest = max(newest, room.listed_by, room.active_at)  # perhaps another daemon's, or the app's: clocks differ
    unit.begin(newest)
    unit.pairs = {pair: id for pair, id in unit.pairs.items() if id in unit.conversations}
    unit.created = {name: id for name, id in unit.created.items() if id in unit.conversations}
    seats: dict[tuple[str, str], str] = {}
    participants: dict[tuple[str, str], Participant] = {}
    for row in locked_seats:
        if row[0] not in unit.conversations:
            continue  # of one that the app has just made
        participant = sql.participant(row)
        unit.participants[participant.conversation][participant.user] = participant
        participants[participant.conversation, participant.user] = participant
        seats[participant.conversation, participant.user] = row[-1]
    for message in with_files(db, map(rows.message, sent), files, listed):
        if message.sender is not None and message.client_id is not None:
            unit.sent[message.sender, message.client_id] = message
    for message in with_files(db, map(rows.message, at), files, listed):
        unit.messages[message.conversation, message.seq] = message
    unit.tokens.tokens = {row[0]: sql.token(row) for row in tokens}
    unit.tokens.cut_offs = dict(cut_offs)
    unit.files = {file.id: file for file in (row_of(KEPT_FILE, row) for row in uploaded) if file.id in keys.files}
    taken = _load_users(db, changes, unit, users_behind(unit, keys), make_user)
    fresh = {change.user for change in changes if isinstance(change, PutUser)}.difference(unit.users)
    alike = likenesses(db, fresh, taken, collation)
    return LoadedUnit(unit, seats, dict(unit.conversations), participants, dict(unit.users), alike, taken)


def _load_users(
    db: Connection, changes: Sequence[Change], unit: Unit, wanted: set[str], make_user: Callable[[Row], User]
) -> set[str]:
    """Load users. Return the ids of those who came as well, as the database takes their ids for the same."""
    lock = any(isinstance(change, PutUser | SeeUser | SetDisabled) for change in changes)
    others: set[str] = set()
    for row in rows.many(db, f'{USERS} ORDER BY "id" FOR UPDATE' if lock else USERS, sorted(wanted)):
        if row[0] in wanted:
            unit.users[row[0]] = make_user(row)
        else:
            others.add(row[0])
    return others
