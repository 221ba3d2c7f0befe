"""Docstrings begin with the noun or the verb."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for package in ("chatd", "protocol", "storage") for path in (ROOT / package).rglob("*.py"))

RELATIVE = {"What", "Who", "Whoever", "Whom", "Whose", "Which", "How", "Where", "When", "Why"}
"""First words of a clause, which say what a thing is only once the sentence is over."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def is_clause(node: Documented) -> bool:
    """Return True if the docstring begins with a clause. "Whether" is for what is true or false."""
    words = (ast.get_docstring(node) or "").split(maxsplit=1)
    first = words[0].rstrip(",.:;") if words else ""
    if first == "Whether":
        returns = node.returns if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None
        return not (isinstance(returns, ast.Name) and returns.id == "bool")
    return first.removesuffix("'s") in RELATIVE


def clauses_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented) and is_clause(node):
            yield f"{getattr(node, 'name', 'the module')}: {ast.get_docstring(node)}"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('"""What it is."""', 1),
        ('class A:\n    """Who\'s there."""', 1),
        ('async def f():\n    """Where: here."""', 1),
        ('def f():\n    """Whether it is."""', 1),
        ('def f() -> bool:\n    """Whether it is."""', 0),
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
