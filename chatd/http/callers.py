"""Callers over HTTP: each request is signed in by what it carries or, in development, by a name."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, get_args

import attrs
import structlog
from starlette.requests import Request

from chatd.auth.authenticate import NotAccepted
from chatd.auth.offered import shown
from chatd.commands.parts import Parts
from chatd.core.errors import Refusal
from chatd.core.identity import Carried, Identity, Offer
from chatd.net.head import Head
from chatd.net.origins import Origins, has_local_host
from chatd.transports.request import HttpCaller
from protocol.codes import ErrorCode
from protocol.types import is_id
from storage.changes import AdminChange, Change, Outcome, PutUser
from storage.records import User

from .cookies import cookie_counts
from .local import is_local

log = structlog.get_logger("chatd.http")

MAX_CREDENTIALS_REMEMBERED: Final = 10_000
REMEMBERED: Final = ("token",)
"""Methods whose credentials may be remembered: good more than once, and revoked by this daemon's own commits alone."""

OF_USERS: Final = frozenset((PutUser, *get_args(AdminChange)))
"""Changes after which a request may be signed in otherwise than before."""

NOTHING_SHOWN: Final = "a token is needed: as Authorization: Bearer, or a cookie that an allowed page sends"


@attrs.frozen
class _Known:
    """Credentials that let their user in. `until`: ms since 1970."""

    user: User
    identity: Identity
    until: int


class Callers:
    """Signs requests in.

    A token that was checked is remembered for `keep` seconds, by its hash, as checking takes longer than a message.
    Any change of a user or token makes everything forgotten, so a revoked token is refused from its commit on; `keep`
    bounds what is believed while another program writes to a shared database.
    """

    def __init__(self, parts: Parts, origins: Callable[[], Origins], *, keep: float) -> None:
        self._parts = parts
        self._origins = origins
        self._keep_ms = round(keep * 1000)
        self._known: dict[bytes, _Known] = {}
        self._forgotten = 0  # how often; a look-up that began before it is not remembered
        parts.gate.subscribe(self._heard)

    async def of(self, request: Request) -> HttpCaller:
        """Return the caller of a request. Raises Refusal (`unauthorized`) or Unavailable."""
        head: Head = request.state.head
        if self._parts.development:
            return await self._admitted(_named(head, request.scope["client"]))
        return await self._signed_in(self.carried(request))

    def carried(self, request: Request) -> Carried:
        """Return the credentials of a request that count."""
        head: Head = request.state.head
        # Where there is a bearer nothing depends on the cookie.
        bearer = (head.get(b"authorization") or b"").lower().startswith(b"bearer ")
        cookies = not bearer and cookie_counts(head, request.scope["scheme"], self._origins())
        return shown(head, cookies=cookies)

    async def _signed_in(self, carried: Carried) -> HttpCaller:
        digest = sha256(repr((carried.bearer, carried.cookie, carried.cookies)).encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._parts.now() < known.until:
            return HttpCaller(known.user, known.identity)
        return await self._admitted(Offer(carried=carried), digest)

    async def _admitted(self, offer: Offer, digest: bytes | None = None) -> HttpCaller:
        """Return the caller of an offer, remembered under `digest` where it may be. Raises Refusal or Unavailable."""
        parts, forgotten = self._parts, self._forgotten
        try:
            identity = await parts.sign_in.authenticate(offer)
            user = await parts.sign_in.admit(identity, offer)
        except NotAccepted as error:
            if error.kind == "absent":
                raise _unauthorized(NOTHING_SHOWN) from None
            log.warning("request refused", reason=error.reason)
            raise _unauthorized(error.message) from None
        if digest is not None and identity.method in REMEMBERED and forgotten == self._forgotten:
            if len(self._known) >= MAX_CREDENTIALS_REMEMBERED:
                self._known.clear()
            until = parts.now() + self._keep_ms
            self._known[digest] = _Known(
                user, identity, until if identity.expires_at is None else min(until, identity.expires_at)
            )
        return HttpCaller(user, identity)

    def _heard(self, changes: Sequence[Change], _outcomes: Sequence[Outcome]) -> None:
        if not OF_USERS.isdisjoint(map(type, changes)):
            self._known.clear()
            self._forgotten += 1


def _named(head: Head, client: tuple[str, int] | None) -> Offer:
    """Return whom a request of development mode names. Raises Refusal."""
    id = (head.get(b"x-chatd-user") or b"").decode("latin-1")
    if not id:
        raise _unauthorized("in development mode the header X-Chatd-User names the user")
    if not (is_local(head, client) and has_local_host(head)):
        raise _unauthorized("X-Chatd-User is for this machine alone: ask 127.0.0.1 or localhost, by no proxy")
    if not is_id(id):
        raise Refusal(ErrorCode.BAD_REQUEST, "X-Chatd-User: 1 to 128 printable ASCII characters without space")
    return Offer(user=id)


def _unauthorized(message: str) -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, message)
