"""Resumable uploads, tus 1.0, at `/v1/uploads`: what `chatd/attachments/tus.py` decides, carried out over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio
from starlette.requests import Request
from starlette.responses import Response

from chatd.attachments import tus
from chatd.attachments.files import reported
from chatd.attachments.incoming import BodyTooLarge, Incoming
from chatd.attachments.refusal import FileRefused
from chatd.attachments.tus import Append, TusAnswer
from chatd.attachments.uploads import UploadWriter, state_of
from chatd.core.errors import Refusal, unavailable
from chatd.net.bounds import Bounds
from chatd.net.problem import problem
from chatd.transports.request import HttpCaller
from protocol.codes import ErrorCode
from storage.blobs import Draft
from storage.contract import Unavailable
from storage.keyed import Upload

from .answers import JSON, RETRY_AFTER_S, STATUS
from .attachments import UPLOAD_S, next_part
from .operation import Operation
from .site import Site

UPLOADS_PATH: Final = "/v1/uploads"
ATTACHMENT_ID_HEADER: Final = "Attachment-Id"
"""Header of the answer that ends an upload, and of what is told of it later: the id for `message.send`."""

SAVE_AFTER_CUT_S: Final = 30.0
"""Seconds in which what came in before a cut is brought to disk."""

UNBOUNDED: Final = 2**53
"""Bytes of a body: tus itself says how many an upload may have, in words that its clients understand."""

CODES: Final = {
    404: ErrorCode.NOT_FOUND,
    409: ErrorCode.CONFLICT,
    410: ErrorCode.NOT_FOUND,
    413: ErrorCode.TOO_LARGE,
    423: ErrorCode.UNAVAILABLE,
    503: ErrorCode.UNAVAILABLE,
}

Run = Callable[[Request, HttpCaller], Awaitable[Response]]


def operations(site: Site) -> list[Operation]:
    """`/v1/uploads` and what is made there."""
    resumable = Resumable(site)
    bounds = Bounds(body_bytes=UNBOUNDED, body_s=UPLOAD_S)
    one = f"{UPLOADS_PATH}/{{id}}"

    async def options(request: Request) -> Response:
        return _response(tus.on_options(site.files.max_bytes))

    def made(method: str, path: str, run: Run, text: str) -> Operation:
        return Operation(
            method=method,
            path=path,
            run=_told(run),
            bounds=bounds,
            waits=True,
            headers={"Tus-Resumable": tus.TUS_VERSION},
            text=text,
            answers={204 if path == one else 201: None},
        )

    return [
        *(
            Operation(method="OPTIONS", path=path, run=options, public=True, hidden=True, text="What tus offers here.")
            for path in (UPLOADS_PATH, one)
        ),
        made(
            "POST",
            UPLOADS_PATH,
            resumable.create,
            "Begins an upload that can be resumed (tus 1.0); `Location` is its own.",
        ),
        made("HEAD", one, resumable.asked, "How far an upload is: `Upload-Offset`."),
        made("PATCH", one, resumable.append, "Goes on with it; the last answer has `Attachment-Id`."),
        made("DELETE", one, resumable.delete, "Gives it up."),
        made("POST", one, resumable.overridden, "One of these, as `X-HTTP-Method-Override` says."),
    ]


class Resumable:
    """The requests of tus."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._uploads = site.uploads
        self._files = site.files

    async def create(self, request: Request, caller: HttpCaller) -> Response:
        """Make an upload, and take in what the same request brings of it."""
        plan = tus.on_create(_headers(request), self._files.max_bytes)
        if isinstance(plan, TusAnswer):
            return _response(plan)
        row = await self._uploads.begin(caller.user_id, plan.length, plan.metadata)
        location = f"{self._site.config().server.public_url or _own_address(request)}{UPLOADS_PATH}/{row.id}"
        draft = await self._uploads.draft(row)
        state = state_of(row, draft)
        if draft is None or state is None:
            return _response(tus.on_head(None, now=0))
        with draft, self._uploads.writing(row.id) as writing:
            answer = tus.created(location, state)
            if plan.append is not None or state.complete:
                # A cut leaves an upload whose address nobody knows: the sweep takes it.
                said = await self._take(request, row, draft, plan.append, writing)
                if said.status != 204:
                    return _response(said)
                answer = attrs.evolve(answer, headers={**answer.headers, **said.headers})
            return _response(answer)

    async def asked(self, request: Request, caller: HttpCaller) -> Response:
        """Answer with an upload's offset. Asking means that the sending connection is lost: its request ends."""
        id = request.path_params["id"]
        row = await self._uploads.find(id, caller.user_id)
        if row is None:
            return _response(tus.on_head(None, now=0))
        if not await self._uploads.take_over(id):
            return _response(_busy())
        row = await self._uploads.find(id, caller.user_id) or row
        draft = await self._uploads.draft(row) if row.attachment is None else None
        try:
            if draft is not None:  # what is acknowledged is on disk
                await self._files.on_disk(draft.sync)
            answer = tus.on_head(state_of(row, draft), now=self._now())
        finally:
            if draft is not None:
                draft.close()
        return _response(answer, row.attachment)

    async def append(self, request: Request, caller: HttpCaller) -> Response:
        """Append a body to an upload."""
        id = request.path_params["id"]
        row = await self._uploads.find(id, caller.user_id)
        draft = await self._uploads.draft(row) if row is not None and row.attachment is None else None
        state = state_of(row, draft) if row is not None else None
        plan = tus.on_patch(
            _headers(request),
            state,
            now=self._now(),
            busy=self._uploads.is_busy(id),
            max_bytes=self._files.max_bytes,
        )
        if isinstance(plan, TusAnswer) or row is None or draft is None:
            if draft is not None:
                draft.close()
            if isinstance(plan, Append) and state is not None:  # it is complete already: nothing more to append
                plan = tus.appended(state)
            assert isinstance(plan, TusAnswer)
            return _response(plan, row.attachment if row is not None and plan.status == 204 else None)
        with draft, self._uploads.writing(id) as writing:
            return _response(await self._take(request, row, draft, plan, writing))

    async def delete(self, request: Request, caller: HttpCaller) -> Response:
        """Give an upload up."""
        id = request.path_params["id"]
        row = await self._uploads.find(id, caller.user_id)
        draft = await self._uploads.draft(row) if row is not None and row.attachment is None else None
        state = state_of(row, draft) if row is not None else None
        if draft is not None:
            draft.close()
        answer = tus.on_delete(state, busy=self._uploads.is_busy(id))
        if answer.status == 204 and row is not None:
            await self._uploads.forget(row)
        return _response(answer)

    async def overridden(self, request: Request, caller: HttpCaller) -> Response:
        """Do what a network that knows few methods has made a POST of."""
        verbs = {"HEAD": self.asked, "PATCH": self.append, "DELETE": self.delete}
        run = verbs.get(tus.method("POST", _headers(request)))
        if run is None:
            return _response(TusAnswer(405, {"Allow": "HEAD, PATCH, DELETE, OPTIONS"}, "this path does not take POST"))
        return await run(request, caller)

    async def _take(
        self, request: Request, row: Upload, draft: Draft, plan: Append | None, writing: UploadWriter
    ) -> TusAnswer:
        """Take in a body, as far as it comes; where the upload is complete then, make a file of it."""
        if plan is not None:
            async with self._files.turn(row.user):
                refusal = await self._receive(request, row, draft, plan, writing)
            if refusal is not None:
                return refusal
            if plan.length != row.length:
                row = attrs.evolve(row, length=plan.length)
                await self._uploads.put(row)
        state = state_of(row, draft)
        assert state is not None
        answer = tus.appended(state)
        if not state.complete:
            return answer
        try:
            kept = await self._uploads.finish(row, draft)
        except FileRefused as error:
            return TusAnswer(error.status, {}, error.message)
        return attrs.evolve(answer, headers={**answer.headers, ATTACHMENT_ID_HEADER: kept.id})

    async def _receive(
        self, request: Request, row: Upload, draft: Draft, plan: Append, writing: UploadWriter
    ) -> TusAnswer | None:
        """Append a body, synced; return a refusal, or None. Of a body that is cut all that came is kept."""
        checksum = plan.checksum
        digest = checksum.start() if checksum is not None else None
        incoming = self._files.incoming(draft, most=plan.most, heard=digest.update if digest is not None else ignore)
        refusal: TusAnswer | None = _busy()
        try:
            with writing.body, reported():
                refusal = await _body(request, incoming, plan)
        finally:
            with trio.move_on_after(SAVE_AFTER_CUT_S, shield=True), reported():
                if checksum is not None and digest is not None:
                    await incoming.flush()
                    if not checksum.matches(digest):  # of a body that was cut nobody can tell
                        await self._files.run(lambda: draft.truncate(plan.offset))
                        refusal = refusal or tus.mismatch()
                await incoming.sync()
                await self._files.quota.charge(row.user, incoming.received)
        return refusal

    def _now(self) -> float:
        return self._site.parts.now() / 1000


