"""Apps' tables in other shapes than chatd's own, that are served as they are."""

from collections.abc import Sequence

from .prisma_app import PLAIN


def numbered(kind: str = "INTEGER", *, users: bool = True) -> tuple[str, ...]:
    """Ids that the server counts. `users`: those of users, too."""
    found = []
    columns = ["conversationId", *(["userId", "senderId"] if users else [])]
    for statement in PLAIN:
        if users or "CREATE TABLE `User`" not in statement:
            statement = statement.replace("`id` VARCHAR(191) NOT NULL", f"`id` {kind} NOT NULL AUTO_INCREMENT")
        for column in columns:
            statement = statement.replace(f"`{column}` VARCHAR(191)", f"`{column}` {kind}")
        found.append(statement)
    return tuple(found)


def paired() -> tuple[str, ...]:
    """Participants without an id of their own: `@@id([conversationId, userId])`."""
    return tuple(
        statement.replace("    `id` VARCHAR(191) NOT NULL,\n", "").replace("(`id`)\n", "(`conversationId`, `userId`)\n")
        if "CREATE TABLE `ConversationParticipant`" in statement
        else statement
        for statement in PLAIN
    )


def numbered_pairs() -> tuple[str, ...]:
    """Both."""
    return tuple(
        statement.replace("    `id` INTEGER NOT NULL AUTO_INCREMENT,\n", "").replace(
            "(`id`)\n", "(`conversationId`, `userId`)\n"
        )
        if "CREATE TABLE `ConversationParticipant`" in statement
        else statement
        for statement in numbered()
    )


def linked(tables: Sequence[str] = PLAIN) -> tuple[str, ...]:
    """Participants as an implicit many-to-many: a table of two columns, as Prisma makes it."""
    kind = "VARCHAR(191)" if "`id` VARCHAR(191)" in tables[1] else "INTEGER"
    kept = (statement for statement in tables if "TABLE `ConversationParticipant`" not in statement)
    return (
        *kept,
        f"""
CREATE TABLE `_ConversationToUser` (
    `A` {kind} NOT NULL,
    `B` {kind} NOT NULL,
    UNIQUE INDEX `_ConversationToUser_AB_unique`(`A`, `B`),
    INDEX `_ConversationToUser_B_index`(`B`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
""",
        *(
            f"ALTER TABLE `_ConversationToUser` ADD CONSTRAINT `_ConversationToUser_{column}_fkey` "
            f"FOREIGN KEY (`{column}`) REFERENCES `{target}`(`id`) ON DELETE CASCADE ON UPDATE CASCADE"
            for column, target in (("A", "Conversation"), ("B", "User"))
        ),
    )


def short_ids() -> tuple[str, ...]:
    """Ids of 25 characters: `@db.VarChar(25)`."""
    return tuple(statement.replace("VARCHAR(191) NOT NULL", "VARCHAR(25) NOT NULL") for statement in PLAIN)


def lower_statuses() -> tuple[str, ...]:
    return tuple(s.replace("'SENT', 'DELIVERED', 'READ'", "'sent', 'delivered', 'read'").replace("'SENT'", "'sent'")
                 for s in PLAIN)  # fmt: skip


def coarse() -> tuple[str, ...]:
    """Times without parts of a second: `@db.DateTime(0)`."""
    return tuple(s.replace("TIME(3)", "TIME").replace("TIMESTAMP(3)", "TIMESTAMP") for s in PLAIN)


def short_coarse_lower() -> tuple[str, ...]:
    """Ids of 25 characters, times in whole seconds, statuses in small letters: each is another's concern."""
    found = []
    for statement in coarse():
        statement = statement.replace("VARCHAR(191) NOT NULL", "VARCHAR(25) NOT NULL")
        statement = statement.replace("'SENT', 'DELIVERED', 'READ'", "'sent', 'delivered', 'read'")
        found.append(statement.replace("'SENT'", "'sent'"))
    return tuple(found)


def with_staff(tables: Sequence[str]) -> tuple[str, ...]:
    """An app that has all roles."""
    return tuple(statement.replace("'DENTIST', 'ADMIN'", "'DENTIST', 'STAFF', 'ADMIN'") for statement in tables)
