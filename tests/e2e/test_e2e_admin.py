"""The operator's commands, on real files and against real daemons: what they print, and what they do to clients."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio

from chatd.client import Client, Closed, Connected, connect
from storage.changes import DeleteMessage, EditMessage, OpenDirect, PutUser, SendMessage
from storage.sqlite import SqliteStore
from support.commands import JWT, Operator, signed_in, url
from support.process import eventually, running


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


async def closed(client: Client) -> int | None:
    """The code that a client is cut off with for good."""
    with pytest.raises(Closed) as caught:
        await all_events(client)
    return caught.value.code


async def all_events(client: Client) -> None:
    events = client.events()
    with trio.fail_after(20):
        while True:
            await anext(events)


# -- the same by the daemon and without one --


@asynccontextmanager
async def no_daemon(folder: Path) -> AsyncIterator[None]:
    await trio.lowlevel.checkpoint()
    yield


@pytest.fixture(params=["daemon", "alone"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where the commands find the store."""
    return running(tmp_path, development=False) if request.param == "daemon" else no_daemon(tmp_path)


async def test_user_commands_say_what_they_did_and_what_comes_next(place: Any, operator: Operator) -> None:
    async with place:
        added = await operator.say("user", "add", "pat-1", "--name", "Ada", "--role", "patient")
        assert added == f"added pat-1 (Ada, patient); to let them sign in: {operator.next('token', 'pat-1')}\n"
        await operator.say("user", "add", "den-1", "--name", "Dr. Bo", "--role", "dentist")
        assert "already" in await operator.refused("user", "add", "pat-1", "--name", "Eve", "--role", "admin")
        assert await operator.say("user", "rename", "pat-1", "Ada L.") == (
            "renamed pat-1 (Ada L., patient); who talks with them sees it now\n"
        )
        assert await operator.say("user", "role", "pat-1", "staff") == (
            "changed pat-1 (Ada L., staff); it counts from now on\n"
        )
        for _ in range(2):
            assert await operator.say("user", "disable", "den-1") == (
                "disabled den-1 (Dr. Bo, dentist), and cut off; "
                f"to let them in again: {operator.next('user', 'enable', 'den-1')}\n"
            )
        assert await operator.say("user", "list") == (
            "ID     ROLE     STATE     NAME\nden-1  dentist  disabled  Dr. Bo\npat-1  staff    active    Ada L.\n"
        )
        listed = [json.loads(line) for line in (await operator.say("user", "list", "--json")).splitlines()]
        assert [(u["id"], u["role"], u["name"], u["disabled_at"] is None) for u in listed] == [
            ("den-1", "dentist", "Dr. Bo", False), ("pat-1", "staff", "Ada L.", True),
        ]  # fmt: skip
        assert "user enable den-1" in await operator.refused("token", "den-1")
        assert await operator.say("user", "enable", "den-1") == (
            "enabled den-1 (Dr. Bo, dentist); their tokens are good again, "
            f"see: {operator.next('token', 'list', '--user', 'den-1')}\n"
        )
        await operator.token("den-1")


