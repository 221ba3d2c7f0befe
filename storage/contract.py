"""Contract of a store, in words and as types. One suite of tests holds every store to it.

**Batches.** `commit` applies changes in order, in one transaction, durable when it returns. It answers each change
with one outcome, in order. A change that breaks a rule is answered `Refused`, has no effect, and leaves the others
alone. If `commit` raises, none of the batch is acknowledged; whether it is in the file is unknown until the store is
asked again (a repeated `client_id` settles it).

**Numbers.** Each message of a conversation takes its next `seq`: 1, 2, 3 ... without gaps. Each change that moves
something shared takes the conversation's next `rev`, one per change, whatever it touches; every row touched bears it.
A change that moves nothing (`Unchanged`), or only somebody's own settings, takes none. An outcome's `from_rev` is the
rev before; where that is not the one the caller last saw, somebody else wrote to the conversation.

**Idempotency.** (sender, `client_id`) names one message for ever. A repeat in the same conversation is `Unchanged`
with that message, as it is now, and `duplicate`; in another it is `Refused("conflict")`. (creator, `client_id`) names
one group likewise, in a namespace of its own. A pair of users has one direct conversation. Watermarks only move
forward; a lower one is `Unchanged`.

**Groups.** Titles, additions and removals are for groups (`bad_request` elsewhere), by those whose role is in the
change's `by` (else `forbidden`). Each leaves a system message; making a group leaves none. Newcomers have nothing
unread; who comes back has what they missed, and is a member, whatever they were. The same title, somebody who is there
already, and the removal of one who has gone move nothing; one who never was in is `not_found`, as is an unknown user.
When the last owner goes, the one who came in first of those present (by `from_seq`, then `joined_at`, then id) is owner
with the same change. A message brings nobody back to a group.

**Changed messages.** Their senders edit and delete them, those whom `by` lets delete others' too; the system's are
`forbidden` to all, and a seq that isn't there is `not_found`. The limits of time bind who acts as the sender. A
tombstone keeps its number and its sender; it can't be edited or reacted to (`conflict`), and to delete it again moves
nothing, nor does an edit to the same text or a reaction that is already so. An emoji is the same with and without
variation selectors, and kept fully qualified (`storage.emoji`). A message bears the rev of its last change. Texts that
were replaced or deleted are kept for the record (`versions`) and shown to no participant.

**Sign-in.** A known token is revoked by itself or with all of its user's. The latter sets the user's cut-off, too,
which is for tokens that the store doesn't know; one added later counts. What expired a week ago is forgotten when
another token is added. `BeginLineage` gives the store another `epoch`, from the moment its batch is committed.

**Files.** A message takes files that its sender uploaded (`KeptFile`), each once and before it expires; unknown ones,
others', those of a message already and late ones are alike `not_found`, and the message is not sent. They are shown in
the order given, wherever the message is, and are gone with its deletion.

**Keyed rows** (`storage.keyed`). A row is put, swapped for another one (`conflict` where it changed meanwhile), or
taken away once (`not_found` for whoever comes second); rows are deleted by one of their fields. Such changes apply
before the others of their batch.

**Rights.** Only present participants change a conversation; for anybody else it is `not_found`, as if it did not exist.

**Reads.** Each read sees one moment: everything committed before it began. Reads go on while a commit runs, and while
commits fail. They may be called from several threads at once; `commit`, `index`, `refill`, `repair` and `close` from
one at a time.

**Errors.** `Unavailable`: try again later; the store repairs itself at the next commit. `TableMismatch`: this batch
fails however often it is tried, others may not. `StoreError`: it cannot be used
as it is (a newer schema, no permission): for people, in one line.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from storage.changes import Change, Outcome
from storage.keyed import KeptFile, R, RowKind
from storage.records import (
    ChangesSince,
    Credentials,
    IssuedToken,
    MessagePage,
    MessageVersion,
    Place,
    ReceiptTime,
    Room,
    Scan,
    ScanPosition,
    SearchPage,
    Shrunk,
    Standing,
    Summary,
    SummaryPage,
    User,
)


class StoreError(Exception):
    """The store can't be used as it is; the message is for people, in one line."""


class StoreUnreachable(StoreError):
    """The database server isn't there (yet), or takes no connection now: the same may work in a moment."""


