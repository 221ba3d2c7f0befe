"""What chatd is measured against."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatd.bench.private import CannotStart, Server, environment, running

RELAY = Path(__file__).parent / "relay"
INSTALLED = Path("node_modules", ".package-lock.json")  # the last file that npm writes


def installed(package: Path) -> str:
    """The command that runs it, with its packages installed on first use. Raises CannotStart."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise CannotStart(f"there is no {'npm' if node else 'node'} here: install nodejs and npm")
    if not (package / INSTALLED).exists():
        install = (npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
        try:
            subprocess.run(install, cwd=package, capture_output=True, text=True, timeout=300, check=True)
        except subprocess.CalledProcessError as error:
            raise CannotStart(f"npm install failed: {error.stderr.strip()[-500:]}") from None
        except subprocess.TimeoutExpired:
            raise CannotStart("npm install took too long") from None
    return node


@contextmanager
def relay(folder: Path) -> Iterator[Server]:
    """The Socket.IO server that stores nothing; installed on first use. Raises CannotStart."""
    with running("relay", (installed(RELAY), str(RELAY / "server.mjs")), folder, environment()) as server:
        yield server
