"""The SQLite schema, as migrations: append-only, each in one transaction with its record.

Names are those of the platform's Prisma schema (`User`, `Conversation`, `ConversationParticipant`, `Message`), so that
every store can share the SQL; what is chatd's alone is prefixed. Times are integer milliseconds since 1970, UTC.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from .contract import StoreError

migrations = Migrations("chatd")


@migrations()
def m001_conversations(db: Database) -> None:
    """Users, conversations, participants, messages, and the times of all receipts."""
    for statement in _FIRST.split(";\n"):
        db.execute(statement)


# Message has no index on rev: "rev" is that of the message's creation, in the order of "seq", so what is new since a
# rev is found by a binary search over "seq", and each insert touches one B-tree page less (2.3 us of 14).
_FIRST = """
CREATE TABLE "chatd_meta" ("key" TEXT NOT NULL PRIMARY KEY, "value" TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE "User" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "avatarUrl" TEXT,
    "disabledAt" INTEGER,
    "lastSeenAt" INTEGER,
    "createdAt" INTEGER NOT NULL,
    "updatedAt" INTEGER NOT NULL
);
CREATE TABLE "Conversation" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "kind" TEXT NOT NULL,
    "pairKey" TEXT UNIQUE,
    "title" TEXT,
    "createdAt" INTEGER NOT NULL,
    "updatedAt" INTEGER NOT NULL,
    "lastMessageAt" INTEGER,
    "lastSeq" INTEGER NOT NULL,
    "rev" INTEGER NOT NULL
);
CREATE TABLE "ConversationParticipant" (
    "conversationId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "joinedAt" INTEGER NOT NULL,
    "leftAt" INTEGER,
    "fromSeq" INTEGER NOT NULL,
    "deliveredSeq" INTEGER NOT NULL,
    "deliveredAt" INTEGER,
    "readSeq" INTEGER NOT NULL,
    "readAt" INTEGER,
    "rev" INTEGER NOT NULL,
    "isMuted" INTEGER NOT NULL DEFAULT 0,
    "isPinned" INTEGER NOT NULL DEFAULT 0,
    "isArchived" INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY ("conversationId", "userId")
) WITHOUT ROWID;
CREATE INDEX "ConversationParticipant_userId_idx" ON "ConversationParticipant" ("userId");
CREATE TABLE "Message" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "conversationId" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "rev" INTEGER NOT NULL,
    "senderId" TEXT,
    "clientId" TEXT,
    "kind" TEXT NOT NULL,
    "content" TEXT NOT NULL,
    "replyToSeq" INTEGER,
    "data" TEXT,
    "createdAt" INTEGER NOT NULL,
    "editedAt" INTEGER,
    "deletedAt" INTEGER
);
CREATE UNIQUE INDEX "Message_conversationId_seq_key" ON "Message" ("conversationId", "seq");
CREATE UNIQUE INDEX "Message_senderId_clientId_key" ON "Message" ("senderId", "clientId");
CREATE TABLE "chatd_receipt" (
    "conversationId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" INTEGER NOT NULL,
    PRIMARY KEY ("conversationId", "userId", "kind", "seq")
) WITHOUT ROWID;
CREATE VIEW "unreadCount" AS
SELECT p."conversationId", p."userId", (
    SELECT COUNT(*) FROM "Message" m
    WHERE m."conversationId" = p."conversationId" AND m."seq" > p."readSeq"
      AND m."deletedAt" IS NULL AND m."senderId" <> p."userId"
) AS "unreadCount"
FROM "ConversationParticipant" p WHERE p."leftAt" IS NULL
"""


def migrate(db: Database) -> None:
    """Bring the database to this program's schema.

    Raises StoreError where a newer program has been there: its file is not touched.
    """
    known = {migration.name for migration in migrations._migrations}
    newer = [migration.name for migration in migrations.applied(db) if migration.name not in known]
    if newer:
        raise StoreError(
            f"made by a newer version of chatd (it has {newer[-1]}): start that version, or restore a backup"
        )
    migrations.apply(db)
