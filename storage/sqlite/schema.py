"""The SQLite schema, as migrations: append-only, each in one transaction with its record.

Names are those of the platform's Prisma schema (`User`, `Conversation`, `ConversationParticipant`, `Message`), so that
every store can share the SQL; what is chatd's alone is prefixed. Times are integer milliseconds since 1970, UTC.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage.columns import Row
from storage.contract import StoreError

from .damage import checksum, lenient

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


@migrations()
def m002_tokens(db: Database) -> None:
    """Tokens that were issued, and from when on each user's count."""
    for statement in _TOKENS.split(";\n"):
        db.execute(statement)


_TOKENS = """
CREATE TABLE "chatd_token" (
    "jti" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "issuedAt" INTEGER NOT NULL,
    "expiresAt" INTEGER NOT NULL,
    "revokedAt" INTEGER
) WITHOUT ROWID;
CREATE INDEX "chatd_token_userId_issuedAt_idx" ON "chatd_token" ("userId", "issuedAt");
CREATE INDEX "chatd_token_expiresAt_idx" ON "chatd_token" ("expiresAt");
CREATE TABLE "chatd_cut_off" ("userId" TEXT NOT NULL PRIMARY KEY, "at" INTEGER NOT NULL) WITHOUT ROWID
"""


@migrations()
def m003_groups_and_edits(db: Database) -> None:
    """Creators of groups with their client_id; changes of messages with their times; earlier texts."""
    for statement in _GROUPS_AND_EDITS.split(";\n"):
        db.execute(statement)


# "changedRev" is the rev of a message's last change since its creation; "reactions" holds [[emoji, [user, ...]], ...].
# Both are NULL for most messages, and the index has only the others: sends cost nothing more.
_GROUPS_AND_EDITS = """
ALTER TABLE "Conversation" ADD COLUMN "creatorId" TEXT;
ALTER TABLE "Conversation" ADD COLUMN "clientId" TEXT;
CREATE UNIQUE INDEX "Conversation_creatorId_clientId_key" ON "Conversation" ("creatorId", "clientId")
WHERE "clientId" IS NOT NULL;
ALTER TABLE "Message" ADD COLUMN "changedRev" INTEGER;
ALTER TABLE "Message" ADD COLUMN "reactions" TEXT;
CREATE INDEX "Message_conversationId_changedRev_idx" ON "Message" ("conversationId", "changedRev")
WHERE "changedRev" IS NOT NULL;
CREATE TABLE "chatd_version" (
    "conversationId" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "rev" INTEGER NOT NULL,
    "content" TEXT NOT NULL,
    "at" INTEGER NOT NULL,
    PRIMARY KEY ("conversationId", "seq", "rev")
) WITHOUT ROWID
"""


@migrations()
def m004_search(db: Database) -> None:
    """A number for each message, in the order in which they were kept; the search index, still empty."""
    for statement in _SEARCH.split(";\n"):
        db.execute(statement)
    if sqlite3.sqlite_version_info >= (3, 42):  # what leaves the index leaves the file, not only the answers
        db.execute('INSERT INTO "chatd_search" ("chatd_search", rank) VALUES (\'secure-delete\', 1)')


