"""The command lines that run this program again."""

import os
import shlex
import shutil
import sys


def program() -> str:
    """Return the words that run this program from here."""
    called = sys.argv[0]
    if os.path.basename(called) == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m chatd"
    found = shutil.which("chatd")
    if os.path.sep not in called or (found and os.path.realpath(found) == os.path.realpath(called)):
        return "chatd"
    relative = os.path.relpath(called)
    return shlex.quote(called if relative.startswith("..") else relative)


def command(*arguments: str) -> list[str]:
    """Return the command line of another process of it; in the one-file binary the interpreter is the program."""
    if getattr(sys, "frozen", False):
        return [sys.executable, *arguments]
    return [sys.executable, "-m", "chatd", *arguments]
