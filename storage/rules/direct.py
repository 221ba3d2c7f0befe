"""Direct conversations: there is one for each pair of users."""

from storage.changes import OpenDirect, Refused, Unchanged
from storage.records import Conversation, pair_of

from .rule import Keys, Rule, Rules
from .unit import NO_USER, Answer, Unit, brought_back, moved_on, newcomer, with_everyone


def open_direct(unit: Unit, change: OpenDirect) -> Answer:
    """Find or make the conversation, with both present."""
    if change.user == change.other:
        return Refused("bad_request", "`with`: a conversation with oneself"), ()
    if change.other not in unit.users or change.user not in unit.users:
        return NO_USER, ()
    pair = pair_of(change.user, change.other)
    known = unit.pairs.get(pair)
    if known is None:
        before = Conversation(
            id=change.conversation,
            kind="direct",
            pair=pair,
            title=None,
            created_at=change.at,
            last_message_at=None,
            last_seq=0,
            rev=0,
            activity=unit.activity(change.at),
        )
        unit.pairs[pair] = before.id
        unit.participants[before.id] = {}
    else:
        before = unit.conversations[known]
    after = moved_on(before)
    rows = unit.participants[before.id]
    entered = []
    for user in (change.user, change.other):
        row = rows.get(user)
        if row is None:
            entered.append(newcomer(unit, before, after, user, "member", change.at))
        elif row.left_at is not None:
            entered.append(brought_back(unit, row, before, after, change.at))
    if not entered:
        everyone = tuple(rows.values())
        return Unchanged(room=before, everyone=everyone, users=unit.named(everyone)), [rows[change.user]]
    unit.put_conversation(after)
    outcome = with_everyone(unit, after, before.rev, entered=entered, created=known is None)
    mine = [] if any(row.user == change.user for row in entered) else [rows[change.user]]
    return outcome, [*mine, *entered]


def _keys(keys: Keys, change: OpenDirect) -> None:
    keys.pairs.add(pair_of(change.user, change.other))
    keys.users.update((change.user, change.other))


RULES: Rules = {OpenDirect: Rule(_keys, open_direct)}
