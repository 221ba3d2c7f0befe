"""What the daemon answers over plain HTTP. Every endpoint is async: a sync one would be run in a thread."""

from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from chatd.net.problem import problem

NO_STORE: Final = {"Cache-Control": "no-store"}
PAGE_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>chatd</title>
<style>
  :root { --accent: #0f766e; --back: #f6f8f8; --card: #fff; --text: #1c2726; --quiet: #56645f; --line: #dfe7e5 }
  @media (prefers-color-scheme: dark) {
    :root { --accent: #5eead4; --back: #0f1716; --card: #172220; --text: #e4edeb; --quiet: #9db0ab; --line: #2a3a37 }
  }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
         background: var(--back); color: var(--text); font: 1rem/1.6 system-ui, sans-serif }
  main { width: 100%; max-width: 32rem; padding: 2rem 2.25rem; background: var(--card);
         border: 1px solid var(--line); border-top: 4px solid var(--accent); border-radius: .75rem }
  h1 { margin: 0; font-size: 1.75rem; letter-spacing: -.02em; color: var(--accent) }
  p { margin: .25rem 0 1.5rem; color: var(--quiet) }
  dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.25rem }
  dt, dd { margin: 0 }
  code, a { font: .95em ui-monospace, monospace; color: var(--accent) }
  a:focus-visible { outline: 2px solid; outline-offset: 3px; border-radius: 2px }
</style>
</head>
<body>
<main>
  <h1>chatd</h1>
  <p>A chat daemon. It is running.</p>
  <dl>
    <dt><code>/ws</code></dt><dd>clients connect here, by WebSocket</dd>
    <dt><a href="/healthz">/healthz</a></dt><dd>whether the process lives</dd>
    <dt><a href="/readyz">/readyz</a></dt><dd>whether it can take messages</dd>
  </dl>
</main>
</body>
</html>
"""


def make_app(ready: Callable[[], str | None]) -> Starlette:
    """Return the ASGI application. `ready()` says why messages cannot be acknowledged now, or None if they can."""

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers=PAGE_HEADERS)

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def readyz(request: Request) -> Response:
        reason = ready()
        if reason is None:
            return JSONResponse({"status": "ready"}, headers=NO_STORE)
        return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503, headers=NO_STORE)

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Mount("/v1", _problem(400, "bad_request", "not available yet")),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _failure},
    )
    app.router.redirect_slashes = False  # an unknown path is a 404, not a 307 to its neighbour
    return app


def _problem(status: int, code: str, message: str, *, temporary: bool = False) -> Response:
    return Response(problem(code, message, temporary=temporary), status, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    """Give the errors that Starlette raises, such as for unknown paths and wrong methods, the shape of ours."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        response = _problem(404, "not_found", "there is nothing at this path")
    else:
        response = _problem(error.status_code, "bad_request", error.detail)
    response.headers.update(error.headers or {})
    return response


async def _failure(request: Request, error: Exception) -> Response:
    """Answer for an endpoint that failed; the bridge, to which Starlette raises `error` again, logs it."""
    return _problem(500, "internal", "something went wrong here", temporary=True)
