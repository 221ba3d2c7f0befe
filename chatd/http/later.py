"""Operations of the protocol that this version doesn't serve yet: said in words, and not a 404."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from chatd.core.errors import not_yet

from .operation import Operation
from .site import Site

LATER: Final = (
    ("OPTIONS", "/v1/uploads"),
    ("POST", "/v1/uploads"),
    ("HEAD", "/v1/uploads/{id}"),
    ("PATCH", "/v1/uploads/{id}"),
    ("DELETE", "/v1/uploads/{id}"),
)
"""A feature that comes takes its lines out."""


def operations(site: Site) -> list[Operation]:
    """An operation for each that is still to come."""

    async def refuse(request: Request) -> Response:
        raise not_yet()

    return [
        Operation(method=method, path=path, run=refuse, public=True, hidden=True, text="Not available yet.")
        for method, path in LATER
    ]
