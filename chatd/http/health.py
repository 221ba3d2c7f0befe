"""Health checks: the process lives; it can acknowledge."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chatd.background.supervise import Jobs

from .answers import json_answer
from .operation import Operation
from .site import Site

MAX_MESSAGES_NAMED = 5
"""Damaged messages that a note names."""

STATE = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ok", "ready", "unavailable"]},
        "reason": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["status"],
}


def failing(jobs: Jobs) -> list[str]:
    """Return a note for each background job that fails; the error's text is in the log alone."""
    return [
        f"the job {name!r} fails ({failure.kind}, {failure.failures} times in a row); see the log"
        for name, failure in sorted(jobs.failing.items())
    ]


def damage(messages: Sequence[tuple[str, int]]) -> list[str]:
    """Return a note that names damaged messages."""
    if not messages:
        return []
    named = ", ".join(f"{seq} of {conversation}" for conversation, seq in messages[:MAX_MESSAGES_NAMED])
    more = f" and {len(messages) - MAX_MESSAGES_NAMED} more" if len(messages) > MAX_MESSAGES_NAMED else ""
    return [f"damaged messages: {named}{more}; run `chatd db check`, and restore a backup"]


def operations(site: Site) -> list[Operation]:
    """The health checks.

    `/readyz` is 503 where no message can be acknowledged; a background job that fails is a note in its 200: taking the
    daemon out of service would not help it.
    """

    async def healthz(request: Request) -> Response:
        return json_answer(b'{"status":"ok"}')

    async def readyz(request: Request) -> Response:
        reason = site.problem()
        if reason is None:
            notes = site.notes()
            return json_answer(msgspec.json.encode({"status": "ready", **({"notes": notes} if notes else {})}))
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
