"""Check of the numbers in a MySQL database: they agree with each other. An app's edits of texts are no damage."""

from collections.abc import Iterator

import attrs

from .connection import Connection

_WRONG = {
    "conversations whose last number is below that of a message": (
        'SELECT COUNT(*), MIN(c."id") FROM "Conversation" c WHERE c."rev" IS NOT NULL AND EXISTS '
        '(SELECT 1 FROM "Message" m WHERE m."conversationId" = c."id" AND m."seq" > c."lastSeq")'
    ),
    "conversations with a message numbered below 1": (
        'SELECT COUNT(*), MIN(c."id") FROM "Conversation" c WHERE c."rev" IS NOT NULL AND EXISTS '
        '(SELECT 1 FROM "Message" m WHERE m."conversationId" = c."id" AND m."seq" < 1)'
    ),
    "messages whose rev is beyond their conversation's": (
        'SELECT COUNT(*), MIN(m."id") FROM "Message" m JOIN "Conversation" c ON c."id" = m."conversationId" '
        'WHERE c."rev" IS NOT NULL AND (m."rev" > c."rev" OR m."changedRev" > c."rev")'
    ),
    "messages that changed before they were sent": (
        'SELECT COUNT(*), MIN(m."id") FROM "Message" m WHERE m."changedRev" <= m."rev"'
    ),
    "messages whose rev is not above that of the one before": (
        'SELECT COUNT(*), MIN(m."id") FROM "Message" m JOIN "Message" b ON b."conversationId" = m."conversationId" '
        'AND b."seq" = m."seq" - 1 WHERE m."rev" <= b."rev"'
    ),
    "participants whose rev is beyond their conversation's": (
        'SELECT COUNT(*), MIN(p."id") FROM "ConversationParticipant" p '
        'JOIN "Conversation" c ON c."id" = p."conversationId" WHERE p."rev" > c."rev"'
    ),
    "participants whose watermarks are not in order": (
        'SELECT COUNT(*), MIN(p."id") FROM "ConversationParticipant" p '
        'JOIN "Conversation" c ON c."id" = p."conversationId" WHERE p."rev" IS NOT NULL AND c."rev" IS NOT NULL '
        'AND NOT (0 <= p."readSeq" AND p."readSeq" <= p."deliveredSeq" AND p."deliveredSeq" <= c."lastSeq" '
        'AND 1 <= p."fromSeq" AND p."fromSeq" <= c."lastSeq" + 1)'
    ),
}


@attrs.frozen
class Disagreement:
    """Rows whose numbers are wrong, with the id of one."""

    what: str
    count: int
    example: str


def disagreements(db: Connection) -> Iterator[Disagreement]:
    """Yield what is wrong. Reads each message and participant once or twice, in one snapshot."""
    for what, statement in _WRONG.items():
        row = db.one(statement)
        assert row is not None
        if row[0]:
            yield Disagreement(what, int(row[0]), row[1])
