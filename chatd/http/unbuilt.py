"""The page at `/` while the chat page is not built: it says what to do."""

from base64 import b64encode
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from .operation import Operation

STYLE: Final = """
  :root { --accent: #0f766e; --back: #f6f8f8; --card: #fff; --text: #1c2726; --quiet: #56645f; --line: #dfe7e5 }
  @media (prefers-color-scheme: dark) {
    :root { --accent: #5eead4; --back: #0f1716; --card: #172220; --text: #e4edeb; --quiet: #9db0ab; --line: #2a3a37 }
  }
  * { box-sizing: border-box }
  body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
         background: var(--back); color: var(--text); font: 1rem/1.6 system-ui, sans-serif }
  main { width: 100%; max-width: 36rem; padding: 2rem 2.25rem; background: var(--card);
         border: 1px solid var(--line); border-top: 4px solid var(--accent); border-radius: .75rem }
  h1 { margin: 0; font-size: 1.75rem; letter-spacing: -.02em; color: var(--accent) }
  p { margin: .25rem 0 1.5rem; color: var(--quiet) }
  dl { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.25rem }
  dt, dd { margin: 0 }
  code, a { font: .95em ui-monospace, monospace; color: var(--accent) }
  a:focus-visible { outline: 2px solid; outline-offset: 3px; border-radius: 2px }
"""
UNBUILT_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>chatd</title>
<style>{STYLE}</style>
</head>
<body>
<main>
  <h1>chatd</h1>
  <p>The daemon is running, but its chat page is not built. In the folder of the source, run <code>make page</code>,
     and start the daemon again.</p>
  <dl>
    <dt><code>/ws</code></dt><dd>clients connect here, by WebSocket</dd>
    <dt><a href="/healthz">/healthz</a></dt><dd>whether the process lives</dd>
    <dt><a href="/readyz">/readyz</a></dt><dd>whether it can take messages</dd>
  </dl>
</main>
</body>
</html>
"""
HASH: Final = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{HASH}'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def operation() -> Operation:
    """Return the operation of `/`."""

    async def page(request: Request) -> Response:
        return HTMLResponse(UNBUILT_PAGE, headers=HEADERS)

    return Operation(method="GET", path="/", run=page, public=True, text="The chat page.")
