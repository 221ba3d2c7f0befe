"""How commands run the operator's verbs, and print what they answer."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from chatd.admin.verbs import Answer, Verb, VerbFailed
from chatd.config import ConfigError
from chatd.ops import reach

from .fail import fail
from .options import Settings


def operate(settings: Settings, verb: Verb) -> Answer:
    """Run a verb, by the daemon or here; where that fails, one clear line, exit 2."""
    try:
        return reach.run(settings.load(), verb)
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
    """One object a line."""
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, nothing: str) -> None:
    """Columns for people; `nothing`: what to say on standard error where there are no rows."""
    if not rows:
        click.echo(nothing, err=True)
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head) - 1)]
    for row in (head, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())
