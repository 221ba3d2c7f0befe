"""`sync`: what the client missed, as events; then the `ok`."""

from protocol.frames import SyncOk
from protocol.objects import RevState
from protocol.requests import Sync
from storage.records import Standing

from ..call import Call


async def sync(call: Call[Sync]) -> None:
    """Feed what changed since the client's revs; where that can't be, tell it to start over."""
    request, services, session = call.request, call.services, call.session
    await session.quiet()
    await call.feeder.place()
    user = call.user.id
    standings = await services.gate.read(lambda: services.store.standings(user, request.revs))
    if request.epoch != services.store.epoch:
        standings = {id: Standing(s.rev, reset=True) for id, s in standings.items()}
    fed = {id: rev for id, rev in request.revs.items() if not standings[id].reset}
    if fed:
        call.feeder.feed(fed, standings, request.id)
    elif request.id is not None:
        revs = {id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()}
        session.send(SyncOk(re=request.id, revs=revs))
