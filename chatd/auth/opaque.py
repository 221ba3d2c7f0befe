"""Opaque secrets: random text of which only the hash is kept, so that the database lets nobody in."""

import hashlib
import secrets

SESSION, TICKET, API_KEY = "cs_", "ct_", "ck_"
"""Prefix of each kind, so that one is never tried as another."""

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Characters of invitation codes: 32 letters and digits that nobody mistakes for each other."""

CODE_GROUPS, CODE_GROUP_LENGTH = 4, 4
"""Groups of an invitation code, and characters of each: 16 characters, 80 random bits."""


def make(kind: str) -> str:
    """Return a new secret of this kind: 256 random bits behind its prefix."""
    return kind + secrets.token_urlsafe(32)


def make_code() -> str:
    """Return a new code that people can type: `ABCD-EFGH-JKLM-NPQR`."""
    groups = ("".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_GROUP_LENGTH)) for _ in range(CODE_GROUPS))
    return "-".join(groups)


def tidy_code(typed: str) -> str:
    """Return a typed code as it was made: without blanks and dashes of the typist's own, in capitals."""
    letters = "".join(typed.split()).replace("-", "").upper()
    size = CODE_GROUP_LENGTH
    return "-".join(letters[start : start + size] for start in range(0, len(letters), size))


def hash_of(secret: str) -> str:
    """Return what is kept of a secret: SHA-256 in hexadecimal. It has bits enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()
