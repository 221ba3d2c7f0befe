"""An app that uses a real Prisma client (tests/prisma), in a process of its own."""

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from support import nodejs

FOLDER = Path(__file__).parents[1] / "prisma"
GENERATED = FOLDER / "node_modules" / ".generated"  # the schema that the client was made for
NEEDED = (20, 19)
"""The oldest Node.js that Prisma runs on."""


@functools.cache
def node() -> str:
    """The command, with the client ready for it; installed on first use. Skips the test where there is none."""
    found = nodejs.node(NEEDED, "a Prisma client")
    schema = (FOLDER / "schema.prisma").read_text()
    with nodejs.alone(FOLDER):
        if not GENERATED.exists() or GENERATED.read_text() != schema:
            if not (FOLDER / "node_modules" / "prisma").exists():
                _run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
            # The engine for migrations would be downloaded, and is not needed.
            _run(found, "node_modules/prisma/build/index.js", "generate", "--config", "prisma.config.mjs")
            GENERATED.write_text(schema)
    return found


def client(name: str, change: Callable[[str], str]) -> Path:
    """The client for another schema, made of that of the app by `change`; a copy of the app's for each name."""
    found = node()
    folder = FOLDER / "node_modules" / ".shapes" / name
    schema = change((FOLDER / "schema.prisma").read_text())
    schema = schema.replace('"prisma-client-js"', f'"prisma-client-js"\n  output = "{folder}"')
    with nodejs.alone(FOLDER):
        if not (folder / "made-for").exists() or (folder / "made-for").read_text() != schema:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "made-for.prisma").write_text(schema)
            _run(found, "node_modules/prisma/build/index.js", "generate", "--schema", str(folder / "made-for.prisma"))
            (folder / "made-for").write_text(schema)
    return folder


@functools.cache
def parsed(schema: str) -> dict[str, Any]:
    """What Prisma makes of a schema, by its own parser and checks: models, enums and indexes."""
    found = node()
    head, client, rest = schema.partition("prisma-client-js")
    assert client, "the schema has a generator for a client, in place of which is ours"
    with tempfile.TemporaryDirectory(prefix="chatd-prisma-") as folder:
        path, dump = Path(folder, "schema.prisma"), Path(folder, "parsed.json")
        path.write_text(f"{head}node {FOLDER / 'dump.mjs'}{rest}")
        _run(found, "node_modules/prisma/build/index.js", "generate", "--schema", str(path), DUMP=str(dump))
        whole: dict[str, Any] = json.loads(dump.read_text())
    return whole


def _run(*command: str, **more: str) -> None:
    quiet = {"PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1"}
    nodejs.run(*command, folder=FOLDER, env={**quiet, **more})


class Prisma:
    """The running app."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._rest = b""

    async def __call__(self, model: str, action: str, **given: Any) -> Any:
        """Call the client: `await app("message", "create", data={...})` is its `message.create({data: {...}})`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        await self._process.stdin.send_all(json.dumps([model, action, given]).encode() + b"\n")
        with trio.fail_after(30):
            while b"\n" not in self._rest:
                data = await self._process.stdout.receive_some()
                assert data, "the app ended"
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        assert "ok" in answer, answer["error"]
        return answer["ok"]


@asynccontextmanager
async def prisma(url: str, client: Path | None = None) -> AsyncIterator[Prisma]:
    """The app on the database at `url`, with a client that was made for another schema."""
    command = (node(), str(FOLDER / "app.mjs"))
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=FOLDER,
        env={**os.environ, "DATABASE_URL": url, **({} if client is None else {"PRISMA_CLIENT": f"{client}/index.js"})},
    )
    try:
        yield Prisma(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.aclose()
            await process.stdout.aclose()
