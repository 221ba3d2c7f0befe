"""`chatd db adopt`: an app's database becomes chatd's, too.

First what chatd needs is added to the tables, each of them altered once; then the rows that are there are ingested
(`rows.py`); last the database gets its epoch, without which no daemon serves it. Every step can be done
again, so whatever stops it half way, the next run goes on. docs/mysql.md says what is added, and how to do it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from storage.contract import StoreError, Unavailable
from storage.mysql import kept_names, schema
from storage.mysql.attachments import FilesTable
from storage.mysql.connection import Connection
from storage.mysql.errors import LOCK_WAIT, Error, code, why
from storage.mysql.ids import Form, numbers
from storage.mysql.layout import Layout, read_layout
from storage.mysql.links import OWN_SEATS, link_of
from storage.mysql.names import Names
from storage.mysql.numbers import Disagreement, disagreements
from storage.mysql.pool import Pool, told
from storage.mysql.rows import Roles
from storage.mysql.schema import SchemaStep, Statement, merged
from storage.mysql.seats import Seats
from storage.mysql.seen_tables import seen_tables
from storage.mysql.tables import META, SCHEMA, app_tables
from storage.mysql.url import Address, parse

from . import prisma as adoption_prisma
from .backfill import MESSAGES_PER_BATCH, Backfill
from .check import App, Finding, Level, check, check_rows, look, wider
from .read_state import ReadState
from .undo import undo

UPGRADE_LOCK_TIMEOUT_S = 10
"""Seconds to wait for another program that upgrades or adopts."""

_NO_RIGHT = frozenset({1044, 1142, 1143, 1227, 1370})


@attrs.frozen
class Examined:
    """A database as it was found. `steps`: what is missing; `done`: what an earlier adoption added.

    `kept`: the database knows these names. `renamed`: it was adopted with others.
    """

    where: str
    names: Names
    empty: bool
    adopted: bool
    findings: tuple[Finding, ...]
    steps: tuple[SchemaStep, ...]
    done: tuple[SchemaStep, ...]
    kept: bool
    renamed: bool
    layout: Layout
    linked: Mapping[tuple[str, str], str]

    def only(self, level: Level) -> list[Finding]:
        """Return the findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def migration(self) -> str:
        """The statements that add what chatd needs, done or not: SQL for any session."""
        return adoption_prisma.migration(self._all())

    def fragment(self, schema: str = "") -> str:
        """Return the additions as a part of `schema.prisma`, in the words of the app's own, where its text is given."""
        return adoption_prisma.fragment(self._all(), self.names, schema)

    def undo(self) -> str:
        """Return the statements that take the additions away again. Raises StoreError where there are none."""
        if META.name not in self.layout.columns:
            raise StoreError(f"{self.where}: nothing of chatd's is in it")
        return undo(self.done, self.layout, self.linked, self.names)

    def _all(self) -> tuple[SchemaStep, ...]:
        return (*self.done, *(step for step in self.steps if step not in self.done))


