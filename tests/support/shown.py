"""What a store shows, in short."""

from typing import Any

from storage.contract import Store
from storage.records import Membership, Message, Participant

from .stores import by_user


def settings(
    user: str, unread: int = 0, *, muted: bool = False, pinned: bool = False, archived: bool = False
) -> Membership:
    return Membership(user=user, muted=muted, pinned=pinned, archived=archived, unread=unread)


def unread(store: Store, conversation: str, user: str) -> int:
    found = store.summary(conversation, user)
    assert found is not None
    return found[0].membership.unread


def listed(store: Store, user: str, *, archived: bool = False, limit: int = 50) -> list[str]:
    """The whole list, page by page."""
    found: list[str] = []
    after: tuple[Any, ...] | None = None
    while True:
        page = store.summaries(user, archived=archived, after=after, limit=limit)
        assert len(page.summaries) <= limit
        found += [summary.room.conversation.id for summary in page.summaries]
        assert len(set(found)) == len(found)
        if page.next is None:
            return found
        assert len(page.summaries) == limit
        assert page.next == store.key_of(page.summaries[-1])
        after = page.next


def history(store: Store, conversation: str, user: str = "ada") -> list[Message]:
    page = store.history(conversation, user, before=None, after=None, limit=200)
    assert page is not None
    return list(page.messages)


def seats(store: Store, conversation: str) -> dict[str, Participant]:
    room = store.room(conversation)
    assert room is not None
    return by_user(room.participants)


def rev(store: Store, conversation: str) -> int:
    room = store.room(conversation)
    assert room is not None
    return room.conversation.rev
