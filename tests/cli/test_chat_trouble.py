"""The chat in a terminal where something is amiss: what it says, with the server's name, and how it ends."""

import copy
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from chatd.client import Closed
from chatd.client.line import LineOver
from chatd.config import Config, Server, Tls, local_url
from chatd.testing import daemon
from storage.changes import BeginLineage
from storage.memory import MemoryStore
from support import process
from support.certificates import make_certificate
from support.commands import Operator
from support.terminals import terminal, window


def copy_of(store: MemoryStore) -> MemoryStore:
    made = MemoryStore(epoch=store.epoch, development=True)
    lock = type(threading.Lock()), type(threading.RLock())
    for name, value in vars(store).items():
        if not isinstance(value, lock):
            setattr(made, name, copy.deepcopy(value))
    return made


@pytest.mark.parametrize("new_epoch", [True, False])
async def test_restored_backup_is_shown_at_once_though_its_numbers_are_lower(
    new_epoch: bool, autojump_clock: MockClock
) -> None:
    store = MemoryStore(epoch="a", development=True)
    async with daemon(store=store) as first:
        bo = await first.connect("den-1", role="dentist", name="Bo")
        await (await first.connect("pat-1", name="Ada")).aclose()
        conversation = (await bo.ask("conversation.open", with_="pat-1"))["conversation"]
        for n in (1, 2):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=f"n{n}.")
        restored = copy_of(store)
        if new_epoch:
            restored.commit([BeginLineage("b")])
        for n in (3, 4, 5):
            await bo.ask("message.send", conversation=conversation, client_id=f"b-{n}", body=f"lost{n}.")
        async with terminal(first, "pat-1", "den-1") as ada, daemon(store=restored) as second:
            await ada.see("lost5.")
            ada.server = second
            await ada.cut()
            ada.down = False
            await ada.see("went back to a backup")
            await ada.see("n2.")
            bo = await second.connect("den-1")
            await bo.ask("message.send", conversation=conversation, client_id="b-6", body="news")
            await ada.see("Bo: news")
            await ada.keys.send("here")
            await ada.see("✓ sent: here")


async def test_restored_backup_without_the_conversation_begins_it_again(autojump_clock: MockClock) -> None:
    async with daemon() as first, daemon(store=MemoryStore(epoch="b", development=True)) as second:
        bo = await first.connect("den-1", role="dentist", name="Bo")
        async with terminal(first, "pat-1", "den-1") as ada:
            await ada.keys.send("lost")
            await ada.see("✓ sent: lost")
            bo = await second.connect("den-1", role="dentist", name="Bo")
            ada.server = second
            await ada.cut()
            ada.down = False
            await ada.see("went back to a backup")
            await ada.keys.send("kept")
            await ada.see("✓ sent: kept")
            await bo.expect("change", messages=[{"body": "kept", "seq": 1}])


async def test_chat_with_an_unknown_user_ends_out_of_development(autojump_clock: MockClock) -> None:
    reasons: list[str] = []
    try:
        async with daemon() as server, terminal(server, "pat-1", "den-9", awaits=False) as ada:
            await ada.over.wait()
    except* Closed as group:
        reasons.append(str(group.exceptions))
    assert "there is no den-9 whom you may talk to" in reasons[0]


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (Config(), "http://127.0.0.1:3001"),
        (Config(server=Server(host="0.0.0.0", port=4000)), "http://127.0.0.1:4000"),
        (Config(server=Server(host="::")), "http://[::1]:3001"),
        (Config(server=Server(public_url="https://chat.example.org")), "http://127.0.0.1:3001"),
        (
            Config(server=Server(public_url="https://chat.example.org"), tls=Tls(certificate="c", key="k")),
            "https://chat.example.org",
        ),
        (Config(server=Server(host="chat.lan", port=443), tls=Tls(certificate="c", key="k")), "https://chat.lan:443"),
    ],
)
def test_address_of_the_settings_is_one_to_connect_to(config: Config, url: str) -> None:
    assert local_url(config) == url


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens there (connection refused)"),
        (OSError(113, "No route to host"), "No route to host"),
        (OSError("odd"), "odd"),
    ],
)
def test_network_error_is_told_in_words(error: OSError, words: str) -> None:
    assert LineOver.by(error).reason == words


