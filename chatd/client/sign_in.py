"""Signing in as people do: a password or a ticket becomes a session, whose secret signs connections in."""

import functools
import ssl
from urllib.parse import urlsplit

import trio

from .http import Dial, Http
from .target import ServerAddress

TIMEOUT_S = 30.0
SESSION_COOKIE_PREFIX = "chatd_session="

FINAL_STATUSES = (400, 401, 403, 404)
"""Statuses after which trying again is no use."""


class SignInFailed(Exception):
    """The server signs nobody in by this; the message is the server's.

    `status`: of HTTP. `need`: what is asked for besides, `code` behind a right password with a second step.
    """

    def __init__(self, message: str, status: int, need: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.need = need


class SignIn:
    """A `token` for `connect` that signs in by `user` and `password`, or by `ticket`, and again when the session ended.

    Awaiting a call returns the session's secret. Raises SignInFailed, OSError, trio.TooSlowError.
    `code`: of a second step, where one is set up.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        ticket: str | None = None,
        dial: Dial | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._target = ServerAddress.of(url)
        self._dial = dial
        self._ssl_context = ssl_context
        self._given = {"token": ticket} if ticket is not None else {"user": user, "password": password}
        parts = urlsplit(url)
        scheme = "https" if self._target.tls else "http"
        self._origin = f"{scheme}://{parts.netloc.rpartition('@')[2]}"  # as the server's own page would
        self._secret: str | None = None

    async def __call__(self, code: str | None = None) -> str:
        """Return the secret of a session that lives."""
        dial = self._dial or functools.partial(self._target.dial, self._ssl_context)
        http = Http(self._target.netloc, dial, {"Connection": "close", "Origin": self._origin})
        with trio.fail_after(TIMEOUT_S):
            if self._secret is not None:
                answer = await http.ask("GET", "/v1/me", headers={"Authorization": f"Bearer {self._secret}"})
                if answer.status == 200:
                    return self._secret
            given = self._given if code is None else {**self._given, "code": code}
            answer = await http.ask("POST", "/v1/sign-in", given)
        cookies = [cookie for cookie in answer.cookies if cookie.startswith(SESSION_COOKIE_PREFIX)]
        if answer.status != 200 or not cookies:
            message, need = answer.json.get("message", f"HTTP {answer.status}"), answer.json.get("need")
            raise SignInFailed(str(message), answer.status, need if isinstance(need, str) else None)
        self._secret = cookies[-1].removeprefix(SESSION_COOKIE_PREFIX).partition(";")[0]
        return self._secret
