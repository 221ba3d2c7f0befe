"""The HTTP application: finds the operation that a request means, and answers by it. Every endpoint is async."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatd.core.errors import Refusal, unavailable
from chatd.net.bounds import Bounds
from chatd.net.head import Head
from protocol.codes import ErrorCode
from storage.contract import Unavailable

from . import (
    account,
    api,
    attachments,
    branding,
    cors,
    downloads,
    health,
    invitations,
    metrics,
    oidc,
    openapi,
    polling,
    sign_in,
    socketio,
    static,
    tickets,
    uploads,
)
from .answers import Failed, failed, refused
from .operation import SMALL_BODY_S, Operation
from .routing import Methods, RouteTable, methods_of
from .site import Site

FAMILIES: Final = (
    api.operations,
    health.operations,
    metrics.operations,
    static.operations,
    branding.operations,
    sign_in.operations,
    account.operations,
    oidc.operations,
    tickets.operations,
    invitations.operations,
    attachments.operations,
    downloads.operations,
    polling.operations,
    uploads.operations,
    socketio.operations,
)
"""Each makes the operations of one feature; a new feature is a file and a name here."""


NOT_ALLOWED: Final = failed(403, ErrorCode.FORBIDDEN, "origin not allowed")

WEBSOCKET_PATH: Final = "/ws"

NO_UPGRADE: Final = failed(
    426,
    ErrorCode.BAD_REQUEST,
    "this address is for WebSocket, and the request has no `Upgrade: websocket`: "
    "a proxy in front has to pass `Upgrade` and `Connection` on",
    {"Upgrade": "websocket"},
)

TURN_TIMEOUT_S: Final = 30.0
"""Seconds that a request which waits for its turn waits at most."""

FLOOD_DELAY_S: Final = 1.0
"""Seconds by which an answer to a flood is delayed: its connection, and whoever waits on it, is busy meanwhile."""


def make_app(site: Site) -> "Application":
    """Return the application with all that the daemon serves."""
    operations = [operation for family in FAMILIES for operation in family(site)]
    operations.append(openapi.operation(lambda: operations))
    return Application(site, operations)


class Application:
    """An ASGI application for the requests of `net/asgi.py`, whose state has the head."""

    def __init__(self, site: Site, operations: Iterable[Operation]) -> None:
        self._site = site
        self.operations = tuple(operations)
        self._table = RouteTable(self.operations)
        self._found: tuple[Head, Methods, dict[str, str]] | None = None

    def bounds(self, head: Head) -> Bounds:
        """Return what a request may take, before anything of its body is read."""
        methods, _ = self._find(head)
        operation = methods.get(head.method)
        if operation is not None and operation.bounds is not None:
            return operation.bounds
        return Bounds(body_bytes=self._site.config().limits.http_body_bytes, body_s=SMALL_BODY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head: Head = scope["state"]["head"]
        methods, params = self._find(head)
        scope["path_params"] = params
        request = Request(scope, receive)
        origin = head.get(b"origin")
        allowed = origin is not None and self._site.origins().allows(head, scope["scheme"])
        if origin is not None and allowed:
            send = cors.readable_by(origin, send)
        operation = _operation(request.method, methods)
        metered = operation is None or operation.is_metered(head)
        if metered and (wait := await self._turn(operation, lambda: self._site.wait(scope["client"]))):
            response = await self._delayed(wait, operation)
        elif methods and cors.is_preflight(head):
            response = cors.preflight(methods_of(methods)) if allowed else NOT_ALLOWED
        else:
            response = await self._answer(request, methods)
        self._count(request.method, methods, response.status_code)
        for name, value in operation.headers.items() if operation is not None else ():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _turn(self, operation: Operation | None, ask: Callable[[], float]) -> float:
        """Ask whether the request may be served now: 0, or the seconds until it may. Some wait for their turn."""
        wait = ask()
        if operation is not None and operation.waits:
            until = trio.current_time() + TURN_TIMEOUT_S
            while wait and trio.current_time() + wait <= until:
                await trio.sleep(wait)
                wait = ask()
        return wait

    async def _delayed(self, wait: float, operation: Operation | None) -> Response:
        """Answer that there are too many requests; later, so that asking on and on at once is no use."""
        self._site.metrics.drop("rate_limited")
        await trio.sleep(FLOOD_DELAY_S)
        if operation is not None and operation.waits:
            return refused(Refusal(ErrorCode.UNAVAILABLE, "too many requests", retry_after=wait))
        return refused(Refusal(ErrorCode.RATE_LIMITED, "too many requests", retry_after=wait))

    def _find(self, head: Head) -> tuple[Methods, dict[str, str]]:
        """Look up once for the bounds and the answer of a request, which are asked for one after the other."""
        if self._found is None or self._found[0] is not head:
            self._found = (head, *self._table.find(head.raw_path))
        return self._found[1:]

    def _count(self, method: str, methods: Methods, status: int) -> None:
        """Count the answer; what nobody serves is one series, for whoever asks chooses path and method."""
        operation = _operation(method, methods)
        names = (method, operation.label or operation.path) if operation else ("other", "none")
        self._site.metrics.answered(*names, status)

    async def _answer(self, request: Request, methods: Methods) -> Response:
        """Run the operation; its errors become answers, but for bugs, which the caller logs and answers."""
        method = request.method
        operation = _operation(method, methods)
        if operation is None:
            if not methods and request.url.path == WEBSOCKET_PATH and method in ("GET", "HEAD"):
                return NO_UPGRADE
            if not methods:
                return failed(404, ErrorCode.NOT_FOUND, "there is nothing at this path")
            allow = {"Allow": ", ".join(sorted(methods_of(methods)))}
            if method == "OPTIONS":
                return Response(status_code=204, headers=allow)
            return failed(405, ErrorCode.BAD_REQUEST, "this path does not take this method", allow)
        try:
            if operation.public:
                return await operation.run(request)
            caller = await self._site.callers.of(request)
            ask = partial(self._site.wait_of_user, caller.user_id)
            if not operation.carries and (wait := await self._turn(operation, ask)):
                return await self._delayed(wait, operation)
            return await operation.run(request, caller)
        except Failed as error:
            return failed(error.status, error.code, error.message, None, **error.more)
        except Refusal as refusal:
            return refused(refusal)
        except Unavailable:
            return refused(unavailable())


def _operation(method: str, methods: Methods) -> Operation | None:
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
