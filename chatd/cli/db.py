"""`chatd db ...`."""

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatd.admin.verbs import NewEpoch, VerbFailed
from chatd.config import Config, ConfigError
from chatd.ids import new_id
from chatd.ops import open_store as database
from chatd.ops import reach
from chatd.ops.lock import LockHeld
from storage.contract import Store, StoreError, Unavailable
from storage.sqlite.access import require_folder
from storage.sqlite.inspection import inspect
from storage.sqlite.verify import verify

from .fail import fail
from .operate import operate
from .options import Settings, settings
from .say import say

if TYPE_CHECKING:
    from storage.mysql.adoption.adopt import Adoption, Examined

REFILLED_AT_ONCE, INDEXED_AT_ONCE = 5_000, 5_000
"""Messages that are looked at, and that go into the search index, in one transaction."""

SOMETHING_WRONG = 1
"""Exit code of a check that found something."""


@click.group()
def db() -> None:
    """Upgrade or check the database, or go on after a restore."""


@db.command()
@settings("data", "database")
@click.option("--dev", is_flag=True, help="A MySQL database that is new to chatd is for development mode.")
@click.option("--new", is_flag=True, help="Make the SQLite file where there is none, which is else a mistake.")
def upgrade(settings: Settings, dev: bool, new: bool) -> None:
    """Bring the database to this version's schema.

    And its rows and search index up to date. A daemon does that by itself: the schema when it starts, the rest while it
    runs. Where this is stopped half way, run it again. Tables of MySQL, also those of an empty database, are made and
    altered by this command alone.
    """
    try:
        loaded = settings.read()
        config = loaded.config
        if not config.database_is_file():
            _upgrade_server(config, development=dev)
            return
        path = config.database_path()
        require_folder(path.parent)
        there = path.exists()
        pending = inspect(path).pending if there else ()
        with reach.opened(loaded, new=new, upgrade=True) as store:
            done = [*pending, *_bring_up_to_date(store)]
    except LockHeld as held:
        if not pending:
            say(f"{path}: nothing to do, the daemon that runs has upgraded it")
            return
        fail(f"{held}: stop it, then run this again")
    except (ConfigError, StoreError, Unavailable, VerbFailed) as error:
        fail(str(error))
    if not there:
        say(f"{path}: made, a new, empty database")
    else:
        say(f"{path}: upgraded ({', '.join(done)})" if done else f"{path}: nothing to do, it is up to date")


def _upgrade_server(config: Config, *, development: bool) -> None:
    place = database.place_of(config)
    added = database.upgrade(config, new_epoch=new_id, development=development)
    for what in added:
        say(f"added {what}")
    store, _ = database.open_store(config, new_epoch=new_id)
    with closing(store):
        done = _bring_up_to_date(store)
    say(f"{place}: upgraded" if added or done else f"{place}: nothing to do, it is up to date")


def _bring_up_to_date(store: Store) -> list[str]:
    """Refill rows, then index messages. Return what there was to do."""
    steps = (("rows", store.refill, REFILLED_AT_ONCE), ("search index", store.index, INDEXED_AT_ONCE))
    return [label for label, step, at_once in steps if _repeat(step, label, at_once)]


def _repeat(step: Callable[[int], int], label: str, at_once: int) -> bool:
    """Take the step until nothing is left, with a bar. Return True if there was anything."""
    left = step(0)
    if not left:
        return False
    with click.progressbar(length=left, label=label, file=sys.stderr) as bar:
        while left:
            rest = step(at_once)
            bar.update(left - rest)
            left = rest
    return True


@db.command()
@settings("data", "database")
def check(settings: Settings) -> None:
    """Say whether the database is sound.

    A line for each thing looked at; the daemon may run meanwhile. Exits with 1 if something is wrong: restore a backup
    then, and run `chatd db new-epoch`. In a database of MySQL this looks at the tables (what they lack for chatd, and
    what it can't work with) and at the numbers in them.
    """
    wrong = False
    try:
        config = settings.load()
        if not config.database_is_file():
            _check_server(config)
            return
        path = config.database_path()
        require_folder(path.parent)
        if not path.exists():
            fail(f"there is no database {path}: look at --data")
        for finding in verify(path):
            wrong |= bool(finding.wrong)
            say(f"{'wrong' if finding.wrong else 'ok   '}  {finding.what}")
            for example in finding.wrong:
                say(f"       {example}")
            if finding.more:
                say("       and more")
    except (ConfigError, StoreError) as error:
        fail(str(error))
    if wrong:
        say("Restore a backup, then run `chatd db new-epoch`; keep this file for whoever looks into it.", err=True)
        sys.exit(SOMETHING_WRONG)


