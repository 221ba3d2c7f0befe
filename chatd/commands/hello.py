"""`hello`: who is there, and what they hold; `ping`."""

from collections.abc import Mapping

import structlog

from protocol.codes import CloseCode, ErrorCode
from protocol.frames import HelloOk, PingOk, UserChanged
from protocol.objects import RevState
from protocol.requests import Hello, Ping
from protocol.times import to_rfc3339
from storage.changes import PutUser, UserSaved
from storage.contract import Unavailable
from storage.records import Standing, SummaryPage, User

from .. import accounts, view
from ..auth.admit import admit
from ..auth.tokens import BadToken, Claims
from ..call import Call
from ..errors import Refusal
from ..paging import cursor_of, fit_summaries
from ..wire import Event

log = structlog.get_logger("chatd.hello")

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
        await _renew(call)
        return
    id, claims = _who(call)
    try:
        with services.registry.arriving(id, session, claims.jti if claims else None) as arrival:
            found = await (_named(call, id) if claims is None else _known(call, claims))
            revs = dict(request.revs or {})
            async with session.turn():
                if len(services.registry.of(id)) >= services.connections_per_user:
                    raise Refusal(ErrorCode.RATE_LIMITED, "too many connections of this user", close=CloseCode.TOO_MANY)
                with session.hold(first=True) as hold:
                    session.user = arrival.user or found
                    services.registry.add(id, session)
                    # From here on events of what the client holds are only marked; the feeder reads them.
                    mine = revs if request.epoch == services.store.epoch else {}
                    for conversation, rev in mine.items():
                        session.fall_behind(conversation, rev)
                    await services.presence.arrive(id)
                    page, standings = await services.gate.read(lambda: _read(call, id, revs))
                    if mine is not revs:
                        standings = {id: Standing(s.rev, reset=True) for id, s in standings.items()}
                    fed = {id: rev for id, rev in mine.items() if not standings[id].reset}
                    for conversation in mine.keys() - fed.keys():
                        session.start_anew(conversation)
                    reply, hold.revs = _reply(call, call.user, page, standings)
                    hold.reply = session.codec.encode(reply)
                    call.feeder.feed(fed)
                if arrival.user is not None:  # the user's other connections heard of it before this one was there
                    session.notify(Event(UserChanged(user=view.user(call.user))))
    except Unavailable:
        raise Refusal(
            ErrorCode.UNAVAILABLE, "the server can't read or save at the moment", close=CloseCode.OVERLOADED
        ) from None


async def _renew(call: Call[Hello]) -> None:
    """A later `hello`: a fresh token of the same user moves the end of the connection."""
    request, session, services = call.request, call.session, call.services
    if request.token is None or services.tokens is None or request.user is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "hello was said already on this connection")
    claims = _claims(call, request.token)
    if claims.user != call.user.id:
        raise Refusal(ErrorCode.BAD_REQUEST, "`token`: it is another user's; make a connection of its own for them")
    with services.registry.arriving(claims.user, session, claims.jti):
        await _known(call, claims)
    session.send(
        HelloOk(
            re=request.id,
            user=view.user(call.user),
            session=session.id,
            epoch=services.store.epoch,
            server_time=to_rfc3339(services.now()),
            heartbeat=services.heartbeat,
            limits=services.limits,
            expires_at=to_rfc3339(claims.expires_at),
        )
    )


def _who(call: Call[Hello]) -> tuple[str, Claims | None]:
    """The id of who says hello, and what their token says; there is none in development mode. Raises Refusal."""
    request, session, services = call.request, call.session, call.services
    if services.tokens is None:
        if request.token is not None:
            raise Refusal(ErrorCode.BAD_REQUEST, "`token`: in development mode hello names the user instead")
        if request.user is None:
            raise Refusal(ErrorCode.BAD_REQUEST, "`user`: in development mode hello names the user")
        return request.user, None
    offered, session.offered = session.offered, None
    if request.user is not None:
        raise _unauthorized("`user`: signing in by name alone is for development mode; a token is needed")
    token = offered if request.token is None else request.token
    if token is None:
        raise _unauthorized("a token is needed: as `token`, or in the handshake's headers")
    claims = _claims(call, token)
    return claims.user, claims


def _claims(call: Call[Hello], token: str) -> Claims:
    assert call.services.tokens is not None
    try:
        return call.services.tokens.verify(token, call.services.now())
    except BadToken as error:
        raise _refused(call, error) from None


async def _known(call: Call[Hello], claims: Claims) -> User:
    """The user of a good token, which ends the session with it. Raises Refusal or Unavailable."""
    store = call.services.store
    found = await call.services.gate.read(lambda: store.credentials(claims.user, claims.jti))
    try:
        user = admit(claims, found)
    except BadToken as error:
        raise _refused(call, error, user=claims.user) from None
    call.session.jti, call.session.expires_at = claims.jti, claims.expires_at
    return user


def _refused(call: Call[Hello], error: BadToken, **more: str) -> Refusal:
    """What the client hears: no more than its owner needs. The log has the reason."""
    log.warning("sign-in refused", reason=error.reason, session=call.session.id, **more)
    if error.expired:
        return Refusal(ErrorCode.UNAUTHORIZED, "the token has expired", close=CloseCode.TOKEN_EXPIRED)
    return _unauthorized("the token is not accepted")


def _unauthorized(message: str) -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, message, close=CloseCode.REFUSED)


async def _named(call: Call[Hello], id: str) -> User:
    """In development mode: whoever they say, with the name and role that they say. Raises Refusal or Unavailable."""
    request, services = call.request, call.services
    name, role = request.name, request.role
    user = await services.gate.read(lambda: services.store.user(id))
    if user is None or (name or user.name) != user.name or (role or user.role) != user.role:
        (outcome,) = await accounts.commit(services, [PutUser(id, name, role, services.now())])
        assert isinstance(outcome, UserSaved)
        user = outcome.user
    if user.disabled_at is not None:
        raise _unauthorized("this account is disabled")
    return user


def _read(call: Call[Hello], user: str, revs: Mapping[str, int]) -> tuple[SummaryPage, dict[str, Standing]]:
    store = call.services.store
    return store.summaries(user, archived=False, after=None, limit=FIRST_PAGE), store.standings(user, revs)


def _reply(
    call: Call[Hello], user: User, page: SummaryPage, standings: Mapping[str, Standing]
) -> tuple[HelloOk, dict[str, int]]:
    request, services = call.request, call.services
    assert request.id is not None
    encoded, people = fit_summaries(page, user.id)
    shown = page.summaries[: len(encoded)]
    key = page.next if len(shown) == len(page.summaries) else services.store.key_of(shown[-1])
    online = [u for u in people if u.id != user.id and services.presence.online(u.id)]
    reply = HelloOk(
        re=request.id,
        user=view.user(user),
        session=call.session.id,
        epoch=services.store.epoch,
        server_time=to_rfc3339(services.now()),
        heartbeat=services.heartbeat,
        limits=services.limits,
        expires_at=None if call.session.expires_at is None else to_rfc3339(call.session.expires_at),
        conversations=encoded,
        cursor=cursor_of(key),
        revs={id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()},
        users=view.users(people),
        presence=services.presence.states(online),
    )
    return reply, {s.room.conversation.id: s.room.conversation.rev for s in shown}
