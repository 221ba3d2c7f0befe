"""`/metrics`, for Prometheus: with its token, or from this machine itself."""

import gzip
import hmac

from starlette.requests import Request
from starlette.responses import Response

from chatd import metrics
from chatd.core.errors import Refusal
from chatd.net.head import Head
from protocol.codes import ErrorCode

from .local import is_local
from .operation import Operation
from .site import Site
from .static import chosen


def operations(site: Site) -> list[Operation]:
    """The metrics."""

    async def run(request: Request) -> Response:
        head: Head = request.state.head
        if not (_has_token(head, site.config().metrics.token) or is_local(head, request.scope["client"])):
            raise Refusal(ErrorCode.UNAUTHORIZED, "the metrics token is needed, or to ask from this machine itself")
        body = site.metrics.render()
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if chosen(request.headers.get("accept-encoding", ""), {"gzip": b""}):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers, media_type=metrics.CONTENT_TYPE)

    return [Operation(method="GET", path="/metrics", run=run, public=True, hidden=True, text="Metrics for Prometheus.")]


def _has_token(head: Head, token: str) -> bool:
    scheme, _, given = (head.get(b"authorization") or b"").partition(b" ")
    return bool(token) and scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())
