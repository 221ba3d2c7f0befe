"""Secrets and tokens that nobody else may see, and the chat that signs in with them."""

import functools
import subprocess
from pathlib import Path

import pytest
import trio

from support.certificates import make_certificate, trusting
from support.commands import Operator, signed_in, url
from support.process import command, environment, eventually, running


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604])
async def test_secret_that_others_may_read_is_refused(operator: Operator, mode: int) -> None:
    await operator.people()
    secret = operator.folder / "data" / "secret"
    await operator.token("pat-1")
    secret.chmod(mode)
    for args in (("serve", "--port", "0"), ("token", "pat-1")):
        line = await operator.refused(*args)
        assert str(secret) in line
        assert "chmod 600" in line
        assert secret.read_text().strip() not in line


def command_lines() -> str:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


@pytest.mark.parametrize("by", ["file", "variable"])
async def test_chat_by_token_leaves_no_trace_of_it(operator: Operator, by: str) -> None:
    async with running(operator.folder, development=False) as daemon:
        await operator.people()
        secret = (operator.folder / "data" / "secret").read_text().strip()
        token = await operator.token("pat-1")
        file = operator.folder / "token"
        file.write_text(token + "\n")
        flags = ("--token-file", str(file)) if by == "file" else ()
        env = environment(**({} if by == "file" else {"CHATD_TOKEN": token}))
        async with signed_in(daemon, await operator.token("den-1")) as bo:
            process = await trio.lowlevel.open_process(
                command("chat", "--with", "den-1", "--server", url(daemon), *flags),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=operator.folder, env=env,
            )  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.send_all(b"It hurts\n")

            async def arrived() -> bool:
                return any(
                    message.body == "It hurts" and message.sender == "pat-1"
                    for held in await bo.conversations()
                    for message in held.messages.values()
                )

            await eventually(arrived, within=20)
            seen = command_lines()
            assert "den-1" in seen
            await process.stdin.aclose()
            with trio.fail_after(20):
                printed = b"".join([data async for data in process.stdout]).decode()
                assert await process.wait() == 0
        other = command("chat", "--with", "den-1", "--server", url(daemon))
        env = environment(CHATD_TOKEN=token + "x")
        refused = await trio.to_thread.run_sync(
            functools.partial(
                subprocess.run, other, env=env, input="Hello\n", capture_output=True, text=True, timeout=30
            )
        )
        assert refused.returncode == 2
        assert await daemon.stop() == 0
        for text in (seen, printed, daemon.log, refused.stdout, refused.stderr):
            assert token not in text
            assert secret not in text
            assert token.rpartition(".")[2] not in text


async def test_chat_over_tls_trusts_what_it_is_told_to(operator: Operator) -> None:
    certificate, key = make_certificate(operator.folder)
    await operator.people()
    file = operator.folder / "token"
    file.write_text(await operator.token("pat-1"))
    settings = f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    async with running(operator.folder, settings=settings, tls=trusting(certificate), development=False) as daemon:

        async def chat(*flags: str) -> str:
            asked = ("chat", "--with", "den-1", "--token-file", "token", "--server", f"https://127.0.0.1:{daemon.port}")
            process = await trio.lowlevel.open_process(
                command(*asked, *flags),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd=operator.folder, env=environment(),
            )  # fmt: skip
            assert process.stdout is not None
            printed = b""
            with trio.fail_after(20):
                while b"\n" not in printed and (more := await process.stdout.receive_some()):
                    printed += more
            process.kill()
            await process.wait()
            return printed.decode()

        assert "you talk to Dr. Bo" in await chat("--ca", str(certificate))
        assert "certificate" in await chat()


async def test_chat_of_nobody_says_what_it_needs(operator: Operator) -> None:
    assert "CHATD_TOKEN" in await operator.refused("chat", "--with", "den-1")
    assert "cannot be read" in await operator.refused("chat", "--with", "den-1", "--token-file", "nowhere")
    (operator.folder / "empty").write_text("\n")
    assert "no token" in await operator.refused("chat", "--with", "den-1", "--token-file", "empty")
    assert "one of them" in await operator.refused("chat", "--with", "den-1", "--as", "x", "--token-file", "empty")
    assert "--ca" in await operator.refused("chat", "--with", "den-1", "--as", "x", "--ca", "empty")
