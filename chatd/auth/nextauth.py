"""Session tokens of NextAuth 4 and Auth.js 5: encrypted (JWE, RFC 7516) with a key derived from the site's secret.

NextAuth 4 uses one key for every cookie, Auth.js 5 one for each, by its name. Both have `alg` `dir`: the key is
ours to choose. A header may say nothing that calls for more: no compression, no `crit`, no key of its own.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from .tokens import LATEST_TIME_S, LEEWAY_S, BadToken

EXPIRY_LEEWAY_S: Final = 15
"""Seconds after its end in which the site itself still takes a token."""

KEY_BYTES: Final = {"A256GCM": 32, "A256CBC-HS512": 64}
"""Bytes of a key, by `enc`: NextAuth 4 has the first, Auth.js 5 the second; it opens both."""

HEADER: Final = {"alg", "enc", "kid", "typ", "cty"}
"""Members that a header may have."""

_COMPACT_JWE = re.compile(r"[A-Za-z0-9_-]{1,1024}\.\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{1,128}")


@attrs.frozen
class SiteClaims:
    """The claims of a good token. Times in ms since 1970, on the full second."""

    claims: dict[str, Any]
    issued_at: int
    expires_at: int


@attrs.frozen
class _Key:
    """A key that may have been used; `thumbprint`: what `kid` says then."""

    key: OctKey = attrs.field(repr=False)
    thumbprint: str


class NextAuthCookies:
    """Opens session tokens. `secrets`: the site's, the newest first; `names`: what its session cookie may be called."""

    def __init__(self, secrets: Sequence[str], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._registry = JWERegistry(algorithms=["dir", *KEY_BYTES], strict_check_header=False)
        self._keys: dict[tuple[str, str], tuple[_Key, ...]] = {
            (name, enc): tuple(key for secret in secrets for key in _keys(secret, name, enc))
            for name in names
            for enc in KEY_BYTES
        }

    def open(self, text: str, now: int, *, name: str | None = None) -> SiteClaims:
        """Return the claims of a token that counts at `now` (ms). Raises BadToken.

        `name`: the cookie that it came in; None: it was said, so it may be that of each.
        """
        enc, kid = _header(text)
        names = self.names if name is None else (name,)
        keys = {key.thumbprint: key for each in names for key in self._keys[each, enc]}
        tried = [key for key in keys.values() if kid is None or key.thumbprint == kid]
        if not tried:
            raise BadToken("encrypted with another secret, or for another cookie")
        return _checked(self._decrypted(text, tried), now // 1000)

    def _decrypted(self, text: str, keys: Iterable[_Key]) -> bytes:
        for each in keys:
            try:
                found = jwe.decrypt_compact(text, each.key, registry=self._registry).plaintext
            except Exception:  # anybody's bytes go into the library: whatever it raises, it is no token
                continue
            if found is not None:
                return found
        raise BadToken("encrypted with another secret, or for another cookie")


def looks_encrypted(text: str) -> bool:
    """Return True for what has the five parts of a JWE."""
    return text.count(".") == 4


def _keys(secret: str, name: str, enc: str) -> tuple[_Key, ...]:
    made = [_derived(secret, name, f"Auth.js Generated Encryption Key ({name})", KEY_BYTES[enc])]
    if enc == "A256GCM":
        made.append(_derived(secret, "", "NextAuth.js Generated Encryption Key", KEY_BYTES[enc]))
    return tuple(made)


def _derived(secret: str, salt: str, info: str, length: int) -> _Key:
    """Return the key that a site derives from its secret (HKDF, RFC 5869)."""
    derive = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt.encode(), info=info.encode())
    raw = derive.derive(secret.encode())
    return _Key(OctKey.import_key(raw), _thumbprint(raw))


def _thumbprint(raw: bytes) -> str:
    """Return what Auth.js has as `kid` (RFC 7638); its hash is as long as the key."""
    members = json.dumps({"k": _base64url(raw), "kty": "oct"}, separators=(",", ":"))
    return _base64url((hashlib.sha512 if len(raw) == 64 else hashlib.sha256)(members.encode()).digest())


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _header(text: str) -> tuple[str, str | None]:
    """Return `enc` and `kid` of a token whose header says nothing else that matters. Raises BadToken."""
    if not _COMPACT_JWE.fullmatch(text):
        raise BadToken("not an encrypted token of this kind")
    part = text.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise BadToken("its header is no JSON") from None
    if not isinstance(header, dict) or not header.keys() <= HEADER:
        raise BadToken("its header holds something else")
    enc, kid = header.get("enc"), header.get("kid")
    if header.get("alg") != "dir" or not isinstance(enc, str) or enc not in KEY_BYTES:
        raise BadToken("its algorithm is another one")
    if kid is not None and not isinstance(kid, str):
        raise BadToken("`kid` is no text")
    return enc, kid


def _checked(plaintext: bytes, now: int) -> SiteClaims:
    try:
        claims = json.loads(plaintext)
    except (ValueError, RecursionError):
        raise BadToken("its claims are no JSON") from None
    if not isinstance(claims, dict):
        raise BadToken("its claims are no object")
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if issued > now + LEEWAY_S:
        raise BadToken("`iat` is in the future")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_S:
        raise BadToken("`nbf` is in the future")
    if expires + EXPIRY_LEEWAY_S <= now:
        raise BadToken("expired", expired=True)
    return SiteClaims(claims, issued * 1000, (expires + EXPIRY_LEEWAY_S) * 1000)


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, float) and 0 <= value <= LATEST_TIME_S:  # a site that counts milliseconds leaves a fraction
        return int(value)
    if type(value) is not int or not 0 <= value <= LATEST_TIME_S:
        raise BadToken(f"`{name}` is no time")
    return value