async def test_command_that_names_nobody_is_refused(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        for args in (
            ("user", "rename", "pat-9", "X"), ("user", "role", "pat-9", "staff"), ("user", "disable", "pat-9"),
            ("user", "enable", "pat-9"), ("token", "pat-9"), ("token", "list", "--user", "pat-9"),
            ("token", "revoke", "--user", "pat-9"),
        ):  # fmt: skip
            line = await operator.refused(*args)
            assert "there is no user pat-9" in line
            assert "chatd user list" in line
        assert "chatd token list" in await operator.refused("token", "revoke", "t9")
        assert "printable ASCII" in await operator.refused("user", "add", "pat 1", "--name", "X", "--role", "staff")
        assert "name" in await operator.refused("user", "add", "pat-2", "--name", "", "--role", "staff")
        assert "name" in await operator.refused("user", "add", "pat-2", "--name", "X\nY", "--role", "staff")
        assert "say which" in await operator.refused("token", "revoke")
        assert "say which" in await operator.refused("token", "revoke", "t1", "--user", "pat-1")
        wrong = await operator.run("token", "pat-1", "--expires", "soon")
        assert wrong.returncode == 2
        assert "90s, 15m, 12h or 30d" in wrong.stderr
        assert len((await operator.say("user", "list", "--json")).splitlines()) == 2


async def test_tokens_are_listed_with_their_state(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        await operator.token("pat-1")
        await operator.token("pat-1", "--expires", "90s")
        await operator.token("den-1", "--expires", "12h")

        async def listed(*args: str) -> list[dict[str, Any]]:
            return [json.loads(line) for line in (await operator.say("token", "list", "--json", *args)).splitlines()]

        tokens = await listed()
        assert [t["user"] for t in tokens] == ["pat-1", "pat-1", "den-1"]
        assert {t["state"] for t in tokens} == {"valid"}
        issued = [time.mktime(time.strptime(t["issued_at"][:19], "%Y-%m-%dT%H:%M:%S")) for t in tokens]
        ends = [time.mktime(time.strptime(t["expires_at"][:19], "%Y-%m-%dT%H:%M:%S")) for t in tokens]
        assert [round(end - begin) for begin, end in zip(issued, ends, strict=True)] == [30 * 86400, 90, 12 * 3600]
        revoked = await operator.say("token", "revoke", tokens[0]["id"])
        assert revoked == f"revoked {tokens[0]['id']} of pat-1; a new one: {operator.next('token', 'pat-1')}\n"
        assert [t["state"] for t in await listed("--user", "pat-1")] == ["revoked", "valid"]
        assert "(1 issued here)" in await operator.say("token", "revoke", "--user", "pat-1")
        assert [t["state"] for t in await listed()] == ["revoked", "revoked", "valid"]
        table = await operator.say("token", "list")
        assert not JWT.search(table)
        assert table.splitlines()[0].split() == ["ID", "STATE", "ISSUED", "(UTC)", "EXPIRES", "(UTC)", "USER"]


async def test_earlier_texts_of_messages(place: Any, operator: Operator) -> None:
    store = SqliteStore(operator.folder / "data" / "chatd.db", new_epoch=lambda: "e1")
    sender = frozenset({"sender"})
    store.commit(
        [
            PutUser("pat-1", "Ada", "patient", 1),
            PutUser("den-1", "Bo", "dentist", 1),
            OpenDirect("c1", "pat-1", "den-1", 2),
            *(
                SendMessage(
                    conversation="c1",
                    user="pat-1",
                    client_id=f"k{n}",
                    message=f"m{n}",
                    body=f"first {n}",
                    reply_to=None,
                    at=3,
                )
                for n in (1, 2)
            ),
            *(
                EditMessage(conversation="c1", user="pat-1", seq=1, body=f"text {n} \x1b[2J", at=10 + n, since=None)
                for n in range(2, 9)
            ),
            DeleteMessage(conversation="c1", user="pat-1", seq=1, at=99, since=None, by=sender),
        ]
    )
    store.close()
    async with place:
        printed = (await operator.say("message", "versions", "c1", "1")).splitlines()
        assert printed[0] == "-- until 1970-01-01T00:00:00.012Z (rev 4)"
        assert [line for line in printed if not line.startswith("--")][:2] == ["first 1", printed[3]]
        assert "\x1b" not in "".join(printed), "what people wrote does nothing to the operator's terminal"
        found = [
            json.loads(line) for line in (await operator.say("message", "versions", "c1", "1", "--json")).splitlines()
        ]
        assert [v["body"] for v in found] == ["first 1", *(f"text {n} \x1b[2J" for n in range(2, 9))]
        assert "never edited" in (await operator.run("message", "versions", "c1", "2")).stderr
        assert "the newest is 2" in await operator.refused("message", "versions", "c1", "3")
        assert "no conversation c9" in await operator.refused("message", "versions", "c9", "1")


async def test_database_commands_check_upgrade_and_begin_an_epoch(place: Any, operator: Operator) -> None:
    async with place:
        await operator.people()
        assert {line.split()[0] for line in (await operator.say("db", "check")).splitlines()} == {"ok"}
        assert "nothing to do" in await operator.say("db", "upgrade")
        first, second = [await operator.say("db", "new-epoch") for _ in range(2)]
        assert first != second


async def test_user_list_longer_than_a_page_is_whole(operator: Operator) -> None:
    with closing(SqliteStore(operator.folder / "data" / "chatd.db", new_epoch=lambda: "e")) as store:
        store.commit([PutUser(f"u{number:04}", "Ada", "patient", 1) for number in range(1001)])
    lines = (await operator.say("user", "list", "--json")).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"u{number:04}" for number in range(1001)]
    async with running(operator.folder, development=False):
        assert (await operator.say("user", "list", "--json")).splitlines() == lines


async def test_commands_without_a_database_name_it_and_make_nothing(operator: Operator) -> None:
    for args in (("user", "list"), ("token", "pat-1"), ("db", "check"), ("db", "upgrade"), ("db", "new-epoch")):
        line = await operator.refused(*args)
        assert "data/chatd.db" in line
        assert "--data" in line
    assert not (operator.folder / "data").exists()


async def test_token_command_in_development_mode_is_refused(operator: Operator) -> None:
    async with running(operator.folder):
        await operator.people()
        assert "development mode" in await operator.refused("token", "pat-1")
    assert "development mode" in await operator.refused("token", "pat-1")


# -- what they do to clients --


async def test_user_disabled_is_cut_off_within_a_second(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        token = await operator.token("pat-1")
        async with signed_in(daemon, token) as client, signed_in(daemon, await operator.token("den-1")) as other:
            await operator.say("user", "disable", "pat-1", real=True)
            with trio.fail_after(1):
                assert await closed(client) == 4503
            assert other.connected
        async with connect(url(daemon), token=token) as client:
            assert await closed(client) in (4501, None)
        await operator.say("user", "enable", "pat-1")
        async with signed_in(daemon, token):
            pass


@pytest.mark.parametrize("whole", [False, True], ids=["one", "all"])
async def test_revoked_token_is_cut_off_within_a_second(operator: Operator, whole: bool) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        first, second = await operator.token("pat-1"), await operator.token("pat-1")
        ids = [json.loads(line)["id"] for line in (await operator.say("token", "list", "--json")).splitlines()]
        async with signed_in(daemon, first) as one, signed_in(daemon, second) as two:
            await operator.say("token", "revoke", *(("--user", "pat-1") if whole else (ids[0],)), real=True)
            with trio.fail_after(1):
                assert await closed(one) == 4503
                assert not whole or await closed(two) == 4503
            assert whole or two.connected
        async with signed_in(daemon, await operator.token("pat-1")):
            pass


async def test_new_epoch_makes_clients_start_anew(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        async with signed_in(daemon, await operator.token("pat-1")) as client:
            before = client.replica.epoch
            events = client.events()
            said = await operator.say("db", "new-epoch")
            with trio.fail_after(20):
                async for event in events:
                    if isinstance(event, Connected):
                        break
            assert client.replica.epoch != before
            assert str(client.replica.epoch) in said


async def test_rename_reaches_clients(operator: Operator) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        async with signed_in(daemon, await operator.token("den-1")) as bo:
            await bo.open("pat-1")
            await operator.say("user", "rename", "pat-1", "Ada L.")

            async def renamed() -> bool:
                await trio.lowlevel.checkpoint()
                return bo.replica.users["pat-1"].name == "Ada L."

            await eventually(renamed, within=5)
