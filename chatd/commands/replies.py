"""What a reading command returns."""

from collections.abc import Mapping

import attrs

from protocol.frames import Ok


@attrs.frozen
class Read:
    """A reply (None: the request had no id), and the rev of each conversation whose `info` it shows."""

    reply: Ok | None
    revs: Mapping[str, int] = attrs.Factory(dict)


def nothing_to_say() -> Read:
    """The request had no id."""
    return Read(None)