# The number must be a column: VACUUM may change a rowid that has no name. It ascends for good, as no row is
# removed: whoever removes some must take them out of the index, and see that the newest one's number isn't used again.
_SEARCH = """
DROP VIEW "unreadCount";
CREATE TABLE "Message_numbered" (
    "n" INTEGER PRIMARY KEY,
    "id" TEXT NOT NULL UNIQUE,
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
    "deletedAt" INTEGER,
    "changedRev" INTEGER,
    "reactions" TEXT
);
INSERT INTO "Message_numbered" SELECT NULL, "id", "conversationId", "seq", "rev", "senderId", "clientId", "kind",
    "content", "replyToSeq", "data", "createdAt", "editedAt", "deletedAt", "changedRev", "reactions"
FROM "Message" ORDER BY rowid;
DROP TABLE "Message";
ALTER TABLE "Message_numbered" RENAME TO "Message";
CREATE UNIQUE INDEX "Message_conversationId_seq_key" ON "Message" ("conversationId", "seq");
CREATE UNIQUE INDEX "Message_senderId_clientId_key" ON "Message" ("senderId", "clientId");
CREATE INDEX "Message_conversationId_changedRev_idx" ON "Message" ("conversationId", "changedRev")
WHERE "changedRev" IS NOT NULL;
CREATE VIEW "unreadCount" AS
SELECT p."conversationId", p."userId", (
    SELECT COUNT(*) FROM "Message" m
    WHERE m."conversationId" = p."conversationId" AND m."seq" > p."readSeq"
      AND m."deletedAt" IS NULL AND m."senderId" <> p."userId"
) AS "unreadCount"
FROM "ConversationParticipant" p WHERE p."leftAt" IS NULL;
CREATE VIRTUAL TABLE "chatd_search" USING fts5(
    "room", "text", content = '', columnsize = 0, detail = none, tokenize = 'trigram case_sensitive 1'
);
INSERT INTO "chatd_meta" VALUES ('indexed', '0')
"""


@migrations()
def m005_sign_in(db: Database) -> None:
    """Passwords, sessions, API keys, tickets and invitations."""
    for statement in _SIGN_IN.split(";\n"):
        db.execute(statement)


_SIGN_IN = """
CREATE TABLE "chatd_password" (
    "userId" TEXT NOT NULL PRIMARY KEY, "hash" TEXT NOT NULL, "changedAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE "chatd_session" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "id" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "createdAt" INTEGER NOT NULL,
    "seenAt" INTEGER NOT NULL,
    "expiresAt" INTEGER NOT NULL,
    "agent" TEXT
) WITHOUT ROWID;
CREATE INDEX "chatd_session_userId_idx" ON "chatd_session" ("userId");
CREATE INDEX "chatd_session_id_idx" ON "chatd_session" ("id");
CREATE INDEX "chatd_session_expiresAt_idx" ON "chatd_session" ("expiresAt");
CREATE TABLE "chatd_api_key" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "maxRole" TEXT NOT NULL,
    "createdAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_api_key_id_idx" ON "chatd_api_key" ("id");
CREATE TABLE "chatd_ticket" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "name" TEXT,
    "role" TEXT,
    "expiresAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_ticket_userId_idx" ON "chatd_ticket" ("userId");
CREATE INDEX "chatd_ticket_expiresAt_idx" ON "chatd_ticket" ("expiresAt");
CREATE TABLE "chatd_invitation" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "id" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "birthDate" TEXT,
    "wrong" INTEGER NOT NULL,
    "createdBy" TEXT,
    "createdAt" INTEGER NOT NULL,
    "expiresAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_invitation_userId_idx" ON "chatd_invitation" ("userId");
CREATE INDEX "chatd_invitation_id_idx" ON "chatd_invitation" ("id");
CREATE INDEX "chatd_invitation_expiresAt_idx" ON "chatd_invitation" ("expiresAt");
CREATE TABLE "chatd_revocation" (
    "key" TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL, "credentialId" TEXT, "expiresAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_revocation_expiresAt_idx" ON "chatd_revocation" ("expiresAt")
"""


@migrations()
def m006_checksums(db: Database) -> None:
    """A checksum of each message, so that damage is noticed."""
    db.execute('ALTER TABLE "Message" ADD COLUMN "checksum" INTEGER')
    after, columns = 0, '"n", ' + ", ".join(f'"{name}"' for name in _CHECKED)
    text, db.conn.text_factory = db.conn.text_factory, lenient
    try:
        while rows := db.execute(
            f'SELECT {columns} FROM "Message" WHERE "n" > ? ORDER BY "n" LIMIT 1000', [after]
        ).fetchall():
            sums = [(_known(row[1:]), row[0]) for row in rows]
            db.conn.executemany('UPDATE "Message" SET "checksum" = ? WHERE "n" = ?', sums)
            after = rows[-1][0]
    finally:
        db.conn.text_factory = text


def _known(values: Row) -> int:
    """Return the checksum; one that nothing has where the row is damaged already."""
    try:
        return checksum(values)
    except (UnicodeEncodeError, OverflowError):
        return -1


