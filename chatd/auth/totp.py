"""Codes of an authenticator app: TOTP (RFC 6238) with six digits of SHA-1 every 30 seconds, as all apps have it."""

import hmac
import secrets
import struct
from base64 import b32decode, b32encode
from typing import Final
from urllib.parse import quote

SECRET_BYTES: Final = 20
STEP_S: Final = 30
DIGITS: Final = 6

STEPS_THAT_COUNT: Final = (0, -1, 1)
"""Steps around now whose codes count: clocks differ, and typing takes time."""


def make_secret() -> str:
    """Return a new secret, as apps take it: 160 bits in base32."""
    return b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """Return the code of a step of time (RFC 4226, section 5.3)."""
    digest = hmac.digest(b32decode(secret), struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 15
    number: int = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: str, code: str, now: int, *, after: int) -> int | None:
    """Return the step whose code this is, around `now` (ms) and later than the step `after`; None: of none."""
    found = None
    for off in STEPS_THAT_COUNT:
        step = now // 1000 // STEP_S + off
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()) and step > after:
            found = step
    return found


def address_of(secret: str, issuer: str, user: str) -> str:
    """Return what an app reads from a QR code (Key URI Format)."""
    label = f"{quote(issuer, safe='')}:{quote(user, safe='')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}&digits={DIGITS}&period={STEP_S}"
