"""`sync`: what the client missed, as events; then the `ok`."""

from chatd.commands.context import Context
from protocol.frames import SyncOk
from protocol.objects import RevState
from protocol.requests import Sync
from storage.records import Standing


async def sync(context: Context[Sync]) -> None:
    """Feed what changed since the client's revs; where that can't be, tell it to start over."""
    request, parts, session = context.request, context.parts, context.session
    await session.quiet()
    user = context.user.id
    standings = await parts.gate.read(lambda: parts.store.standings(user, request.revs))
    if request.epoch != parts.store.epoch:
        standings = {id: Standing(s.rev, reset=True) for id, s in standings.items()}
    fed = {id: rev for id, rev in request.revs.items() if not standings[id].reset}
    if fed:
        await session.sync(fed, standings, request.id)
    elif request.id is not None:
        revs = {id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()}
        session.send(SyncOk(re=request.id, revs=revs))
