"""A real socket.io-client 4 and the daemon, each in a process of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from support import mariadb, prisma_app
from support.process import run, running
from support.silent_loss import SilentLoss
from support.socketio_peer import MODES, Person, person

PAT = {"userId": "pat-1", "name": "Ada"}
DEN = {"userId": "den-1", "name": "Dr Ay", "role": "dentist"}
SETTINGS = "[limits]\nrequests_per_second = 10000.0\n"


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    async with running(folder, settings=SETTINGS) as daemon:
        yield f"http://127.0.0.1:{daemon.port}"


async def joined(url: str, who: Person) -> None:
    await who.until("connect")


async def flow(pat: Person, den: Person) -> str:
    """What the two of them do in the platform's chat; returns the conversation."""
    made = await pat.ask("create_conversation", {"targetUserId": "den-1"}, way="emitWithAck")
    id: str = made["conversationId"]
    for who in (pat, den):
        assert (await who.next("conversation_created"))["conversation"]["id"] == id
    assert await pat.ask("join_conversation", id) == {"success": True}
    assert await den.ask("join_conversation", {"conversationId": id}) == {"success": True}
    await pat.do("emit", event="typing", data={"conversationId": id, "isTyping": True})
    assert (await den.next("user_typing"))["userId"] == "pat-1"
    sent = await pat.ask("send_message", {"conversationId": id, "content": "It hurts \N{TOOTH}", "clientId": "a-1"})
    assert (sent["success"], sent["duplicate"]) == (True, False)
    for who in (pat, den):
        assert await who.next("new_message") == sent["message"]
    assert await den.ask("mark_read", {"conversationId": id, "messageId": sent["message"]["id"]}) == {"success": True}
    status = await pat.next("message_status")
    assert (status["status"], status["messageId"]) == ("READ", sent["message"]["id"])
    answered = await den.ask("send_message", {"conversationId": id, "text": "Come by"}, way="timeout", timeout=20_000)
    assert [value["success"] for value in answered["values"]] == [True], "exactly one value"
    assert (await pat.next("new_message"))["content"] == "Come by"
    page = await pat.ask("get_messages", {"conversationId": id})
    assert [m["content"] for m in page["messages"]] == ["It hurts \N{TOOTH}", "Come by"]
    assert (await pat.ask("get_online_users"))["userIds"] == ["den-1"]
    return id


@pytest.mark.parametrize("mode", MODES)
async def test_flow_on_sqlite(tmp_path: Path, mode: str) -> None:
    async with (
        served(tmp_path) as url,
        person(url, auth=DEN, options=MODES[mode]) as den,
        person(url, auth=PAT, options=MODES[mode]) as pat,
    ):
        for who in (den, pat):
            assert (await who.until("connect"))["recovered"] is False
        await flow(pat, den)
        if mode == "default":
            with trio.fail_after(10):
                while (await pat.do("state"))["transport"] != "websocket":  # noqa: ASYNC110  # it upgrades by itself
                    await trio.sleep(0.05)
        assert pat.counts == {"connect": 1}


