"""Addresses of a daemon, as its settings describe it."""

from .settings import Config

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses to listen on, which are none to connect to."""


def local_url(config: Config) -> str:
    """Return where this machine reaches the daemon. With a certificate that is its public address, which names it."""
    host = _ANYWHERE.get(config.server.host, config.server.host)
    netloc = f"[{host}]" if ":" in host else host
    if config.tls.certificate:
        return config.server.public_url or f"https://{netloc}:{config.server.port}"
    return f"http://{netloc}:{config.server.port}"
