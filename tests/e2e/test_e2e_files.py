"""Files of a real daemon: it dies in the middle of uploads, and nothing is left that nobody names."""

import os
import time
from pathlib import Path

import pytest
import trio

from support.process import Daemon, eventually, running

DATA = b"%PDF-1.7\n" + b"%" * 3_000_000
USER = "X-Chatd-User: pat-1\r\nHost: localhost\r\n"


def drafts(folder: Path) -> list[Path]:
    return list((folder / "data" / "files" / "drafts").iterdir())


async def asked(daemon: Daemon, head: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
    async with await daemon.dial() as stream:
        await stream.send_all(f"{head}Connection: close\r\n\r\n".encode() + body)
        answer = b"".join([data async for data in stream])
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers


@pytest.mark.crash
async def test_kill_during_uploads_leaves_no_orphan_after_the_next_sweep(tmp_path: Path) -> None:
    tus = f"{USER}Tus-Resumable: 1.0.0\r\n"
    async with running(tmp_path) as daemon:
        status, headers = await asked(daemon, f"POST /v1/uploads HTTP/1.1\r\n{tus}Upload-Length: {len(DATA)}\r\n")
        assert status == 201
        url = "/v1/uploads/" + headers["location"].rpartition("/")[2]
        patch = f"PATCH {url} HTTP/1.1\r\n{tus}Content-Type: application/offset+octet-stream\r\nUpload-Offset: "
        status, headers = await asked(daemon, f"{patch}0\r\nContent-Length: 100000\r\n", DATA[:100_000])
        assert (status, headers["upload-offset"]) == (204, "100000")
        streams = [await daemon.dial() for _ in range(4)]
        form = f"POST /v1/attachments HTTP/1.1\r\n{USER}Content-Type: multipart/form-data; boundary=b\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n' + DATA[:1_000_000]
        for stream in streams[:3]:
            await stream.send_all(f"{form}Content-Length: 4000000\r\n\r\n".encode() + part)
        await streams[3].send_all(
            f"{patch}100000\r\nContent-Length: 2900009\r\n\r\n".encode() + DATA[100_000:1_100_000]
        )

        async def written() -> bool:
            return len(drafts(tmp_path)) == 4 and all(path.stat().st_size > 500_000 for path in drafts(tmp_path))

        await eventually(written, within=20)
        await daemon.kill()
        for stream in streams:
            await trio.aclose_forcefully(stream)
    long_ago = time.time() - 2 * 86_400
    for path in drafts(tmp_path):
        os.utime(path, (long_ago, long_ago))
    async with running(tmp_path) as daemon:

        async def swept() -> bool:
            return len(drafts(tmp_path)) == 1

        await eventually(swept, within=20)
        status, headers = await asked(daemon, f"HEAD {url} HTTP/1.1\r\n{tus}")
        offset = int(headers["upload-offset"])
        assert offset >= 100_000
        rest = DATA[offset:]
        status, headers = await asked(daemon, f"{patch}{offset}\r\nContent-Length: {len(rest)}\r\n", rest)
        assert status == 204
        assert headers["attachment-id"]
        assert drafts(tmp_path) == []
