"""Imports run one way, computed from the source."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("chatd", "protocol", "storage")

LAYERS = [
    ["chatd.__main__"],
    ["chatd.cli"],
    ["chatd.bench"],
    ["chatd.ops", "chatd.testing"],
    ["chatd.daemon"],
    ["chatd.http"],
    ["chatd.admin", "chatd.transports", "chatd.cluster"],
    ["chatd.commands"],
    ["chatd.auth", "chatd.push", "chatd.calls"],
    ["chatd.net", "chatd.background", "chatd.attachments"],
    ["chatd.core"],
    ["chatd.config", "chatd.client", "chatd.ids", "chatd.logs", "chatd.metrics"],
]
"""From the top down: a file imports from its own folder and from layers below, never from neighbours in its layer."""

WITHIN = {
    "chatd.commands": [["chatd.commands.dispatch"], ["chatd.commands.handlers"]],
    "chatd.core": [["chatd.core.rooms"], ["chatd.core.room"], ["chatd.core.outbox", "chatd.core.gate"]],
}
"""The same inside a folder; files that are not named stand where they like."""


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


@functools.cache
def graph() -> dict[str, set[str]]:
    """The modules of ours that each of them imports. Made when first asked for, not by everyone who collects tests."""
    return {module: {found for name in imports_of(module) if (found := owner(name))} - {module} for module in FILES}


def reachable(module: str) -> set[str]:
    found: set[str] = set()
    ahead = [module]
    while ahead:
        for other in graph()[ahead.pop()] - found:
            found.add(other)
            ahead.append(other)
    return found


def layer_of(module: str, layers: list[list[str]]) -> tuple[int, str] | None:
    """The rank, 0 at the top, and the name under which a module stands in `layers`."""
    for rank, layer in enumerate(layers):
        for name in layer:
            if f"{module}.".startswith(f"{name}."):
                return rank, name
    return None


def upward(graph: dict[str, set[str]], layers: list[list[str]]) -> list[str]:
    """Imports that run upwards or to a neighbour in the same layer."""
    found = []
    for module, others in graph.items():
        mine = layer_of(module, layers)
        for other in others:
            theirs = layer_of(other, layers)
            if mine and theirs and mine[1] != theirs[1] and theirs[0] <= mine[0]:
                found.append(f"{module} imports {other}")
    return found


def test_imports_are_read_from_the_source() -> None:
    assert "chatd.core.gate" in graph()["chatd.core.room"]
    assert "chatd.core.view" in graph()["chatd.commands.handlers.messages"], "an import of a module by name"
    assert "chatd.commands.dispatch" in reachable("chatd.cli.serve")
    assert "chatd.core.gate" in reachable("chatd.cli.serve")


def test_every_file_stands_in_a_layer() -> None:
    mine = [module for module in FILES if module.startswith("chatd.")]
    assert [module for module in mine if layer_of(module, LAYERS) is None] == []


@pytest.mark.parametrize("module", [module for module in FILES if module.startswith("chatd.")])
def test_an_import_that_runs_upwards_is_found_in_any_file(module: str) -> None:
    mine = layer_of(module, LAYERS)
    assert mine is not None
    above = [name for layer in LAYERS[: mine[0] + 1] for name in layer if name != mine[1]]
    for name in above:
        planted = {module: graph()[module] | {name}}
        assert upward(planted, LAYERS) == [f"{module} imports {name}"]


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


def test_imports_never_run_upwards() -> None:
    assert upward(graph(), LAYERS) == []


@pytest.mark.parametrize("folder", WITHIN)
def test_imports_inside_a_folder_never_run_upwards(folder: str) -> None:
    for module in FILES:
        mine = layer_of(module, WITHIN[folder])
        if mine is not None:
            for other in reachable(module):
                theirs = layer_of(other, WITHIN[folder])
                assert theirs is None or theirs[0] >= mine[0], f"{module} reaches {other}"


def test_imports_have_no_cycle() -> None:
    assert [module for module in FILES if module in reachable(module)] == []


def test_the_raw_client_shares_no_code_with_what_it_judges() -> None:
    found = {name.split(".")[0] for name in imports_of("chatd.client.raw")}
    assert not found & {*PACKAGES, "wsproto", "trio_websocket", "h11"}


def test_commands_are_features_of_their_own() -> None:
    for module in FILES:
        if module.startswith("chatd.commands.handlers."):
            assert not {other for other in graph()[module] if other.startswith("chatd.commands.handlers.")}, module


def test_doubles_for_tests_are_used_by_nothing_else() -> None:
    for module in FILES:
        if not module.startswith("chatd.testing"):
            assert not {other for other in graph()[module] if other.startswith("chatd.testing")}, module


SIZED = ("chatd", "protocol", "storage", "bench", "packaging", "examples", "tests")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80


@pytest.mark.parametrize("folder", SIZED)
def test_no_file_and_no_function_is_longer_than_one_can_read(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            found.append((f"{path.relative_to(ROOT)}", lines))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES:
                    found.append((f"{path.relative_to(ROOT)}: {node.name}", lines))
    assert found == []