_CHECKED = (
    "conversationId", "seq", "id", "senderId", "clientId", "kind", "content", "replyToSeq", "data", "createdAt",
    "editedAt", "deletedAt", "reactions", "changedRev",
)  # fmt: skip


@migrations()
def m007_refill(db: Database) -> None:
    """Begin the refill of what was kept in another form (`refill.py`) with the newest message."""
    db.execute("""INSERT INTO "chatd_meta" SELECT 'refill', COALESCE(MAX("n"), 0) FROM "Message\"""")


@migrations()
def m008_files(db: Database) -> None:
    """Files that people upload, the messages that have them, and what is still coming in."""
    for statement in _FILES.split(";\n"):
        db.execute(statement)


_FILES = """
CREATE TABLE "chatd_attachment" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "size" INTEGER NOT NULL,
    "width" INTEGER,
    "height" INTEGER,
    "blob" TEXT NOT NULL,
    "thumbnail" TEXT,
    "thumbnailType" TEXT,
    "conversation" TEXT,
    "message" TEXT,
    "place" INTEGER NOT NULL,
    "createdAt" INTEGER NOT NULL,
    "expiresAt" INTEGER
) WITHOUT ROWID;
CREATE INDEX "chatd_attachment_message_idx" ON "chatd_attachment" ("message");
CREATE INDEX "chatd_attachment_blob_idx" ON "chatd_attachment" ("blob");
CREATE INDEX "chatd_attachment_thumbnail_idx" ON "chatd_attachment" ("thumbnail");
CREATE INDEX "chatd_attachment_expiresAt_idx" ON "chatd_attachment" ("expiresAt");
CREATE TABLE "chatd_upload" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "length" INTEGER,
    "metadata" TEXT NOT NULL,
    "createdAt" INTEGER NOT NULL,
    "expiresAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_upload_userId_idx" ON "chatd_upload" ("userId");
CREATE INDEX "chatd_upload_expiresAt_idx" ON "chatd_upload" ("expiresAt");
CREATE TABLE "chatd_uploaded" (
    "userId" TEXT NOT NULL PRIMARY KEY, "bytes" INTEGER NOT NULL, "expiresAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_uploaded_expiresAt_idx" ON "chatd_uploaded" ("expiresAt")
"""


@migrations()
def m009_identities(db: Database) -> None:
    """Identities elsewhere, second steps and their recovery codes."""
    for statement in _IDENTITIES.split(";\n"):
        db.execute(statement)


_IDENTITIES = """
CREATE TABLE "chatd_identity" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "issuer" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "createdAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_identity_userId_idx" ON "chatd_identity" ("userId");
CREATE TABLE "chatd_second_step" (
    "userId" TEXT NOT NULL PRIMARY KEY,
    "sealed" TEXT NOT NULL,
    "lastUsed" INTEGER NOT NULL,
    "createdAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE "chatd_recovery_code" (
    "hash" TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL, "createdAt" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX "chatd_recovery_code_userId_idx" ON "chatd_recovery_code" ("userId")
"""


@migrations()
def m010_finished_uploads(db: Database) -> None:
    """The file that an upload has become, for who asks again."""
    db.execute('ALTER TABLE "chatd_upload" ADD COLUMN "attachment" TEXT')


@migrations()
def m011_activity(db: Database) -> None:
    """The number of the commit that brought a conversation's newest message: lists are ordered by it."""
    db.execute('ALTER TABLE "Conversation" ADD COLUMN "chatdActivity" INTEGER')
    db.execute('UPDATE "Conversation" SET "chatdActivity" = COALESCE("lastMessageAt", "createdAt")')


@migrations()
def m012_settings_changes(db: Database) -> None:
    """Changes of users' own settings, which daemons that share a database tell each other."""
    db.execute(
        'CREATE TABLE "chatd_settings_change" ("key" TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL, '
        '"conversation" TEXT NOT NULL, "expiresAt" INTEGER NOT NULL) WITHOUT ROWID'
    )
    db.execute('CREATE INDEX "chatd_settings_change_expiresAt_idx" ON "chatd_settings_change" ("expiresAt")')


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
