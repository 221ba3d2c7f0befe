"""`hello`, which signs in, and `ping`."""

from collections.abc import Mapping

import structlog

from chatd.auth.authenticate import NotAccepted
from chatd.auth.throttle import TooManyTries
from chatd.commands.context import Context
from chatd.commands.paging import cursor_of, fit_summaries
from chatd.core import view
from chatd.core.errors import Refusal
from chatd.core.event import Event
from chatd.core.identity import NOTHING, Identity, Offer
from protocol.codes import CloseCode, ErrorCode
from protocol.frames import HelloOk, PingOk, UserChanged
from protocol.objects import RevState
from protocol.requests import Hello, Ping
from protocol.times import to_rfc3339
from storage.contract import Unavailable
from storage.records import Standing, SummaryPage, User

log = structlog.get_logger("chatd.hello")

CONVERSATIONS_IN_HELLO = 50


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
    try:
        offer = _offer(context)
        identity = await _authenticate(context, offer)
        id = identity.user
        with parts.registry.arriving(identity, session) as arrival:
            found = await _admit(context, identity, offer)
            session.identity = identity
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
    """Move the end of the connection, at a later `hello` with a fresh token of the same user."""
    request, session, parts = context.request, context.session, context.parts
    if request.token is None or request.user is not None or parts.development:
        raise Refusal(ErrorCode.BAD_REQUEST, "hello was said already on this connection")
    offer = _offer(context)
    identity = await _authenticate(context, offer)
    if identity.user != context.user.id:
        raise Refusal(ErrorCode.BAD_REQUEST, "`token`: it is another user's; make a connection of its own for them")
    with parts.registry.arriving(identity, session):
        await _admit(context, identity, offer)
    session.identity = identity
    session.send(
        HelloOk(
            re=request.id,
            user=view.user(context.user),
            session=session.id,
            epoch=parts.store.epoch,
            server_time=to_rfc3339(parts.now()),
            heartbeat=parts.heartbeat,
            limits=parts.limits,
            expires_at=_end_of(identity),
        )
    )


def _offer(context: Context[Hello]) -> Offer:
    request, session = context.request, context.session
    carried, session.carried = session.carried, NOTHING  # it counts once: a later hello shows its own
    return Offer(token=request.token, carried=carried, user=request.user, name=request.name, role=request.role)


async def _authenticate(context: Context[Hello], offer: Offer) -> Identity:
    """Return who says hello. Raises Refusal or Unavailable."""
    try:
        identity = await context.parts.sign_in.authenticate(offer)
        if context.session.bound_to not in (None, identity.user):
            raise NotAccepted("this session was opened by another user")
    except NotAccepted as error:
        raise _refused(context, error) from None
    return identity


async def _admit(context: Context[Hello], identity: Identity, offer: Offer) -> User:
    """Return the row of the user, where the credential still counts. Raises Refusal or Unavailable."""
    try:
        return await context.parts.sign_in.admit(identity, offer)
    except NotAccepted as error:
        raise _refused(context, error, user=identity.user) from None


def _refused(context: Context[Hello], error: NotAccepted, **more: str) -> Refusal:
    """Return the refusal for the client, which says no more than its owner needs, and log the reason."""
    if error.kind == "malformed":
        return Refusal(ErrorCode.BAD_REQUEST, error.message)
    if error.kind != "expired":
        try:
            context.parts.keepers.throttle.admit(context.session.address)
        except TooManyTries as many:  # without a line: a flood of them would fill the disk
            context.parts.metrics.drop("rate_limited")
            return Refusal(
                ErrorCode.RATE_LIMITED,
                "too many tries; wait a little",
                close=CloseCode.TOO_MANY,
                retry_after=round(many.retry_after, 3),
            )
    log.warning("sign-in refused", reason=error.reason, session=context.session.id, **more)
    close = CloseCode.TOKEN_EXPIRED if error.kind == "expired" else CloseCode.REFUSED
    return Refusal(ErrorCode.UNAUTHORIZED, error.message, close=close)


def _end_of(identity: Identity) -> str | None:
    return None if identity.expires_at is None else to_rfc3339(identity.expires_at)


def _read(context: Context[Hello], user: str, revs: Mapping[str, int]) -> tuple[SummaryPage, dict[str, Standing]]:
    store = context.parts.store
    return store.summaries(user, archived=False, after=None, limit=CONVERSATIONS_IN_HELLO), store.standings(user, revs)


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
        expires_at=None if context.session.identity is None else _end_of(context.session.identity),
        conversations=encoded,
        cursor=cursor_of(key),
        revs={id: RevState(rev=s.rev, reset=s.reset) for id, s in standings.items()},
        users=view.users(people),
        presence=parts.presence.states(online),
    )
    return reply, {s.room.conversation.id: s.room.conversation.rev for s in shown}
