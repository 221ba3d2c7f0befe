"""The example app, built by Next.js, beside a daemon on one MariaDB: two people talk through it in two browsers, by the
new front end and by the one that the site had."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from support import mariadb
from support.npm_peers import answer_of, node
from support.ports import free_port
from support.process import ROOT, command, environment, running

EXAMPLE = ROOT / "examples" / "nextjs"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = {"PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "CHECKPOINT_DISABLE": "1", "NEXT_TELEMETRY_DISABLED": "1"}
"""Prisma's engine for migrations would be downloaded, and is not needed."""
BUILD_TIMEOUT_S = 600
SEEN_WITHIN_S = 10.0
"""For what takes two seconds on a quiet machine."""


def run(*words: str, folder: Path, env: Mapping[str, str], stdin: str = "") -> str:
    done = subprocess.run(
        words, cwd=folder, env=env, input=stdin, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


def look_for_programs() -> None:
    """Skip the test where something is not there."""
    node()
    if not Path(CHROMIUM).exists():
        pytest.skip(f"needs {CHROMIUM}: apt install chromium")


def built(folder: Path, env: Mapping[str, str]) -> Path:
    """A copy of the example with its packages, ours packed as npm would have them, and built."""
    app = folder / "app"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns("node_modules", ".next", "vendor"))
    (app / "vendor").mkdir()
    web = [sys.executable, str(ROOT / "packaging" / "web.py"), "run", "packages"]
    run(*web, str(app / "vendor"), folder=ROOT, env={**env, "PATH": os.environ["PATH"]})
    run("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", folder=app, env=env)
    run("npm", "run", "build", folder=app, env=env)
    return app


def set_up(server: mariadb.Server, name: str, app: Path, folder: Path, env: Mapping[str, str]) -> str:
    """The app's tables and people, chatd's additions; the key for the app's server."""
    with server.session(name) as cursor:
        for statement in (app / "prisma/migrations/0_init/migration.sql").read_text().split(";"):
            if statement.strip():
                cursor.execute(statement)
    run("npm", "run", "seed", folder=app, env=env)
    flags = ("--database", server.url(name))
    run(*command("db", "adopt", "--apply", *flags), folder=folder, env=environment())
    return run(*command("apikey", "add", "nextjs", "--max-role", "dentist", *flags), folder=folder, env=environment())


@asynccontextmanager
async def serving(app: Path, port: int, env: Mapping[str, str]) -> AsyncIterator[None]:
    """`next start`, until it answers."""
    with (app / "log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            ["node", "node_modules/next/dist/bin/next", "start", "--port", str(port)],
            cwd=app, env=env, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with trio.fail_after(60):
            while True:
                assert process.returncode is None, (app / "log").read_text()
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.1)
        yield
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.mark.slow
async def test_two_people_talk_through_the_example_by_both_front_ends(tmp_path: Path) -> None:
    look_for_programs()
    server = mariadb.server()
    name, port, chatd_port = server.database(), free_port(), free_port()
    site, chatd = f"http://localhost:{port}", f"http://localhost:{chatd_port}"
    env = {
        **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        **QUIET,
        "DATABASE_URL": server.url(name),
        "NEXTAUTH_URL": site,
        "NEXTAUTH_SECRET": "of the tests, 0123456789abcdef",
        "NEXT_PUBLIC_SOCKET_URL": chatd,
    }
    began = time.monotonic()
    app = await trio.to_thread.run_sync(built, tmp_path, env)
    print(f"built in {time.monotonic() - began:.0f} s")
    clinic = tmp_path / "clinic"
    clinic.mkdir()
    made = command("init", "--data", str(clinic / "data"), "--database", server.url(name))
    await trio.to_thread.run_sync(lambda: run(*made, folder=clinic, env=environment()))
    env["CHATD_API_KEY"] = (await trio.to_thread.run_sync(set_up, server, name, app, clinic, env)).strip()
    flags = ("--database", server.url(name), "--port", str(chatd_port), "--data", str(clinic / "data"))
    site_settings = {"NEXT_PUBLIC_SITE_URL": site}
    shots = os.environ.get("CHATD_TEST_SHOTS", "")
    async with running(clinic, *flags, development=False, env=site_settings):
        for script, front_end in (("nextjs.mjs", ""), ("nextjs-before.mjs", "socketio")):
            async with serving(app, port, {**env, "CHAT_FRONT_END": front_end}):
                talk = partial(answer_of, script, within_s=180, site=site, chromium=CHROMIUM, shots=shots)
                seen = await trio.to_thread.run_sync(talk)
            assert seen["seconds"] < SEEN_WITHIN_S, script
