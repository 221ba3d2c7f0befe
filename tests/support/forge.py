"""Makes tokens, wrong ones above all, without the code under test: by hand, as whoever attacks would."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from joserfc import jwe, jwt
from joserfc.jwk import OctKey, RSAKey

from chatd.testing.harness import TOKEN_SECRET

DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
ABSENT = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(
    payload: bytes, *, secret: bytes = TOKEN_SECRET, algorithm: str = "HS256", header: Mapping[str, Any] | None = None
) -> str:
    head = {"alg": algorithm, "typ": "JWT", **(header or {})}
    signed = f"{b64(json.dumps(head).encode())}.{b64(payload)}"
    digest = DIGESTS.get(algorithm, hashlib.sha256)
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), digest).digest())}"


def claims(now: int, **changed: Any) -> dict[str, Any]:
    """Good ones of pat-1 at `now` (s), but for those that are changed; ABSENT leaves one out."""
    good = {"sub": "pat-1", "iat": now, "exp": now + 3600, "jti": "platform-1", "aud": "chatd"}
    return {name: value for name, value in {**good, **changed}.items() if value is not ABSENT}


def token(now: int, *, secret: bytes = TOKEN_SECRET, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
    """A token that another holder of the secret signed, at `now` (s)."""
    return sign(json.dumps(claims(now, **changed)).encode(), secret=secret, header=header)


def unsigned(now: int, algorithm: str) -> str:
    return sign(json.dumps(claims(now)).encode(), header={"alg": algorithm}).rpartition(".")[0] + "."


def flipped(text: str, part: int, place: int) -> str:
    """One bit of the decoded part is another."""
    parts = text.split(".")
    data = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    data[place] ^= 1
    parts[part] = b64(bytes(data))
    return ".".join(parts)


def encrypted(now: int) -> str:
    return jwe.encrypt_compact(
        {"alg": "dir", "enc": "A128CBC-HS256"}, json.dumps(claims(now)).encode(), OctKey.import_key(TOKEN_SECRET[:32])
    )


def by_rsa(now: int) -> str:
    return jwt.encode({"alg": "RS256"}, claims(now), RSAKey.generate_key(2048))


@attrs.frozen
class Wrong:
    """A token that must not count. `reason`: part of what the log says. `expired`: the client is to hear that."""

    make: Callable[[int], str]
    reason: str
    expired: bool = False


def given(reason: str, *, expired: bool = False, **changed: Any) -> Wrong:
    return Wrong(
        lambda now: token(now, **{k: v(now) if callable(v) else v for k, v in changed.items()}), reason, expired
    )


WRONG: dict[str, Wrong] = {
    # times
    "expired": given("expired", expired=True, iat=lambda now: now - 60, exp=lambda now: now - 1),
    "expires this second": given("expired", expired=True, exp=lambda now: now),
    "not yet valid": given("nbf", nbf=lambda now: now + 61),
    "issued in the future": given("iat", iat=lambda now: now + 61, exp=lambda now: now + 999),
    "no exp": given("exp", exp=ABSENT),
    "no iat": given("iat", iat=ABSENT),
    "exp null": given("exp", exp=None),
    "exp a string": given("exp", exp=lambda now: str(now + 3600)),
    "exp a float": given("exp", exp=lambda now: now + 3600.5),
    "exp huge": given("exp", exp=2**63),
    "exp of 4000 digits": Wrong(
        lambda now: sign(json.dumps(claims(now)).encode().replace(str(now + 3600).encode(), b"9" * 4000)), "exp"
    ),
    "exp infinite": given("exp", exp=float("inf")),
    "exp negative": given("exp", exp=-1),
    "exp true": given("exp", exp=True),
    "iat true": given("iat", iat=True),
    "iat negative": given("iat", iat=-1),
    "nbf null": given("nbf", nbf=None),
    "nbf a string": given("nbf", nbf="0"),
    # who, which, for whom
    "no sub": given("sub", sub=ABSENT),
    "sub null": given("sub", sub=None),
    "sub empty": given("sub", sub=""),
    "sub with a space": given("sub", sub="pat 1"),
    "sub with a blank behind": given("sub", sub="pat-1\n"),
    "sub not ASCII": given("sub", sub="pät-1"),
    "sub too long": given("sub", sub="p" * 129),
    "sub a number": given("sub", sub=1),
    "sub a list": given("sub", sub=["pat-1"]),
    "no jti": given("jti", jti=ABSENT),
    "jti a number": given("jti", jti=7),
    "jti empty": given("jti", jti=""),
    "no aud": given("aud", aud=ABSENT),
    "another aud": given("aud", aud="billing"),
    "aud a list": given("aud", aud=["chatd"]),
    "aud in capitals": given("aud", aud="CHATD"),
    # signatures
    "another secret": Wrong(lambda now: token(now, secret=b"another one of the same length .."), "not signed by us"),
    "HS512 with our secret": Wrong(lambda now: sign(json.dumps(claims(now)).encode(), algorithm="HS512"), "not signed"),
    "HS384 with our secret": Wrong(lambda now: sign(json.dumps(claims(now)).encode(), algorithm="HS384"), "not signed"),
    "RS256 in the header, our secret": Wrong(
        lambda now: sign(json.dumps(claims(now)).encode(), header={"alg": "RS256"}), "not signed by us"
    ),
    "RS256 by a key of its own": Wrong(by_rsa, "not signed by us"),
    "alg none, signed": Wrong(lambda now: token(now, header={"alg": "none"}), "not signed by us"),
    "alg none, no signature": Wrong(lambda now: unsigned(now, "none"), "not a signed token"),
    "alg None": Wrong(lambda now: token(now, header={"alg": "None"}), "not signed by us"),
    "alg null": Wrong(lambda now: token(now, header={"alg": None}), "not signed by us"),
    "alg a list": Wrong(lambda now: token(now, header={"alg": ["HS256"]}), "not signed by us"),
    "no signature": Wrong(lambda now: unsigned(now, "HS256"), "not a signed token"),
    "signature cut short": Wrong(lambda now: token(now)[:-4], "not signed by us"),
    "signature of nothing": Wrong(lambda now: token(now).rpartition(".")[0] + ".AAAA", "not signed by us"),
    "payload with a flipped bit": Wrong(lambda now: flipped(token(now), 1, 9), "not signed by us"),
    "header with a flipped bit": Wrong(lambda now: flipped(token(now), 0, 20), "not signed by us"),
    "signature with a flipped bit": Wrong(lambda now: flipped(token(now), 2, 0), "not signed by us"),
    "its own key": Wrong(
        lambda now: token(
            now,
            secret=b"the attacker's, which comes with it",
            header={"jwk": {"kty": "oct", "k": b64(b"the attacker's, which comes with it")}},
        ),
        "not signed by us",
    ),
    "crit": Wrong(lambda now: token(now, header={"crit": ["exp"], "exp": 1}), "not signed by us"),
    "crit of what is known": Wrong(lambda now: token(now, header={"crit": ["typ"]}), "crit"),
    "crit empty": Wrong(lambda now: token(now, header={"crit": []}), "crit"),
    # shapes
    "empty": Wrong(lambda now: "", "not a signed token"),
    "garbage": Wrong(lambda now: "chatd", "not a signed token"),
    "dots": Wrong(lambda now: "..", "not a signed token"),
    "a dot too many": Wrong(lambda now: token(now).replace(".", "..", 1), "not a signed token"),
    "a part too many": Wrong(lambda now: token(now) + ".AAAA", "not a signed token"),
    "a blank before": Wrong(lambda now: " " + token(now), "not a signed token"),
    "a line's end": Wrong(lambda now: token(now) + "\n", "not a signed token"),
    "blanks within": Wrong(lambda now: token(now).replace(".", ". "), "not a signed token"),
    "padding": Wrong(lambda now: token(now) + "=", "not a signed token"),
    "not ASCII": Wrong(lambda now: token(now)[:-1] + "ä", "not a signed token"),
    "encrypted": Wrong(encrypted, "not a signed token"),
    "nested": Wrong(lambda now: sign(token(now).encode(), header={"cty": "JWT"}), "not signed by us"),
    "payload a list": Wrong(lambda now: sign(b"[]"), "not signed by us"),
    "payload null": Wrong(lambda now: sign(b"null"), "not signed by us"),
    "payload not JSON": Wrong(lambda now: sign(b"\xff\xfe"), "not signed by us"),
    "payload deep": Wrong(lambda now: sign(b"[" * 5000), "not signed by us"),
    "header deep": Wrong(lambda now: f"{b64(b'[' * 5000)}.e30.AAAA", "not signed by us"),
    "header a list": Wrong(lambda now: f"{b64(b'[]')}.e30.AAAA", "not signed by us"),
    "header null": Wrong(lambda now: f"{b64(b'null')}.e30.AAAA", "not signed by us"),
}
"""By name; all but for one thing like a good one, of a user who is known."""
