"""An issuer of tokens, with keys of each kind, whose set of keys anybody may fetch; and tokens, right and wrong."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import trio
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from chatd.net.fetching import Fetched, FetchError
from chatd.testing.harness import START

NOW = START // 1000
ISSUER = "https://id.clinic.example/realms/clinic"
AUDIENCE = "chat"
SHARED_SECRET = "a secret that the app and chatd share"

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"}, auto_kid=False)
EC = ECKey.generate_key("P-256", {"kid": "ec-1"}, auto_kid=False)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"}, auto_kid=False)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa-1"}, auto_kid=False)
BY_ALGORITHM: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED, "Ed25519": ED}


def public(key: Any, **more: Any) -> dict[str, Any]:
    """A key as it stands in a set."""
    found: dict[str, Any] = {**key.as_dict(private=False), "use": "sig", **more}
    return {name: value for name, value in found.items() if value is not None}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys or [public(RSA), public(EC), public(ED)]}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """What a good token says; None leaves a claim out."""
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "pat-1", "iat": NOW - 10, "exp": NOW + 600, **more}
    return {name: value for name, value in given.items() if value is not None}


def token(
    says: dict[str, Any] | bytes | None = None,
    *,
    alg: str = "RS256",
    key: Any = None,
    header: dict[str, Any] | None = None,
) -> str:
    """A signed token; `header` goes over its own, None leaves a member out."""
    key = key or BY_ALGORITHM[alg]
    head = {"alg": alg, "typ": "JWT", "kid": key.kid, **(header or {})}
    text = says if isinstance(says, bytes) else json.dumps(claims() if says is None else says).encode()
    head = {name: value for name, value in head.items() if value is not None}
    signed = ".".join([_base64url(json.dumps(head).encode()), _base64url(text)])
    return f"{signed}.{_base64url(JWSRegistry.algorithms[alg].sign(signed.encode(), key))}"


def shared(says: dict[str, Any] | None = None, secret: str = SHARED_SECRET, **header: Any) -> str:
    """A token signed by a secret that the app shares."""
    return token(says, alg="HS256", key=OctKey.import_key(secret), header={"kid": None, **header})


def unsigned(header: dict[str, Any], says: dict[str, Any] | None = None, signature: str = "AAAA") -> str:
    """A token with any header, and a signature that is none."""
    parts = [json.dumps(header).encode(), json.dumps(claims() if says is None else says).encode()]
    return ".".join([*map(_base64url, parts), signature])


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Web:
    """What can be fetched, by address: bytes, or an error. `asked`: the addresses, in order; `slow`: seconds."""

    def __init__(self, **pages: bytes) -> None:
        self.pages: dict[str, bytes] = pages
        self.asked: list[str] = []
        self.slow = 0.0
        self.max_age: int | None = None

    async def fetch(self, url: str) -> Fetched:
        self.asked.append(url)
        await trio.sleep(self.slow)
        if url not in self.pages:
            raise FetchError("answered with status 503")
        return Fetched(body=self.pages[url], max_age=self.max_age)
