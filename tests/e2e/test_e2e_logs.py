"""A real daemon whose standard error nobody reads serves on, and obeys signals."""

import signal
import subprocess
from pathlib import Path

import trio

from support.process import command, environment


async def test_serve_unread_standard_error_pipe_does_not_stop_the_daemon(tmp_path: Path) -> None:
    flags = ("serve", "--dev", "--port", "0", "--data", str(tmp_path / "data"))
    process = await trio.lowlevel.open_process(
        command(*flags),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(CHATD_LOG_LEVEL="debug"),
    )
    try:
        assert process.stdout is not None
        with trio.fail_after(30):
            line = bytearray()
            while not line.startswith(b"listening on"):
                line = bytearray(await process.stdout.receive_some(200))
            port = int(line.split()[2].rpartition(b":")[2])
            # Each of these handshakes is refused, with a line of some 200 bytes: several times what a pipe holds.
            head = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            refused = head + b"Origin: https://elsewhere.example/" + b"x" * 400 + b"\r\n\r\n"
            for _ in range(600):
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    await stream.send_all(refused)
                    assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 4")
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 200")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert process.stderr is not None
        waiting = await process.stderr.receive_some(1_000_000)
        assert waiting.count(b"handshake refused") < 600, "the pipe was not full"
    finally:
        process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 30):
            await process.wait()
