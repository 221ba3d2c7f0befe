"""Docstrings begin with the noun or the verb."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for package in ("bench", "chatd", "protocol", "storage") for path in (ROOT / package).rglob("*.py"))

CLAUSES = {
    "What",
    "Who",
    "Whoever",
    "Whom",
    "Whose",
    "Whether",
    "Which",
    "How",
    "Where",
    "When",
    "While",
    "Why",
    "That",
}
NO_SUBJECTS = CLAUSES | {"That", "Those", "There", "It", "If", "As", "Of", "For", "By"}
"""First words that name neither the thing nor what it does: it is known only once the sentence is over."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def texts_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield names with their docstrings; those of constants and fields stand behind them."""
    for node in ast.walk(tree):
        if isinstance(node, Documented):
            yield getattr(node, "name", "the module"), ast.get_docstring(node) or ""
        for before, after in pairwise(getattr(node, "body", []) if isinstance(node, Documented) else []):
            match before, after:
                case ast.Assign() | ast.AnnAssign(), ast.Expr(ast.Constant(str(text))):
                    yield ast.unparse(before).split(" ")[0], text


def clauses_in(source: str) -> Iterator[str]:
    for name, text in texts_in(ast.parse(source)):
        first = (text.split(maxsplit=1) or [""])[0].rstrip(",.:;").removesuffix("'s")
        if first in NO_SUBJECTS:
            yield f"{name}: {text}"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What it is."""', 1),
        ('class A:\n    """Who\'s there."""', 1),
        ('async def f():\n    """Where: here."""', 1),
        ('def f():\n    """Whether it is."""', 1),
        ('def f() -> bool:\n    """Whether it is."""', 1),
        ('A = 1\n"""Of a day."""', 1),
        ('class A:\n    a: int\n    """How many."""', 1),
        ('A = 1\n"""Seconds of a day."""', 0),
        ('def f():\n    """Return what it is."""', 0),
        ("def f():\n    pass", 0),
        ('def f():\n    """   """', 0),
    ],
)
def test_a_clause_is_found(source: str, count: int) -> None:
    assert len(list(clauses_in(source))) == count


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    found = [f"{path.relative_to(ROOT)}: {text}" for path in FILES for text in clauses_in(path.read_text("utf-8"))]
    assert found == []
