"""Requests of a `Client` that are only asked and answered, a method each."""

import secrets
from collections.abc import Iterable
from typing import TypeVar

from protocol.frames import ChangeOk, GetOk, HistoryOk, ListOk, Ok, PresenceOk, SearchOk, UserListOk
from protocol.objects import Hit, Message, PresenceState, Role, Summary, User
from protocol.requests import (
    ConversationAdd,
    ConversationCreate,
    ConversationGet,
    ConversationLeave,
    ConversationList,
    ConversationOpen,
    ConversationRemove,
    ConversationUpdate,
    MessageDelete,
    MessageEdit,
    MessageHistory,
    MessageReact,
    MessageSearch,
    PresenceGet,
    Receipt,
    Request,
    UserList,
)

from .replica import Conversation

PAGE_ITEMS = 200
"""Items asked for at once in lists."""

K = TypeVar("K", bound=Ok)


class ClientRequests:
    """The part of a `Client` that only asks."""

    async def ask(self, request: Request) -> Ok:
        """Send any request and wait for its `ok`."""
        raise NotImplementedError

    def conversation(self, id: str) -> Conversation | None:
        """Return the copy of a conversation, if there is one."""
        raise NotImplementedError

    # -- conversations --

    async def open(self, user: str) -> Conversation:
        """The one direct conversation with a user, new if need be. Raises RequestFailed (`not_found`), Closed."""
        ok = await self._ask(ConversationOpen(other=user), ChangeOk)
        return await self._held(ok.conversation)

    async def get(self, conversation: str) -> Conversation:
        """Load a conversation. Raises RequestFailed (`not_found`), Closed."""
        await self._ask(ConversationGet(conversation=conversation), GetOk)
        return await self._held(conversation)

    async def conversations(self, *, archived: bool = False) -> list[Conversation]:
        """All conversations, as the server orders them. Raises RequestFailed, Closed."""
        found: dict[str, None] = {}
        cursor: str | None = None
        while True:
            page = await self._ask(ConversationList(archived=archived, limit=PAGE_ITEMS, cursor=cursor), ListOk)
            found |= dict.fromkeys(s.conversation for s in page.conversations if isinstance(s, Summary))
            cursor = page.cursor
            if cursor is None:
                return [held for id in found if (held := self.conversation(id)) is not None]

    async def create(self, title: str, members: Iterable[str], *, client_id: str | None = None) -> Conversation:
        """A group of one's own; with the same `client_id` the same one. Raises RequestFailed (`not_found`), Closed."""
        name = client_id or secrets.token_hex(16)
        ok = await self._ask(ConversationCreate(title=title, members=[*members], client_id=name), ChangeOk)
        return await self._held(ok.conversation)

    async def rename(self, conversation: str, title: str) -> None:
        """Give a group another title. Raises RequestFailed (`forbidden`), Closed."""
        await self._ask(ConversationUpdate(conversation=conversation, title=title), ChangeOk)

    async def add(self, conversation: str, user: str) -> None:
        """Bring somebody into a group. Raises RequestFailed (`forbidden`, `not_found`), Closed."""
        await self._ask(ConversationAdd(conversation=conversation, user=user), ChangeOk)

    async def remove(self, conversation: str, user: str) -> None:
        """Take somebody out of a group. Raises RequestFailed (`forbidden`, `not_found`), Closed."""
        await self._ask(ConversationRemove(conversation=conversation, user=user), ChangeOk)

    async def leave(self, conversation: str) -> None:
        """Leave a conversation. Raises RequestFailed, Closed."""
        await self._ask(ConversationLeave(conversation=conversation), ChangeOk)

    # -- messages --

    async def history(
        self, conversation: str, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> tuple[list[Message], bool]:
        """A page of messages, ascending, and whether there are more further on. Raises RequestFailed, Closed."""
        request = MessageHistory(conversation=conversation, before=before, after=after, limit=limit)
        page = await self._ask(request, HistoryOk)
        return [message for message in page.messages if isinstance(message, Message)], page.more

    async def search(
        self, query: str, *, conversation: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Hit], str | None]:
        """A page of messages with all the words, the newest first, and the cursor that continues (None: the end).

        A page may be short, even empty, and have a cursor all the same. In a snippet each hit stands between U+0002
        and U+0003. Raises RequestFailed (`not_found`), Closed.
        """
        request = MessageSearch(query=query, conversation=conversation, cursor=cursor, limit=limit)
        page = await self._ask(request, SearchOk)
        return [hit for hit in page.hits if isinstance(hit, Hit)], page.cursor

    async def edit(self, conversation: str, seq: int, body: str) -> Message:
        """Give an own message another text. Raises RequestFailed (`forbidden`, `conflict`), Closed."""
        return await self._changed(MessageEdit(conversation=conversation, seq=seq, body=body))

    async def delete(self, conversation: str, seq: int) -> Message:
        """Leave a tombstone in a message's place. Raises RequestFailed (`forbidden`), Closed."""
        return await self._changed(MessageDelete(conversation=conversation, seq=seq))

    async def react(self, conversation: str, seq: int, emoji: str, *, on: bool = True) -> Message:
        """Put an emoji on a message, or take it off. Raises RequestFailed (`bad_request`, `conflict`), Closed."""
        return await self._changed(MessageReact(conversation=conversation, seq=seq, emoji=emoji, on=on))

    async def receipt(self, conversation: str, *, delivered: int | None = None, read: int | None = None) -> None:
        """Say up to which seq messages have come, or were read. Raises RequestFailed, Closed."""
        await self._ask(Receipt(conversation=conversation, delivered=delivered, read=read), ChangeOk)

    # -- people --

    async def users(self, query: str | None = None, *, role: Role | None = None) -> list[User]:
        """All users who can be reached, by name. Raises RequestFailed, Closed."""
        found: list[User] = []
        cursor: str | None = None
        while True:
            page = await self._ask(UserList(query=query, role=role, limit=PAGE_ITEMS, cursor=cursor), UserListOk)
            found += page.users
            cursor = page.cursor
            if cursor is None:
                return found

    async def presence(self, users: Iterable[str]) -> dict[str, PresenceState]:
        """Return the presence of those who share a conversation. Raises RequestFailed, Closed."""
        ok = await self._ask(PresenceGet(users=[*users]), PresenceOk)
        return {state.user: state for state in ok.presence}

    # -- the inside --

    async def _ask(self, request: Request, kind: type[K]) -> K:
        ok = await self.ask(request)
        assert isinstance(ok, kind)  # the decoder's word
        return ok

    async def _changed(self, request: Request) -> Message:
        ok = await self._ask(request, ChangeOk)
        assert ok.messages  # the contract's word
        return ok.messages[0]

    async def _held(self, conversation: str) -> Conversation:
        held = self.conversation(conversation)
        while held is None:  # dropped or reset within the same breath
            await self._ask(ConversationGet(conversation=conversation), GetOk)
            held = self.conversation(conversation)
        return held
