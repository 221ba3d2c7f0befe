"""`hello`: who is there, and what they hold; `ping`."""

from collections.abc import Mapping

import structlog

from chatd.auth.admit import admit
from chatd.auth.tokens import BadToken, Claims
from chatd.commands.context import Context
from chatd.commands.paging import cursor_of, fit_summaries
from chatd.core import view
from chatd.core.errors import Refusal
from chatd.core.event import Event
from protocol.codes import CloseCode, ErrorCode
from protocol.frames import HelloOk, PingOk, UserChanged
from protocol.objects import RevState
from protocol.requests import Hello, Ping
from protocol.times import to_rfc3339
from storage.changes import PutUser, UserSaved
from storage.contract import Unavailable
from storage.records import Standing, SummaryPage, User

log = structlog.get_logger("chatd.hello")

FIRST_PAGE = 50
"""Conversations in `hello`'s ok."""


def ping(context: Context[Ping]) -> PingOk | None:
    """A sign of life."""
    if context.request.id is None:
        return None
    return PingOk(re=context.request.id, server_time=to_rfc3339(context.parts.now()))


async def hello(context: Context[Hello]) -> None:
    """Sign in, answer with what the user has, and feed the conversations that the client named."""
    request, session, parts = context.request, context.session, context.parts
    if session.user is not None:
        await _renew(context)
        return
    id, claims = _who(context)
    try:
        with parts.registry.arriving(id, session, claims.jti if claims else None) as arrival:
            found = await (_named(context, id) if claims is None else _known(context, claims))
            revs = dict(request.revs or {})
            async with session.turn():
                if len(parts.registry.of(id)) >= parts.connections_per_user:
                    raise Refusal(ErrorCode.RATE_LIMITED, "too many connections of this user", close=CloseCode.TOO_MANY)
                with session.hold(first=True) as hold:
                    session.user = arrival.user or found
                    parts.registry.add(id, session)
                    # From here on events of what the client holds are only marked; the session's feeder reads them.
                    mine = revs if request.epoch == parts.store.epoch else {}
                    for conversation, rev in mine.items():
                        session.fall_behind(conversation, rev)
                    await parts.presence.arrive(id)
                    page, standings = await parts.gate.read(lambda: _read(context, id, revs))
                    if mine is not revs:
                        standings = {id: Standing(s.rev, reset=True) for id, s in standings.items()}
                    fed = {id: rev for id, rev in mine.items() if not standings[id].reset}
                    for conversation in mine.keys() - fed.keys():
                        session.start_anew(conversation)
                    reply, hold.revs = _reply(context, context.user, page, standings)
                    hold.reply = reply
                    session.feed(fed)
                if arrival.user is not None:  # the user's other connections heard of it before this one was there
                    session.notify(Event(UserChanged(user=view.user(context.user))))
    except Unavailable:
        raise Refusal(
            ErrorCode.UNAVAILABLE, "the server can't read or save at the moment", close=CloseCode.OVERLOADED
        ) from None


async def _renew(context: Context[Hello]) -> None:
    """A later `hello`: a fresh token of the same user moves the end of the connection."""
    request, session, parts = context.request, context.session, context.parts
    if request.token is None or parts.tokens is None or request.user is not None:
        raise Refusal(ErrorCode.BAD_REQUEST, "hello was said already on this connection")
    claims = _claims(context, request.token)
    if claims.user != context.user.id:
        raise Refusal(ErrorCode.BAD_REQUEST, "`token`: it is another user's; make a connection of its own for them")
    with parts.registry.arriving(claims.user, session, claims.jti):
        await _known(context, claims)
    session.send(
        HelloOk(
            re=request.id,
            user=view.user(context.user),
            session=session.id,
            epoch=parts.store.epoch,
            server_time=to_rfc3339(parts.now()),
            heartbeat=parts.heartbeat,
            limits=parts.limits,
            expires_at=to_rfc3339(claims.expires_at),
        )
    )


def _who(context: Context[Hello]) -> tuple[str, Claims | None]:
    """The id of who says hello, and what their token says; there is none in development mode. Raises Refusal."""
    request, session, parts = context.request, context.session, context.parts
    if parts.tokens is None:
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
    claims = _claims(context, token)
    return claims.user, claims


def _claims(context: Context[Hello], token: str) -> Claims:
    assert context.parts.tokens is not None
    try:
        return context.parts.tokens.verify(token, context.parts.now())
    except BadToken as error:
        raise _refused(context, error) from None


async def _known(context: Context[Hello], claims: Claims) -> User:
    """The user of a good token, which ends the session with it. Raises Refusal or Unavailable."""
    store = context.parts.store
    found = await context.parts.gate.read(lambda: store.credentials(claims.user, claims.jti))
    try:
        user = admit(claims, found)
    except BadToken as error:
        raise _refused(context, error, user=claims.user) from None
    context.session.jti, context.session.expires_at = claims.jti, claims.expires_at
    return user


def _refused(context: Context[Hello], error: BadToken, **more: str) -> Refusal:
    """What the client hears: no more than its owner needs. The log has the reason."""
    log.warning("sign-in refused", reason=error.reason, session=context.session.id, **more)
    if error.expired:
        return Refusal(ErrorCode.UNAUTHORIZED, "the token has expired", close=CloseCode.TOKEN_EXPIRED)
    return _unauthorized("the token is not accepted")


def _unauthorized(message: str) -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, message, close=CloseCode.REFUSED)


async def _named(context: Context[Hello], id: str) -> User:
    """In development mode: whoever they say, with the name and role that they say. Raises Refusal or Unavailable."""
    request, parts = context.request, context.parts
    name, role = request.name, request.role
    user = await parts.gate.read(lambda: parts.store.user(id))
    if user is None or (name or user.name) != user.name or (role or user.role) != user.role:
        (outcome,) = await parts.accounts.commit([PutUser(id, name, role, parts.now())])
        assert isinstance(outcome, UserSaved)
        user = outcome.user
    if user.disabled_at is not None:
        raise _unauthorized("this account is disabled")
    return user


def _read(context: Context[Hello], user: str, revs: Mapping[str, int]) -> tuple[SummaryPage, dict[str, Standing]]:
    store = context.parts.store
    return store.summaries(user, archived=False, after=None, limit=FIRST_PAGE), store.standings(user, revs)


def _reply(
    context: Context[Hello], user: User, page: SummaryPage, standings: Mapping[str, Standing]
) -> tuple[HelloOk, dict[str, int]]:
    request, parts = context.request, context.parts
    assert request.id is not None
    encoded, people = fit_summaries(page, user.id)
    shown = page.summaries[: len(encoded)]
    key = page.next if len(shown) == len(page.summaries) else parts.store.key_of(shown[-1])
    online = [u for u in people if u.id != user.id and parts.presence.online(u.id)]
    reply = HelloOk(
        re=request.id,
        user=view.user(user),
        session=context.session.id,
        epoch=parts.store.epoch,
        server_time=to_rfc3339(parts.now()),
        heartbeat=parts.heartbeat,
        limits=parts.limits,
        expires_at=None if context.session.expires_at is None else to_rfc3339(context.session.expires_at),
        conversations=encoded,
        cursor=cursor_of(key),
        revs={id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()},
        users=view.users(people),
        presence=parts.presence.states(online),
    )
    return reply, {s.room.conversation.id: s.room.conversation.rev for s in shown}
