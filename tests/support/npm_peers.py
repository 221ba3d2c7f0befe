"""What others have, on Node.js (tests/peers): run for one answer each."""

import functools
import json
from pathlib import Path
from typing import Any

from support import nodejs

FOLDER = Path(__file__).parents[1] / "peers"
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules" / ".installed"  # the lock file that it was installed from
NEEDED = (20, 0)
"""The oldest Node.js that all of them run on."""


@functools.cache
def node() -> str:
    """The command, with the packages installed, on first use. Skips the test where there is none."""
    found = nodejs.node(NEEDED, "what others have")
    with nodejs.alone(FOLDER):
        if not INSTALLED.exists() or INSTALLED.read_text() != LOCK.read_text():
            nodejs.run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", folder=FOLDER)
            INSTALLED.write_text(LOCK.read_text())
    return found


def answer_of(script: str, *, within_s: float = 60, **wanted: Any) -> Any:
    """The answer of a script in tests/peers to this, as JSON."""
    return json.loads(nodejs.run(node(), script, folder=FOLDER, stdin=json.dumps(wanted), timeout_s=within_s))
