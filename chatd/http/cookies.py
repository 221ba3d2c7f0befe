"""Cookies as credentials. A browser sends it along whichever page asks; only its headers tell that page."""

from chatd.net.head import Head
from chatd.net.origins import Origins

from .bodies import media_type

SAFE_METHODS = ("GET", "HEAD")
BODY_TYPES = (None, "application/json", "multipart/form-data", "application/offset+octet-stream")
"""None: there is no body; the last is a piece of a file.

Forms of other sites can send other types without being asked first."""


def cookie_counts(head: Head, scheme: str, origins: Origins) -> bool:
    """Return whether a cookie may sign this request in.

    What only reads: unless the browser says that another site's page asks, or a neighbour's that is not allowed. What
    changes something: where an allowed page asks, with a body that a form can't send, or that names files.
    """
    if head.method in SAFE_METHODS:
        site = head.get(b"sec-fetch-site")
        return site != b"cross-site" and (site != b"same-site" or origins.allows(head, scheme))
    return origins.allows(head, scheme) and media_type(head) in BODY_TYPES
