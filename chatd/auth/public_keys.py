"""Public keys of a token's issuer (JWK Set, RFC 7517), of which only those that this program can check count.

The algorithm belongs to the key, not to the token: RS256 for RSA, ES256 for P-256, EdDSA for Ed25519. A set may hold
anything: secrets, keys for encryption, keys that would take minutes to check. All that is passed over.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any, Final

import attrs
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

MAX_KEYS: Final = 100
MAX_KID_CHARS: Final = 512

RSA_BITS: Final = range(2048, 8192 + 1)
MAX_RSA_EXPONENT: Final = 2**32

ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
"""Algorithm by a key's type and curve."""

_KEY_CLASSES: Final[dict[str, Any]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


class BadKeys(Exception):
    """The text is no set of keys, or none of them can be used."""


@attrs.frozen
class VerificationKey:
    """A key that checks signatures by one algorithm. `kid`: its name; None: it has none."""

    algorithm: str
    kid: str | None
    key: RSAKey | ECKey | OKPKey | OctKey = attrs.field(repr=False)


def keys_in(text: bytes) -> tuple[VerificationKey, ...]:
    """Return the keys of a set that can check signatures. Raises BadKeys where there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadKeys("no JSON") from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise BadKeys(f"no set of at most {MAX_KEYS} keys")
    keys = dict[tuple[str, str | None], VerificationKey]()
    for entry in entries:
        key = _key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault((key.algorithm, key.kid), key)
    if not keys:
        raise BadKeys("none of its keys can be used")
    return tuple(keys.values())


def fitting(keys: Sequence[VerificationKey], algorithm: str, kid: str | None) -> list[VerificationKey]:
    """Return the keys that may have signed a token whose header says this; without `kid` all of the algorithm."""
    return [key for key in keys if key.algorithm == algorithm and (kid is None or key.kid in (kid, None))]


def _key(entry: dict[str, Any]) -> VerificationKey | None:
    """Return the key in an entry, of its public members alone; None where it is of no use here."""
    kind, kid, operations = entry.get("kty"), entry.get("kid"), entry.get("key_ops")
    if not isinstance(kind, str) or kind not in _KEY_CLASSES:
        return None
    algorithm = ALGORITHMS.get((kind, entry.get("crv") if kind != "RSA" else None))
    if algorithm is None or entry.get("use", "sig") != "sig":
        return None
    if entry.get("alg", algorithm) not in (algorithm, "Ed25519" if algorithm == "EdDSA" else algorithm):
        return None
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        return None
    members = {name: entry.get(name) for name in _PUBLIC_MEMBERS[kind]}
    if not all(isinstance(value, str) and len(value) <= 2048 for value in members.values()):
        return None
    try:
        if kind == "RSA" and not _is_quick(_number(members["n"]), _number(members["e"])):
            return None
        key = _KEY_CLASSES[kind].import_key({"kty": kind, **members})
        key.public_key  # noqa: B018  # a point that is not on its curve shows here
    except Exception:  # what the library makes of anybody's numbers: the key is of no use
        return None
    return VerificationKey(algorithm, kid, key)


def _is_quick(modulus: int, exponent: int) -> bool:
    """Return True for an RSA key that is strong, and that no signature takes long to check with."""
    return modulus.bit_length() in RSA_BITS and 3 <= exponent <= MAX_RSA_EXPONENT and exponent % 2 == 1


def _number(text: Any) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
