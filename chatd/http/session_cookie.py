"""The session cookie: HttpOnly, so that no script reads it; Lax, so that other sites' forms don't carry it."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from chatd.auth.offered import SESSION_COOKIE

COOKIE_NAME: Final = SESSION_COOKIE.decode()


def set_cookie(response: Response, request: Request, secret: str, max_age: float) -> None:
    """Have the browser keep the secret of a session for `max_age` seconds."""
    response.set_cookie(
        COOKIE_NAME, secret, max_age=int(max_age), path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )


def clear_cookie(response: Response, request: Request) -> None:
    """Have the browser forget the session and what it keeps for this site."""
    response.delete_cookie(COOKIE_NAME, path="/", secure=is_secure(request), httponly=True, samesite="lax")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'


def is_secure(request: Request) -> bool:
    """Return whether the browser reached us by TLS."""
    return bool(request.scope["scheme"] == "https")