class Unavailable(Exception):
    """The store can't answer now: a full disk, a failing one. Nothing of the batch is acknowledged."""


class Unreachable(Unavailable):
    """No connection to the database server can be made now; nothing is wrong with what it was asked."""


class TableMismatch(Exception):
    """A batch can't be written to the tables as they are: something in them isn't what it was. Names the column."""


class CommitStore(Protocol):
    """Commits of a store, its failures and its end."""

    @property
    def epoch(self) -> str:
        """An opaque id of this store's lineage."""
        ...

    @property
    def development(self) -> bool:
        """True if the store was made in development mode."""
        ...

    @property
    def generation(self) -> int:
        """Goes up whenever the store was reopened after a failure: what was unacknowledged may have happened."""
        ...

    @property
    def damaged(self) -> Sequence[tuple[str, int]]:
        """Conversation and seq of messages that were read and are not as they were written, some at least.

        Such a message is answered with the system's words about it; everything around it works.
        """
        ...

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        """Apply the batch in one durable transaction. Raises Unavailable."""
        ...

    def refill(self, limit: int) -> int:
        """Bring up to `limit` rows that an earlier version kept to this version's form. Return how many are left.

        Reads understand both forms. Writes like `commit`, and raises Unavailable like it; stopped anywhere, it goes on
        where it was.
        """
        ...

    def repair(self) -> None:
        """Make the store ready for commits again after a failure. Raises Unavailable where that fails."""
        ...

    def close(self) -> None:
        """Give everything back. No call may follow."""
        ...


class AccountStore(Protocol):
    """Users, tokens and keyed rows."""

    def user(self, user: str) -> User | None:
        """Return the user, if there is one."""
        ...

    def users(self, ids: Collection[str]) -> dict[str, User]:
        """Return the users that exist, by id."""
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
        """Return a page of users by name, then id: of `roles`, without `but` and the disabled; and the next `after`.

        `query`: a part of the name, compared as search compares texts.
        """
        ...

    def credentials(self, user: str, jti: str) -> Credentials:
        """Return the facts that decide on a sign-in with that token."""
        ...

    def all_users(self, *, after: str | None, limit: int) -> list[User]:
        """Return up to `limit` users, the disabled too, by id, from behind `after`."""
        ...

    def tokens(self, *, user: str | None, after: tuple[int, str] | None, limit: int) -> list[IssuedToken]:
        """Return up to `limit` tokens of one user or all, by (issued_at, jti), from behind `after`."""
        ...

    def row(self, kind: RowKind[R], key: str) -> R | None:
        """Return the keyed row (`storage.keyed`) under this key."""
        ...

    def rows(self, kind: RowKind[R], field: str | None, value: str | None, *, after: str, limit: int) -> list[R]:
        """Return up to `limit` keyed rows whose `field` is `value` (None: all), by key, from behind `after`.

        `field`: one of the kind's `finds`.
        """
        ...


class ChatStore(Protocol):
    """Conversations and messages, as one user or the record sees them."""

    def room(self, conversation: str) -> Room | None:
        """Return a conversation with all its participants."""
        ...

    def summaries(self, user: str, *, archived: bool, after: tuple[Any, ...] | None, limit: int) -> SummaryPage:
        """Return a page of the user's conversations: pinned first, then by newest message or creation, as committed.

        It has fewer than `limit` where they have more than MAX_LISTED_PARTICIPANTS participants together.
        """
        ...

    def summary(self, conversation: str, user: str) -> tuple[Summary, dict[str, User]] | None:
        """Return one conversation of the user's with its users; None where the user does not take part."""
        ...

    def key_of(self, summary: Summary) -> tuple[Any, ...]:
        """Return the `after` that continues a list behind this summary."""
        ...

    def history(
        self, conversation: str, user: str, *, before: int | None, after: int | None, limit: int
    ) -> MessagePage | None:
        """Return up to `limit` messages before or after a seq (exclusive), else the newest; None: not the user's."""
        ...

    def file(self, id: str, user: str, at: int) -> KeptFile | None:
        """Return a file that the user may have at this time (ms); None where there is none such.

        Participants may have the files of a conversation's messages; before a file is sent, its uploader alone.
        """
        ...

    def standings(self, user: str, revs: Mapping[str, int]) -> dict[str, Standing]:
        """Return, for each conversation, where a client at that rev stands.

        Reset: unknown, not the user's, ahead of the store, or more than MAX_CHANGED_OBJECTS messages changed since.
        """
        ...

    def since(self, conversation: str, user: str, rev: int, *, limit: int) -> ChangesSince | None:
        """Return the changes after `rev`, about `limit` objects, cut between revs; None: not (any more) the user's.

        For a user who left, or who came in after `rev`, the answer is by the present state: what they may see now.
        """
        ...

    def memberships(self, user: str) -> list[tuple[str, int, frozenset[str]]]:
        """Return each conversation of the user's: its id, rev, and present participants."""
        ...

    def receipt_times(self, conversation: str, seq: int) -> list[ReceiptTime]:
        """Return when each user's watermarks reached a message, by user id; every advance is kept."""
        ...

    def versions(self, conversation: str, seq: int) -> list[MessageVersion]:
        """Return the texts that a message had before, oldest first: for the record, never for participants."""
        ...


