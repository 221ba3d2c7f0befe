"""Prisma schemas of apps in other shapes, made of that in tests/prisma: for the tables in `shapes`."""


def numbered(schema: str) -> str:
    """Ids that the server counts."""
    schema = schema.replace("@id @default(cuid())", "@id @default(autoincrement())")
    for column in "id", "conversationId", "userId", "senderId":
        schema = "\n".join(
            line.replace("String", "Int", 1) if line.split()[:1] == [column] else line for line in schema.splitlines()
        )
    return schema


def paired(schema: str) -> str:
    """Participants whose key is the pair."""
    head, model, rest = schema.partition("model ConversationParticipant {\n")
    line, _, rest = rest.partition("\n")
    assert "@id" in line
    return head + model + "  @@id([conversationId, userId])\n" + rest


def linked(schema: str) -> str:
    """Participants as an implicit many-to-many."""
    head, _, rest = schema.partition("model ConversationParticipant {\n")
    rest = rest.partition("}\n")[2]
    found = (head + rest).replace("ConversationParticipant[]", "@@")
    # of a user its conversations, of a conversation its people
    return found.replace("@@", "Conversation[]", 1).replace("@@", "User[]", 1)
