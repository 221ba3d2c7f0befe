"""CONTRIBUTING.md, the glossary, the decision records and the hooks name what is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
STATUSES = ("proposed", "accepted", "superseded", "rejected")
PLANNED = {"chatd/push", "chatd/calls"}
"""Folders that come with their feature; their place is known already."""
MAKEFILE = (ROOT / "Makefile").read_text()


def folders() -> Iterator[str]:
    """The folders that the table of CONTRIBUTING.md names."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for cell in re.findall(r"^\| (`[^|]*/`[^|]*) \|", text, re.MULTILINE):
        yield from re.findall(r"`([^`]+)/`", cell)


def test_contributing_names_every_folder_and_only_those() -> None:
    named = set(folders())
    assert len(named) > 15
    assert [name for name in sorted(named - PLANNED) if not (ROOT / name).is_dir()] == []
    there = {f"chatd/{path.parent.name}" for path in (ROOT / "chatd").glob("*/__init__.py")}
    assert there - named == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "bench/README.md"])
def test_page_names_targets_that_make_has(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named - targets == set()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_decision_record_has_number_status_and_date(path: Path) -> None:
    lines = path.read_text().splitlines()
    number = int(path.name[:4])
    assert re.fullmatch(rf"# {number}\. \S.*", lines[0])
    status = re.fullmatch(r"- Status: (\w+).*", lines[2])
    assert status is not None
    assert status[1] in STATUSES
    assert re.fullmatch(r"- Date: 20\d\d-\d\d-\d\d", lines[3])
    assert len(lines) <= 100, "split it"


def test_decision_records_are_in_the_index_with_their_status() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for path in RECORDS:
        title, _, status = path.read_text().splitlines()[:3]
        number, name = title.removeprefix("# ").split(". ", 1)
        assert f"| {number} | [{name}]({path.name}) | {status.split()[2].rstrip(';')} |" in index


def test_pages_link_to_files_that_are_there() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_glossary_names_are_in_the_code() -> None:
    words = set()
    for package in ("chatd", "protocol", "storage"):
        for path in (ROOT / package).rglob("*.py"):
            words |= set(re.findall(r"\w+", path.read_text()))
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| (`[^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 30
    missing = {word: names for word, _, names in rows if not set(re.findall(r"`(\w+)`", names)) <= words}
    assert missing == {}


def test_hooks_check_what_make_checks() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    entries = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
    (disabled,) = re.findall(r"flake8-async (--disable \S+)", MAKEFILE)
    assert entries["flake8-async"].endswith(disabled)
    assert "ruff format --check" in entries["ruff-format"]
    assert "ruff format --check" in MAKEFILE
