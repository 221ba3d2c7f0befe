"""Whether the process lives, and whether it can acknowledge."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .answers import json_answer
from .operation import Operation
from .site import Site

STATE = {"type": "object", "properties": {"status": {"type": "string"}, "reason": {"type": "string"}}}


def operations(site: Site) -> list[Operation]:
    """The health checks."""

    async def healthz(request: Request) -> Response:
        return json_answer(b'{"status":"ok"}')

    async def readyz(request: Request) -> Response:
        reason = site.problem()
        if reason is None:
            return json_answer(b'{"status":"ready"}')
        return json_answer(msgspec.json.encode({"status": "unavailable", "reason": reason}), 503)

    return [
        Operation(
            method="GET",
            path="/healthz",
            run=healthz,
            public=True,
            text="Whether the process lives.",
            answers={200: STATE},
        ),
        Operation(
            method="GET",
            path="/readyz",
            run=readyz,
            public=True,
            text="Whether messages can be acknowledged; else why not.",
            answers={200: STATE, 503: STATE},
        ),
    ]
