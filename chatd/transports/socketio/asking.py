"""Requests of clients, in the native protocol's words: fields by the names they have in the wild, and the answers."""

from functools import partial
from typing import Any, Final

from chatd.commands.paging import DEFAULT_PAGE_ITEMS
from protocol.frames import ChangeOk
from storage import records

from . import objects
from .member import ChatMember, bad, not_found

BODY_FIELDS: Final = ("content", "text", "message", "body", "newMessage")
CLIENT_ID_FIELDS: Final = ("clientId", "client_id", "tempId")
CONVERSATION_FIELDS: Final = ("conversationId", "conversation_id", "cid", "chatId", "roomId", "room")
OTHER_FIELDS: Final = ("targetUserId", "receiverId", "userId", "to")
USERS_FIELDS: Final = ("participantIds", "userIds", "participants")
SEARCHED_PAGES: Final = 10
"""Pages of history that are looked through for a message's id."""

MAX_JOINED: Final = 200
"""Conversations that one event may name."""


def fields_of(data: Any) -> dict[str, Any]:
    """Return the fields of an event's data; a bare text is a conversation's id."""
    if isinstance(data, dict):
        return data
    return {"conversationId": data} if isinstance(data, str) else {}


def first(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Return the first field that is there under one of these names."""
    for name in names:  # a generator costs more than the looks
        found = fields.get(name)
        if found is not None:
            return found
    return None


def conversation_of(data: Any) -> str:
    """Return the conversation that an event is about. Raises EventRefused."""
    return _conversation(fields_of(data))


def _conversation(fields: dict[str, Any]) -> str:
    found = first(fields, CONVERSATION_FIELDS)
    if not isinstance(found, str):
        raise bad("`conversationId`: expected the id of a conversation")
    return found


def conversations_of(data: Any) -> list[str]:
    """Return the conversations that an event names: one, or an array of them. Raises EventRefused."""
    if isinstance(data, dict):
        data = data.get("conversationIds", data)
    found = [conversation_of(item) for item in data] if isinstance(data, list) else [conversation_of(data)]
    if len(found) > MAX_JOINED:
        raise bad(f"at most {MAX_JOINED} conversations at once")
    return found


# -- sending --


def is_stored(data: Any) -> bool:
    """Return True if the data is a message that the app has stored already."""
    return fields_of(data).get("id") is not None


def sending_now(member: ChatMember, data: Any, ack: int | None) -> dict[str, Any] | None:
    """Return the fields of `message.send`; None: something has to be looked up. Raises EventRefused."""
    fields = fields_of(data)
    reply_to = fields.get("replyToId")
    if fields.get("id") is not None or isinstance(reply_to, str):
        return None
    return _sending(member, fields, ack, reply_to)


async def sending(member: ChatMember, data: Any, ack: int | None) -> dict[str, Any]:
    """Return the fields of `message.send`. Raises EventRefused."""
    fields = fields_of(data)
    reply_to = fields.get("replyToId")
    if reply_to is not None:
        reply_to = await seq_of(member, conversation_of(data), reply_to)
    return _sending(member, fields, ack, reply_to)


def _sending(member: ChatMember, fields: dict[str, Any], ack: int | None, reply_to: Any) -> dict[str, Any]:
    attachments = fields.get("attachments") or None
    if attachments is not None:
        if not isinstance(attachments, list):
            raise bad("`attachments`: expected an array of ids")
        attachments = [item.get("id") if isinstance(item, dict) else item for item in attachments]
    asked = {
        "conversation": _conversation(fields),
        "client_id": first(fields, CLIENT_ID_FIELDS) or member.client_id(ack),
    }
    body = first(fields, BODY_FIELDS)
    if body is not None:
        asked["body"] = body
    elif attachments:
        asked["body"] = ""
    if reply_to is not None:
        asked["reply_to"] = reply_to
    if attachments is not None:
        asked["attachments"] = attachments
    return asked


async def stored_message(member: ChatMember, fields: dict[str, Any]) -> dict[str, Any]:
    """Take in a message that the app has stored: everybody is told of it as of any other. Raises EventRefused."""
    conversation, id = conversation_of(fields), fields["id"]
    await member.parts.rooms.look_up(conversation, member.user_id)
    page = await history(member, conversation, None, member.parts.limits.max_page)
    for message in page.messages:
        if message.id == id and message.sender == member.user_id:
            return {"message": objects.message(message, page.participants, member.dialect.ids), "duplicate": True}
    raise not_found("message")


# -- reading --


async def history(member: ChatMember, conversation: str, before: int | None, limit: int) -> records.MessagePage:
    """Return a page of messages. Raises EventRefused."""
    store, user = member.parts.store, member.user_id
    member.request("message.history", {"conversation": conversation})  # is it an id at all?
    await member.session.quiet()
    page = await member.parts.gate.read(
        lambda: store.history(conversation, user, before=before, after=None, limit=limit)
    )
    if page is None:
        raise not_found("conversation")
    return page


async def seq_of(member: ChatMember, conversation: str, named: Any) -> int:
    """Return the seq of a message that is named by its seq or its id. Raises EventRefused."""
    if isinstance(named, int) and not isinstance(named, bool):
        return named
    if not isinstance(named, str):
        raise bad("a message is named by its id or its seq")
    before: int | None = None
    for _ in range(SEARCHED_PAGES):
        page = await history(member, conversation, before, member.parts.limits.max_page)
        for message in page.messages:
            if message.id == named:
                member.dialect.ids.note(message)
                return message.seq
        if not page.more:
            break
        before = page.messages[0].seq
    raise not_found("message")


async def get_messages(member: ChatMember, data: Any) -> dict[str, Any]:
    """Return a page of messages, the oldest first. Raises EventRefused."""
    fields = fields_of(data)
    conversation = conversation_of(data)
    limit = fields.get("limit") or DEFAULT_PAGE_ITEMS
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise bad("`limit`: expected a positive integer")
    before = fields.get("before")
    seq = None if before is None else await seq_of(member, conversation, before)
    page = await history(member, conversation, seq, min(limit, member.parts.limits.max_page))
    for message in page.messages:
        member.dialect.ids.note(message)
    await _know_replied(member, page)
    ids = member.dialect.ids
    shown = [objects.message(m, page.participants, ids) for m in page.messages if m.sender or member.dialect.system]
    return {"messages": shown, "hasMore": page.more}


async def _know_replied(member: ChatMember, page: records.MessagePage) -> None:
    """Look up the messages that others of the page reply to, which may be far back."""
    ids, store, user = member.dialect.ids, member.parts.store, member.user_id
    for message in page.messages:
        seq = message.reply_to
        if seq is None or ids.of(message.conversation, seq) is not None:
            continue
        look = partial(store.history, message.conversation, user, before=seq + 1, after=None, limit=1)
        found = await member.parts.gate.read(look)
        for replied in found.messages if found else ():
            ids.note(replied)


async def get_conversations(member: ChatMember, data: Any) -> dict[str, Any]:  # noqa: ARG001
    """Return the user's conversations that are not archived, the newest first, up to what one answer may hold."""
    store, user, limit = member.parts.store, member.user_id, member.parts.limits.max_page
    await member.session.quiet()
    page = await member.parts.gate.read(lambda: store.summaries(user, archived=False, after=None, limit=limit))
    return {"conversations": [_shown(member, summary, page.users) for summary in page.summaries]}


async def conversation(member: ChatMember, id: str) -> dict[str, Any]:
    """Return one conversation. Raises EventRefused."""
    store, user = member.parts.store, member.user_id
    found = await member.parts.gate.read(lambda: store.summary(id, user))
    if found is None:
        raise not_found("conversation")
    return _shown(member, *found)


def _shown(member: ChatMember, summary: records.Summary, users: dict[str, records.User]) -> dict[str, Any]:
    return objects.summary(summary, users, member.dialect.ids, member.parts.presence.online)


def online_users(member: ChatMember) -> list[str]:
    """Return who is online, of those who share a conversation."""
    presence = member.parts.presence
    return sorted(user for user in presence.peers(member.user_id) if presence.online(user))


# -- changing --


async def create_conversation(member: ChatMember, data: Any) -> dict[str, Any]:
    """Find or make the conversation of two, or make a group. Raises EventRefused."""
    fields = {"targetUserId": data} if isinstance(data, str) else fields_of(data)
    listed = first(fields, USERS_FIELDS)
    if listed is not None and not isinstance(listed, list):
        raise bad("`participantIds`: expected an array of ids")
    named = first(fields, OTHER_FIELDS)
    everyone = [item.get("userId", item.get("id")) if isinstance(item, dict) else item for item in listed or ()]
    others = [id for id in dict.fromkeys([*([named] if named is not None else []), *everyone]) if id != member.user_id]
    title = first(fields, ("name", "title"))
    if not others:
        raise bad("`targetUserId`: expected the id of another user")
    if len(others) == 1 and not (fields.get("isGroup") or (listed is not None and title)):
        ok = await member.ask("conversation.open", with_=others[0])
    else:
        client_id = first(fields, ("clientId", "client_id"))
        ok = await member.ask("conversation.create", title=title or "Group", members=others, client_id=client_id)
    assert isinstance(ok, ChangeOk)
    return {"conversationId": ok.conversation, "conversation": await conversation(member, ok.conversation)}


async def advance(member: ChatMember, data: Any, mark: str) -> dict[str, Any]:
    """Move a watermark to a message, or to the newest. Raises EventRefused."""
    id = conversation_of(data)
    named = first(fields_of(data), ("messageId", "message_id", "seq"))
    if named is None:
        page = await history(member, id, None, 1)
        for message in page.messages:
            member.dialect.ids.note(message)
        seq = page.messages[-1].seq if page.messages else 0
    else:
        seq = await seq_of(member, id, named)
    if seq:
        await member.ask("receipt", conversation=id, **{mark: seq})
    return {}
