"""Session tokens as sites make them, written apart from the code that opens them: right ones, and wrong ones."""

import hmac
import json
from base64 import b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from chatd.testing.harness import START

SECRET = "the secret of a site, 0123456789"
AUTHJS, SECURE_AUTHJS = "authjs.session-token", "__Secure-authjs.session-token"
NEXTAUTH, SECURE_NEXTAUTH = "next-auth.session-token", "__Secure-next-auth.session-token"
NOW = START // 1000
BETTER_TOKEN = "VyLq0GKpQpXkJtB2zY3aH4sD5fG6jK7l"


def claims(**more: Any) -> dict[str, Any]:
    """What such a token says, of pat-1; None leaves a claim out."""
    given = {"name": "Ada", "sub": "pat-1", "iat": NOW - 60, "exp": NOW + 86_400, "jti": "j", **more}
    return {name: value for name, value in given.items() if value is not None}


def site_token(
    says: dict[str, Any] | bytes | None = None,
    *,
    version: int = 5,
    secret: str = SECRET,
    name: str = AUTHJS,
    enc: str | None = None,
    header: dict[str, Any] | None = None,
) -> str:
    """A session token of NextAuth 4 or Auth.js 5, for the cookie of this name; `header` goes over its own."""
    enc = enc or ("A256GCM" if version == 4 else "A256CBC-HS512")
    length = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32, "A128CBC-HS256": 32, "A192CBC-HS384": 48}.get(enc, 64)
    info = "NextAuth.js Generated Encryption Key" if version == 4 else f"Auth.js Generated Encryption Key ({name})"
    salt = b"" if version == 4 else name.encode()
    raw = HKDF(hashes.SHA256(), length, salt, info.encode()).derive(secret.encode())
    text = says if isinstance(says, bytes) else json.dumps(claims() if says is None else says).encode()
    registry = JWERegistry(algorithms=["dir", enc, "DEF"], strict_check_header=False)
    head = {"alg": "dir", "enc": enc, **(header or {})}
    return jwe.encrypt_compact(head, text, OctKey.import_key(raw), registry=registry)


def better_auth_cookie(token: str, secret: str = SECRET) -> str:
    """The value of Better Auth's cookie."""
    signature = b64encode(hmac.digest(secret.encode(), token.encode(), sha256)).decode()
    return quote(f"{token}.{signature}", safe="")
