"""`hello`: who is there, and what they hold; `ping`."""

from collections.abc import Mapping

from protocol.codes import CloseCode, ErrorCode
from protocol.frames import HelloOk, PingOk, UserChanged
from protocol.objects import RevState
from protocol.requests import Hello, Ping
from protocol.times import to_rfc3339
from storage.changes import PutUser, UserSaved
from storage.contract import Unavailable
from storage.records import Standing, SummaryPage, User

from .. import view
from ..call import Call
from ..errors import Refusal, not_yet
from ..paging import cursor_of, fit
from ..wire import Event

FIRST_PAGE = 50
"""Conversations in `hello`'s ok."""


def ping(call: Call[Ping]) -> PingOk | None:
    """A sign of life."""
    if call.request.id is None:
        return None
    return PingOk(re=call.request.id, server_time=to_rfc3339(call.services.now()))


async def hello(call: Call[Hello]) -> None:
    """Sign in, answer with what the user has, and feed the conversations that the client named."""
    request, session, services = call.request, call.session, call.services
    if session.user is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "hello was said already on this connection")
    if request.id is None:
        raise Refusal(ErrorCode.BAD_REQUEST, "`id`: hello needs one")
    try:
        user, renamed = await _sign_in(call)
        revs = dict(request.revs or {})
        async with session.turn():
            if len(services.registry.of(user.id)) >= services.connections_per_user:
                raise Refusal(ErrorCode.RATE_LIMITED, "too many connections of this user", close=CloseCode.TOO_MANY)
            with session.hold(first=True) as hold:
                session.user = user
                services.registry.add(user.id, session)
                # From here on events of what the client holds are only marked; the feeder reads them.
                mine = revs if request.epoch == services.store.epoch else {}
                for conversation, rev in mine.items():
                    session.fall_behind(conversation, rev)
                await services.presence.arrive(user.id)
                page, standings = await services.gate.read(lambda: _read(call, user.id, revs))
                if mine is not revs:
                    standings = {id: Standing(s.rev, reset=True) for id, s in standings.items()}
                fed = {id: rev for id, rev in mine.items() if not standings[id].reset}
                for conversation in mine.keys() - fed.keys():
                    session.start_anew(conversation)
                reply, hold.revs = _reply(call, user, page, standings)
                hold.reply = session.codec.encode(reply)
                call.feeder.feed(fed)
    except Unavailable:
        raise Refusal(
            ErrorCode.UNAVAILABLE, "the server can't read or save at the moment", close=CloseCode.OVERLOADED
        ) from None
    if renamed:
        services.presence.user_changed(Event(UserChanged(user=view.user(user))), user.id)


async def _sign_in(call: Call[Hello]) -> tuple[User, bool]:
    """The user, and whether a known one got another name or role. Raises Refusal or Unavailable."""
    request, services = call.request, call.services
    if not services.development:
        if request.user is not None:
            raise Refusal(
                ErrorCode.UNAUTHORIZED,
                "`user`: signing in by name alone is for development mode; a token is needed",
                close=CloseCode.REFUSED,
            )
        raise not_yet()
    if request.token is not None:
        raise not_yet()
    if request.user is None:
        raise Refusal(ErrorCode.BAD_REQUEST, "`user`: in development mode hello names the user")
    id, name, role = request.user, request.name, request.role
    user = await services.gate.read(lambda: services.store.user(id))
    changed = False
    if user is None or (name or user.name) != user.name or (role or user.role) != user.role:
        (outcome,) = await services.gate.commit([PutUser(id, name, role, services.now())])
        assert isinstance(outcome, UserSaved)
        user, changed = outcome.user, outcome.changed
    if user.disabled_at is not None:
        raise Refusal(ErrorCode.UNAUTHORIZED, "this account is disabled", close=CloseCode.REFUSED)
    return user, changed


def _read(call: Call[Hello], user: str, revs: Mapping[str, int]) -> tuple[SummaryPage, dict[str, Standing]]:
    store = call.services.store
    return store.summaries(user, archived=False, after=None, limit=FIRST_PAGE), store.standings(user, revs)


def _reply(
    call: Call[Hello], user: User, page: SummaryPage, standings: Mapping[str, Standing]
) -> tuple[HelloOk, dict[str, int]]:
    request, services = call.request, call.services
    assert request.id is not None
    encoded = fit(view.summary(s, user.id) for s in page.summaries)
    shown = page.summaries[: len(encoded)]
    key = page.next if len(shown) == len(page.summaries) else services.store.key_of(shown[-1])
    people = [page.users[id] for id in dict.fromkeys(p.user for s in shown for p in s.room.participants)]
    online = [u for u in people if u.id != user.id and services.presence.online(u.id)]
    reply = HelloOk(
        re=request.id,
        user=view.user(user),
        session=call.session.id,
        epoch=services.store.epoch,
        server_time=to_rfc3339(services.now()),
        heartbeat=services.heartbeat,
        limits=services.limits,
        conversations=encoded,
        cursor=cursor_of(key),
        revs={id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()},
        users=view.users(people),
        presence=services.presence.states(online),
    )
    return reply, {s.room.conversation.id: s.room.conversation.rev for s in shown}
