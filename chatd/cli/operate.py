"""Runs the operator's verbs for commands, and prints the answers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chatd.admin.verbs import Answer, Verb, VerbFailed
from chatd.config import ConfigError
from chatd.ops import reach

from .fail import fail
from .options import Settings
from .say import say, say_json, say_table


def operate(settings: Settings, verb: Verb) -> Answer:
    """Run a verb, by the daemon or here; where that fails, one clear line, exit 2."""
    try:
        return reach.run(settings.read(), verb)
    except (ConfigError, VerbFailed) as error:
        fail(str(error))


def each_page(settings: Settings, what: str, verb: Callable[[Any], Verb]) -> list[Answer]:
    """All rows of a list; `verb` asks for those after a place."""
    rows: list[Answer] = []
    after = None
    while True:
        page = operate(settings, verb(after))
        rows += page[what]
        after = page["next"]
        if after is None:
            return rows


def print_json(rows: Iterable[Answer]) -> None:
    """Print one object a line."""
    for row in rows:
        say_json(row)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """Print columns for people; without rows, print `nothing` on standard error."""
    if rows:
        say_table(head, rows)
    else:
        say(nothing, err=True)
