"""Tokens that somebody else has signed (JWT, RFC 7519): whose they are, whether they hold, and what they say.

The issuer's settings decide which algorithms and keys count; what a header says of keys (`jwk`, `jku`, `x5u`) is never
looked at, and `crit` is refused, as nothing critical is known.
"""

import json
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
from joserfc import jws
from joserfc.jws import JWSRegistry

from .claims import claim_at
from .public_keys import MAX_KID_CHARS, VerificationKey
from .tokens import COMPACT_JWS, LATEST_TIME_S, MAX_TOKEN_BYTES, BadToken

PUBLIC_ALGORITHMS: Final = frozenset({"RS256", "ES256", "EdDSA"})
SHARED_ALGORITHMS: Final = frozenset({"HS256"})

TOKEN_TYPES: Final = (None, "jwt", "at+jwt", "application/jwt", "application/at+jwt")
"""Values of `typ` that are accepted, in lower case: a logout token signs nobody in."""

MAX_KEYS_TRIED: Final = 5

_REGISTRIES: Final = {
    name: JWSRegistry(algorithms=[name], strict_check_header=False)
    for name in (*PUBLIC_ALGORITHMS, *SHARED_ALGORITHMS, "Ed25519")
}


class IssuerKeys(Protocol):
    """Keys of an issuer."""

    async def find(self, algorithm: str, kid: str | None) -> list[VerificationKey]:
        """Return the keys that may have signed a token with this header. Raises Unavailable."""
        ...


@attrs.frozen(kw_only=True)
class Rules:
    """Claims that an issuer's tokens must have. Empty: that is not looked at. `leeway`: seconds.

    `audience`, `parties`: `aud` has one of these, `azp` is one; `require`: paths of claims that must be there.
    """

    algorithms: frozenset[str]
    issuer: str = ""
    audience: Sequence[str] = ()
    parties: Sequence[str] = ()
    require: Sequence[str] = ()
    leeway: float = 0.0


@attrs.frozen
class ForeignClaims:
    """The claims of a good token. Times in ms since 1970; `issued_at`: 0 where it doesn't say."""

    claims: Mapping[str, Any]
    issued_at: int
    expires_at: int


@attrs.frozen
class Unverified:
    """Claims of a token about itself, before any of them is believed."""

    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The algorithm by the name that keys have here: Ed25519 is what EdDSA is called by now (RFC 9864)."""
        return "EdDSA" if self.algorithm == "Ed25519" else self.algorithm


def look(text: str) -> Unverified | None:
    """Return what a signed token says of itself; None for what is none. Raises BadToken for one that can't count."""
    found = COMPACT_JWS.fullmatch(text)
    if found is None:
        return None
    if len(text) > MAX_TOKEN_BYTES:
        raise BadToken("longer than 8 KiB")
    header, claims = _object(found[1]), _object(found[2])
    if header is None or claims is None:
        raise BadToken("its header or its claims are no object")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in _REGISTRIES:
        raise BadToken("its algorithm is another one")
    if "crit" in header:
        raise BadToken("its header has `crit`")
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        raise BadToken("`kid` is no short text")
    if (kind.lower() if isinstance(kind, str) else kind) not in TOKEN_TYPES:
        raise BadToken("`typ` is that of another kind of token")
    return Unverified(algorithm, kid, claims)


async def verify(text: str, said: Unverified, keys: IssuerKeys, rules: Rules, now: int) -> ForeignClaims:
    """Return the claims of a token that counts at `now` (ms). Raises BadToken, Unavailable."""
    if said.family not in rules.algorithms:
        raise BadToken("its algorithm is another one")
    tried = (await keys.find(said.family, said.kid))[:MAX_KEYS_TRIED]
    if not any(_is_signed(text, said.algorithm, key) for key in tried):
        raise BadToken("signed by an unknown key" if not tried else "not signed by the issuer")
    return _checked(said.claims, rules, now / 1000)


def _is_signed(text: str, algorithm: str, key: VerificationKey) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library advises against a name that issuers use (RFC 9864)
            jws.deserialize_compact(text, key.key, registry=_REGISTRIES[algorithm])
    except Exception:  # anybody's bytes go into the library: whatever it raises, the token is bad
        return False
    return True


def _checked(claims: Mapping[str, Any], rules: Rules, now: float) -> ForeignClaims:
    if rules.issuer and claims.get("iss") != rules.issuer:
        raise BadToken("`iss` is another")
    audience = claims.get("aud")
    heard = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    if rules.audience and not any(one in heard for one in rules.audience):
        raise BadToken("`aud` is another")
    if rules.parties and claims.get("azp") not in rules.parties:
        raise BadToken("`azp` is another")
    for path in rules.require:
        if claim_at(claims, path) in (None, "", False):
            raise BadToken(f"`{path}` is not there")
    expires = _time(claims, "exp")
    if "nbf" in claims and _time(claims, "nbf") > now + rules.leeway:
        raise BadToken("`nbf` is in the future")
    issued = _time(claims, "iat") if "iat" in claims else 0.0
    if issued > now + rules.leeway:
        raise BadToken("`iat` is in the future")
    if expires + rules.leeway <= now:
        raise BadToken("expired", expired=True)
    return ForeignClaims(claims, int(issued * 1000), int((expires + rules.leeway) * 1000))


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # Not bool, which is an int to Python; nor NaN, which is no number between others.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_TIME_S:
        raise BadToken(f"`{name}` is no time")
    return float(value)


def _object(part: str) -> dict[str, Any] | None:
    try:
        found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