async def test_flow_on_an_apps_mariadb(tmp_path: Path) -> None:
    with prisma_app.with_people() as made:
        url = mariadb.server().url(made.database)
        adopted = run("db", "adopt", "--apply", cwd=tmp_path, env={"DATABASE_URL": url})
        assert adopted.returncode == 0, adopted.stderr
        made.run("UPDATE chatd_meta SET value = '1' WHERE `key` = 'development'")  # so that nobody needs a token
        async with running(tmp_path, env={"DATABASE_URL": url}) as daemon:
            address = f"http://127.0.0.1:{daemon.port}"
            async with person(address, auth={"userId": "bo"}) as bo, person(address, auth={"userId": "ada"}) as ada:
                await bo.until("connect")
                await ada.until("connect")
                made_up = await ada.ask("create_conversation", {"targetUserId": "bo"})
                id = made_up["conversationId"]
                sent = await ada.ask("send_message", {"conversationId": id, "content": "Hello"})
                assert (await bo.next("new_message"))["id"] == sent["message"]["id"]
                assert await bo.ask("mark_read", {"conversationId": id}) == {"success": True}
                assert (await ada.next("message_status"))["status"] == "READ"
                # The app stores a message by REST first, and its page emits the row.
                made.run(
                    "INSERT INTO `Message` (`id`,`conversationId`,`senderId`,`content`,`status`,`createdAt`)"
                    f" VALUES ('stored-1', '{id}', 'bo', 'by REST', 'SENT', UTC_TIMESTAMP(3))"
                )
                told = await bo.ask("send_message", {"conversationId": id, "id": "stored-1", "content": "by REST"})
                assert told["success"] is True, told
                assert (await ada.next("new_message"))["id"] == "stored-1"
                texts = [m["content"] for m in (await ada.ask("get_messages", {"conversationId": id}))["messages"]]
                assert texts == ["Hello", "by REST"]


@pytest.mark.parametrize("mode", MODES)
async def test_reconnects_during_traffic_lose_and_double_nothing(tmp_path: Path, mode: str) -> None:
    many, cuts = 150, 25
    async with (
        served(tmp_path) as url,
        person(url, auth=DEN, options=MODES[mode]) as den,
        person(url, auth=PAT, options=MODES[mode]) as pat,
    ):
        await den.until("connect")
        await pat.until("connect")
        id = (await pat.ask("create_conversation", {"targetUserId": "den-1"}))["conversationId"]

        async def send() -> None:
            for number in range(many):
                fields = {"conversationId": id, "content": str(number), "clientId": f"c-{number}"}
                assert (await pat.ask("send_message", fields))["success"] is True

        async def cut() -> None:
            for _ in range(cuts):
                await den.do("cut")
                assert (await den.until("connect"))["recovered"] is True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(cut)
        await den.ask("get_online_users")  # all that was sent before has come
        # What reaches the client while it is not connected it keeps, and asks for again: it may hand that on twice.
        got = {data["id"]: data["content"] for name, data in den.events if name == "new_message"}
        assert list(got.values()) == [str(number) for number in range(many)]
        page = await pat.ask("get_messages", {"conversationId": id, "limit": 200})
        assert [m["content"] for m in page["messages"]] == list(got.values()), "none is stored twice"


@pytest.mark.parametrize("mode", MODES)
async def test_client_that_is_back_before_the_server_missed_it_goes_on(tmp_path: Path, mode: str) -> None:
    many, losses = 60, 8
    async with running(tmp_path, settings=SETTINGS) as daemon, trio.open_nursery() as nursery:
        proxy = SilentLoss(daemon.port)
        listen = partial(trio.serve_tcp, proxy.serve, 0, host="127.0.0.1")
        (listener,) = await nursery.start(listen)
        behind = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        async with (
            person(behind, auth=DEN, options=MODES[mode]) as den,
            person(f"http://127.0.0.1:{daemon.port}", auth=PAT, options=MODES[mode]) as pat,
        ):
            first = await den.until("connect")
            await pat.until("connect")
            id = (await pat.ask("create_conversation", {"targetUserId": "den-1"}))["conversationId"]
            await den.next("conversation_created")

            async def send() -> None:
                for number in range(many):
                    fields = {"conversationId": id, "content": str(number), "clientId": f"c-{number}"}
                    assert (await pat.ask("send_message", fields))["success"] is True

            async with trio.open_nursery() as sending:
                sending.start_soon(send)
                for loss in range(1, losses + 1):
                    while den.counts.get("disconnect", 0) < loss:  # between two polls there is nothing to lose
                        await proxy.lose()
                        await trio.sleep(0.05)
                    told = await den.until("connect")
                    assert (told["recovered"], told["id"]) == (True, first["id"])
            await den.heard("new_message", str(many - 1))
            got = {data["id"]: data["content"] for name, data in den.events if name == "new_message"}
            assert list(got.values()) == [str(number) for number in range(many)]
        nursery.cancel_scope.cancel()


