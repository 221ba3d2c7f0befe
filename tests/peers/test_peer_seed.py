"""The platform's own environment file as it is, in production: chatd beside its Prisma database, real clients."""

import json
import time
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

import trio

from support import mariadb, prisma_app
from support.npm_peers import answer_of
from support.ports import free_port
from support.process import Daemon, run, running
from support.socketio_peer import person

SITE = "https://nextdentist.com"
ENVIRONMENT = """NODE_ENV=production
PORT={port}
SOCKET_PORT={port}
HOSTNAME=0.0.0.0
NEXT_PUBLIC_SITE_URL=https://nextdentist.com
CORS_ORIGIN=https://nextdentist.com
DATABASE_URL="{database}"
"""
SOCKET_PORT = "SOCKET_PORT="
SECRET = "the secret of the site, 0123456789"


def ticket_for(daemon: Daemon, key: str, user: str) -> str:
    """What the site's backend asks for, for somebody whom it has signed in."""
    body = json.dumps({"user": user}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = Request(f"http://127.0.0.1:{daemon.port}/v1/tickets", body, headers)
    with urlopen(request, timeout=30) as answer:
        ticket: str = json.load(answer)["ticket"]
        return ticket


def cookie_of(user: str) -> str:
    """What NextAuth's own handlers set for somebody who signed in on the site."""
    answer = answer_of(
        "nextauth.mjs", version=4, secret=SECRET, secure=True, now=time.time_ns() // 1_000_000,
        user={"id": user, "name": user}, claims={},
    )  # fmt: skip
    return "; ".join(f"{name}={value}" for name, value in answer["cookies"].items())


async def test_environment_of_the_platform_serves_its_front_ends(tmp_path: Path) -> None:
    with prisma_app.with_people() as made:
        made.users("dr-ay", role="DENTIST")
        file = tmp_path / "seed.env"
        port = free_port()
        settings = ENVIRONMENT.format(database=mariadb.server().url(made.database), port=port)
        file.write_text(settings)
        adopted = run("db", "adopt", "--apply", "--env-file", str(file), cwd=tmp_path)
        assert adopted.returncode == 0, adopted.stderr
        # The site's own secret is in its environment, too; that chatd may use it is said once.
        more = {"NEXTAUTH_SECRET": SECRET, "CHATD_AUTH_METHODS": "ticket,nextauth"}
        started = partial(running, tmp_path, "--env-file", str(file), development=False, env=more, any_port=False)
        async with started() as daemon:
            assert daemon.host.endswith("0.0.0.0"), "HOSTNAME counts"
            assert daemon.port == port, "SOCKET_PORT counts"
            url = f"http://127.0.0.1:{daemon.port}"
            added = run(
                "apikey", "add", "site", "--env-file", str(file), "--data", str(tmp_path / "data"), cwd=tmp_path
            )
            assert added.returncode == 0, added.stderr
            ticket = await trio.to_thread.run_sync(ticket_for, daemon, added.stdout.strip(), "dr-ay")
            page = {"extraHeaders": {"Origin": SITE, "Cookie": cookie_of("ada")}, "withCredentials": True}
            async with (
                person(url, auth={"token": ticket}, options={"extraHeaders": {"Origin": SITE}}) as dentist,
                person(url, options=page) as patient,
            ):
                await dentist.until("connect")
                await patient.until("connect")
                made_up = await patient.ask("create_conversation", {"targetUserId": "dr-ay"})
                id = made_up["conversationId"]
                sent = await patient.ask("send_message", {"conversationId": id, "content": "It hurts"})
                assert sent["message"]["senderId"] == "ada"
                assert (await dentist.next("new_message"))["content"] == "It hurts"
                assert (await dentist.ask("send_message", {"conversationId": id, "content": "Come by"}))["success"]
                assert (await patient.next("new_message"))["senderId"] == "ada"
                assert (await patient.next("new_message"))["senderId"] == "dr-ay"
            rows = made.run(
                "SELECT `content` FROM `Message` WHERE `conversationId` = %s ORDER BY `createdAt`, `id`", id
            )
            assert {content for (content,) in rows} == {"It hurts", "Come by"}, "the site's own table has them"
            evil = {"extraHeaders": {"Origin": "https://evil.example", "Cookie": cookie_of("ada")}}
            async with person(url, options=evil) as stranger:
                await stranger.until("connect_error")
            await daemon.stop()
        lines = settings.splitlines(keepends=True)
        file.write_text("".join(line for line in lines if not line.startswith(SOCKET_PORT)))
        async with started() as daemon:
            assert daemon.port == port, "PORT counts, where it is alone"