def _check_server(config: Config) -> None:
    """A line for each thing, table by table; the notes are no fault."""
    adoption = database.adoption(config)
    found = adoption.examine()
    if found.empty:
        fail(f"{found.where}: it is empty: run `chatd db upgrade`")
    for finding in found.findings:
        say(f"{finding.level:<7}  {finding.table}: {finding.text}")
    bad = [finding for finding in found.findings if finding.level != "note"]
    if bad:
        say(f"{found.where}: {len(bad)} things are not as chatd needs them", err=True)
    elif not found.adopted:
        say(f"{found.where}: the tables are ready, the rows are not: run `chatd db adopt --apply`", err=True)
    else:
        wrong = adoption.disagreements()
        for each in wrong:
            say(f"wrong    {each.count} {each.what}, {each.example} for one")
        if not wrong:
            say(f"{found.where}: everything is there, and its numbers agree")
            return
        say(f"{found.where}: numbers disagree: restore a backup, then run `chatd db new-epoch`", err=True)
    sys.exit(SOMETHING_WRONG)


@db.command()
@settings("database")
@click.option("--apply", is_flag=True, help="Do it. Before, make a backup.")
@click.option("--widen", is_flag=True, help="With --apply: let it make a content longer that is too short for chatd.")
@click.option("--prisma", is_flag=True, help="Print what to add to schema.prisma instead.")
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --prisma: the app's schema.prisma, where fields have other names than their columns (@map).",
)
@click.option("--undo", is_flag=True, help="Print what takes chatd's additions away again instead.")
def adopt(settings: Settings, apply: bool, widen: bool, prisma: bool, schema: Path | None, undo: bool) -> None:
    """Make a web app's MySQL database chatd's, too.

    Nothing that the app has is dropped or renamed. Prints the statements that add what chatd needs: the migration.sql
    of the app's next migration. With --apply they are run, and what was written so far is taken in. It can be run
    again, also where it was stopped half way.
    """
    try:
        config = settings.load()
        adoption = database.adoption(config)
        found = adoption.examine()
        if apply:
            _apply(adoption, found, widen=widen)
            return
        if undo:
            click.echo(found.undo(), nl=False)
            return
        for finding in [*found.only("wrong"), *found.only("narrow"), *found.only("note")]:
            say(f"{finding.level}: {finding.table}: {finding.text}", err=True)
        text = "" if schema is None else schema.read_text(encoding="utf-8")
        click.echo(found.fragment(text) if prisma else found.migration(), nl=False)
    except (ConfigError, StoreError) as error:
        fail(str(error))
    if found.empty:
        fail(f"{found.where}: it is empty, there is nothing to adopt: run `chatd db upgrade`")
    if found.only("wrong"):
        fail(f"{found.where}: chatd can't work with these tables as they are; see above")


def _apply(adoption: "Adoption", found: "Examined", *, widen: bool) -> None:
    if found.adopted and not found.steps and found.kept:
        say(f"{found.where}: nothing to do, it is adopted")
        return
    said = -1

    def show(done: int, total: int) -> None:
        nonlocal said
        tenths = 10 * done // total
        if tenths > said:
            said = tenths
            say(f"{done} of {total} conversations and messages taken in", err=True)

    adoption.apply(new_epoch=new_id, widen=widen, announce=lambda what: say(f"adding {what}", err=True), progress=show)
    say(f"{found.where}: adopted")


@db.command("new-epoch")
@settings("data", "database")
def new_epoch(settings: Settings) -> None:
    """Make every client start anew, after a backup was restored.

    Clients hold messages that the backup hasn't, under numbers that will be used again.
    """
    epoch = operate(settings, NewEpoch())["epoch"]
    say(f"the database's epoch is now {epoch}: clients start anew when they connect")
