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
);
INSERT INTO "Conversation" VALUES('c1','direct','ada ben',NULL,1795300000005,1795300000012,1795300000012,3,7);
INSERT INTO "Conversation" VALUES('c2','direct','ada cleo',NULL,1795300000006,1795300000014,1795300000014,2,3);
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
INSERT INTO "ConversationParticipant" VALUES('c1','ada','member',1795300000005,NULL,1,2,1795300000011,0,NULL,6,0,0,0);
INSERT INTO "ConversationParticipant" VALUES('c1','ben','member',1795300000005,NULL,1,1,1795300000009,1,1795300000010,5,0,1,0);
INSERT INTO "ConversationParticipant" VALUES('c2','ada','member',1795300000006,NULL,1,0,NULL,0,NULL,1,1,0,1);
INSERT INTO "ConversationParticipant" VALUES('c2','cleo','member',1795300000006,1795300000014,1,0,NULL,0,NULL,3,0,0,0);
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
INSERT INTO "Message" VALUES('m3','c1',1,2,'ada','a-1','text','It hurts when I bite 🦷',NULL,NULL,1795300000007,NULL,NULL);
INSERT INTO "Message" VALUES('m4','c1',2,3,'ben','b-1','text','It''s "only"
the gum; don''t worry',1,NULL,1795300000008,NULL,NULL);
INSERT INTO "Message" VALUES('m5','c1',3,7,'ada','a-2','text','Thanks',NULL,NULL,1795300000012,NULL,NULL);
INSERT INTO "Message" VALUES('m6','c2',1,2,'cleo','c-1','text','Your invoice',NULL,NULL,1795300000013,NULL,NULL);
INSERT INTO "Message" VALUES('m7','c2',2,3,NULL,NULL,'system','Cleo left the conversation.',NULL,'{"event": "left", "by": "cleo"}',1795300000014,NULL,NULL);
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
INSERT INTO "User" VALUES('ada','Ada Weiß','patient',NULL,NULL,1795300000004,1795300000001,1795300000004);
INSERT INTO "User" VALUES('ben','Dr. Ben','dentist',NULL,NULL,NULL,1795300000002,1795300000002);
INSERT INTO "User" VALUES('cleo','Cleo','staff',NULL,NULL,NULL,1795300000003,1795300000003);
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'chatd','m001_conversations','2026-11-22 13:17:00.000000+00:00');
CREATE TABLE "chatd_meta" ("key" TEXT NOT NULL PRIMARY KEY, "value" TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "chatd_meta" VALUES('development','1');
INSERT INTO "chatd_meta" VALUES('epoch','epoch-of-001');
CREATE TABLE "chatd_receipt" (
    "conversationId" TEXT NOT NULL,
    "userId" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "at" INTEGER NOT NULL,
    PRIMARY KEY ("conversationId", "userId", "kind", "seq")
) WITHOUT ROWID;
INSERT INTO "chatd_receipt" VALUES('c1','ada','delivered',2,1795300000011);
INSERT INTO "chatd_receipt" VALUES('c1','ben','delivered',1,1795300000009);
INSERT INTO "chatd_receipt" VALUES('c1','ben','read',1,1795300000010);
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
COMMIT;