async def _body(request: Request, incoming: Incoming, plan: Append) -> TusAnswer | None:
    """Take in a body to its end; return a refusal where it has more than may be. Raises ClientDisconnect."""
    more = True
    try:
        while more:
            data, more = await next_part(request)
            await incoming.write(data)
    except BodyTooLarge:
        return tus.surplus(plan.length is not None)
    await incoming.flush()
    return None


def ignore(data: bytes) -> None:
    """Hear of a part of a body that nobody checks."""


def _told(run: Run) -> Run:
    """Answer refusals as clients of tus understand them: they give up on 429, and on most of 4xx."""

    async def told(request: Request, caller: HttpCaller) -> Response:
        headers = _headers(request)
        if (other := tus.on_any(tus.method(request.method, headers), headers)) is not None:
            return _response(other)
        try:
            return await run(request, caller)
        except Refusal as refusal:
            known = refusal
        except Unavailable:
            known = unavailable()
        status = 413 if known.code is ErrorCode.RATE_LIMITED else STATUS[known.code]
        return _response(TusAnswer(status, {}, known.message))

    return told


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _own_address(request: Request) -> str:
    """The address by which the client reached us; empty where it didn't say."""
    host = request.headers.get("host", "")
    return f"{request.scope['scheme']}://{host}" if host else ""


def _busy() -> TusAnswer:
    return TusAnswer(423, {}, "another request is writing to this upload")


def _response(answer: TusAnswer, attachment: str | None = None) -> Response:
    headers = {"Cache-Control": "no-store", **answer.headers}
    if attachment is not None:
        headers[ATTACHMENT_ID_HEADER] = attachment
    if answer.status < 400:
        return Response(status_code=answer.status, headers=headers)
    code = CODES.get(answer.status, ErrorCode.BAD_REQUEST)
    if code is ErrorCode.UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    body = problem(code, answer.message, temporary=code is ErrorCode.UNAVAILABLE)
    return Response(body, answer.status, headers, JSON)
