"""Signing in at an identity service: there, and back to the page."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chatd.auth.oidc import BEGUN_S, BegunSignIn, NotSignedIn, Provider
from chatd.auth.sealing import Unsealable
from chatd.core.errors import Refusal, not_found
from storage.contract import Unavailable

from .answers import NO_STORE
from .guards import address_of, admit, log
from .operation import Operation
from .session_cookie import is_secure, set_cookie
from .sign_in import begin_session
from .site import Site

OIDC_COOKIE: Final = "chatd_oidc"
SEAL_OWNER: Final = "begun"
"""Owner of what is sealed: nobody, as nobody is signed in yet."""

PAGE_PATH: Final = "/"


def operations(site: Site) -> list[Operation]:
    """`/v1/oidc/{provider}/start` and `/callback`."""

    async def start(request: Request) -> Response:
        provider = _provider(site, request)
        try:
            address, begun = await provider.begin(_redirect(site, provider))
        except Unavailable:
            return _back("unavailable")
        response = RedirectResponse(address, 303, HEADERS)
        sealed = site.parts.keepers.begun.seal(msgspec.json.encode(begun).decode(), SEAL_OWNER)
        response.set_cookie(
            OIDC_COOKIE,
            sealed,
            max_age=BEGUN_S,
            path=_path(provider),
            secure=is_secure(request),
            httponly=True,
            samesite="lax",
        )
        return response

    async def callback(request: Request) -> Response:
        provider = _provider(site, request)
        if request.method != "GET":
            return Response(status_code=204, headers=HEADERS)  # HEAD uses nothing up
        try:
            admit(site, request)
        except Refusal:
            return _back("often")
        try:
            account = await provider.finish(dict(request.query_params), _begun(site, request, provider))
            user = await site.parts.keepers.linked.user_of(account, provider.client)
        except NotSignedIn as error:
            log.warning(
                "sign-in refused", reason=error.reason, provider=provider.client.name, address=address_of(request)
            )
            return _without_cookie(_back("refused"), request, provider)
        except Unavailable:
            return _without_cookie(_back("unavailable"), request, provider)
        secret, seconds = await begin_session(site, request, user, "oidc")
        response = _without_cookie(RedirectResponse(PAGE_PATH, 303, HEADERS), request, provider)
        set_cookie(response, request, secret, seconds)
        return response

    return [
        Operation(
            method="GET",
            path="/v1/oidc/{provider}/start",
            run=start,
            public=True,
            text="Sends the browser to an identity service, to sign in there.",
            answers={303: None},
        ),
        Operation(
            method="GET",
            path="/v1/oidc/{provider}/callback",
            run=callback,
            public=True,
            text="Where the service sends the browser back to: the cookie of a new session, and on to the page.",
            answers={303: None},
        ),
    ]


HEADERS: Final = {**NO_STORE, "Referrer-Policy": "no-referrer"}
"""The address of an answer has a code in it, which is nobody else's business."""


def _provider(site: Site, request: Request) -> Provider:
    """Return the service that the path names. Raises Refusal (`not_found`)."""
    parts = site.parts
    found = None if parts.development else parts.keepers.providers.get(request.path_params["provider"])
    if found is None:
        raise not_found("provider")
    return found


def _redirect(site: Site, provider: Provider) -> str:
    """Return the address that the service sends people back to: as it is set, never as a request has it."""
    return f"{site.config().server.public_url}{_path(provider)}/callback"


def _path(provider: Provider) -> str:
    return f"/v1/oidc/{provider.client.name}"


def _begun(site: Site, request: Request, provider: Provider) -> BegunSignIn:
    """Return the sign-in that this browser has begun with this service. Raises NotSignedIn."""
    try:
        text = site.parts.keepers.begun.open(request.cookies.get(OIDC_COOKIE, ""), SEAL_OWNER)
        begun = msgspec.json.decode(text, type=BegunSignIn)
    except (Unsealable, msgspec.MsgspecError):
        raise NotSignedIn("this browser has not begun it, or too long ago") from None
    if begun.provider != provider.client.name:
        raise NotSignedIn("this browser has begun it with another service")
    return begun


def _back(problem: str) -> Response:
    """Return to the page, which says what happened."""
    return RedirectResponse(f"{PAGE_PATH}#sign-in={problem}", 303, HEADERS)


def _without_cookie(response: Response, request: Request, provider: Provider) -> Response:
    response.delete_cookie(OIDC_COOKIE, path=_path(provider), secure=is_secure(request), httponly=True, samesite="lax")
    return response