async def test_messages_typed_offline_come_in_one_burst(tmp_path: Path) -> None:
    async with served(tmp_path) as url, person(url, auth=DEN) as den, person(url, auth=PAT) as pat:
        await den.until("connect")
        await pat.until("connect")
        id = (await pat.ask("create_conversation", {"targetUserId": "den-1"}))["conversationId"]
        await pat.do("leave")
        await pat.until("disconnect")
        answers: list[Any] = []

        async def send(number: int) -> None:
            answers.append(await pat.ask("send_message", {"conversationId": id, "content": str(number)}))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(send, number)
            await trio.sleep(0.2)
            assert answers == []
            await pat.do("return")
        assert all(answer["success"] for answer in answers)
        assert len({(await den.next("new_message"))["content"] for _ in range(20)}) == 20


async def test_retries_go_on_whatever_is_refused(tmp_path: Path) -> None:
    options = {"retries": 3, "ackTimeout": 5_000}
    async with served(tmp_path) as url, person(url, auth=DEN), person(url, auth=PAT, options=options) as pat:
        await pat.until("connect")
        await pat.do("emit", event="no_such_event", data={})
        await pat.do("emit", event="typing", data={"conversationId": "unknown"})
        await pat.do("emit", event="send_message", data={"conversationId": "unknown", "content": "x"})
        await pat.do("volatile", event="typing", data={"conversationId": "unknown"})
        assert (await pat.ask("create_conversation", {"targetUserId": "den-1"}, way="timeout", timeout=9_000))["values"]


async def test_auth_function_is_asked_at_each_connect(tmp_path: Path) -> None:
    async with running(tmp_path, settings=SETTINGS, development=False) as daemon:
        url = f"http://127.0.0.1:{daemon.port}"
        for user, role in (("pat-1", "patient"), ("den-1", "dentist")):
            added = run(
                "user", "add", user, "--name", user, "--role", role, "--data", str(tmp_path / "data"), cwd=tmp_path
            )
            assert added.returncode == 0, added.stderr
        token = run("token", "issue", "pat-1", "--data", str(tmp_path / "data"), cwd=tmp_path).stdout.strip()
        async with person(url, tickets=["wrong", token]) as pat:
            refused = await pat.until("connect_error")
            assert refused["data"] == {"code": "unauthorized"}
            await pat.do("return")
            await pat.until("connect")
            assert (await pat.ask("get_conversations"))["conversations"] == []
            revoked = run("token", "revoke", "--user", "pat-1", "--data", str(tmp_path / "data"), cwd=tmp_path)
            if revoked.returncode == 0:
                assert (await pat.until("disconnect"))["reason"] == "io server disconnect"


async def test_daemon_that_restarts_is_found_again(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        port = first.port
        async with person(f"http://127.0.0.1:{port}", auth=PAT) as pat:
            await pat.until("connect")
            first.process.terminate()
            assert (await pat.until("disconnect"))["reason"] in ("transport close", "transport error")
            await first.process.wait()
            async with running(tmp_path, "--port", str(port)):
                await pat.until("connect")
                assert (await pat.ask("get_conversations"))["success"] is True


async def test_two_connections_of_strict_mode_show_one_person(tmp_path: Path) -> None:
    async with served(tmp_path) as url, person(url, auth=DEN) as den, person(url, auth=PAT) as pat:
        await den.until("connect")
        await pat.until("connect")
        await pat.ask("create_conversation", {"targetUserId": "den-1"})
        await pat.do("leave")
        await pat.do("connect", url=url, auth=PAT, name="second", options={"forceNew": True})
        await pat.until("connect")
        await trio.sleep(6)  # the time after which somebody who is gone is seen to be
        assert [name for name, _ in den.events if name in ("user_online", "user_offline")] == []
