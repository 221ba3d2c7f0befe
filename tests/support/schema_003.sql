BEGIN TRANSACTION;
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
, "creatorId" TEXT, "clientId" TEXT);
INSERT INTO "Conversation" VALUES('c1','group',NULL,'Recall',1795300000004,1795300000016,1795300000016,6,13,'ben','g-1');
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
INSERT INTO "ConversationParticipant" VALUES('c1','ada','owner',1795300000004,NULL,1,0,NULL,0,NULL,13,0,0,0);
INSERT INTO "ConversationParticipant" VALUES('c1','ben','owner',1795300000004,1795300000016,1,0,NULL,0,NULL,13,0,0,0);
INSERT INTO "ConversationParticipant" VALUES('c1','cleo','member',1795300000004,1795300000015,1,2,1795300000014,2,1795300000014,12,0,0,0);
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
, "changedRev" INTEGER, "reactions" TEXT);
INSERT INTO "Message" VALUES('m2','c1',1,2,'ada','a-1','text','It hurts when I bite 🦷',NULL,NULL,1795300000005,1795300000008,NULL,7,'[["👍", ["ben"]], ["🦷", ["cleo"]]]');
INSERT INTO "Message" VALUES('m3','c1',2,3,'ben','b-1','text','Where?',NULL,NULL,1795300000006,NULL,NULL,8,'[["👍", ["ada"]]]');
INSERT INTO "Message" VALUES('m4','c1',3,4,'ada','a-2','text','',NULL,NULL,1795300000007,NULL,1795300000012,9,NULL);
INSERT INTO "Message" VALUES('m5','c1',4,10,NULL,NULL,'system','Ben changed the title to "Recall".',NULL,'{"event": "title", "by": "ben", "title": "Recall"}',1795300000013,NULL,NULL,NULL,NULL);
INSERT INTO "Message" VALUES('m6','c1',5,12,NULL,NULL,'system','Ben removed Cleo.',NULL,'{"event": "removed", "by": "ben", "user": "cleo"}',1795300000015,NULL,NULL,NULL,NULL);
INSERT INTO "Message" VALUES('m7','c1',6,13,NULL,NULL,'system','Ben left the conversation.',NULL,'{"event": "left", "by": "ben"}',1795300000016,NULL,NULL,NULL,NULL);
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
INSERT INTO "User" VALUES('ada','Ada Weiß','patient',NULL,NULL,NULL,1795300000001,1795300000001);
INSERT INTO "User" VALUES('ben','Ben','dentist',NULL,NULL,NULL,1795300000002,1795300000002);
INSERT INTO "User" VALUES('cleo','Cleo','staff',NULL,NULL,NULL,1795300000003,1795300000003);
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'chatd','m001_conversations','2026-11-23 04:45:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'chatd','m002_tokens','2026-11-23 04:45:00.000000+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'chatd','m003_groups_and_edits','2026-11-23 04:45:00.000000+00:00');
CREATE TABLE "chatd_cut_off" ("userId" TEXT NOT NULL PRIMARY KEY, "at" INTEGER NOT NULL) WITHOUT ROWID
;
CREATE TABLE "chatd_meta" ("key" TEXT NOT NULL PRIMARY KEY, "value" TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "chatd_meta" VALUES('development','0');
INSERT INTO "chatd_meta" VALUES('epoch','epoch-of-003');
CREATE TABLE "chatd_receipt" (
    "conversationId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" INTEGER NOT NULL,
    PRIMARY KEY ("conversationId", "userId", "kind", "seq")
) WITHOUT ROWID;
INSERT INTO "chatd_receipt" VALUES('c1','cleo','delivered',2,1795300000014);
INSERT INTO "chatd_receipt" VALUES('c1','cleo','read',2,1795300000014);
CREATE TABLE "chatd_token" (
    "jti" TEXT NOT NULL PRIMARY KEY,
    "userId" TEXT NOT NULL,
    "issuedAt" INTEGER NOT NULL,
    "expiresAt" INTEGER NOT NULL,
    "revokedAt" INTEGER
) WITHOUT ROWID;
CREATE TABLE "chatd_version" (
    "conversationId" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "rev" INTEGER NOT NULL,
    "content" TEXT NOT NULL,
    "at" INTEGER NOT NULL,
    PRIMARY KEY ("conversationId", "seq", "rev")
) WITHOUT ROWID
;
INSERT INTO "chatd_version" VALUES('c1',1,5,'It hurts',1795300000008);
INSERT INTO "chatd_version" VALUES('c1',3,9,'Wrong chat; sorry',1795300000012);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX "ConversationParticipant_userId_idx" ON "ConversationParticipant" ("userId");
CREATE UNIQUE INDEX "Message_conversationId_seq_key" ON "Message" ("conversationId", "seq");
CREATE UNIQUE INDEX "Message_senderId_clientId_key" ON "Message" ("senderId", "clientId");
CREATE VIEW "unreadCount" AS
SELECT p."conversationId", p."userId", (
    SELECT COUNT(*) FROM "Message" m
    WHERE m."conversationId" = p."conversationId" AND m."seq" > p."readSeq"
      AND m."deletedAt" IS NULL AND m."senderId" <> p."userId"
) AS "unreadCount"
FROM "ConversationParticipant" p WHERE p."leftAt" IS NULL;
CREATE INDEX "chatd_token_userId_issuedAt_idx" ON "chatd_token" ("userId", "issuedAt");
CREATE INDEX "chatd_token_expiresAt_idx" ON "chatd_token" ("expiresAt");
CREATE UNIQUE INDEX "Conversation_creatorId_clientId_key" ON "Conversation" ("creatorId", "clientId")
WHERE "clientId" IS NOT NULL;
CREATE INDEX "Message_conversationId_changedRev_idx" ON "Message" ("conversationId", "changedRev")
WHERE "changedRev" IS NOT NULL;
COMMIT;
