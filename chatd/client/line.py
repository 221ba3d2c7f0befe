"""Lines, which carry a connection's frames: the contract, and how one ends."""

import socket
import ssl
from typing import Protocol

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from protocol.codes import may_come_back
from protocol.decode import Malformed

MAX_FRAME_BYTES = 1024 * 1024
"""Bytes that a frame from the server may have."""

EXPIRY_CODES = frozenset({9, 10})
"""OpenSSL's codes of a certificate that is not yet, or no longer, valid."""

ISSUER_CODES = frozenset({18, 19, 20, 21})
"""OpenSSL's codes of a certificate that nobody vouches for who is trusted here."""

NOT_TLS_REASONS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons where the peer speaks something else than TLS."""

QUEUED_ITEMS = 64
"""Requests that wait for the network, and frames that wait to be read."""


class LineOver(Exception):
    """The end of a connection.

    `wait`: s that the server asked for; `fatal`: don't come back; `cause`: what broke it, of TLS or the network.
    `carried`: the other side said it; False: what carries the frames failed.
    """

    def __init__(
        self,
        reason: str,
        *,
        code: int | None = None,
        wait: float | None = None,
        fatal: bool = False,
        cause: BaseException | None = None,
        carried: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.wait = wait
        self.fatal = fatal
        self.cause = cause
        self.carried = carried

    @classmethod
    def by(cls, error: BaseException) -> "LineOver":
        """Return the end that one of `FAILURES` means."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, LineOver):
            return error
        if isinstance(error, trio_websocket.ConnectionRejected):
            # An answer of HTTP: 408, 429 and what the server is to blame for may pass.
            status = error.status_code
            final = 400 <= status < 500 and status not in (408, 429)
            return cls(f"the server answered {status}{_words(error)}", fatal=final)
        if isinstance(error, trio.TooSlowError):
            return cls("the server doesn't answer")
        if isinstance(error, ssl.SSLCertVerificationError):
            clock = ", or this machine's clock is wrong" if error.verify_code in EXPIRY_CODES else ""
            return cls(f"the server's certificate is not trusted here: {error.verify_message}{clock}", cause=error)
        if isinstance(error, ssl.SSLError):
            plain = error.reason in NOT_TLS_REASONS
            return cls("it answers without TLS: is its address http://?" if plain else str(error), cause=error)
        if isinstance(error, OSError):
            return cls(_words_of(error), cause=error)
        return cls(str(error) or type(error).__name__)


def _words_of(error: OSError) -> str:
    """Return why there is no connection, for people."""
    if isinstance(error, socket.gaierror):
        return f"its name is not known here ({error.strerror})"
    tried = error.__cause__  # Trio's, of several addresses
    while isinstance(tried, BaseExceptionGroup):
        tried = tried.exceptions[0]
    if isinstance(tried, OSError):
        error = tried
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    return error.strerror or str(error) or type(error).__name__


def _words(answer: trio_websocket.ConnectionRejected) -> str:
    """Return the body in one line, where it is meant for people, as by a server that speaks TLS only."""
    headers = {name.lower(): value for name, value in answer.headers}
    if not headers.get(b"content-type", b"").startswith(b"text/plain"):
        return ""
    line = (answer.body or b"")[:200].decode(errors="replace").partition("\n")[0].strip()
    return f": {line}" if line else ""


FAILURES = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.HandshakeError,
    ProtocolError,
    Malformed,
)
"""Errors that end a connection without an `LineOver`."""


class LineEnded(Exception):
    """No more frames come. `code` and `reason`: of the server's close, None where there was none."""

    def __init__(self, code: int | None, reason: str | None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

    def over(self, wait: float | None) -> LineOver:
        """Return the end that this is. `wait`: s that the server asked for before."""
        fatal = not may_come_back(self.code)
        return LineOver(
            self.reason or "the connection broke",
            code=self.code,
            wait=wait,
            fatal=fatal,
            carried=self.code not in (None, 1005, 1006),
        )


class Line(Protocol):
    """Carries frames both ways, in order. `heard`: when something came last, on Trio's clock."""

    @property
    def heard(self) -> float: ...

    async def send(self, text: str) -> None:
        """Send a frame. Raises LineEnded; cancelled, it may have sent half of it."""
        ...

    async def receive(self) -> str:
        """Return the next frame. Raises LineEnded, LineOver, or one of `FAILURES`."""
        ...

    async def goodbye(self) -> None:
        """End it in good order; may wait for the peer without limit."""
        ...
