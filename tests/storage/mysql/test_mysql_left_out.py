"""The table of what is left out on some shapes of tables."""

from pathlib import Path

import pytest

from support.shaped_contract import LEFT_OUT

CONTRACT = Path(__file__).parents[1] / "contract"


@pytest.mark.parametrize("part", [part for part, _, _ in LEFT_OUT])
def test_entries_left_out_on_a_shape_name_tests_or_files_of_the_contract(part: str) -> None:
    files = list(CONTRACT.glob("test_*.py"))
    assert part in {path.stem for path in files} or any(f"def {part}" in path.read_text() for path in files)
