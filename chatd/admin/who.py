"""`who`: whose connections live, by what they came, and what they have on screen."""

import attrs

from chatd.core.registry import Registry

from .verbs import PAGE_ROWS, Answer, Port, Verb, VerbFailed


@attrs.frozen(kw_only=True)
class Who(Verb):
    """A page of the connections that live, by session. `conversation`: of those alone who take part in it.

    `transport`: of those alone who came by it. Never what anybody writes.
    """

    NAME = "who"
    conversation: str | None = None
    transport: str | None = None
    after: str | None = None

    async def run(self, port: Port) -> Answer:
        registry: Registry | None = getattr(port, "registry", None)
        if registry is None:
            raise VerbFailed("no daemon runs on this data: nobody is connected")
        takes_part = await self._takes_part(port)
        rows = [
            {
                "session": session.id,
                "user": session.user_id,
                "role": session.user.role if session.user is not None else None,
                "transport": session.came_by(),
                "address": session.address,
                "on_screen": session.focus,
            }
            for session in registry
            if not registry.is_parked(session)
            and (takes_part is None or session.user_id in takes_part)
            and (self.transport is None or session.came_by().split()[0] == self.transport)
        ]
        rows = sorted((row for row in rows if _id(row) > (self.after or "")), key=_id)
        page = rows[:PAGE_ROWS]
        return {"connections": page, "next": page[-1]["session"] if len(rows) > PAGE_ROWS else None}

    async def _takes_part(self, port: Port) -> frozenset[str] | None:
        id = self.conversation
        if id is None:
            return None
        room = await port.read(lambda: port.store.room(id))
        if room is None:
            raise VerbFailed(f"there is no conversation {id}: clients show the ids, and the log when one is created")
        return frozenset(p.user for p in room.participants if p.present)


def _id(row: Answer) -> str:
    return str(row["session"])
