"""The one line that says why a command can't run."""

import sys
from typing import NoReturn

from .say import say

UNUSABLE = 2
"""Exit code: something must be mended before the command can run."""


def fail(message: str) -> NoReturn:
    """One clear line, exit 2."""
    say(f"chatd: {message}", err=True)
    sys.exit(UNUSABLE)