def test_certificate_out_of_time_hints_at_the_clock() -> None:
    for code, hinted in ((9, True), (10, True), (18, False), (62, False)):
        error = ssl.SSLCertVerificationError(1, "[SSL] verify failed")
        error.verify_code, error.verify_message = code, "it is so"
        reason = LineOver.by(error).reason
        assert reason.startswith("the server's certificate is not trusted here: it is so")
        assert reason.endswith("this machine's clock is wrong") == hinted


async def test_address_where_nobody_listens_and_name_that_is_unknown_are_told_in_words() -> None:
    for host, words in (("127.0.0.1", "nothing listens there"), ("nobody.invalid", "its name is not known here")):
        with pytest.raises(OSError) as caught:  # noqa: PT011  # gaierror has no more in common with the other
            await trio.open_tcp_stream(host, 9)
        assert LineOver.by(caught.value).reason.startswith(words)


# -- as processes --


async def test_chat_finds_its_server_in_the_settings_and_says_what_was_not_kept(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    async with process.running(tmp_path, development=False) as daemon:
        await operator.people()
        (tmp_path / "token").write_text(await operator.token("pat-1"))
        (tmp_path / "chatd.toml").write_text(f"[server]\nport = {daemon.port}\n")
        server, flags = f"http://127.0.0.1:{daemon.port}", ("--token-file", "token")
        async with window(None, *flags, "--with", "den-1", cwd=tmp_path) as ada:
            await ada.type("It hurts\n")
            await ada.see("✓ sent: It hurts")
            assert await ada.end() == 0
        async with window(None, *flags, "--with", "den-1", cwd=tmp_path) as ada:
            await ada.type("x" * 10_001 + "\n")
            await ada.see("not sent: xxx")
            assert await ada.end() == 1
        async with window(None, *flags, "--with", "den-9", cwd=tmp_path) as ada:
            await ada.see(f"chatd: {server}: there is no den-9 whom you may talk to")
            assert await ada.wait() == 2
        await operator.say("token", "revoke", "--user", "pat-1")
        async with window(None, *flags, "--with", "den-1", cwd=tmp_path) as ada:
            await ada.see(f"chatd: {server}: the token is not accepted: ")
            await ada.see("revoked")
            assert await ada.wait() == 2
    async with window(None, *flags, "--with", "den-1", cwd=tmp_path) as ada:
        await ada.see("nothing listens there (connection refused)), trying again")
        await ada.type("unsent\n")
        await trio.sleep(0.5)
        ada.process.terminate()
        assert await ada.wait() == 1


async def test_chat_over_tls_says_whom_to_trust_or_that_there_is_no_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    tls = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    who = ("--as", "pat-1", "--with", "den-1")
    (tmp_path / "secure").mkdir()
    async with process.running(tmp_path) as plain, window(f"https://127.0.0.1:{plain.port}", *who) as ada:
        await ada.see(f"chatd: https://127.0.0.1:{plain.port}: it answers without TLS: is its address http://?")
        assert await ada.wait() == 2
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with process.running(tmp_path / "secure", settings=tls, tls=trusting) as daemon:
        async with window(f"https://localhost:{daemon.port}", *who) as ada:
            await ada.see("certificate is not trusted here: ")
            await ada.see("--ca FILE")
            assert await ada.wait() == 2
        async with window(f"https://localhost:{daemon.port}", *who, "--ca", str(certificate)) as ada:
            await ada.see("waiting for den-1 to appear")


def test_chat_with_a_token_of_another_server_says_so(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert process.run("init", ".", cwd=tmp_path / name).returncode == 0
        process.run("user", "add", "pat-1", "--name", "Ada", "--role", "patient", cwd=tmp_path / name)
    token = process.run("token", "pat-1", cwd=tmp_path / "one").stdout.strip()

    async def talk() -> subprocess.CompletedProcess[str]:
        async with process.running(tmp_path / "two", development=False) as daemon:
            words = ("chat", "--with", "x", "--server", f"http://127.0.0.1:{daemon.port}")
            return await trio.to_thread.run_sync(
                lambda: process.run(*words, cwd=tmp_path, env={"CHATD_TOKEN": token}, given="hi\n")
            )

    done = trio.run(talk)
    assert done.returncode == 2
    assert done.stderr.endswith(": the token was not issued by this server\n")
