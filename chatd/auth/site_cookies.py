"""Session cookies of a site beside chatd: found by name, and put together where they were cut into chunks."""

import re
from collections.abc import Sequence

SITE_SESSION_REFUSED = "the site's session is not accepted"
"""The answer to whoever comes with one; the log has the reason."""

MAX_CHUNKS = 16
MAX_COOKIE_CHARS = 32_768
"""Characters of a session cookie with all its chunks; a longer one is not looked at."""


class BadChunks(Exception):
    """The chunks of a cookie don't fit together."""


def site_cookie(cookies: Sequence[tuple[str, str]], name: str) -> str | None:
    """Return the cookie of this name, put together from `NAME.0`, `NAME.1` ... where it was cut. Raises BadChunks.

    Browsers keep 4 KB of a cookie; a site with a longer one sets chunks. A whole one and chunks don't go together, nor
    chunks with a hole: some are of another session.
    """
    whole = dict(cookies).get(name)
    numbered = re.compile(re.escape(name) + r"\.(0|[1-9][0-9]{0,3})")
    chunks = {int(found[1]): value for key, value in cookies if (found := numbered.fullmatch(key))}
    if not chunks:
        return _short_enough(whole) if whole is not None else None
    if whole is not None:
        raise BadChunks("a whole cookie and chunks of it")
    if len(chunks) > MAX_CHUNKS or sorted(chunks) != list(range(len(chunks))):
        raise BadChunks("chunks are missing, or too many")
    return _short_enough("".join(chunks[number] for number in sorted(chunks)))


def _short_enough(value: str) -> str:
    if len(value) > MAX_COOKIE_CHARS:
        raise BadChunks("longer than 32 KiB")
    return value
