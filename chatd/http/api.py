"""The protocol's requests over HTTP: the few that have an address of their own, and `/v1/requests` for all."""

from typing import Final

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chatd.core import view
from chatd.core.errors import Refusal
from chatd.net.bounds import Bounds
from chatd.transports.request import HttpCaller
from protocol import requests
from protocol.codes import ErrorCode

from .answers import json_answer, refused
from .bodies import decoded, json_text, made, true_or_false, whole_number, with_fields
from .openapi import answer_to, any_answer, any_request, reference, request_body
from .operation import SMALL_BODY_S, Operation, Query
from .site import Site

ID: Final = 0
"""Every request has an id, or it would get no answer; over HTTP nobody sees it."""
OK: Final = b'{"type":"ok","re":0'
DUPLICATE: Final = b',"duplicate":true}'
CURSOR: Final = Query(name="cursor", schema={"type": "string"}, text="From the page before.")
LIMIT: Final = Query(name="limit", schema={"type": "integer", "minimum": 1}, text="Items of a page; 50 where absent.")


@attrs.frozen
class Api:
    """Answers requests of `site`'s people."""

    site: Site

    async def me(self, _: Request, caller: HttpCaller) -> Response:
        """Answer who asks."""
        return json_answer(msgspec.json.encode({"user": view.user(caller.user)}))

    async def conversations(self, request: Request, caller: HttpCaller) -> Response:
        """Answer a page of the caller's conversations."""
        query = request.query_params
        asked = made(
            requests.ConversationList,
            self.site.parts.limits,
            id=ID,
            cursor=query.get("cursor"),
            limit=whole_number(query.get("limit")),
            archived=true_or_false(query.get("archived")),
        )
        return await self._answer(caller, asked)

    async def history(self, request: Request, caller: HttpCaller) -> Response:
        """Answer a page of a conversation's messages."""
        query = request.query_params
        asked = made(
            requests.MessageHistory,
            self.site.parts.limits,
            id=ID,
            conversation=request.path_params["id"],
            before=whole_number(query.get("before")),
            after=whole_number(query.get("after")),
            limit=whole_number(query.get("limit")),
        )
        return await self._answer(caller, asked)

    async def send(self, request: Request, caller: HttpCaller) -> Response:
        """Send a message, and answer with it."""
        given = {"id": ID, "type": requests.MessageSend.TYPE, "conversation": request.path_params["id"]}
        text = with_fields(await json_text(request), given)
        return await self._answer(caller, decoded(text, self.site.parts.limits), created=201)

    async def ask(self, request: Request, caller: HttpCaller) -> Response:
        """Answer any request that needs no connection."""
        text = with_fields(await json_text(request), {"id": ID})
        return await self._answer(caller, decoded(text, self.site.parts.limits))

    async def _answer(self, caller: HttpCaller, asked: requests.Request, created: int = 200) -> Response:
        answer = await caller.ask(self.site.parts, asked)
        if answer.ok is None:
            assert answer.error is not None
            error = answer.error
            return refused(Refusal(ErrorCode(error.code), error.message, retry_after=error.retry_after))
        assert answer.ok.startswith(OK)
        body = b"{" + answer.ok[len(OK) :].removeprefix(b",")
        return json_answer(body, 200 if body.endswith(DUPLICATE) else created)


def operations(site: Site) -> list[Operation]:
    """Me, conversations, messages, and everything else by its request."""
    api = Api(site)
    # A request may be as large as it may be as a frame.
    as_frame = Bounds(body_bytes=site.config().limits.max_frame_bytes, body_s=SMALL_BODY_S)
    return [
        Operation(
            method="POST",
            path="/v1/conversations/{id}/messages",
            run=api.send,
            bounds=as_frame,
            text="Sends a message: 201, or 200 where it was sent before.",
            body=request_body("message.send", "type", "conversation"),
            answers={201: answer_to("message.send"), 200: answer_to("message.send")},
        ),
        Operation(
            method="GET",
            path="/v1/conversations/{id}/messages",
            run=api.history,
            text="A page of messages, before or after a seq, or the newest.",
            query=(
                Query(name="before", schema=reference("Mark"), text="Only messages before this seq."),
                Query(name="after", schema=reference("Mark"), text="Only messages after this seq; not with `before`."),
                LIMIT,
            ),
            answers={200: answer_to("message.history")},
        ),
        Operation(
            method="GET",
            path="/v1/conversations",
            run=api.conversations,
            text="A page of the caller's conversations, the newest first.",
            query=(
                CURSOR,
                LIMIT,
                Query(name="archived", schema={"type": "boolean"}, text="Only those archived."),
            ),
            answers={200: answer_to("conversation.list")},
        ),
        Operation(
            method="GET",
            path="/v1/me",
            run=api.me,
            text="The caller.",
            answers={
                200: {"type": "object", "properties": {"user": reference("User")}, "required": ["user"]},
            },
        ),
        Operation(
            method="POST",
            path="/v1/requests",
            run=api.ask,
            bounds=as_frame,
            text="Any request of the protocol that needs no connection.",
            body=any_request(),
            answers={200: any_answer()},
        ),
    ]