@attrs.frozen
class Adoption:
    """An app's database and what is known about it. Raises StoreError where that makes no sense.

    `names`, `roles`: what the app calls tables, columns and roles. `constants`: what is written to columns that only
    the app has a word for; `ids`: the form of new ids. `body_chars`: the longest message to be held.
    """

    url: str = attrs.field(repr=False)
    names: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    roles: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    constants: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    ids: Form = attrs.field(default="", kw_only=True)
    body_chars: int = attrs.field(default=10_000, kw_only=True)

    def examine(self) -> Examined:
        """Examine the database without a change. Raises StoreError."""
        with self._connected() as (db, names, address):
            return self._examined(db, names, address)

    def disagreements(self) -> list[Disagreement]:
        """Return the numbers that disagree, of a database that lacks nothing. Raises StoreError."""
        with self._connected() as (db, _, _):
            return list(disagreements(db))

    def apply(
        self,
        *,
        new_epoch: Callable[[], str],
        widen: bool = False,
        announce: Callable[[str], None] = lambda what: None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Adopt it, or go on with that. Raises StoreError.

        `widen`: where `content` is too short it may be made longer. `announce` hears of each statement before it runs,
        `progress` how many of the conversations and messages are done.
        """
        with self._connected() as (db, names, address):
            if db.one("SELECT GET_LOCK(?, ?)", (schema.UPGRADE_LOCK, UPGRADE_LOCK_TIMEOUT_S)) != (1,):
                raise StoreError("another program is upgrading or adopting it")
            examined = self._examined(db, names, address)
            _require_fit(examined, widen=widen)
            db.run(f"SET SESSION lock_wait_timeout = {schema.ALTER_LOCK_TIMEOUT_S}")
            steps = examined.steps
            if steps and not examined.adopted and not examined.done:
                steps = _begin(db, names, steps)
            for statement in merged(steps):
                announce(statement.what)
                _alter(db, statement)
            if not examined.adopted:
                self._take_in(db, names, (*examined.done, *examined.steps), progress)
                db.run(
                    'INSERT IGNORE INTO "chatd_meta" ("key", "value") VALUES (?, ?), (?, ?), (?, ?)',
                    ("epoch", new_epoch(), "development", "0", "schema", str(SCHEMA)),
                )
            kept_names.keep(db, names)
            db.commit()

    def _examined(self, db: Connection, names: Names, address: Address) -> Examined:
        app = look(db, names)
        schema.check_version(db, app.layout)
        meta = schema.meta_of(db, app.layout)
        adopted = "epoch" in meta
        if schema.MADE_BY_CHATD in meta and not adopted:
            raise StoreError("chatd began to make its own tables there: run `chatd db upgrade`")
        findings = list(check(db, app, names, Roles(self.roles), body_chars=self.body_chars, ids=self.ids))
        theirs = (actual for table in app_tables() if (actual := names.table(table.name)) != OWN_SEATS)
        whole = all(actual in app.layout.columns for actual in theirs)
        if whole and not adopted and not any(f.level == "wrong" for f in findings):
            findings += check_rows(db, app, names)
        db.roll_back()
        steps = [*schema.missing(app.layout, names), *schema.missing_of_others(app.layout, names)]
        files = FilesTable.of(app.layout, names)
        steps += _widening(app, names, self.body_chars)
        return Examined(
            str(address),
            names if files is None else files.names(names),
            schema.is_empty(app.layout),
            adopted,
            tuple(findings),
            tuple(steps),
            tuple(SchemaStep(*step) for step in json.loads(meta.get("adoption", "[]"))),
            kept_names.is_kept(db, app.layout, names),
            adopted and kept_names.renamed(db, app.layout, Names.checked(self.names))[1],
            app.layout,
            app.linked,
        )

    def _take_in(
        self, db: Connection, names: Names, added: Iterable[SchemaStep], progress: Callable[[int, int], None]
    ) -> None:
        layout = read_layout(db)
        names = db.names = attrs.evolve(names, numbers=numbers(layout, names))  # of what was just added, too
        columns = layout.columns[names.table("ConversationParticipant")]
        files = FilesTable.of(layout, names)
        while files is not None and files.forget(db, MESSAGES_PER_BATCH):  # they come with their messages
            db.commit()
        for seen in seen_tables(layout, names):
            while seen.forget(db, MESSAGES_PER_BATCH):  # the backfill counts them
                db.commit()
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(done, max(done, total))

        link = link_of(layout, names)
        if link is not None:
            link.take_all(db)
            db.commit()
        known = ReadState.of(layout, names, added)
        dated = names.column("ConversationParticipant", "updatedAt") in columns
        backfill = Backfill(db, known, Seats.of(layout, names, self.ids), dated=dated, progress=count)
        total = backfill.waiting()
        backfill.run()

    @contextmanager
    def _connected(self) -> Iterator[tuple[Connection, Names, Address]]:
        address = parse(self.url)
        names = Names.checked(self.names, self.constants)
        try:
            db = Pool(address, names, readers=0).connect(writer=True, timeout_s=schema.ALTER_TIMEOUT_S)
            try:
                db.names, _ = kept_names.renamed(db, read_layout(db), names)
                yield db, db.names, address
            finally:
                db.close()
        except (StoreError, Unavailable) as error:
            raise StoreError(f"database {address}: {error}") from None
        except (Error, OSError) as error:
            raise StoreError(f"database {address}: {told(error)}; run this again, it goes on where it was") from None


def _widening(app: App, names: Names, chars: int) -> Iterator[SchemaStep]:
    part = wider(app, names, chars)
    if part is not None:
        yield SchemaStep(names.table("Message"), f"longer {names.column('Message', 'content')}", part)


def _require_fit(examined: Examined, *, widen: bool) -> None:
    """Raises StoreError."""
    if examined.empty:
        raise StoreError("it is empty, there is nothing to adopt: run `chatd db upgrade`")
    wrong = examined.only("wrong")
    if wrong:
        more = f" (and {len(wrong) - 1} more: `chatd db check` lists them)" if len(wrong) > 1 else ""
        raise StoreError(f"{wrong[0].table}: {wrong[0].text}{more}")
    if examined.renamed and examined.steps:
        raise StoreError(
            f"it was adopted with other names than mysql.names has, and {examined.steps[0].table} by its new name "
            f"lacks {examined.steps[0].part or 'everything'}: set the names as they were then"
        )
    if examined.only("narrow") and not widen:
        finding = examined.only("narrow")[0]
        raise StoreError(f"{finding.table}: {finding.text}: --widen lets it be changed")


def _alter(db: Connection, statement: Statement) -> None:
    try:
        db.run(statement.sql)
    except Error as error:
        if code(error) == LOCK_WAIT:
            reason = "other programs are using the table: run this again at a quieter time"
        elif code(error) in _NO_RIGHT:
            reason = (
                "this user may not alter tables: GRANT ALTER, CREATE, INDEX, or let somebody who may run what "
                "`chatd db adopt` prints; then run this again"
            )
        else:
            reason = why(error)
        raise StoreError(f"{statement.what}: {reason}") from None


def _begin(db: Connection, names: Names, steps: tuple[SchemaStep, ...]) -> tuple[SchemaStep, ...]:
    """Before anything of the app's is touched: keep what will be added, for `migration.sql` and the Prisma fragment.

    The steps that are left.
    """
    first = SchemaStep(META.name, None, schema.creation(META, names))
    if first in steps:
        _alter(db, Statement(first.what, first.statement))
    rest = tuple(step for step in steps if step != first)
    value = adoption_prisma.record((first, *rest))
    db.run('INSERT IGNORE INTO "chatd_meta" ("key", "value") VALUES (?, ?)', ("adoption", value))
    db.commit()
    return rest
