"""The store on MySQL or MariaDB: how it opens, commits, fails and comes back.

Nothing of a batch is there until COMMIT, so whatever fails before is simply done again. A connection that is lost in
COMMIT leaves a doubt, which is settled before anything else is written: see docs/decisions/0011.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from storage.apply import apart, apply_all, finish, together
from storage.changes import Change, Outcome, PutUser, Refused, SendMessage, Unchanged
from storage.contract import StoreError, StoreUnreachable, TableMismatch, Unavailable, Unreachable
from storage.keyed import SqlRows

from . import refill, schema
from .adoption.check import misfit
from .app_files import NO_SITES, AppFiles, FilesWriter, Sites
from .attachments import FilesTable
from .column_capacity import ColumnCapacity, is_coarse
from .connection import MIN_PACKET_BYTES, Connection
from .counting import Counts
from .errors import DUPLICATE, LOCK_WAIT, MISMATCH, RETRYABLE, Error, code, is_lost, is_unreachable, named
from .expressions import present
from .external_writes import scan
from .external_writes.ingest import Ingest
from .ids import Form, RowIds, is_number
from .kept_names import settled
from .layout import Layout, read_layout
from .links import CONVERSATIONS_PER_PULL, LinkWatch, link_of
from .listed_files import ListedFiles, ListedFilesWriter
from .loading import LoadedUnit, load
from .names import Names
from .other_tables import OtherTables
from .pool import Pool, told
from .reads import NEWEST, Reads
from .receivers import InGroups, Receivers
from .rows import Roles
from .saving import Saver
from .seats import Seats
from .seen_tables import SeenTable, seen_tables
from .tables import TOUCHED, app_tables
from .url import parse

MAX_ATTEMPTS = 10
"""Attempts for a batch that lost its race with others: beside a busy app one in ten does."""

RETRY_LIMIT_S = 8.0
"""Seconds after which it isn't tried again."""

LOCK_RETRY_LIMIT_S = 1.5
"""Seconds after which a lock that wasn't given isn't waited for again: whoever asked has an answer within 5 s."""

BATCHES_LOOKED_UP = 50
"""Batches in which messages are looked up by their client_id before they are written, after one was there already:
clients that were cut off send again."""

READERS = 2

Done = TypeVar("Done")


