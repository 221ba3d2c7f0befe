"""Lines on a terminal: printable, one each, whatever names from the store have in them, in whatever encoding."""

import json
import sys
from collections.abc import Callable, Iterable

import click


def replace_unencodable() -> None:
    """Let standard output and error replace characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


JOINERS = "\u200c\u200d"
"""Invisible, but part of Persian words and of emoji."""


def one_line(text: str) -> str:
    r"""Return `text` with every character that a terminal obeys or that breaks a line written as an escape (`\x1b`)."""
    return _escaped(text, lambda character: repr(character)[1:-1])


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else escape(c) for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(one_line(text), err=err)


def say_json(value: object) -> None:
    """Print one line of JSON, without a character that a terminal obeys."""
    text = json.dumps(value, ensure_ascii=False)
    click.echo(_escaped(text, lambda character: json.dumps(character)[1:-1]))


def say_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print columns, as wide as their widest cell."""
    table = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
