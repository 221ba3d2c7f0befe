"""HTTP beside the WebSocket: the bridge that runs an ASGI application, the application, and the shape of its errors."""

import json


def problem(code: str, message: str, *, temporary: bool = False) -> bytes:
    """Return the JSON body of an error; `temporary` says that the same request may succeed later."""
    return json.dumps({"code": code, "message": message, "temporary": temporary}, separators=(",", ":")).encode()
