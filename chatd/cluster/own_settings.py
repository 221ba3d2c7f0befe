"""Users' own settings (muted, pinned, archived) between daemons on one database: no rev tells that they changed."""

from chatd.core.rooms import Rooms
from storage.keyed import SettingsChange

from .external_writes import ExternalWrites
from .notices import Notices


class OwnSettings:
    """Tells other daemons whose settings were changed here, and the users here of what they changed there."""

    def __init__(self, notices: Notices[SettingsChange], rooms: Rooms, external_writes: ExternalWrites) -> None:
        self._notices = notices
        self._external_writes = external_writes
        rooms.subscribe_settings(self._tell)

    def _tell(self, conversation: str, user: str) -> None:
        notices = self._notices
        row = SettingsChange(
            key=notices.next_key(), user=user, conversation=conversation, expires_at=notices.expires_at()
        )
        notices.tell([row])

    async def look(self) -> None:
        """Tell users what they changed elsewhere since the last look. Raises Unavailable."""
        changed = dict.fromkeys((row.conversation, row.user) for row in await self._notices.look())
        for conversation, user in changed:
            self._external_writes.tell_again(conversation, user)
