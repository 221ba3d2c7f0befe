"""The store's contract, in words and as a type. One suite of tests holds every store to it.

**Batches.** `commit` applies changes in order, in one transaction, durable when it returns. It answers each change
with one outcome, in order. A change that breaks a rule is answered `Refused`, has no effect, and leaves the others
alone. If `commit` raises, none of the batch is acknowledged; whether it is in the file is unknown until the store is
asked again (a repeated `client_id` settles it).

**Numbers.** Each message of a conversation takes its next `seq`: 1, 2, 3 ... without gaps. Each change that moves
something shared takes the conversation's next `rev`, one per change, whatever it touches; every row touched bears it.
A change that moves nothing, or only somebody's own settings, takes none. An outcome's `from_rev` is the rev before;
where that is not the one the caller last saw, somebody else wrote to the conversation.

**Idempotency.** (sender, `client_id`) names one message for ever. A repeat in the same conversation is `Unchanged`
with that message and `duplicate`; in another it is `Refused("conflict")`. A pair of users has one direct conversation.
Watermarks only move forward; a lower one is `Unchanged`.

**Rights.** Only present participants change a conversation; for anybody else it is `not_found`, as if it did not exist.

**Reads.** Each read sees one moment: everything committed before it began. Reads go on while a commit runs, and while
commits fail. They may be called from several threads at once; `commit`, `repair` and `close` from one at a time.

**Errors.** `Unavailable`: try again later; the store repairs itself at the next commit. `StoreError`: it cannot be used
as it is (a newer schema, no permission): for people, in one line.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from .changes import Change, Outcome
from .records import (
    MessagePage,
    ReceiptTime,
    Room,
    Since,
    Standing,
    Summary,
    SummaryPage,
    User,
)

MAX_CHANGED = 1000
"""More messages than this changed since a rev: the client starts over."""


class StoreError(Exception):
    """The store can't be used as it is; the message is for people, in one line."""


class Unavailable(Exception):
    """The store can't answer now: a full disk, a failing one. Nothing of the batch is acknowledged."""


class Store(Protocol):
    """What every store does. Synchronous; see this module's text for the promises."""

    @property
    def epoch(self) -> str:
        """An opaque id of this store's lineage."""
        ...

    @property
    def development(self) -> bool:
        """Whether the store was made in development mode."""
        ...

    @property
    def generation(self) -> int:
        """Goes up whenever the store was reopened after a failure: what was unacknowledged may have happened."""
        ...

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply the batch in one durable transaction. Raises Unavailable."""
        ...

    def repair(self) -> None:
        """Make the store ready for commits again after a failure. Raises Unavailable where that fails."""
        ...

    def close(self) -> None:
        """Give everything back. No call may follow."""
        ...

    def user(self, user: str) -> User | None:
        """One user."""
        ...

    def users(self, ids: Collection[str]) -> dict[str, User]:
        """Those of the users that exist."""
        ...

    def list_users(
        self,
        *,
        roles: Collection[str],
        but: str,
        query: str | None,
        after: tuple[Any, ...] | None,
        limit: int,
    ) -> tuple[list[User], tuple[Any, ...] | None]:
        """A page of users by name, then id: those of `roles`, without `but` and the disabled; and the next `after`.

        `query`: a part of the name; case does not matter.
        """
        ...

    def room(self, conversation: str) -> Room | None:
        """A conversation with all its participants."""
        ...

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        """A page of the conversations that the user takes part in: pinned first, then by newest message or creation."""
        ...

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        """One of them with its users, or None where the user does not take part."""
        ...

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        """The `after` that continues a list behind this summary."""
        ...

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        """Up to `limit` messages before or after a seq (exclusive), the newest without both; None: not the user's."""
        ...

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        """For each conversation where a client at that rev stands.

        Reset: unknown, not the user's, ahead of the store, or more than MAX_CHANGED messages changed since.
        """
        ...

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> Since | None:
        """What changed after `rev`, about `limit` objects, cut between revs; None: not (any more) the user's.

        For a user who left, or who came in after `rev`, the answer is by the present state: what they may see now.
        """
        ...

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        """Each conversation that the user takes part in: its id, rev, and present participants."""
        ...

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        """When each user's watermarks reached a message, by user id; every advance is kept."""
        ...
