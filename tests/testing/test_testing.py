"""The plugin that other projects test with: a daemon in the test, its clients, seeded schedules."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from chatd.config import Config
from chatd.testing import Refused, Server, TestClient, daemon
from storage.memory import MemoryStore


async def talk(server: Server) -> tuple[TestClient, TestClient, str]:
    """A dentist and a patient with a conversation of theirs."""
    bo = await server.connect("den-1", role="dentist", name="Bo")
    ada = await server.connect("pat-1", name="Ada")
    opened = await ada.ask("conversation.open", with_="den-1")
    await bo.expect("change", conversation=opened["conversation"], from_=0)
    return ada, bo, opened["conversation"]


async def test_a_message_arrives(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada, bo, conversation = await talk(chatd_server)
    ok = await ada.ask("message.send", conversation=conversation, client_id="a-1", body="It hurts")
    assert (ok["from"], ok["rev"], ok["duplicate"]) == (1, 2, False)
    got = await bo.expect("change", conversation=conversation, messages=[{"body": "It hurts", "sender": "pat-1"}])
    assert got["rev"] == 2
    assert [frame["type"] for frame in bo.received] == ["ok", "change", "change"]


async def test_time_is_virtual_and_the_wall_clock_follows_it(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada, bo, conversation = await talk(chatd_server)
    await bo.tell("typing", conversation=conversation, active=True)
    await ada.expect("typing", user="den-1", active=True)
    before, wall = trio.current_time(), chatd_server.now()
    await ada.expect("typing", user="den-1", active=False)
    assert trio.current_time() - before == pytest.approx(6, abs=0.01)
    assert chatd_server.now() - wall == pytest.approx(6000, abs=10)


async def test_ids_and_times_repeat(autojump_clock: MockClock) -> None:
    seen = []
    for _ in range(2):
        async with daemon() as server:
            ada, _, conversation = await talk(server)
            await ada.ask("message.send", conversation=conversation, client_id="a-1", body="Hello")
            seen.append(ada.received)
    assert seen[0] == seen[1]


async def test_a_refusal_is_an_exception(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada = await chatd_server.connect("pat-1")
    with pytest.raises(Refused) as refused:
        await ada.ask("conversation.open", with_="nobody")
    assert (refused.value.code, refused.value.temporary) == ("not_found", False)


async def test_requests_without_an_id_get_errors_as_events(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada = await chatd_server.connect("pat-1")
    await ada.tell("conversation.get", conversation="nothing")
    await ada.expect("error", code="not_found")


async def test_requests_may_be_pipelined(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada, bo, conversation = await talk(chatd_server)
    ids = [
        await ada.send("message.send", conversation=conversation, client_id=f"a-{n}", body=str(n)) for n in range(20)
    ]
    assert [(await ada.reply(id))["messages"][0]["seq"] for id in ids] == list(range(1, 21))
    messages = [m for event in await bo.barrier() for m in event.get("messages", ())]
    assert [m["seq"] for m in messages] == list(range(1, 21))
    assert await bo.barrier() == []


async def test_expectation_not_met_fails_clearly(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada, bo, conversation = await talk(chatd_server)
    await ada.ask("message.send", conversation=conversation, client_id="a-1", body="Hello")
    with pytest.raises(AssertionError, match=r'den-1 expected .*"Goodbye".*nothing like it came in 10 s(?s:.)*"Hello"'):
        await bo.expect("change", messages=[{"body": "Goodbye"}])
    await bo.abort()
    with pytest.raises(AssertionError, match="the connection ended"):
        await bo.expect("typing")


async def test_an_event_is_taken_once(chatd_server: Server, autojump_clock: MockClock) -> None:
    ada, bo, conversation = await talk(chatd_server)
    await ada.ask("message.send", conversation=conversation, client_id="a-1", body="Hello")
    await bo.expect("change", messages=[{"body": "Hello"}])
    with pytest.raises(AssertionError, match="nothing at all"):
        await bo.expect("change", messages=[{"body": "Hello"}])


async def test_a_broken_protocol_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="broke the protocol"):
        async with daemon() as server:
            ada = await server.connect("pat-1")
            ada._take('{"type":"presence","user":7}')


async def test_connections_end_with_a_code(chatd_server: Server, autojump_clock: MockClock) -> None:
    polite, silent, refused = [await chatd_server.connect() for _ in range(3)]
    await polite.hello("pat-1")
    await polite.aclose()
    assert (await polite.closed()).code == 1000
    await refused.send_text("[]")
    assert (await refused.closed()).code == 4500
    assert (await silent.closed()).code == 4010  # no hello
    gone = await chatd_server.connect("pat-1")
    await gone.abort()
    assert (await gone.closed()).code == 1006


async def test_a_store_outlives_its_daemon(autojump_clock: MockClock) -> None:
    store = MemoryStore(epoch="kept", development=True)
    async with daemon(store=store) as server:
        ada, _, conversation = await talk(server)
        await ada.ask("message.send", conversation=conversation, client_id="a-1", body="Hello")
    async with daemon(store=store) as server:
        bo = await server.connect("den-1", epoch="kept", revs={conversation: 1})
        await bo.expect("change", from_=1, rev=2, messages=[{"body": "Hello"}])


async def test_outside_development_mode_nobody_is_who_they_say(autojump_clock: MockClock) -> None:
    async with daemon(development=False, config=Config()) as server:
        stranger = await server.connect()
        with pytest.raises(Refused, match="unauthorized"):
            await stranger.hello("pat-1")
        assert (await stranger.closed()).code == 4501


async def test_a_shutdown_is_announced(autojump_clock: MockClock) -> None:
    async with daemon() as server:
        ada = await server.connect("pat-1")
        server.daemon.stop()
        assert (await ada.expect("going_away"))["reconnect_in"] >= 1
        assert (await ada.closed()).code == 1001


# -- the plugin in a pytest of its own --

ORDER = """
import trio

async def test_order():
    order = []
    async def note(number):
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(number)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(note, number)
    print("order:", order)
"""


def run_pytest(folder: Path, *arguments: str, **environment: str) -> str:
    """Run pytest on the files of `folder`, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:schemathesis", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_seed_decides_the_schedule_and_is_in_the_header(tmp_path: Path) -> None:
    (tmp_path / "test_order.py").write_text(ORDER)
    mode = ("-o", "trio_mode=true")
    runs = [run_pytest(tmp_path, *mode, f"--chatd-schedule-seed={seed}") for seed in (1, 1, 2)]
    runs.append(run_pytest(tmp_path, *mode, CHATD_SCHEDULE_SEED="2"))
    orders = [next(line for line in run.splitlines() if "order:" in line) for run in runs]
    assert orders[0] == orders[1] != orders[2] == orders[3]
    assert "schedule is seeded with 1" in runs[0]


def test_the_plugin_leaves_other_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_plugin_loads_nothing_heavy():\n"
        "    assert 'chatd.testing' in sys.modules\n    assert 'trio' not in sys.modules\n"
    )
    # Without the other plugins, some of which load Trio themselves.
    out = run_pytest(tmp_path, "-p", "chatd.testing", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "seeded" not in out
