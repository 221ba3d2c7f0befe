"""Session cookies of Better Auth: a token and its signature (HMAC-SHA256), whose row tells the rest.

The site's other cookie, `session_data`, is a copy that it keeps for some minutes: never looked at, as it outlives a
sign-out.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import unquote

from .tokens import BadToken

MAX_SIGNED_CHARS: Final = 1024

_SIGNED = re.compile(r"([A-Za-z0-9_-]{16,255})\.([A-Za-z0-9+/]{43}=)")


def signed_token(value: str, secrets: Sequence[str]) -> str:
    """Return the token in a cookie's value, which one of the secrets has signed. Raises BadToken."""
    if len(value) > MAX_SIGNED_CHARS:
        raise BadToken("longer than 1,024 characters")
    found = _SIGNED.fullmatch(unquote(value))
    if found is None:
        raise BadToken("not a signed session token")
    token, signature = found[1], b64decode(found[2])
    right = False
    for secret in secrets:
        right |= hmac.compare_digest(hmac.digest(secret.encode(), token.encode(), sha256), signature)
    if not right:
        raise BadToken("not signed by the site")
    return token
