"""The secret that signs tokens: a file that its owner alone may read, or a setting in its place."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from chatd.config import Config
from storage.sqlite.access import objection

SHORTEST_SECRET_CHARS = 32
"""Bytes that a secret has at least: what HS256 asks for (RFC 7518, section 3.2)."""


class BadSecret(Exception):
    """The secret can't be used; the message is for people, in one line, and doesn't hold it."""


def secret_of(config: Config) -> bytes:
    """The secret that the settings name, as its bytes are. Raises BadSecret; `FileNotFoundError` where it is none."""
    given = config.auth.secret
    return _long_enough(given.encode(), "the setting auth.secret") if given else read(config.secret_path())


def ensure(config: Config) -> tuple[bytes, Path | None]:
    """The secret, and the file that was made for it, if it had to be. Raises BadSecret."""
    try:
        return secret_of(config), None
    except FileNotFoundError:
        path = config.secret_path()
        make(path)
        return read(path), path


def read(path: Path) -> bytes:
    """Return the secret in the file, without the blanks around it. Raises BadSecret, or FileNotFoundError."""
    return _long_enough(read_private(path), str(path))


def read_private(path: Path) -> bytes:
    """Return what is in a file that its owner alone may use, without blanks around it. Raises as `read` does."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise BadSecret(
                    f"{path}: others than its owner may use the secret (mode {mode:04o}): "
                    f"chmod 600 it, and make a new one if anybody might have read it"
                )
            return file.read(65_536).strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        why = objection(path) or f"{path}: {error.strerror}"
        raise BadSecret(f"the secret cannot be read: {why}") from None


def make(path: Path) -> bool:
    """Write a new secret, unless there is one; whether it was written. Nobody ever finds half of one.

    Raises BadSecret.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, path)  # fails where somebody was faster
                return True
            return False
        finally:
            draft.unlink()
    except OSError as error:
        raise BadSecret(f"{path}: the secret cannot be written: {error.strerror}") from None


def _long_enough(secret: bytes, where: str) -> bytes:
    if len(secret) < SHORTEST_SECRET_CHARS:
        raise BadSecret(f"{where}: a secret has at least {SHORTEST_SECRET_CHARS} bytes, this one {len(secret)}")
    return secret
