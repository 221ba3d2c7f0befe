"""Usual names of an app's columns, for those of chatd that the app calls otherwise than `tables.py`.

Only what may be missing is looked for here: where the guess finds nothing, chatd adds a column of its own, or does
without. What an app must have is named by its operator (`adoption/hints.py` makes suggestions).
"""

from collections.abc import Mapping

import attrs

from .expressions import expressions, fits
from .ids import numbers
from .layout import ExistingColumn, Layout
from .links import OWN_SEATS, link_of
from .names import Names
from .seats import PAIR_ID
from .tables import BY_NAME, PARTICIPANT, Column

USUAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "User": {
        "name": ("name", "fullName", "displayName", "userName", "nickname"),
        "firstName": ("firstName", "givenName"),
        "lastName": ("lastName", "familyName", "surname"),
        "avatarUrl": (
            "avatarUrl",
            "image",
            "avatar",
            "picture",
            "photo",
            "imageUrl",
            "photoUrl",
            "profileImage",
            "profilePicture",
            "profileImageUrl",
        ),
        "isActive": ("isActive", "active", "isEnabled", "enabled"),
        "isBlocked": (
            "isBlocked",
            "blocked",
            "isBanned",
            "banned",
            "isSuspended",
            "suspended",
            "isDisabled",
            "disabled",
        ),
        "isDeleted": ("isDeleted", "deleted"),
        "deletedAt": ("deletedAt",),
        "bannedAt": ("bannedAt", "blockedAt", "suspendedAt", "deactivatedAt"),
    },
    "Conversation": {"title": ("title", "name", "subject", "topic")},
    "ConversationParticipant": {
        "isActive": ("isActive", "active"),
        "deletedAt": ("deletedAt", "removedAt"),
        "readAt": ("lastReadAt", "lastSeenAt", "lastRead", "lastViewedAt"),
    },
    "Message": {
        "receiverId": ("receiverId", "recipientId", "toUserId", "toId", "receiver", "recipient"),
        "isDeleted": ("isDeleted", "deleted", "isRemoved"),
        "isRead": ("isRead", "read", "isSeen", "seen"),
        "readAt": ("readAt", "seenAt"),
        "attachments": ("attachments", "files", "media"),
    },
}
"""Logical table -> logical column -> names for it, the likeliest first. Capitals and underscores don't matter."""


def _is_paired(layout: Layout, names: Names) -> bool:
    """Return True if participants have no id, and the pair of conversation and user is a key."""
    actual = names.table("ConversationParticipant")
    pair = {names.column("ConversationParticipant", column) for column in ("conversationId", "userId")}
    there = layout.columns.get(actual, {})
    return (
        names.column("ConversationParticipant", "id") not in there
        and pair <= there.keys()
        and any(len(index) == len(pair) and set(index) == pair for index in layout.indexes.get(actual, ()))
    )


def _may_hold(column: Column, has: ExistingColumn) -> bool:
    """Return True if what chatd writes to a column of its own can be NULL there, too."""
    return has.null or not column.null or column.spare


def folded(name: str) -> str:
    """Return the name as it is compared with others."""
    return name.replace("_", "").casefold()


def discovered(layout: Layout, names: Names) -> Names:
    """Return the names with those that the tables tell: of columns that settings don't name, and that aren't there.

    A column that means something already is never taken for another. With the names come the expressions by which the
    app's own marks are read.
    """
    found: dict[str, str] = {}
    if names.table(PARTICIPANT.name) != OWN_SEATS and link_of(layout, names) is not None:
        names = names.with_given({PARTICIPANT.name: OWN_SEATS, f"{PARTICIPANT.name}.id": PAIR_ID})
    for table, columns in USUAL.items():
        there = layout.columns.get(names.table(table), {})
        taken = {names.column(table, column) for column in names.of(table)}
        free = {folded(name): name for name in there if name not in taken}
        for column, spellings in columns.items():
            if f"{table}.{column}" in names.given or names.column(table, column) in there:
                continue
            wanted = BY_NAME[table].column(column)
            theirs = (free[s] for s in map(folded, spellings) if s in free)
            name = next((name for name in theirs if fits(wanted, there[name]) and _may_hold(wanted, there[name])), None)
            if name is not None:
                found[f"{table}.{column}"] = name
                del free[folded(name)]
    if "ConversationParticipant.id" not in names.given and _is_paired(layout, names):
        found["ConversationParticipant.id"] = PAIR_ID
    names = names.with_given(found)
    return attrs.evolve(names, reads=expressions(layout, names), numbers=numbers(layout, names))
