"""Tickets, for the backend of an app that knows its users already."""

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.offered import shown
from chatd.auth.tickets import RoleTooHigh
from chatd.core.errors import Refusal
from protocol.codes import ErrorCode
from protocol.objects import Role
from protocol.times import to_rfc3339
from protocol.types import MAX_NAME_CHARS, is_id, is_name

from .answers import json_answer
from .guards import address_of, admit, body_of, log
from .operation import Operation
from .site import Site


@attrs.frozen
class TicketRequest:
    """The body: whom the ticket is for, and how a user that is new, or another by now, is called."""

    user: str
    name: str | None = None
    role: Role | None = None


def operations(site: Site) -> list[Operation]:
    """`POST /v1/tickets`, with an API key as Bearer."""

    async def make(request: Request) -> Response:
        tickets = site.parts.keepers.tickets
        if site.parts.development or "ticket" not in site.parts.keepers.methods:
            raise Refusal(ErrorCode.BAD_REQUEST, "tickets are off here")
        admit(site, request)
        secret = shown(request.state.head, cookies=False).bearer or ""
        key = await tickets.key(secret)
        if key is None:
            log.warning("ticket refused", reason="no such API key", address=address_of(request))
            raise Refusal(ErrorCode.UNAUTHORIZED, "an API key is needed: Authorization: Bearer KEY")
        site.parts.keepers.throttle.good(address_of(request))
        wanted = await body_of(request, TicketRequest)
        if not is_id(wanted.user):
            raise Refusal(ErrorCode.BAD_REQUEST, "`user`: 1 to 128 printable ASCII characters without space")
        if wanted.name is not None and not is_name(wanted.name):
            raise Refusal(ErrorCode.BAD_REQUEST, f"`name`: 1 to {MAX_NAME_CHARS} printable characters")
        try:
            ticket, row = await tickets.make(key, wanted.user, wanted.name, wanted.role)
        except RoleTooHigh as error:
            raise Refusal(ErrorCode.FORBIDDEN, str(error)) from None
        log.info("ticket made", user=wanted.user, key=key.id)
        answer = {"ticket": ticket, "expires_at": to_rfc3339(row.expires_at)}
        return json_answer(msgspec.json.encode(answer), 201)

    text = {"type": "string"}
    return [
        Operation(
            method="POST",
            path="/v1/tickets",
            run=make,
            public=True,
            text="Makes a ticket that signs a user in once, within a minute. Bearer: an API key.",
            body={"type": "object", "properties": {"user": text, "name": text, "role": text}, "required": ["user"]},
            answers={201: {"type": "object", "properties": {"ticket": text, "expires_at": text}}},
        )
    ]
