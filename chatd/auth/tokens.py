"""Sign-in tokens: JSON Web Tokens (RFC 7519) signed with HS256, by chatd or by whoever shares its secret.

What a token says is believed only after its signature held, and the algorithm is ours to choose, not the token's: what
its header says of keys (`jwk`, `jku`, `x5u`, `kid`) is never looked at.
"""

import hmac
import re
from typing import Any

import attrs
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from protocol.types import is_id

from .sealing import Sealer

AUDIENCE = "chatd"
ALGORITHM = "HS256"
MAX_TOKEN_BYTES = 8192
"""A longer token is not looked at."""

LEEWAY_S = 60
"""Seconds that the clock of another signer may be ahead of ours (`iat`, `nbf`)."""

LATEST_TIME_S = 253_402_300_799
"""Seconds since 1970 until the year 10000, which no time of the wire can name."""

NOT_OURS = "the token was not issued by this server"
AHEAD = "the token is dated ahead of this server's clock: one of the two clocks is wrong"

# The library's base64 decoder skips what is no base64.
COMPACT_JWS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
"""A signed token (RFC 7515, section 7.1); the groups: its header and its claims."""


class BadToken(Exception):
    """The token doesn't count. `reason` is for the log, and holds nothing of the token; `expired`: only too old.

    `told`: what its holder is told, who should know what to mend.
    """

    def __init__(self, reason: str, *, expired: bool = False, told: str = "the token is not accepted") -> None:
        super().__init__(reason)
        self.reason = reason
        self.expired = expired
        self.told = told


@attrs.frozen
class Claims:
    """The claims of a good token. Times in ms since 1970, on the full second; `jti`: the token's id."""

    user: str
    jti: str
    issued_at: int
    expires_at: int


class Tokens:
    """Issues and checks tokens with one secret, which is as it is in the file: `secret` of 32 bytes or more."""

    def __init__(self, secret: bytes) -> None:
        self._key = OctKey.import_key(secret)
        self._secret = secret
        self._registry = JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)

    def key_for(self, purpose: str) -> bytes:
        """Return a key for something else that is signed: no two purposes share one, and none tells of the secret."""
        return hmac.digest(self._secret, f"chatd {purpose}".encode(), "sha256")

    def sealer(self, purpose: str) -> Sealer:
        """Return what seals with a key for this purpose."""
        return Sealer(self.key_for(purpose))

    def issue(self, user: str, jti: str, now: int, lifetime: int) -> tuple[str, Claims]:
        """A token of the user, and what it says. `now` in ms; `lifetime` in s, at least 1."""
        issued = now // 1000
        expires = min(issued + lifetime, LATEST_TIME_S)
        claims = {"sub": user, "iat": issued, "exp": expires, "jti": jti, "aud": AUDIENCE}
        text = jwt.encode({"alg": ALGORITHM}, claims, self._key, registry=self._registry)
        return text, Claims(user, jti, issued * 1000, expires * 1000)

    def verify(self, text: str, now: int) -> Claims:
        """Return the claims, if the token is signed with our secret and counts at `now` (ms). Raises BadToken."""
        if len(text) > MAX_TOKEN_BYTES:
            raise BadToken("longer than 8 KiB")
        if not COMPACT_JWS.fullmatch(text):
            raise BadToken("not a signed token")
        try:
            token = jwt.decode(text, self._key, registry=self._registry)
        except Exception as error:  # anybody's bytes go into the library: whatever it raises, the token is bad
            raise BadToken(f"not signed by us ({type(error).__name__})", told=NOT_OURS) from None
        if "crit" in token.header:
            raise BadToken("its header has `crit`")
        return _checked(token.claims, now // 1000)


def _checked(claims: dict[str, Any], now: int) -> Claims:
    user, jti = claims.get("sub"), claims.get("jti")
    for name, value in (("sub", user), ("jti", jti)):
        if not isinstance(value, str) or not is_id(value):
            raise BadToken(f"`{name}` is no id")
    if claims.get("aud") != AUDIENCE:
        raise BadToken(f"`aud` is not {AUDIENCE}")
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_S:
        raise BadToken("`nbf` is in the future", told=AHEAD)
    if expires <= now:
        raise BadToken("expired", expired=True, told="the token has expired")
    assert isinstance(user, str)
    assert isinstance(jti, str)
    return Claims(user, jti, issued * 1000, expires * 1000)


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 <= value <= LATEST_TIME_S:  # not bool, which is an int to Python
        raise BadToken(f"`{name}` is no time in whole seconds")
    return value
