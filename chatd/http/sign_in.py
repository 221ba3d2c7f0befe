"""Signing in and out: a password, a token or a ticket becomes a session, and the session a cookie."""

from typing import Any, Final

import attrs
import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.authenticate import NotAccepted
from chatd.auth.oidc import Provider
from chatd.auth.throttle import TooManyTries
from chatd.config import Web
from chatd.core import view
from chatd.core.errors import Refusal
from chatd.core.identity import Carried, Offer
from protocol.codes import ErrorCode
from protocol.types import is_id
from storage.changes import DeleteRows
from storage.keyed import SIGNED_IN
from storage.records import User

from .answers import NO_STORE, Failed, json_answer
from .guards import address_of, admit, body_of, from_allowed_page, log, too_many
from .openapi import reference
from .operation import Operation
from .session_cookie import COOKIE_NAME, clear_cookie, set_cookie
from .site import Site

SESSIONS: Final = ("session", "nextauth", "better-auth")
"""Ways to sign in that are sessions themselves: one that outlived it would pass over its end."""


@attrs.frozen
class SignInBody:
    """The body of a sign-in: a user and a password (and the code of a second step), or a token or ticket."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    code: str | None = None


def operations(site: Site) -> list[Operation]:
    """`/v1/sign-in` and `/v1/sign-out`."""

    async def offered(request: Request) -> Response:
        return json_answer(msgspec.json.encode(offer_of(site)))

    async def sign_in(request: Request) -> Response:
        from_allowed_page(site, request)
        given = await body_of(request, SignInBody)
        if site.parts.development:
            raise Refusal(ErrorCode.BAD_REQUEST, "in development mode `hello` names the user; nobody signs in")
        admit(site, request)
        if given.token is not None:
            user, method = await _by_token(site, request, given.token)
        elif given.user is not None and given.password is not None:
            user, method = await check_password(site, request, given.user, given.password), "password"
            await _check_second_step(site, request, user, given.code)
        else:
            raise Refusal(ErrorCode.BAD_REQUEST, "`user` and `password` are needed, or `token`")
        return await signed_in(site, request, user, method)

    async def sign_out(request: Request) -> Response:
        from_allowed_page(site, request)
        cookie = request.cookies.get(COOKIE_NAME)
        if cookie is not None and not site.parts.development:
            await _end(site, cookie)
        response = Response(status_code=204, headers=NO_STORE)
        clear_cookie(response, request)
        return response

    text = {"type": "string"}
    return [
        Operation(
            method="GET",
            path="/v1/sign-in",
            run=offered,
            public=True,
            text="What the page offers to whoever wants to sign in.",
            answers={200: {"type": "object"}},
        ),
        Operation(
            method="POST",
            path="/v1/sign-in",
            run=sign_in,
            public=True,
            text="Signs in by a password, a token or a ticket: the cookie of a new session.",
            body={"type": "object", "properties": {"user": text, "password": text, "code": text, "token": text}},
            answers={200: {"type": "object", "properties": {"user": reference("User")}, "required": ["user"]}},
        ),
        Operation(
            method="POST",
            path="/v1/sign-out",
            run=sign_out,
            public=True,
            text="Ends the session of the cookie; the browser forgets what it keeps.",
            answers={204: None},
        ),
    ]


def offer_of(site: Site) -> dict[str, Any]:
    """Return what `GET /v1/sign-in` says."""
    web, parts = site.config().web, site.parts
    optional: dict[str, Any] = {
        "sign_in_url": web.sign_in_url,
        "logo_url": "/logo" if web.logo else "",
        "language": web.language,
    }
    if web.lock_after != Web().lock_after:  # the page knows the default
        optional["lock_after"] = web.lock_after
    return {
        "development": parts.development,
        "methods": [] if parts.development else list(parts.keepers.methods),
        "providers": [] if parts.development else [_shown(each) for each in parts.keepers.providers.values()],
        "name": web.name,
        **{name: value for name, value in optional.items() if value != ""},
    }


def _shown(provider: Provider) -> dict[str, str]:
    client = provider.client
    return {"id": client.name, "name": client.title, "start": f"/v1/oidc/{client.name}/start"}


async def signed_in(site: Site, request: Request, user: User, method: str) -> Response:
    """Begin a session of this user, and answer with its cookie. Raises Unavailable."""
    secret, seconds = await begin_session(site, request, user, method)
    response = json_answer(msgspec.json.encode({"user": view.user(user)}))
    set_cookie(response, request, secret, seconds)
    return response


async def begin_session(site: Site, request: Request, user: User, method: str) -> tuple[str, float]:
    """Begin a session of this user: its secret, and the seconds until it ends. Raises Unavailable."""
    sessions = site.parts.keepers.sessions
    agent = request.headers.get("user-agent")
    secret, row = await sessions.begin(user, method, agent if agent and agent.isprintable() else None)
    site.parts.keepers.throttle.good(address_of(request))
    log.info("signed in", user=user.id, method=method, session=row.id, address=address_of(request))
    return secret, (row.expires_at - site.parts.now()) / 1000


async def check_password(site: Site, request: Request, id: str, password: str) -> User:
    """Return the user of this id, whose password it is. Raises Refusal or Unavailable.

    The answer and its time are the same for a wrong password and for a user who isn't there.
    """
    keepers, address = site.parts.keepers, address_of(request)
    if "password" not in keepers.methods:
        raise _unauthorized("signing in by a password is off here")
    try:
        slowed = keepers.throttle.admit_user(id, address)
    except TooManyTries as error:
        raise too_many(error) from None
    if slowed:
        await trio.sleep(slowed)
    right = await keepers.passwords.verify(id, password, known=keepers.throttle.knows(id, address))
    store = site.parts.store
    user = await site.parts.gate.read(lambda: store.user(id)) if is_id(id) else None
    if not right or user is None or user.disabled_at is not None:
        keepers.throttle.failed(id, address)
        known = id if user is not None else "[unknown]"  # what is typed there may be a password
        log.warning("sign-in refused", reason="wrong user or password", user=known, address=address)
        raise _unauthorized("user or password is wrong")
    keepers.throttle.succeeded(id, address)
    return user


async def _check_second_step(site: Site, request: Request, user: User, code: str | None) -> None:
    """Ask for a code behind a right password, where a second step is set up. Raises Failed, Refusal, Unavailable."""
    steps, address = site.parts.keepers.second_steps, address_of(request)
    row = await steps.of(user.id)
    if row is None:
        if user.role in site.config().auth.second_step:
            log.warning("sign-in refused", reason="no second step is set up: chatd user totp", user=user.id)
            raise _unauthorized("this account needs a second step: ask whoever runs this server to set it up")
        return
    if code is None:
        raise _needs_code("the code of your authenticator app is needed")
    try:
        right = await steps.passes(row, code)
    except TooManyTries as error:
        raise too_many(error) from None
    if not right:
        log.warning("sign-in refused", reason="wrong code", user=user.id, address=address)
        raise _needs_code("the code is wrong, or was used before")


def _needs_code(message: str) -> Failed:
    return Failed(401, ErrorCode.UNAUTHORIZED, message, need="code")


async def _by_token(site: Site, request: Request, token: str) -> tuple[User, str]:
    """Return whom a token or a ticket signs in, and by what. Raises Refusal or Unavailable."""
    offer = Offer(token=token)
    try:
        identity = await site.parts.sign_in.authenticate(offer)
        if identity.method in SESSIONS:
            raise NotAccepted("the token is not accepted", reason="a session begins no other one")
        return await site.parts.sign_in.admit(identity, offer), identity.method
    except NotAccepted as error:
        log.warning("sign-in refused", reason=error.reason, address=address_of(request))
        raise _unauthorized(error.message) from None


async def _end(site: Site, cookie: str) -> None:
    """End the session of this cookie, if it is one."""
    try:
        identity = await site.parts.sign_in.authenticate(Offer(carried=Carried(cookie=cookie)))
    except NotAccepted:
        return
    if identity.method == "session":
        change = DeleteRows(kind=SIGNED_IN, field="id", value=identity.credential_id)
        await site.parts.accounts.commit([change])
        log.info("signed out", user=identity.user, session=identity.credential_id)


def _unauthorized(message: str) -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, message)