class SearchStore(Protocol):
    """Search in messages, and its index."""

    def search(
        self, user: str, words: Sequence[str], *, conversation: str | None, before: Place | None, limit: int
    ) -> SearchPage | None:
        """Return up to `limit` messages in which all words occur, in one conversation or all the user's, newest first.

        `words`: of `search.words_of`. Finds what the user may see now: in conversations that they take part in, not
        deleted, by the present text. The order is that in which messages were kept, whatever their times say; in a
        conversation that of their seqs. `before`: only what has a lower place. One call looks at a bounded number
        of messages: it may find fewer, even none, and still have a `next`. None: the conversation is not the user's.
        """
        ...

    def index(self, limit: int) -> int:
        """Index up to `limit` messages, the oldest that wait for it. Return how many are left.

        Writes like `commit`, and raises Unavailable like it. Searches find the others, too, only more slowly.
        """
        ...


class Store(CommitStore, AccountStore, ChatStore, SearchStore, Protocol):
    """Everything that a store does. Synchronous."""


@runtime_checkable
class LoggedStore(Store, Protocol):
    """Store with a log that is copied into a file from time to time, unless another program reads there."""

    def checkpoint(self) -> int:
        """Copy what can be copied of a log that has grown beyond its limit. Return its bytes where that isn't all.

        0: all was copied, or it is within its limit. Writes like `commit`, and raises Unavailable like it.
        """
        ...


@runtime_checkable
class SharedStore(Store, Protocol):
    """Store with external writers: other daemons, and an app that knows nothing of revs.

    An app's write is invisible to every other verb until it is ingested.
    """

    def scan(self, since: ScanPosition | None) -> Scan:
        """Return what was written since the position of the last scan, by this daemon or others; of much, a part.

        A write may be told more than once. Without a position: where to begin, and what is still to be ingested.
        """
        ...

    def has_pending(self, conversation: str, user: str | None = None) -> bool:
        """Return True if something of the conversation is to be ingested: its row, people, messages, deletions.

        `user`: who asks. For one without a place in it the answer is False, after as much work as where there is none.
        """
        ...

    def shrunk(self, watched: Mapping[str, Collection[str]]) -> Shrunk:
        """Return the conversations from which somebody else deleted messages or participants, row and all.

        They are to be ingested for it. `watched`: those that are looked at, with the users who are known to take part.
        Conversations beyond one answer's bound come with later ones.
        """
        ...

    def ingest(self, conversation: str | None, at: int, *, people_gone_at: int | None = None) -> bool:
        """Ingest an app's writes, in one conversation or all, some hundred rows at most. Return True if more is left.

        Writes like `commit`, and raises Unavailable like it. `at`: now, ms. `people_gone_at`: rows of participants who
        were there at this rev are gone, which takes the next one; where the conversation has moved on, it has it.
        """
        ...

    def missing_users(self, ids: Collection[str]) -> list[str]:
        """Return those of these users that don't exist (any more)."""
        ...

    def rooms(self, ids: Collection[str]) -> dict[str, Room]:
        """Return the conversations that exist, with all their participants, by id."""
        ...
