"""Operations: what is served at a path by a method, with its bounds and its description."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
from starlette.responses import Response

from chatd.net.bounds import Bounds
from chatd.net.head import Head

Schema = Mapping[str, Any]
"""A JSON Schema; it may refer to `#/components/schemas/NAME` of the protocol's objects."""


SMALL_BODY_S: Final = 20.0
"""Seconds for a body of JSON to be complete."""


@attrs.frozen(kw_only=True)
class Query:
    """A parameter of the query; `schema` describes its value."""

    name: str
    schema: Schema
    text: str


@attrs.frozen(kw_only=True)
class Operation:
    """One method of one path.

    `run(request)` answers where `public`; else `run(request, caller)`, after the caller was signed in. `answers`: the
    schema of each good answer, None for one without JSON. `path` may have parameters: `/v1/conversations/{id}`.
    `bounds`: None for those of a few lines of JSON.
    """

    method: str
    path: str
    run: Callable[..., Awaitable[Response]]
    text: str
    public: bool = False
    bounds: Bounds | None = None
    query: tuple[Query, ...] = ()
    body: Schema | None = None
    body_type: str = "application/json"
    answers: Mapping[int, Schema | None] = attrs.field(factory=lambda: {200: None})
    carries: bool = False
    """Carries frames of a session, which count towards their user's rate instead of it."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers that each of its answers has, errors included."""
    waits: bool = False
    """Too many requests are not refused, but wait for their turn: for clients that give up on a 429."""
    hidden: bool = False
    """Left out of the description."""
    label: str | None = None
    """Its name in metrics; None: its path."""
    is_metered: Callable[[Head], bool] = lambda head: True
    """Returns True if a request counts to the rate of its address."""
