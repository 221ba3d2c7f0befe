"""A real tus-js-client uploads through a proxy that loses the connection again and again."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path

import attrs
import trio

from support.npm_peers import FOLDER, node
from support.process import Daemon, environment, running

SIZE = 200_000_000
CUTS = 10
SETTINGS = f"[limits]\nmax_attachment_bytes = {2 * SIZE}\n"
PIECE = 1 << 16


@attrs.define
class Cutter:
    """A TCP proxy that loses `cuts` connections, each after so many bytes that it passed on to the server."""

    daemon: Daemon
    after: int
    cuts: int

    async def handle(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self.daemon.port)
        passed = 0

        async def back(scope: trio.CancelScope) -> None:
            async for data in server:
                await client.send_all(data)
            scope.cancel()

        async with client, server:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(back, nursery.cancel_scope)
                    async for data in client:
                        await server.send_all(data)
                        passed += len(data)
                        if self.cuts and passed > self.after:
                            self.cuts -= 1
                            break
                    nursery.cancel_scope.cancel()
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


async def test_tus_js_client_uploads_through_a_proxy_that_cuts_ten_times(tmp_path: Path) -> None:
    program = node()
    source = tmp_path / "scan.pdf"
    digest = sha256()
    with source.open("wb") as file:
        piece = b"%PDF-1.7\n".ljust(1_000_000, b"%")
        for number in range(SIZE // len(piece)):
            data = piece if number == 0 else number.to_bytes(4, "big") * (len(piece) // 4)
            digest.update(data)
            file.write(data)
    async with running(tmp_path, settings=SETTINGS) as daemon, trio.open_nursery() as nursery:
        cutter = Cutter(daemon, after=SIZE // (CUTS + 2), cuts=CUTS)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, cutter.handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        with trio.fail_after(110):
            done = await trio.run_process(
                [program, str(FOLDER / "tus.mjs"), f"http://127.0.0.1:{port}", str(source), "pat-1"],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                env=environment(),
            )
        told = json.loads(done.stdout)
        assert cutter.cuts == 0
        assert "error" not in told, told
        assert told["attachment"]
        kept = tmp_path / "data" / "files" / "blobs"
        (blob,) = [path for path in kept.rglob("*") if path.is_file()]
        assert blob.stat().st_size == SIZE
        assert blob.name == digest.hexdigest()
        nursery.cancel_scope.cancel()
