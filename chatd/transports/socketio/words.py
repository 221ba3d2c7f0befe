"""Names of a daemon's events on Socket.IO, and the form of its acknowledgements: by setting."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from protocol.frames import Error

from .packets import SocketioKind, head_of, text_packet

SERVER_EVENTS: Final = (
    "conversation_created", "new_message", "message_updated", "message_status", "user_typing", "online_users",
    "user_online", "user_offline", "user_joined", "user_left", "error",
)  # fmt: skip
"""Events of the server, by the names that they have unless a setting says otherwise."""

OFFSET_CHARS: Final = 20
"""Characters of an event's offset among all others; each event ends with one, where connections may be recovered."""


def pairs_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that a setting's `ours=theirs` gives to each of ours."""
    found: dict[str, list[str]] = {}
    for text in texts:
        ours, _, theirs = text.partition("=")
        found.setdefault(ours, []).append(theirs)
    return found


@attrs.define
class EventNumbers:
    """Numbers events, over all sessions. `prefix`: different for each start of the daemon, None: no numbers."""

    prefix: str | None
    _last: int = 0
    _form: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        prefix = self.prefix or ""
        self._form = f"{prefix}%0{OFFSET_CHARS - len(prefix)}x"

    def next(self) -> str | None:
        """Return the next place."""
        if self.prefix is None:
            return None
        self._last += 1
        return self._form % self._last


class Words:
    """Names and forms. `names`: instead of ours; `aliases`: besides them; `form`: success, ok or status."""

    def __init__(self, names: Iterable[str], aliases: Iterable[str], form: str, places: EventNumbers) -> None:
        renamed, besides = pairs_of(names), pairs_of(aliases)
        self._emitted = {name: tuple(renamed.get(name, [name]) + besides.get(name, [])) for name in SERVER_EVENTS}
        self._ours = {
            theirs: ours
            for pairs in (renamed, besides)
            for ours, all in pairs.items()
            for theirs in all
            if ours not in SERVER_EVENTS
        }
        self._form = form
        self._done: dict[str, Any] = {"status": "success"} if form == "status" else {form: True}
        self._heads: dict[str, bytes] = {}
        self.places = places

    def heard(self, event: str) -> str:
        """Return our name of a client's event."""
        return self._ours.get(event, event)

    def emit(self, namespace: str, event: str, data: Any) -> list[bytes]:
        """Return the packets of an event, one for each of its names."""
        names = self._emitted[event]
        if len(names) == 1:  # mostly
            return [self._emit(namespace, names[0], data)]
        return [self._emit(namespace, name, data) for name in names]

    def _emit(self, namespace: str, name: str, data: Any) -> bytes:
        head = self._heads.get(namespace)
        if head is None:
            head = self._heads[namespace] = head_of(SocketioKind.EVENT, namespace)
        place = self.places.next()
        return text_packet(head, (name, data) if place is None else (name, data, place))

    def ack(self, namespace: str, id: int, fields: Mapping[str, Any]) -> bytes:
        """Return the acknowledgement of something done."""
        return text_packet(head_of(SocketioKind.ACK, namespace, id), ({**self._done, **fields},))

    def nack(self, namespace: str, id: int, error: Error) -> bytes:
        """Return the acknowledgement of something refused."""
        failed: dict[str, Any] = {"status": "error"} if self._form == "status" else {self._form: False}
        return text_packet(head_of(SocketioKind.ACK, namespace, id), [failed | {"error": error_of(error)}])


def error_of(error: Error) -> dict[str, Any]:
    """Return an error as clients see it."""
    shown: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.retry_after is not None:
        shown["retryAfter"] = error.retry_after
    return shown
