"""The default store: one SQLite file. `store.py` is the store; `file.py` keeps the file sound."""

from .store import SqliteStore

__all__ = ["SqliteStore"]
