"""The polling transport over HTTP: a request of an engine's path, and its answer."""

from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatd.core.identity import NOTHING, Carried
from chatd.net.head import Head

from .engine import EngineServer
from .settings import BadQuery

log = structlog.get_logger("chatd.engineio")

TEXT_TYPE: Final = "text/plain; charset=UTF-8"
NEVER_KEPT: Final = {"Cache-Control": "no-store"}


async def answer(engine: EngineServer, request: Request, shown: Carried = NOTHING) -> Response:
    """Answer a request of any method. `shown`: the credentials that count in it.

    The request's state has its head, as in `net/asgi.py`.
    """
    head: Head = request.state.head
    client = request.scope["client"]
    try:
        if request.method == "GET":
            body = await engine.get(head, client[0] if client else None, shown, lambda: _gone(request))
            return Response(body, media_type=TEXT_TYPE, headers=NEVER_KEPT)
        if request.method == "POST":
            return Response(await engine.post(head, await request.body()), media_type="text/html", headers=NEVER_KEPT)
        raise engine.refused_method(head)
    except BadQuery as refused:
        return refusal(refused)
    except ClientDisconnect:
        return Response(status_code=400)


def refusal(refused: BadQuery) -> Response:
    """Return a refusal as the reference server has it."""
    return Response(refused.body(), refused.status, media_type="application/json", headers=NEVER_KEPT)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
