"""Guards that several operations of sign-in share: the page's origin, and how often somebody may try."""

from typing import TypeVar

import msgspec
import structlog
from starlette.requests import Request

from chatd.auth.throttle import TooManyTries
from chatd.core.errors import Refusal
from protocol.codes import ErrorCode
from protocol.decode import for_people

from .bodies import json_text
from .site import Site

log = structlog.get_logger("chatd.sign_in")

T = TypeVar("T")


def from_allowed_page(site: Site, request: Request) -> None:
    """Refuse a request that sets or uses a cookie, unless an allowed page makes it. Raises Refusal (`forbidden`).

    So no other site signs a visitor in as somebody else (login CSRF) or uses an invitation up.
    """
    if not site.origins().allows(request.state.head, request.scope["scheme"]):
        raise Refusal(ErrorCode.FORBIDDEN, "origin not allowed")


def address_of(request: Request) -> str | None:
    """Return the address of the client, as far as the proxies in front can be trusted."""
    client = request.scope["client"]
    return client[0] if client else None


def admit(site: Site, request: Request) -> None:
    """Count a try to sign in from this address. Raises Refusal (`rate_limited`)."""
    try:
        site.parts.keepers.throttle.admit(address_of(request))
    except TooManyTries as error:
        raise too_many(error) from None


def too_many(error: TooManyTries) -> Refusal:
    """Return the refusal of a try that comes too early."""
    return Refusal(ErrorCode.RATE_LIMITED, "too many tries; wait a little", retry_after=error.retry_after)


async def body_of(request: Request, kind: type[T]) -> T:
    """Return the JSON body as a value of this attrs class; unknown fields are ignored. Raises Failed or Refusal."""
    text = await json_text(request)
    try:
        found = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        words = for_people(str(error)) if isinstance(error, msgspec.ValidationError) else str(error)
        raise Refusal(ErrorCode.BAD_REQUEST, f"the body: {words}") from None
    if "\\u0000" in text or "\x00" in text:
        raise Refusal(ErrorCode.BAD_REQUEST, "the body: a NUL is no character")
    return found
