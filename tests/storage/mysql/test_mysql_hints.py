"""What `chatd db check` suggests: no table twice, columns too, and other shapes called what they are."""

import pytest

from storage.contract import StoreError
from support import prisma_app
from support.prisma_app import PLAIN, UNLINKED, adopt, adoption_of, changed, layout

LINK = "CREATE TABLE `_Favourites` (`A` VARCHAR(191) NOT NULL, `B` VARCHAR(191) NOT NULL)"
NO_SEATS = tuple(statement for statement in UNLINKED if "ConversationParticipant" not in statement)


def wrong(*tables: str) -> dict[str, str]:
    """What was found, table by table; and a refusal that leaves everything as it was."""
    with prisma_app.app(*tables) as app:
        before = layout(app)
        found: dict[str, str] = {}
        for finding in adoption_of(app).examine().only("wrong"):
            found[finding.table] = f"{found.get(finding.table, '')}{finding.text}"
        if found:
            with pytest.raises(StoreError):
                adopt(app)
        assert layout(app) == before
        return found


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (("users", "chats", "chat_members", "chat_messages"), {
            "User": "User=users", "Conversation": "Conversation=chats",
            "ConversationParticipant": "ConversationParticipant=chat_members", "Message": "Message=chat_messages"}),
        (("Account", "Room", "RoomMember", "Message"), {
            "User": "User=Account", "Conversation": "Conversation=Room",
            "ConversationParticipant": "ConversationParticipant=RoomMember"}),
    ],
)  # fmt: skip
def test_hints_for_tables_name_none_twice(tables: tuple[str, ...], expected: dict[str, str]) -> None:
    names = dict(zip(("User", "Conversation", "ConversationParticipant", "Message"), tables, strict=True))
    renames = [f"RENAME TABLE {ours} TO {theirs}" for ours, theirs in names.items() if ours != theirs]
    found = wrong(*UNLINKED, *renames)
    assert {table: text.rpartition(", like ")[2] for table, text in found.items()} == {
        table: f'"{hint}"' for table, hint in expected.items()
    }


def test_table_that_is_anothers_is_no_hint() -> None:
    """Conversation is there: the participants' table isn't called like it."""
    assert "Conversation=" not in wrong(*NO_SEATS)["ConversationParticipant"]
    assert '"ConversationParticipant=..."' in wrong(*NO_SEATS)["ConversationParticipant"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("content", "body"),
        ("content", "text"),
        ("content", "message"),
        ("senderId", "authorId"),
        ("createdAt", "sentAt"),
        ("conversationId", "chatId"),
    ],
)
def test_hints_for_columns(ours: str, theirs: str) -> None:
    tables = [statement.replace(f"`{ours}`", f"`{theirs}`") if "CREATE TABLE `Message`" in statement else statement
              for statement in UNLINKED]  # fmt: skip
    assert f'set it in mysql.names, like "Message.{ours}={theirs}"' in wrong(*tables)["Message"]


@pytest.mark.parametrize(
    ("tables", "table", "text"),
    [
        ((*NO_SEATS, LINK), "ConversationParticipant", "by _Favourites there is no telling who takes part in what"),
        (
            [s.replace("`updatedAt`", "`user1Id` VARCHAR(191), `user2Id` VARCHAR(191), `updatedAt`")
             if "CREATE TABLE `Conversation`" in s else s for s in NO_SEATS],
            "ConversationParticipant", "names its two people by columns (user1Id, user2Id), which chatd can't serve",
        ),
        (
            [s.replace("`conversationId`", "`receiverId`") for s in NO_SEATS if "`Conversation`" not in s],
            "Conversation", "messages go from one person to another without a conversation, which chatd can't serve",
        ),
    ],
)  # fmt: skip
def test_other_shapes_are_called_what_they_are(tables: tuple[str, ...], table: str, text: str) -> None:
    assert text in wrong(*tables)[table]


def test_composite_key_beside_an_id_is_named() -> None:
    found = wrong(*changed("ConversationParticipant", "PRIMARY KEY (`id`)", "PRIMARY KEY (`conversationId`, `userId`)"))
    assert "not one column, the id, but (conversationId, userId)" in found["ConversationParticipant"]


def test_app_columns_for_title_picture_and_name_are_used() -> None:
    tables = [
        s.replace("`name` VARCHAR(191) NULL", "`firstName` VARCHAR(191), `lastName` VARCHAR(191), `image` TEXT")
        .replace("`lastMessageAt`", "`subject` VARCHAR(191) NULL, `lastMessageAt`")
        for s in PLAIN
    ]  # fmt: skip
    with prisma_app.app(*tables) as app:
        app.run("INSERT INTO User (id, firstName, lastName, image, updatedAt) "
                "VALUES ('ada', 'Ada', 'Byron', '/a.png', NOW(3)), ('bo', NULL, 'Bo', NULL, NOW(3))")  # fmt: skip
        app.conversation("c1", "ada", "bo")
        app.run("UPDATE Conversation SET subject = 'Root canal'")
        adopt(app)
        columns = {column for table, column, *_ in layout(app) if table in ("User", "Conversation")}
        assert not columns & {"title", "avatarUrl"}
        with prisma_app.served(app) as store:
            users = store.users(["ada", "bo"])
            assert (users["ada"].name, users["ada"].avatar_url, users["bo"].name) == ("Ada Byron", "/a.png", "Bo")
            room = store.room("c1")
            assert room is not None
            assert (room.conversation.kind, room.conversation.title) == ("group", "Root canal")
            place = store.scan(None).next
            app.run("UPDATE User SET lastName = 'King' WHERE id = 'ada'")
            assert {user.name for user in store.scan(place).users} >= {"Ada King"}
            assert [user.name for user in store.list_users(roles=["patient"], but="x", query="king", after=None,
                                                           limit=5)[0]] == ["Ada King"]  # fmt: skip
