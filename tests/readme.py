"""Types the shell blocks of README.md in a fresh clone, as a newcomer would: `python tests/readme.py`.

One terminal takes all blocks in turn. What serves, and each line of a block in which people talk, gets a terminal of
its own with the folder and PATH of the first. It needs the network (packages are installed) and port 3001, and takes a
minute or two, so `make test` leaves it out and `.ci/run` does it.
"""

import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, Queue

ROOT = Path(__file__).parents[1]
INSTALL_TIMEOUT_S = 600
TALK_TIMEOUT_S = 30
SERVES = re.compile(r"^(make|chatd) serve\b")
TALKS = re.compile(r"^\S*chatd chat\b")
RECURSES = re.compile(r"^make (test|check)\b")
"""Would run the tests in the tests: only whether make knows the way is tried."""


def blocks(text: str) -> list[list[str]]:
    """The lines of each shell block."""
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [[line for line in block.splitlines() if line.strip()] for block in found]


class Terminal:
    """A program whose output is read as it comes."""

    def __init__(self, program: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self.name = shlex.join(program)
        self.said = ""
        self._lines: Queue[str | None] = Queue()
        self.process = subprocess.Popen(
            program, cwd=cwd, env=env, text=True, bufsize=1, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """The first line with this. Raises SystemExit with all that was said where none comes."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise SystemExit(f"{self.name}: no {pattern!r} within {timeout_s:g} s:\n{self.said}") from None
            if line is None:
                raise SystemExit(f"{self.name}: ended without {pattern!r}:\n{self.said}")
            self.said += line
            if found := re.search(pattern, line):
                return found

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(TALK_TIMEOUT_S)


@contextmanager
def terminal(program: Sequence[str], cwd: Path, env: dict[str, str]) -> Iterator[Terminal]:
    opened = Terminal(program, cwd, env)
    try:
        yield opened
    finally:
        opened.end(signal.SIGKILL)


class Reader:
    """Somebody who follows the page."""

    def __init__(self, clone: Path, env: dict[str, str], stack: ExitStack) -> None:
        self._env, self._stack = env, stack
        self._shell = stack.enter_context(terminal(("bash", "--norc"), clone, env))
        self._daemon: Terminal | None = None
        self._numbered = 0

    def follow(self, block: list[str]) -> None:
        if all(TALKS.match(line) for line in block):
            self._talk(block)
            return
        for line in block:
            print(f"$ {line}", flush=True)
            if SERVES.match(line):
                self._serve(line)
            else:
                self._run(f"make --dry-run {line.split()[1]} >/dev/null" if RECURSES.match(line) else line)

    def _run(self, line: str) -> None:
        self._numbered += 1
        marker = f"done-{self._numbered}-"
        self._shell.type(f"{line}\necho {marker}$?")
        status = self._shell.wait_for(rf"{marker}(\d+)", INSTALL_TIMEOUT_S)[1]
        if status != "0":
            raise SystemExit(f"{line}: exit code {status}:\n{self._shell.said[-3000:]}")

    def _beside(self, line: str) -> Terminal:
        """Another terminal in the same folder, with the same PATH."""
        self._numbered += 1
        self._shell.type(f'echo "here-{self._numbered}:$PWD:$PATH"')
        found = self._shell.wait_for(rf"here-{self._numbered}:([^:]*):(.*)", TALK_TIMEOUT_S)
        env = {**self._env, "PATH": found[2]}
        return self._stack.enter_context(terminal(("bash", "--norc", "-c", f"exec {line}"), Path(found[1]), env))

    def _serve(self, line: str) -> None:
        self._daemon = self._beside(line)
        self._daemon.wait_for("^listening on ", INSTALL_TIMEOUT_S)

    def _talk(self, lines: list[str]) -> None:
        """All commands of a block talk to each other; then they and the daemon are ended."""
        opened = []
        for line in lines:
            print(f"$ {line}", flush=True)
            opened.append(self._beside(line))
        for number, speaker in enumerate(opened):
            words = f"Is Thursday number {number} good?"
            speaker.type(words)
            for listener in opened:
                if listener is not speaker:
                    listener.wait_for(re.escape(words), TALK_TIMEOUT_S)
        for one in opened:
            one.end(signal.SIGTERM)
        assert self._daemon is not None, "people talk before anything serves"
        status = self._daemon.end(signal.SIGINT)
        if status not in (0, -signal.SIGINT):  # make itself dies of the signal that its daemon takes in order
            raise SystemExit(f"{self._daemon.name}: exit code {status} after Ctrl-C")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="chatd-readme-") as name, ExitStack() as stack:
        clone, home = Path(name, "chatd"), Path(name, "home")
        home.mkdir()
        (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")  # the checkout may be somebody else's
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CHATD_", "MAKE", "MFLAGS"))}
        env = {**kept, "HOME": str(home)}
        subprocess.run(("git", "clone", "-q", str(ROOT), str(clone)), env=env, check=True)
        found = blocks((clone / "README.md").read_text())
        assert any(TALKS.match(line) for block in found for line in block), "README.md has no block that talks"
        reader = Reader(clone, env, stack)
        for block in found:
            reader.follow(block)
    print(f"README.md: {sum(map(len, found))} commands in {len(found)} blocks work")


if __name__ == "__main__":
    main()
