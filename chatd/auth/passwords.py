"""Passwords: hashed with argon2id (RFC 9106), one at a time, and in the same time whether the user exists or not."""

import importlib.resources
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import trio
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from chatd.core.gate import Gate, Runner, ThreadRunner
from storage.contract import Unavailable
from storage.keyed import PASSWORD, Password

from .turns import Turns

T = TypeVar("T")

MIN_PASSWORD_CHARS, MAX_PASSWORD_CHARS = 10, 256

MAX_WAIT_S = 2.0
"""Seconds that a password waits for its turn to be hashed."""


class WeakPassword(Exception):
    """A new password is not accepted; the message says why, for its owner."""


@lru_cache(maxsize=1)
def common() -> frozenset[str]:
    """Return passwords that everybody tries first, in lower case."""
    text = importlib.resources.files("chatd.auth").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())


def check_new(password: str, *names: str) -> None:
    """Raise WeakPassword for a new password that is easily guessed. `names`: of its owner."""
    if len(password) < MIN_PASSWORD_CHARS:
        raise WeakPassword(f"a password has at least {MIN_PASSWORD_CHARS} characters")
    if len(password) > MAX_PASSWORD_CHARS:
        raise WeakPassword(f"a password has at most {MAX_PASSWORD_CHARS} characters")
    plain = _folded(password)
    if len(set(plain)) < 4:
        raise WeakPassword("this password is easily guessed: it is the same few characters again and again")
    # `Password2024!` is `password` to whoever guesses: digits and signs at the ends add little.
    if plain in common() or plain.strip("0123456789!?.,-_@#$*+ ") in common():
        raise WeakPassword("this password is one of those that are tried first: choose another, a few words say")
    if any(plain in run or plain in run[::-1] for run in _RUNS):
        raise WeakPassword("this password is easily guessed: it is a row of keys or of the alphabet")
    for name in map(_folded, names):
        if len(name) >= 3 and name in plain and len(plain) - len(name) < 6:
            raise WeakPassword("this password is easily guessed: it is mostly your name")


_RUNS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def hashed(password: str) -> str:
    """Return what is kept of a password: argon2id, with a salt of its own."""
    return PasswordHasher().hash(_normal(password))


class Passwords:
    """Keeps and checks passwords.

    Hashing takes a worker thread for a tenth of a second; it goes one by one, so that guessers don't take all threads.
    """

    def __init__(
        self, gate: Gate, now: Callable[[], int], *, run: Runner | None = None, hasher: PasswordHasher | None = None
    ) -> None:
        self._gate = gate
        self._now = now
        self._run = run or ThreadRunner(1)
        self._hasher = hasher or PasswordHasher()
        self._turns = Turns()
        self._nobodys: str | None = None  # a hash that no password has, for users without one

    async def verify(self, user: str, password: str, *, known: bool) -> bool:
        """Return True if it is the user's password. Raises Unavailable where too many wait to be checked.

        `known`: the user was right before from where they are now; they go before strangers.
        """
        row = await self._gate.read(lambda: self._gate.store.row(PASSWORD, user))
        return await self._turn(user, lambda: self._matches(row, _normal(password)), known=known)

    async def hashed(self, user: str, password: str) -> Password:
        """Return the row of a new password, for the caller to commit. Raises Unavailable."""
        hash = await self._turn(user, lambda: self._hasher.hash(_normal(password)), known=True)
        return Password(user=user, hash=hash, changed_at=self._now())

    def _matches(self, row: Password | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("")
        try:
            return self._hasher.verify(self._nobodys if row is None else row.hash, password) and row is not None
        except (Argon2Error, InvalidHashError):
            return False

    async def _turn(self, user: str, work: Callable[[], T], *, known: bool) -> T:
        try:
            async with self._turns.turn(user, known=known, wait_s=MAX_WAIT_S):
                return await self._run(work)
        except trio.TooSlowError:
            raise Unavailable("too many passwords are being checked") from None


def _normal(password: str) -> str:
    """Return the password as every keyboard types it: one form of each letter with marks (NFC)."""
    return unicodedata.normalize("NFC", password)