class MysqlStore(Reads):
    """A `Store` in the database at `url`.

    `new`: an empty database is filled with tables; an app's own are to be adopted first. `new_epoch` names a new
    store's lineage; `development` marks a new one. `names`, `roles`: what the app calls tables, columns and roles.
    `constants`: what is written to columns that only the app has a word for; `ids`: the form of new ids;
    `receiver_in_groups`: who is to stand in
    that column of the app's in a group.
    Raises StoreError where the database can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        new_epoch: Callable[[], str],
        development: bool = False,
        readers: int = READERS,
        names: Mapping[str, str] | None = None,
        roles: Mapping[str, str] | None = None,
        new: bool = True,
        constants: Mapping[str, str] | None = None,
        receiver_in_groups: InGroups = "",
        sites: Sites = NO_SITES,
        ids: Form = "",
    ) -> None:
        address = parse(url)
        self.address = str(address)
        self.database = address.database
        self.generation = 0
        self.damaged: Sequence[tuple[str, int]] = ()  # an app's edit is no damage, and the server checks its pages
        self.warnings: list[str] = []
        self._names = Names.checked(names or {}, constants)
        self._receiver_in_groups: InGroups = receiver_in_groups
        self._sites = sites
        self._form: Form = ids
        if address.connections is not None:
            readers = max(1, min(readers, address.connections - 1))
        self._lock = threading.RLock()  # of the writer
        self._writer: Connection | None = None
        self._doubt: str | None = None  # the name of a connection that was lost in COMMIT
        self._suspicious = 0  # batches from now on
        self._to_refill: int | None = None  # messages; None: not counted yet
        self._unsettled = False  # somebody was told that a change may have happened
        super().__init__(Pool(address, self._names, readers=readers), Roles(roles or {}))
        try:
            self._open(new_epoch, development=development, new=new)
        except (StoreError, Unavailable) as error:
            self.close()
            kind = StoreUnreachable if isinstance(error, Unreachable) else StoreError
            raise kind(f"database {address}: {error}") from None
        except (Error, OSError) as error:
            self.close()
            kind = StoreUnreachable if is_unreachable(error) else StoreError
            raise kind(f"database {address}: {told(error)}") from None

    def _open(self, new_epoch: Callable[[], str], *, development: bool, new: bool) -> None:
        with self._lock:
            db = self._pool.connect(writer=True)
            self._writer = db
            layout = read_layout(db)
            if schema.is_empty(layout):
                if not new:
                    raise StoreError("it is empty: look at its name, or fill it with `chatd db upgrade`")
                schema.upgrade(db, self._names, epoch=new_epoch(), development=development)
                layout = read_layout(db)
            schema.check_version(db, layout)
            meta = schema.meta_of(db, layout)
            if "epoch" not in meta and schema.MADE_BY_CHATD not in meta:
                raise StoreError(schema.NOT_ADOPTED)
            self._names = self._pool.names = db.names = settled(db, layout, self._names)
            wrong = misfit(db, self._names, self._form)
            if wrong is not None:
                raise StoreError(wrong)
            for step in schema.missing(layout, self._names):
                raise StoreError(f"there is no {step.what} yet: run `chatd db upgrade`")
            if "epoch" not in meta:
                raise StoreError("it was not made ready to the end: run `chatd db upgrade`")
            self.epoch = meta["epoch"]
            self.development = meta["development"] == "1"
            ((newest,),) = db.run(NEWEST)
            self._newest = -1 if newest is None else int(newest)
            self._check_settings(db)
            self._files = self._usable_files(layout)
            self._listed = ListedFiles.of(layout, self._names, self._sites.app)
            link = link_of(layout, self._names)
            self._watch = None if link is None else LinkWatch(link)
            self._others = OtherTables(self._files, self._usable_seen(layout), link)
            spare = {table.name: present(layout, self._names, table.name) for table in app_tables()}
            self._receivers = Receivers.of(layout, self._names, self._receiver_in_groups)
            self._saver = Saver(
                self._roles,
                spare,
                constants=self._names.constants,
                receivers=self._receivers,
                app_files=self._written_files(layout),
                seats=Seats.of(layout, self._names, self._form),
                seen=self._others.seen,
                link=link,
            )
            users_id = layout.columns[self._names.table("User")][self._names.column("User", "id")]
            self._users_counted = is_number(users_id.type)
            self._users_collation = users_id.collation
            self._ids = RowIds.of(layout, self._names, self._form)
            self._coarse = is_coarse(layout, self._names)
            self._capacity = ColumnCapacity.of(layout, self._names, self._roles)
            users = layout.columns[self._names.table("User")]
            known = {self._names.column("User", name) for name in self._names.of("User")}
            known.update(self._names.constants.get("User", ()))
            self._unfilled = sorted(name for name, has in users.items() if name not in known and not has.filled)
            db.commit()
            self._try_out(db)

    def _check_settings(self, db: Connection) -> None:
        found = db.one("SELECT @@innodb_flush_log_at_trx_commit, @@max_allowed_packet")
        assert found is not None
        if int(found[1]) < MIN_PACKET_BYTES:
            self.warnings.append(
                f"max_allowed_packet is {found[1]}: batches are split for it, and what is longer is refused by the "
                f"server; set it to {MIN_PACKET_BYTES} or more"
            )
        if int(found[0]) != 1:
            self.warnings.append(
                f"innodb_flush_log_at_trx_commit is {found[0]}: acknowledged messages may be lost with the server's "
                "power; set it to 1"
            )

    def _usable_files(self, layout: Layout) -> FilesTable | None:
        files = FilesTable.of(layout, self._names)
        if files is not None and not files.ready:
            self.warnings.append(
                f"messages are shown without what is in the table {files.table}, until `chatd db upgrade` has been run"
            )
            return None
        return None if files is None else attrs.evolve(files, site=self._sites.app)

    def _usable_seen(self, layout: Layout) -> tuple[SeenTable, ...]:
        found = tuple(seen_tables(layout, self._names, self._form))
        self.warnings += [
            f"who has read what by the table {table.name} isn't noticed, until `chatd db upgrade` has been run"
            for table in found
            if not table.ready
        ]
        return tuple(table for table in found if table.ready)

    def _written_files(self, layout: Layout) -> FilesWriter | None:
        """Return what writes to the app's table of files, or lists in its messages, where that is set and can be."""
        if not self._sites.write_files:
            return None
        found: FilesWriter | str = "files are not written to the app's table: there is none of use"
        if not self._sites.own:
            found = "files are not written to the app's table: set server.public_url, which their addresses begin with"
        elif self._files is not None:
            found = AppFiles.of(layout, self._names, self._files, self._sites.own)
        elif self._listed is not None:
            found = ListedFilesWriter(self._listed, self._sites.own)
        if isinstance(found, str):
            self.warnings.append(found)
            return None
        return found

    def repair(self) -> None:
        with self._lock:
            db = self._require_writer()
            try:
                self._try_out(db)
                wrong = misfit(db, self._names, self._form)
                db.roll_back()
            except (Error, OSError) as error:
                self._give_up(db, error)
                raise told(error) from None
            if wrong is not None:
                raise Unavailable(wrong)

    def _try_out(self, db: Connection) -> None:
        """Check that the server accepts writes, by a row that is rolled back, and that no table is locked."""
        for table in app_tables():
            touched = f'"{TOUCHED}"'
            db.run(f'UPDATE "{table.name}" SET {touched} = {touched} WHERE FALSE')
        db.run('INSERT INTO "chatd_meta" ("key", "value") VALUES (?, ?)', ("probe", ""))
        db.roll_back()

    def close(self) -> None:
        with self._lock:
            self._drop()
            self._pool.close()

    # -- writing --

    def commit(self, changes: Sequence[Change]) -> list[Outcome]:
        if self._coarse:
            changes = [_on_a_second(change) for change in changes]
        with self._lock:
            loaded, outcomes = self._in_transaction(lambda db: self._carry_out(db, changes), _first_message)
            self._newest = max(self._newest, loaded.unit.newest)
            if loaded.unit.new_epoch is not None:
                self.epoch = loaded.unit.new_epoch
            return outcomes

    def ingest(self, conversation: str | None, at: int, *, people_gone_at: int | None = None) -> bool:
        at = _second(at) if self._coarse else at

        def work(db: Connection) -> bool:
            others = self._others
            found = (
                scan.pending_rows(db, others)
                if conversation is None
                else scan.pending_rows_of(db, conversation, others)
            )
            found = attrs.evolve(found, people_gone_at=people_gone_at)
            if found.conversations or found.files or found.seen:
                Ingest(db, self._saver, found, at, others).run()
            return found.more

        more = self._pull(conversation, at)
        with self._lock:
            # Done again it finds what is left: nothing has to tell whether it happened.
            return self._in_transaction(work, lambda more: None) or more

    def _pull(self, conversation: str | None, at: int) -> bool:
        """Take over who takes part by the app's many-to-many; return True if more is left.

        In a transaction of its own: each locks its conversations in the order of their ids.
        """
        if self._watch is None:
            return False
        link, rooms = self._watch.link, [conversation] if conversation is not None else []
        if conversation is None:
            with self._pool.reading() as db:
                rooms = self._watch.rooms(db)
        if rooms:
            with self._lock:
                self._in_transaction(lambda db: link.pull(db, rooms, at), lambda done: None)
        return len(rooms) == CONVERSATIONS_PER_PULL

    def refill(self, limit: int) -> int:
        with self._lock:
            if self._to_refill is None:
                self._to_refill = self._in_transaction(refill.left, lambda left: None)
            if limit and self._to_refill:
                more = self._in_transaction(lambda db: refill.refill(db, limit), lambda more: None)
                self._to_refill = max(1, self._to_refill - limit) if more else 0
            return self._to_refill

    def _in_transaction(self, work: Callable[[Connection], Done], sign: Callable[[Done], str | None]) -> Done:
        """Do it until it is done. `sign`: the id of a message that is there if it happened. Raises Unavailable."""
        began = time.monotonic()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            db = self._require_writer()
            try:
                done = work(db)
                db.flush()
            except (Error, OSError) as error:
                self._give_up(db, error)
                if code(error) == DUPLICATE:
                    self._suspicious = BATCHES_LOOKED_UP
                again = code(error) in RETRYABLE or is_lost(error)
                limit_s = LOCK_RETRY_LIMIT_S if code(error) == LOCK_WAIT else RETRY_LIMIT_S
                if not again or attempt == MAX_ATTEMPTS or time.monotonic() - began > limit_s:
                    raise self._failure(error) from None
                time.sleep(random.uniform(0.0, 0.01) * attempt)
                continue
            except BaseException:
                self._drop()
                raise
            try:
                db.commit()
            except (Error, OSError) as error:
                happened = self._settle(db, sign(done))
                if happened is None:
                    raise Unavailable(str(told(error))) from None
                if not happened:
                    continue
            return done
        raise Unavailable("other programs change the same rows of the database again and again")

    def _carry_out(self, db: Connection, changes: Sequence[Change]) -> tuple[LoadedUnit, list[Outcome]]:
        """All but COMMIT."""
        keyed, changes = apart(SqlRows(db.run, lock=" FOR UPDATE", replace="REPLACE INTO"), changes)
        changes = self._ids.given(db, changes)
        resent = self._suspicious > 0
        self._suspicious = max(0, self._suspicious - 1)
        known: dict[str, Any] = {
            "newest": self._newest, "collation": self._users_collation, "files": self._files, "listed": self._listed
        }  # fmt: skip
        loaded = load(db, changes, self._make_user, resent=resent, **known)
        hindered: dict[int, Refused] = {}
        users = set(loaded.taken)  # the batch's, too: what the database takes for their ids is nobody else's
        for place, change in enumerate(changes):
            refusal = self._hindrance(change, loaded, users)
            if refusal is not None:
                hindered[place] = refusal
            elif isinstance(change, PutUser):
                users.add(change.user)
        allowed = [change for place, change in enumerate(changes) if place not in hindered]
        outcomes, moved = apply_all(loaded.unit, allowed)
        if not resent and any(map(_is_refused_send, allowed, outcomes)):
            # A row that is there already is not refused for the other values of the change.
            loaded = load(db, changes, self._make_user, resent=True, **known)
            outcomes, moved = apply_all(loaded.unit, allowed)
        unit = loaded.unit
        self._saver.save(db, loaded, max((at for c in changes if (at := getattr(c, "at", None))), default=0))
        counts = Counts()
        finish(unit, list(outcomes), moved, counts.note)
        outcomes = finish(unit, outcomes, moved, counts.answers(db))
        for place, refusal in hindered.items():
            outcomes.insert(place, refusal)
        outcomes = together(outcomes, keyed)
        if any(isinstance(outcome, Unchanged) and outcome.duplicate for outcome in outcomes):
            self._suspicious = BATCHES_LOOKED_UP
        return loaded, outcomes

    def _hindrance(self, change: Change, loaded: LoadedUnit, users: Collection[str]) -> Refused | None:
        """Return why this database can't hold what the rules would allow; None where it can. `users`: who is there."""
        refusal = self._capacity.refusal(change)
        if refusal is None and self._receivers is not None:
            refusal = self._receivers.refusal(loaded.unit, change)
        if refusal is not None:
            return refusal
        if not isinstance(change, PutUser) or change.user in loaded.unit.users:
            return None
        if not loaded.alike.get(change.user, frozenset()).isdisjoint(users):
            return Refused("conflict", "there is a user whose id differs in capital letters only")
        if self._users_counted:
            return Refused("forbidden", "users of this database are made by its app, which numbers them")
        if self._unfilled:
            names = ", ".join(self._unfilled)
            return Refused("forbidden", f"users of this database are made by its app, which also knows their {names}")
        return None

    # -- failing, and coming back --

    def _require_writer(self) -> Connection:
        """The connection to write with. Raises Unavailable."""
        if self._writer is None:
            db = self._pool.connect(writer=True)
            try:
                if self._doubt is not None and not db.end_other(self._doubt):
                    raise Unavailable("the database server still works on an earlier transaction")
                known = db.one('SELECT "value" FROM "chatd_meta" WHERE "key" = ?', ("epoch",))
                if known != (self.epoch,):
                    raise Unavailable("the database was replaced by another one: restart chatd")
                db.commit()
            except Unavailable:
                db.close()
                raise
            except (Error, OSError) as error:
                db.close()
                raise Unavailable(str(told(error))) from None
            self._writer = db
            self._doubt = None
            if self._unsettled:
                self._unsettled = False
                self.generation += 1
        return self._writer

    def _settle(self, db: Connection, sign: str | None) -> bool | None:
        """After COMMIT failed: whether the transaction happened; None where nothing tells."""
        self._doubt = db.name
        self._drop()
        try:
            fresh = self._require_writer()
            if sign is not None:
                try:
                    found = fresh.one('SELECT "id" FROM "Message" WHERE "id" = ?', (sign,))
                    fresh.commit()
                    return found is not None
                except (Error, OSError):
                    self._drop()
        except Unavailable:
            self._unsettled = True
        self.generation += 1
        return None

    def _failure(self, error: BaseException) -> Exception:
        """Return the exception to raise for what ended a transaction.

        Where the app's tables are no longer as chatd needs them, nothing of the kind can be written: that is told, and
        `repair` looks whether it was mended. Else it is one batch that a table refuses.
        """
        if code(error) not in MISMATCH or is_lost(error):
            return told(error)
        try:
            db = self._require_writer()
            wrong = misfit(db, self._names, self._form)
            layout = read_layout(db)
            db.roll_back()
        except (Unavailable, Error, OSError):
            return told(error)
        if wrong is not None:
            return Unavailable(wrong)
        return TableMismatch(f"{named(error, layout)}: the database refuses what is written there ({code(error)})")

    def _give_up(self, db: Connection, error: BaseException) -> None:
        """After a transaction failed before COMMIT: nothing of it is there."""
        if is_lost(error):
            self._drop()
            return
        try:
            db.roll_back()
        except (Error, OSError):
            self._drop()

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _second(at: int) -> int:
    """Return a time as a column holds it that knows no parts of a second: what is told is what will be read."""
    return at - at % 1000


def _on_a_second(change: Any) -> Any:
    """Return the change as of the second that it happens in."""
    return attrs.evolve(change, at=_second(change.at)) if hasattr(change, "at") else change


def _first_message(done: tuple[LoadedUnit, list[Outcome]]) -> str | None:
    messages = done[0].unit.new_messages
    return messages[0].id if messages else None


def _is_refused_send(change: Change, outcome: Outcome) -> bool:
    return isinstance(change, SendMessage) and isinstance(outcome, Refused)
