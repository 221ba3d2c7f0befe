"""Decision to make a database where there is none: a lost one must not be followed by an empty one, unnoticed."""

from pathlib import Path

from chatd.config import DEFAULT_FILE, LoadedConfig
from storage.contract import StoreError
from storage.sqlite.access import require_folder

CHATD_FILES = (
    "chatd.db", "chatd.db-wal", "chatd.db-shm", "chatd.lock", "chatd.toml", "control.sock", "secret", "files",
    "lost+found",
)  # fmt: skip
"""Names in a data folder that are chatd's; the last one is a file system's own. Hidden ones are nobody's."""


def may_make(loaded: LoadedConfig, *, development: bool) -> bool:
    """Return True where a new database may be made. Raises StoreError, for people, where one is missing.

    Out of development mode none is made where settings, or what is left in the data folder, say that there was one. In
    a database of MySQL tables are made by `chatd db upgrade` alone.
    """
    config = loaded.config
    if not config.database_is_file():
        return development
    path, folder = config.database_path(), config.data_path()
    for each in (folder, path.parent):
        require_folder(each)
    if path.exists():
        return development  # an empty file is what a full disk, or a copy that failed, leaves
    if folder.is_dir() and path.parent == folder and (foreign := _foreign(folder)):
        raise StoreError(f"{folder}: not a data folder of chatd, as it holds {foreign}: use another --data")
    if development:
        return True
    if loaded.file is not None or config.secret_path().exists():
        why = "but settings" if loaded.file is not None else "but the secret of one"
        raise StoreError(
            f"there is no database {path}, {why} ({loaded.file or config.secret_path()}): restore a backup; or give "
            f"the right --data, --config or DATABASE_URL; or make a new one: {_way(loaded)}"
        )
    return True


def _foreign(folder: Path) -> str | None:
    names = sorted(entry.name for entry in folder.iterdir())
    return next((name for name in names if name not in CHATD_FILES and not name.startswith(".")), None)


def _way(loaded: LoadedConfig) -> str:
    """Return the command that makes the database on purpose."""
    if loaded.file is not None and loaded.file.name == DEFAULT_FILE.name:
        return f"chatd init {loaded.file.absolute().parent}"
    return "chatd db upgrade --new, with the same settings"
