"""chatd: the chat daemon. `protocol` says what is said, `storage` keeps it, this package does the rest."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version  # which few who start a command wait for

        return version("chatd")
