"""Settings of an engine, and how it refuses a request."""

import attrs
import msgspec

from chatd.net.problem import whole_answer


@attrs.frozen(kw_only=True)
class EngineSettings:
    """Times in seconds. `max_payload`: bytes of a request's body or a WebSocket message.

    `outbox_bytes`: bytes that may wait for a slow reader. `upgrade_timeout`: from a second transport's handshake to
    the packet that makes it the only one.
    """

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    write_timeout: float = 10.0
    close_timeout: float = 5.0
    handshake_timeout: float = 5.0
    max_payload: int = 1_000_000
    outbox_bytes: int = 1_048_576
    max_sessions: int = 10_000


class BadQuery(Exception):
    """A request that means no session; `code` and message are those of the reference server."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> bytes:
        """Return the answer's body."""
        return msgspec.json.encode({"code": self.code, "message": self.message})

    def answer(self) -> bytes:
        """Return the whole answer to a handshake, which ends its connection."""
        return whole_answer(self.status, self.body(), "application/json")


def unknown_transport() -> BadQuery:
    """Return the refusal of a transport that isn't served."""
    return BadQuery(0, "Transport unknown")


def unknown_session() -> BadQuery:
    """Return the refusal of a session's id that means none, or another's."""
    return BadQuery(1, "Session ID unknown")


def bad_method() -> BadQuery:
    """Return the refusal of a handshake that isn't a GET."""
    return BadQuery(2, "Bad handshake method")


def bad_request() -> BadQuery:
    """Return the refusal of what the protocol doesn't allow at this point."""
    return BadQuery(3, "Bad request")


def forbidden() -> BadQuery:
    """Return the refusal of a page of another origin."""
    return BadQuery(4, "Forbidden", status=403)


def overloaded() -> BadQuery:
    """Return the refusal of a session more than there may be, or of one while the server goes down."""
    return BadQuery(3, "Bad request", status=503)


def unsupported_version() -> BadQuery:
    """Return the refusal of another version than 4."""
    return BadQuery(5, "Unsupported protocol version")
