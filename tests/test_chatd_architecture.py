"""Imports run one way, computed from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("chatd", "protocol", "storage")

LAYERS = [
    ["chatd.cli"],
    ["chatd.daemon"],
    ["chatd.front"],
    ["chatd.connection"],
    ["chatd.dispatch"],
    ["chatd.commands"],
    ["chatd.rooms"],
    ["chatd.room"],
    ["chatd.outbox", "chatd.gate"],
]
"""From the top down; `chatd.commands` stands for all in it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports_of(module: str) -> set[str]:
    """What a module imports when it runs, in functions too, as full names; what only type checkers see is left out."""
    return set(_imported(ast.parse(FILES[module].read_text()), module))


def _imported(node: ast.AST, module: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for other in child.orelse:
                    yield from _imported(other, module)
            case ast.Import():
                yield from (alias.name for alias in child.names)
            case ast.ImportFrom():
                base = _base(child, module)
                yield from (f"{base}.{alias.name}" for alias in child.names)
            case _:
                yield from _imported(child, module)


def _base(statement: ast.ImportFrom, module: str) -> str:
    if not statement.level:
        return statement.module or ""
    package = module.split(".")
    if FILES[module].name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - statement.level + 1]
    return ".".join([*package, *([statement.module] if statement.module else [])])


def owner(name: str) -> str | None:
    """The module of ours that an imported name is or is in."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


GRAPH = {module: {found for name in imports_of(module) if (found := owner(name))} - {module} for module in FILES}


def reachable(module: str) -> set[str]:
    found: set[str] = set()
    ahead = [module]
    while ahead:
        for other in GRAPH[ahead.pop()] - found:
            found.add(other)
            ahead.append(other)
    return found


def test_the_graph_is_read_from_the_source() -> None:
    assert "chatd.gate" in GRAPH["chatd.room"]
    assert "chatd.view" in GRAPH["chatd.commands.messages"], "a relative import of a module"
    assert "chatd.dispatch" in reachable("chatd.cli.serve")
    assert "chatd.gate" in reachable("chatd.cli.serve")


@pytest.mark.parametrize("package", ["protocol", "storage"])
def test_these_know_nobody(package: str) -> None:
    others = {"trio", *PACKAGES} - {package}
    for module in FILES:
        if module.split(".")[0] == package:
            known = {name.split(".")[0] for name in imports_of(module)}
            assert not known & others, module


def test_the_protocol_has_no_clock_and_does_nothing_outside() -> None:
    outside = {"time", "socket", "threading", "logging", "structlog", "os", "pathlib", "random"}
    for module in FILES:
        if module.startswith("protocol"):
            assert not {name.split(".")[0] for name in imports_of(module)} & outside, module


def test_layers_are_never_passed_upwards() -> None:
    rank = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
    for module in FILES:
        mine = next((rank[name] for name in rank if f"{module}.".startswith(f"{name}.")), None)
        if mine is None:
            continue
        for other in reachable(module):
            theirs = next((rank[name] for name in rank if f"{other}.".startswith(f"{name}.")), mine)
            assert theirs >= mine, f"{module} reaches {other}"


def test_modules_of_one_layer_do_not_know_each_other() -> None:
    for layer in LAYERS:
        for name in layer:
            assert not reachable(name) & (set(layer) - {name}), name


def test_nothing_goes_round_in_circles() -> None:
    assert [module for module in FILES if module in reachable(module)] == []


def test_commands_are_features_of_their_own() -> None:
    for module in FILES:
        if module.startswith("chatd.commands."):
            assert not {other for other in GRAPH[module] if other.startswith("chatd.commands.")}, module


def test_what_is_for_tests_is_used_by_nobody() -> None:
    for module in FILES:
        if module not in ("chatd.testing", "chatd.harness"):
            assert not GRAPH[module] & {"chatd.testing", "chatd.harness"}, module
