"""The way of a frame from its bytes to its command, the same on every transport: decoder, rate limits, dispatch."""

from collections.abc import Callable
from typing import NoReturn

import attrs
import structlog
import trio

from chatd.commands.dispatch import dispatch, dispatch_now
from chatd.commands.parts import Parts
from chatd.core.errors import Closing, Refusal
from chatd.core.ratelimit import TokenBucket
from chatd.core.session import Session
from protocol.codes import CloseCode, ErrorCode
from protocol.decode import BadRequest, Malformed, decode_request, peek_id
from protocol.frames import Ok
from protocol.requests import Request, SetTyping
from protocol.types import RequestId

log = structlog.get_logger("chatd.connection")

MAX_LIMITED_IN_A_ROW = 100
"""Requests over the rate limit before the connection is closed."""

MAX_TYPING_IN_A_ROW = 1_000
"""The same where all of them are `typing`, which is answered all the same: a key held down is no attack."""

MAX_TYPING_CHARS = 512
"""Characters up to which a frame over the rate limit is decoded: `typing` is short."""

HELLO_BYTES = 98_304
"""Bytes of a frame before `hello` is answered: 500 `revs` and a token."""


@attrs.frozen
class Rates:
    """Token buckets of one connection: tokens a second, and how many are saved up. None: no limit."""

    per_second: float
    burst: float


class Intake:
    """Takes the frames of one session. `request`: the one that is to be served next, as it has to wait.

    `user_bucket`: the rate of a user over all sessions, None: any.
    """

    def __init__(
        self,
        parts: Parts,
        session: Session,
        *,
        rates: Rates | None,
        user_bucket: Callable[[str], TokenBucket] | None,
    ) -> None:
        self.request: Request | None = None
        self._parts = parts
        self._session = session
        self._bucket = TokenBucket(rates.per_second, rates.burst, trio.current_time) if rates else None
        self._user_bucket = user_bucket
        self._refused = self._swallowed = 0
        self._log = log.bind(session=session.id)

    @property
    def max_bytes(self) -> int:
        """Bytes that a frame may have now."""
        limits = self._parts.limits
        if self._session.user is not None:
            return limits.max_frame_bytes
        return min(limits.max_frame_bytes, max(1, limits.max_revs // 500) * HELLO_BYTES)

    def take(self, message: str | bytes) -> bool:
        """Serve a frame, if that needs no waiting; else False, and its request is left for `serve`. Raises Closing."""
        if isinstance(message, bytes):
            raise Closing(CloseCode.BINARY, "text frames only")
        wait = self._over_limit()
        if wait:
            if not self._swallow(message):
                self._refuse(peek_id(message), wait)
            return True
        try:
            request = decode_request(message, self._parts.limits)
        except Malformed as error:
            raise Closing(error.code, error.reason) from None
        except BadRequest as error:
            self._session.send(Refusal(ErrorCode.BAD_REQUEST, error.message).frame(error.re))
            return True
        self._refused = self._swallowed = 0
        if dispatch_now(self._parts, self._session, request):
            return True
        self.request = request
        return False

    async def serve(self) -> bool:
        """Serve the request that `take` left; whether the session has signed in by it. Raises Closing."""
        request, self.request = self.request, None
        assert request is not None
        session, known = self._session, self._session.user
        await dispatch(self._parts, session, request)
        if known is not None or session.user is None:
            return False
        self._log.info("signed in", user=session.user_id, connections=len(self._parts.registry.of(session.user_id)))
        return True

    def good_until(self) -> float:
        """Return when the session's credential expires, on Trio's clock; infinity where it doesn't."""
        identity = self._session.identity
        if identity is None or identity.expires_at is None:
            return float("inf")
        return trio.current_time() + (identity.expires_at - self._parts.now()) / 1000

    def deregister(self) -> None:
        """Have the session receive nothing more, and its user be seen to go; a second time nothing happens."""
        parts, session = self._parts, self._session
        user = session.user
        if user is not None and session in parts.registry.of(user.id):
            last = parts.registry.remove(user.id, session)
            parts.rooms.lost(session)
            if last:
                parts.presence.depart(user.id)

    def _swallow(self, message: str) -> bool:
        """Answer `typing` over the rate limit, and don't pass it on; False: it is something else.

        Raises Closing for one who goes on and on.
        """
        if self._session.user is None or len(message) > MAX_TYPING_CHARS or '"typing"' not in message:
            return False
        try:
            request = decode_request(message, self._parts.limits)
        except (Malformed, BadRequest):
            return False
        if not isinstance(request, SetTyping):
            return False
        self._parts.metrics.drop("typing")
        self._swallowed += 1
        if self._swallowed > MAX_TYPING_IN_A_ROW:
            self._give_up()
        if request.id is not None:
            self._session.send(Ok(re=request.id))
        return True

    def _give_up(self) -> NoReturn:
        self._parts.metrics.drop("too_many_requests")
        raise Closing(CloseCode.TOO_MANY, "too many requests")

    def _refuse(self, re: RequestId | None, wait: float) -> None:
        """Answer that there are too many requests. Raises Closing for one who goes on and on."""
        self._parts.metrics.drop("rate_limited")
        self._refused += 1
        if self._refused > MAX_LIMITED_IN_A_ROW:
            self._give_up()
        self._session.send(Refusal(ErrorCode.RATE_LIMITED, "too many requests", retry_after=round(wait, 3)).frame(re))

    def _over_limit(self) -> float:
        wait = self._bucket.take() if self._bucket is not None else 0.0
        if not wait and self._user_bucket is not None and self._session.user is not None:
            wait = self._user_bucket(self._session.user.id).take()
        return wait
