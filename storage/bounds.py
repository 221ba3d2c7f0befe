"""Bounds of a store's answers: where a page and a catch-up end."""

from collections.abc import Iterable

from storage.records import Message, Participant, Room

MAX_CHANGED_OBJECTS = 1000
"""More messages than this changed since a rev: the client starts over."""

MAX_LISTED_PARTICIPANTS = 5000
"""A page of conversations ends where it has this many participants: more than a reply of 1 MiB could show."""


def page_length(sizes: Iterable[int]) -> int:
    """Return the number of conversations in a page, given their numbers of participants; at least one."""
    total = length = 0
    for size in sizes:
        total += size
        if total > MAX_LISTED_PARTICIPANTS and length:
            break
        length += 1
    return length


def cut(
    room: Room, rev: int, messages: Iterable[Message], limit: int
) -> tuple[int, tuple[Participant, ...], tuple[Message, ...]]:
    """Cut changes between revs: return the rev reached, and the participants and messages changed until then.

    `messages`: all that changed after `rev`, or more than `limit` of them, those of the lowest revs; given by seq.
    """
    participants = [p for p in room.participants if p.rev > rev]
    found = sorted(messages, key=lambda m: m.seq)
    through = room.conversation.rev
    revs = sorted([m.rev for m in found] + [p.rev for p in participants])
    if len(revs) > limit and revs[limit - 1] < through:
        through = revs[limit - 1]
    return through, tuple(p for p in participants if p.rev <= through), tuple(m for m in found if m.rev <= through)
