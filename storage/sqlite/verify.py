"""Check that a SQLite file is sound and its rows agree. Reads only; a daemon may run meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.contract import StoreError

from .damage import READ_MESSAGE, is_damaged, lenient
from .inspection import inspect, refusal

EXAMPLES_SHOWN = 5
"""Examples of what is wrong, of each kind."""


@attrs.frozen
class Finding:
    """Result of one check, with examples of what is wrong, none where all is well. `more`: there are others."""

    what: str
    wrong: tuple[str, ...]
    more: bool


# Each statement's rows are what is wrong: one text each.
_RULES = {
    "seq: messages are numbered 1, 2, 3 ... up to the conversation's last": """
        SELECT 'conversation ' || c."id" || ': ' || COALESCE(m."n", 0) || ' messages, from ' || COALESCE(m."low", 0)
            || ' to ' || COALESCE(m."high", 0) || ', but last_seq is ' || c."lastSeq"
        FROM "Conversation" c LEFT JOIN (
            SELECT "conversationId", COUNT(*) "n", MIN("seq") "low", MAX("seq") "high"
            FROM "Message" GROUP BY "conversationId"
        ) m ON m."conversationId" = c."id"
        WHERE COALESCE(m."n", 0) <> c."lastSeq" OR COALESCE(m."high", 0) <> c."lastSeq" OR COALESCE(m."low", 1) <> 1
    """,
    "rev: in the order of seq, and none beyond the conversation's": """
        SELECT 'conversation ' || "conversationId" || ': message ' || "seq" || ' has rev ' || "rev"
            || ', the one before ' || "before" || ', the conversation ' || "last"
        FROM (
            SELECT m."conversationId", m."seq", m."rev", m."changedRev", c."rev" "last",
                LAG(m."rev", 1, 0) OVER (PARTITION BY m."conversationId" ORDER BY m."seq") "before"
            FROM "Message" m JOIN "Conversation" c ON c."id" = m."conversationId"
        )
        WHERE "rev" <= "before" OR "rev" > "last" OR "changedRev" <= "rev" OR "changedRev" > "last"
        UNION ALL
        SELECT 'conversation ' || c."id" || ': participant ' || p."userId" || ' has rev ' || p."rev"
            || ', the conversation ' || c."rev"
        FROM "ConversationParticipant" p JOIN "Conversation" c ON c."id" = p."conversationId" WHERE p."rev" > c."rev"
    """,
    "watermarks: read <= delivered <= last_seq": """
        SELECT 'conversation ' || c."id" || ': participant ' || p."userId" || ' has read ' || p."readSeq"
            || ', delivered ' || p."deliveredSeq" || ', came in at ' || p."fromSeq" || '; last_seq is ' || c."lastSeq"
        FROM "ConversationParticipant" p JOIN "Conversation" c ON c."id" = p."conversationId"
        WHERE NOT (0 <= p."readSeq" AND p."readSeq" <= p."deliveredSeq" AND p."deliveredSeq" <= c."lastSeq"
            AND 1 <= p."fromSeq" AND p."fromSeq" <= c."lastSeq" + 1)
    """,
    "nothing without an owner": """
        SELECT 'message ' || m."id" || ': there is no conversation ' || m."conversationId" FROM "Message" m
        WHERE NOT EXISTS (SELECT 1 FROM "Conversation" c WHERE c."id" = m."conversationId")
        UNION ALL
        SELECT 'message ' || m."id" || ': there is no user ' || m."senderId" FROM "Message" m
        WHERE m."senderId" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "User" u WHERE u."id" = m."senderId")
        UNION ALL
        SELECT 'participant ' || p."userId" || ': there is no conversation ' || p."conversationId"
        FROM "ConversationParticipant" p
        WHERE NOT EXISTS (SELECT 1 FROM "Conversation" c WHERE c."id" = p."conversationId")
        UNION ALL
        SELECT 'conversation ' || p."conversationId" || ': there is no user ' || p."userId"
        FROM "ConversationParticipant" p WHERE NOT EXISTS (SELECT 1 FROM "User" u WHERE u."id" = p."userId")
        UNION ALL
        SELECT 'conversation ' || c."id" || ': a direct one of ' || COUNT(p."userId") FROM "Conversation" c
        LEFT JOIN "ConversationParticipant" p ON p."conversationId" = c."id"
        WHERE c."kind" = 'direct' GROUP BY c."id" HAVING COUNT(p."userId") <> 2
        UNION ALL
        SELECT 'token ' || t."jti" || ': there is no user ' || t."userId" FROM "chatd_token" t
        WHERE NOT EXISTS (SELECT 1 FROM "User" u WHERE u."id" = t."userId")
    """,
}


def verify(path: Path) -> Iterator[Finding]:
    """Yield findings, one check after the other; a large file takes its time.

    Raises StoreError where the file can't be read, or is not of this version.
    """
    if why := refusal(inspect(path), new=False, upgrade=False):
        raise StoreError(f"{path}: {why}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA query_only = ON")
            db.text_factory = lenient  # a text that is no UTF-8 is one of the things to be found
            db.execute("BEGIN")  # one moment for all
            broken = [row[0] for row in db.execute(f"PRAGMA integrity_check({EXAMPLES_SHOWN + 1})") if row[0] != "ok"]
            yield _finding("the file is sound", broken)
            if broken:
                return  # what else is read of it means little
            yield _finding(
                "checksum: each message is as it was written", list(islice(_damaged(db), EXAMPLES_SHOWN + 1))
            )
            for what, statement in _RULES.items():
                yield _finding(what, [row[0] for row in db.execute(f"{statement} LIMIT {EXAMPLES_SHOWN + 1}")])
    except sqlite3.Error as error:
        raise StoreError(f"{path}: cannot be read as the database: {error}") from error


def _damaged(db: Any) -> Iterator[str]:
    for row in db.execute(f'SELECT {READ_MESSAGE} FROM "Message"'):
        if is_damaged(row):
            yield f"conversation {row[0]}: message {row[1]} is damaged"
        elif row[-1] is None:
            yield f"conversation {row[0]}: message {row[1]} has no checksum"


def _finding(what: str, wrong: list[str]) -> Finding:
    return Finding(what, tuple(" ".join(text.split()) for text in wrong[:EXAMPLES_SHOWN]), len(wrong) > EXAMPLES_SHOWN)
