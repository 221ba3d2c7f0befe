"""The line at the end of a run that sums up what was skipped."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def run(folder: Path, text: str) -> list[str]:
    """The output of pytest on a file with this text."""
    (folder / "test_some.py").write_text(text)
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "support.skipped", "-p", "no:cacheprovider", "-p", "no:chatd"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


def test_skipped_tests_are_summed_up_by_reason_in_one_line(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        "import pytest\n"
        "@pytest.mark.skipif(True, reason='no\\n  disk')\ndef test_a() -> None: ...\n"
        "@pytest.mark.parametrize('n', [1, 2])\ndef test_b(n: int) -> None: pytest.skip('no server')\n"
        "def test_c() -> None: ...\n",
    )
    assert "3 skipped: 2 because: no server; 1 because: no disk" in said


def test_run_without_skipped_tests_says_nothing_of_them(tmp_path: Path) -> None:
    said = run(tmp_path, "def test_c() -> None: ...\n")
    assert not [line for line in said if "skipped" in line]
