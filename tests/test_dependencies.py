"""What pyproject.toml asks for, what the locks pin and what the code imports are the same packages."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"chatd", "protocol", "storage"}
PRIVATE = ["pymysql", "sqlite-utils", "trio-websocket"]
"""Packages whose private members the daemon uses: any new version may break it."""


def wanted(*extras: str) -> dict[str, list[Requirement]]:
    """The requirements of the project and of some extras, of extras of extras, too, by name."""
    found: dict[str, list[Requirement]] = {}
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in PROJECT["optional-dependencies"][extra])]
    for requirement in map(Requirement, texts):
        if requirement.name != "chatd":
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
        else:
            for name, more in wanted(*requirement.extras).items():
                found.setdefault(name, []).extend(more)
    return found


def pinned(lock: str) -> Iterator[tuple[str, str, str]]:
    """Name, version and the rest of each package in a lock."""
    text = (ROOT / lock).read_text()
    for entry in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        head, rest = entry.split("\n", 1)
        name, version = re.split(r"[ ;\\]", head, maxsplit=1)[0].split("==")
        yield name, version, rest


LOCKS = {"dev": "requirements-dev.lock", "binary": "requirements-binary.lock"}


@pytest.mark.parametrize("extra", LOCKS)
def test_lock_pins_what_pyproject_asks_for(extra: str) -> None:
    versions = {name: version for name, version, _ in pinned(LOCKS[extra])}
    for name, requirements in wanted(extra).items():
        assert name in versions, f"{name} is not in {LOCKS[extra]}: make lock"
        for requirement in requirements:
            assert versions[name] in requirement.specifier, f"{requirement}, but {versions[name]}: make lock"


@pytest.mark.parametrize("extra", LOCKS)
def test_lock_has_nothing_that_pyproject_no_longer_asks_for(extra: str) -> None:
    direct = {name for name, _, rest in pinned(LOCKS[extra]) if re.search(r"#\s.*chatd \(pyproject\.toml\)", rest)}
    assert direct == set(wanted(extra)), "make lock"


@pytest.mark.parametrize("extra", LOCKS)
def test_lock_has_a_hash_for_each_package(extra: str) -> None:
    entries = list(pinned(LOCKS[extra]))
    assert len(entries) > 20
    assert [name for name, _, rest in entries if "--hash=sha256:" not in rest] == []


@pytest.mark.parametrize("name", PRIVATE)
def test_package_with_private_members_in_use_is_bounded(name: str) -> None:
    for requirement in wanted("mysql")[name]:
        assert any(spec.operator in ("<", "<=", "==", "~=") for spec in requirement.specifier), requirement


def test_imported_packages_are_asked_for() -> None:
    distributions = packages_distributions()
    asked = set(wanted("mysql", "test"))
    missing: dict[str, str] = {}
    for path in (path for package in OWN for path in (ROOT / package).rglob("*.py")):
        for name in _imported(ast.parse(path.read_text())):
            owners = {canonicalize_name(owner) for owner in distributions.get(name, ())}
            if owners and not owners & asked:
                missing[name] = str(path.relative_to(ROOT))
    assert missing == {}


def _imported(tree: ast.AST) -> Iterator[str]:
    """The top-level names of what a module imports from elsewhere."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        yield from ({name.partition(".")[0] for name in names} - OWN - sys.stdlib_module_names)
