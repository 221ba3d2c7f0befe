"""Suggestions for what an app may call the tables and columns that chatd doesn't find, and words for other shapes."""

import difflib
from collections.abc import Iterable

from storage.mysql.layout import Layout
from storage.mysql.links import implicit_tables
from storage.mysql.names import Names
from storage.mysql.spellings import folded
from storage.mysql.tables import app_tables

_TABLES = {
    "User": ("User", "Account", "Profile", "Person", "Member"),
    "Conversation": ("Conversation", "Chat", "ChatRoom", "Room", "Channel", "Thread", "Dialog", "Discussion"),
    "ConversationParticipant": (
        "ConversationParticipant", "Participant", "ConversationMember", "ConversationUser", "UserConversation",
        "ChatParticipant", "ChatMember", "ChatUser", "RoomMember", "RoomParticipant", "RoomUser", "ChannelMember",
        "ThreadParticipant", "ThreadMember", "Membership",
    ),
    "Message": ("Message", "ChatMessage", "ConversationMessage", "RoomMessage", "Post", "Msg"),
}  # fmt: skip
_COLUMNS = {
    "content": ("body", "text", "message", "msg", "messageText", "payload", "data"),
    "conversationId": ("chatId", "roomId", "chatRoomId", "channelId", "threadId", "dialogId", "conversation"),
    "senderId": ("userId", "authorId", "fromId", "fromUserId", "fromUser", "ownerId", "createdById", "sender"),
    "userId": ("memberId", "participantId", "user", "accountId", "profileId"),
    "createdAt": ("sentAt", "timestamp", "date", "createdOn", "created", "sentOn", "time"),
    "id": ("messageId", "uid", "uuid", "userId", "participantId", "memberId"),
}  # fmt: skip

_LIKE = 0.75
"""Likeness of two names, from which on one is suggested for the other."""


def table_for(wanted: str, layout: Layout, names: Names) -> str | None:
    """Return the app's table that is likeliest meant; never one that is another of chatd's already."""
    taken = {names.table(table.name) for table in app_tables()}
    free = {folded(name): name for name in layout.columns if name not in taken and not name.startswith(("chatd_", "_"))}
    for usual in _TABLES[wanted]:
        for word in (folded(usual), f"{folded(usual)}s"):
            if word in free:
                return free[word]
    close = difflib.get_close_matches(folded(names.table(wanted)), free, n=1, cutoff=_LIKE)
    return free[close[0]] if close else None


def column_for(table: str, column: str, there: Iterable[str], names: Names) -> str | None:
    """Return the app's column that is likeliest meant; never one that means something else already."""
    taken = {names.column(table, name) for name in names.of(table)}
    free = {folded(name): name for name in there if name not in taken}
    for usual in _COLUMNS.get(column, ()):
        if folded(usual) in free:
            return free[folded(usual)]
    close = difflib.get_close_matches(folded(column), free, n=1, cutoff=_LIKE)
    return free[close[0]] if close else None


def other_shape(wanted: str, layout: Layout, names: Names) -> str | None:
    """Return what an app has in the place of a table that it lacks, in one line, where that is a shape of its own."""
    conversations = names.table("Conversation")
    if wanted == "ConversationParticipant":
        links = implicit_tables(layout)
        if links and conversations in layout.columns:
            return (
                f"no such table, and by {', '.join(links)} there is no telling who takes part in what: an implicit "
                f"many-to-many of {conversations} and {names.table('User')} is served where it is the only one"
            )
        pair = [name for name in layout.columns.get(conversations, {}) if folded(name) in _PAIR]
        if len(pair) >= 2:
            return (
                f"no such table: {conversations} names its two people by columns ({', '.join(pair)}), which chatd "
                "can't serve; give each a row in a table of participants"
            )
    if wanted == "Conversation":
        has = {folded(name) for name in layout.columns.get(names.table("Message"), {})}
        if has & _RECEIVERS and not has & _CONVERSATIONS:
            return (
                "no such table: messages go from one person to another without a conversation, which chatd can't "
                "serve; give each pair a conversation"
            )
    return None


_PAIR = {
    f"{word}{number}{end}"
    for word in ("user", "participant", "member", "person")
    for number in ("1", "2", "one", "two", "a", "b")
    for end in ("", "id")
} | {"buyerid", "sellerid", "senderid", "receiverid", "patientid", "dentistid", "doctorid", "creatorid", "recipientid"}
_RECEIVERS = {"receiverid", "recipientid", "toid", "touserid", "receiver", "recipient"}
_CONVERSATIONS = {"conversationid", *(folded(name) for name in _COLUMNS["conversationId"])}
