"""chatd: the chat daemon. `protocol` says what is said, `storage` keeps it, this package does the rest."""

from importlib.metadata import version

__version__ = version("chatd")
