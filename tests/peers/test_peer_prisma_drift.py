"""An app that takes over what `chatd db adopt` prints has the schema that its database has: Prisma finds no drift."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest

from support import prisma, prisma_app, schemas, shapes
from support.drift import drift, merged, shown
from support.prisma_app import App, adopt, adoption_of, changed

PLAIN = (prisma.FOLDER / "schema.prisma").read_text()
FILE = """
model Attachment {
  id           String   @id @default(cuid())
  messageId    String
  fileName     String
  mimeType     String
  fileSize     Int
  url          String   @db.VarChar(500)
  width        Int?
  height       Int?
  thumbnailUrl String?  @db.VarChar(500)
  createdAt    DateTime @default(now())
  message      Message  @relation(fields: [messageId], references: [id], onDelete: Cascade)
}
"""
SEEN = """
model MessageSeen {
  messageId String
  userId    String
  seenAt    DateTime @default(now())
  message   Message  @relation(fields: [messageId], references: [id], onDelete: Cascade)
  @@id([messageId, userId])
}
"""
SEEN_TABLE = (
    "CREATE TABLE `MessageSeen` (`messageId` VARCHAR(191) NOT NULL, `userId` VARCHAR(191) NOT NULL, "
    "`seenAt` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), PRIMARY KEY (`messageId`, `userId`)) "
    "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
    "ALTER TABLE `MessageSeen` ADD CONSTRAINT `MessageSeen_messageId_fkey` FOREIGN KEY (`messageId`) "
    "REFERENCES `Message`(`id`) ON DELETE CASCADE ON UPDATE CASCADE",
)


@attrs.frozen
class Kind:
    """An app's tables, and the schema that made them. `known`: what chatd is told of them."""

    tables: Sequence[str]
    schema: str
    known: dict[str, Any] = attrs.Factory(dict)


def only_users() -> str:
    """The schema of an app that had no chat."""
    head, _, rest = PLAIN.partition("enum MessageStatus")
    users = rest[rest.index("model User") : rest.index("model Conversation ")]
    return head + "\n".join(line for line in users.splitlines() if "[]" not in line) + "\n"


KINDS = {
    "plain": Kind(prisma_app.PLAIN, PLAIN),
    "with files": Kind(
        (*prisma_app.PLAIN, *prisma_app.FILES),
        PLAIN.replace("model Message {", "model Message {\n  attachments Attachment[]") + FILE,
    ),
    "users alone": Kind((prisma_app.USER,), only_users()),
    "short texts": Kind(
        changed("Message", "`content` TEXT", "`content` VARCHAR(191)"), PLAIN.replace("@db.Text", "@db.VarChar(191)")
    ),
    "who has seen what": Kind(
        (*prisma_app.PLAIN, *SEEN_TABLE),
        PLAIN.replace("model Message {", "model Message {\n  seen MessageSeen[]") + SEEN,
    ),
    "implicit many-to-many": Kind(shapes.linked(), schemas.linked(PLAIN)),
    "counted ids": Kind(shapes.numbered(), schemas.numbered(PLAIN)),
    "implicit many-to-many of counted ids": Kind(
        shapes.linked(shapes.numbered()), schemas.numbered(schemas.linked(PLAIN))
    ),
    "participants without an id": Kind(shapes.paired(), schemas.paired(PLAIN)),
    "long texts": Kind(prisma_app.PLAIN, PLAIN, {"body_chars": 100_000}),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    prisma.node()
    return KINDS[request.param]


@pytest.fixture
def app(kind: Kind) -> Iterator[App]:
    with prisma_app.app(*kind.tables) as found:
        yield found


def test_schema_with_the_fragment_is_that_of_the_database(kind: Kind, app: App) -> None:
    assert drift(prisma.parsed(kind.schema), app.cursor) == [], "the comparison is right"
    before = adoption_of(app, **kind.known).examine()
    adoption_of(app, **kind.known).apply(new_epoch=lambda: "e", widen=True)
    lacking = drift(prisma.parsed(kind.schema), app.cursor)
    assert any("chatdTouched" in line for line in lacking), "it would be noticed"
    after = adoption_of(app, **kind.known).examine()
    assert after.fragment() == before.fragment()
    schema = merged(kind.schema, after.fragment())
    prisma.parsed(schema)  # as it is, too, it is one that Prisma takes
    assert drift(prisma.parsed(shown(schema)), app.cursor) == []


def test_drift_of_every_kind_is_noticed() -> None:
    """Each that a migration would make something of."""
    prisma.node()
    with prisma_app.with_people() as app:
        adopt(app)
        schema = shown(merged(PLAIN, adoption_of(app).examine().fragment()))
        parsed = prisma.parsed(schema)
        assert drift(parsed, app.cursor) == []
        for statement in (
            "ALTER TABLE Message MODIFY seq BIGINT NULL",
            "ALTER TABLE Message MODIFY kind VARCHAR(16) NOT NULL DEFAULT 'system'",
            "ALTER TABLE Message MODIFY clientId VARBINARY(255) NULL",
            "ALTER TABLE Message MODIFY rev INT NOT NULL DEFAULT 0",
            "ALTER TABLE Message RENAME INDEX Message_chatdTouched_idx TO other",
            "ALTER TABLE User DROP INDEX User_chatdTouched_idx",
            "ALTER TABLE User ADD COLUMN more INT NULL",
            "ALTER TABLE Message DROP FOREIGN KEY Message_senderId_fkey",
            "CREATE TABLE more (id INT PRIMARY KEY)",
        ):
            before = len(drift(parsed, app.cursor))
            app.run(statement)
            assert len(drift(parsed, app.cursor)) > before, statement
