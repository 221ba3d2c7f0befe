"""Links to files: addresses that need no header, for pictures, players and tabs. Bound to a user and a file, for 5 min.

Nothing of them is kept: a link says for whom and until when, under a signature. Whether the user may have the file is
asked when it is used.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

LINK_LIFETIME_MS = 300_000
SIGNATURE_BYTES = 18
MAX_LINK_CHARS = 512


class Links:
    """Makes and checks links, signed with `key`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, file: str, user: str, now: int) -> tuple[str, int]:
        """Return what names the user in a link to the file, and the time (ms) until which it is good."""
        until = now + LINK_LIFETIME_MS
        said = f"{until} {user}".encode()
        return _text(self._sign(file, said) + said), until

    def user_of(self, file: str, link: str, now: int) -> str | None:
        """Return the user of a link to the file; None where it isn't one of ours, or no longer good."""
        try:
            data = urlsafe_b64decode(link[:MAX_LINK_CHARS] + "=" * (-len(link) % 4))
        except ValueError:
            return None
        signature, said = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        # One spelling of each link: what decodes alike isn't the same.
        if not hmac.compare_digest(signature, self._sign(file, said)) or _text(data) != link:
            return None
        until, _, user = said.decode().partition(" ")
        return user if now < int(until) else None

    def _sign(self, file: str, said: bytes) -> bytes:
        return hmac.digest(self._key, f"link {len(file)} {file} ".encode() + said, sha256)[:SIGNATURE_BYTES]


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
