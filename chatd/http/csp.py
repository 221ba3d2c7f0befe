"""Security headers of pages: nothing inline, nothing from elsewhere but what the settings name."""

from chatd.config import Config


def page_headers(config: Config, scheme: str) -> dict[str, str]:
    """Return the headers of the chat page; `scheme` is that by which the browser reached us."""
    media = " ".join(("'self'", "blob:", *config.web.media_origins))
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": media,
        "media-src": media,
        "font-src": "'self'",
        "connect-src": " ".join(("'self'", *_sockets(config))),
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
    }
    if scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers


def _sockets(config: Config) -> list[str]:
    """Older Safari does not take 'self' for WebSockets of the same host."""
    url = config.server.public_url
    return [url.replace("http", "ws", 1)] if url else []
