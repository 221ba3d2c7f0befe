"""Sealing of what must be read again but by this daemon alone: AES-256-GCM, with keys that follow from its secret."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12


class Unsealable(Exception):
    """The text was sealed by another secret, for another purpose or owner, or was changed."""


class Sealer:
    """Seals texts with a key of 32 bytes, which is for one purpose."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, owner: str) -> str:
        """Return the text sealed, printable; it opens for this owner alone."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), owner.encode())
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, sealed: str, owner: str) -> str:
        """Return a text that was sealed for this owner. Raises Unsealable."""
        try:
            data = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, ValueError):
            raise Unsealable from None
