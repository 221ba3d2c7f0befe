"""Files of a client: uploaded by tus, so that a lost connection costs nothing, and downloaded likewise."""

import base64
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import h11
import trio

from protocol.codes import ErrorCode
from protocol.frames import Error
from protocol.objects import Attachment

from .line import LineOver
from .link import RequestFailed
from .transfer import Dial, Read, TransferAnswer, asking

Progress = Callable[[int, int], None]
"""Hears how many bytes of how many have gone."""

Write = Callable[[bytes], Awaitable[int]]


def ignore(done: int, size: int) -> None:
    """Hear of progress that nobody watches."""


LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, h11.RemoteProtocolError)
"""Errors that a lost connection raises."""

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts; after the last one without any progress the file is given up."""

ATTACHMENT_ID_HEADER = "attachment-id"
TUS = {"Tus-Resumable": "1.0.0"}
OTHER_SERVER = "this file is not on the chat's own server; open its address instead"


class FileTransfers:
    """Uploads and downloads. `netloc`: as in `Host`; `signed`: headers that sign a request in, fresh for each."""

    def __init__(self, netloc: str, dial: Dial, signed: Callable[[], Awaitable[dict[str, str]]]) -> None:
        self._netloc = netloc
        self._dial = dial
        self._signed = signed

    async def upload(self, source: Path, *, name: str | None = None, progress: Progress = ignore) -> str:
        """Upload a file, for one message of the next day: the id for its `attachments`.

        Bytes that arrived before a connection was lost are not sent again. Raises RequestFailed, OSError.
        """
        async with await trio.open_file(source, "rb") as file:
            size = (await trio.to_thread.run_sync(os.stat, file.fileno())).st_size
            patience, url = _Patience(), ""
            while True:
                try:
                    url = url or await self._begin(size, name or source.name)
                    offset, id = await self._asked(url)
                    patience.moved(offset)
                    progress(offset, size)
                    if id is None:
                        await file.seek(offset)
                        id = await self._append(url, offset, size, file.read, progress)
                    if id is not None:
                        return id
                except (*LOST, RequestFailed) as error:
                    await patience.after(error)

    async def download(self, attachment: Attachment, target: Path, *, progress: Progress = ignore) -> None:
        """Write a file of a message to `target`, which must not exist. Raises RequestFailed, OSError.

        Bytes that came before a connection was lost are not fetched again. Nothing is left of an incomplete file.
        ValueError for a file that isn't on the chat's own server.
        """
        if not attachment.url.startswith("/") or attachment.url.startswith("//"):
            raise ValueError(OTHER_SERVER)  # whoever is there must not see what signs us in
        whole = False
        file = await trio.open_file(target, "xb")
        try:
            async with file:
                patience = _Patience()
                while not whole:
                    at = await file.tell()
                    patience.moved(at)
                    try:
                        await self._fetch(attachment, at, file.write, progress)
                        whole = True
                    except (*LOST, RequestFailed) as error:
                        await patience.after(error)
        finally:
            if not whole:
                with trio.CancelScope(shield=True):
                    await trio.Path(target).unlink(missing_ok=True)

    async def _headers(self) -> dict[str, str]:
        try:
            return {"Host": self._netloc, **await self._signed()}
        except LineOver as over:
            code = ErrorCode.UNAUTHORIZED if over.fatal else ErrorCode.UNAVAILABLE
            raise RequestFailed(Error(re=None, code=code, message=over.reason, temporary=not over.fatal)) from None

    async def _begin(self, size: int, name: str) -> str:
        named = base64.b64encode(name.encode("utf-8", "replace")).decode()
        headers = {**await self._headers(), **TUS, "Upload-Length": str(size), "Upload-Metadata": f"filename {named}"}
        async with asking(self._dial, "POST", "/v1/uploads", headers, body=_nothing) as answer:
            await _check(answer, 201)
            return "/v1/uploads/" + answer.headers["location"].rpartition("/")[2]

    async def _asked(self, url: str) -> tuple[int, str | None]:
        async with asking(self._dial, "HEAD", url, {**await self._headers(), **TUS}) as answer:
            await _check(answer, 200)
            return int(answer.headers["upload-offset"]), answer.headers.get(ATTACHMENT_ID_HEADER)

    async def _append(self, url: str, offset: int, size: int, read: Read, progress: Progress) -> str | None:
        """Send what is left; return the attachment's id once all of it is there."""
        sent = offset

        async def body(limit: int) -> bytes:
            nonlocal sent
            data = await read(limit)
            sent += len(data)
            progress(sent, size)
            return data

        typed = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        headers = {**await self._headers(), **TUS, **typed}
        async with asking(self._dial, "PATCH", url, headers, body=body, length=size - offset) as answer:
            await _check(answer, 204)
            return answer.headers.get(ATTACHMENT_ID_HEADER)

    async def _fetch(self, attachment: Attachment, at: int, write: Write, progress: Progress) -> None:
        """Append what is missing of a file."""
        headers = await self._headers()
        if at:
            headers["Range"] = f"bytes={at}-"  # what an id names never changes
        async with asking(self._dial, "GET", attachment.url, headers) as answer:
            if at and answer.status == 416:
                return
            await _check(answer, 206 if at else 200)
            while data := await answer.read():
                await write(data)
                at += len(data)
                progress(at, attachment.size)


class _Patience:
    """Waits ever longer between attempts that bring nothing on."""

    def __init__(self) -> None:
        self._failures = 0
        self._reached = 0

    def moved(self, offset: int) -> None:
        """Begin anew where something came through."""
        if offset > self._reached:
            self._reached, self._failures = offset, 0

    async def after(self, error: Exception) -> None:
        """Wait after a failure; raise it where it is final, or there were too many."""
        if isinstance(error, RequestFailed) and not error.temporary:
            raise error
        if self._failures == len(PAUSES_S):
            raise error if isinstance(error, RequestFailed) else OSError("the connection is lost again and again")
        await trio.sleep(PAUSES_S[self._failures])
        self._failures += 1


async def _nothing(limit: int) -> bytes:  # noqa: ARG001
    return b""


async def _check(answer: TransferAnswer, status: int) -> None:
    """Raise RequestFailed for another status."""
    if answer.status == status:
        return
    try:
        found = json.loads(await answer.text())
        error = Error(re=None, code=found["code"], message=str(found["message"]), temporary=bool(found["temporary"]))
    except (ValueError, KeyError, TypeError):
        temporary = answer.status >= 500 or answer.status in (409, 423)
        error = Error(re=None, code=ErrorCode.UNAVAILABLE, message=f"HTTP {answer.status}", temporary=temporary)
    if answer.status == 409:  # the offset is another by now: ask again
        error = Error(re=None, code=error.code, message=error.message, temporary=True)
    raise RequestFailed(error)
