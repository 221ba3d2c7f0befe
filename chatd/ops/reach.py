"""The way of a command to the store: through the daemon that holds it or, where none does, by itself."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import trio
import uuid_utils

from chatd.admin import control
from chatd.admin.catalogue import parse, written
from chatd.admin.ports import DirectPort
from chatd.admin.verbs import Answer, Verb, VerbFailed
from chatd.config import Config, LoadedConfig
from storage.contract import Store, StoreError, Unavailable
from storage.sqlite.access import require_folder

from .first_start import may_make
from .lock import Lock, LockHeld, not_taken
from .open_store import open_store, place_of

STORE_WAIT_S = 10.0
"""Seconds that a command waits for another one, or for a daemon that starts or stops."""

RETRY_PAUSE_S = 0.05
"""Seconds until it looks again."""


def run(loaded: LoadedConfig, verb: Verb) -> Answer:
    """Do it, wherever the store is. Raises VerbFailed."""
    config = loaded.config
    verb = parse(written(verb))  # one check of what was typed, for both ways
    until = time.monotonic() + STORE_WAIT_S
    while True:
        try:
            with opened(loaded, new=verb.NEW_STORE and _may_make(loaded)) as store:
                return trio.run(verb.run, DirectPort(store, config))
        except LockHeld as held:
            with suppress(control.NoDaemon):
                return _asked(config.data_path(), verb)
            if time.monotonic() > until:
                raise VerbFailed(in_use(held, config)) from None
            time.sleep(RETRY_PAUSE_S)


def _may_make(loaded: LoadedConfig) -> bool:
    try:
        return may_make(loaded, development=False)
    except StoreError as error:
        raise VerbFailed(str(error)) from None


@contextmanager
def opened(loaded: LoadedConfig, *, new: bool = False, upgrade: bool = False) -> Iterator[Store]:
    """The store, for this process alone. `new`, `upgrade`: as for `open_store`. Raises LockHeld and VerbFailed."""
    config = loaded.config
    file = config.database_path() if config.database_is_file() else None
    try:
        for folder in (config.data_path(), *([file.parent] if file is not None else [])):
            require_folder(folder)
    except StoreError as error:
        raise VerbFailed(str(error)) from None
    if file is not None and not (new or file.exists()):
        raise VerbFailed(f"there is no database {file}: look at --data, or make one with `chatd init`")
    try:
        lock = Lock(config.data_path(), file, daemon=False)
    except OSError as error:
        raise VerbFailed(f"cannot be locked for this command: {not_taken(error)}") from None
    with closing(lock):
        try:
            store, _ = open_store(config, new_epoch=lambda: str(uuid_utils.uuid7()), new=new, upgrade=upgrade)
            with closing(store):
                yield store
        except StoreError as error:
            raise VerbFailed(str(error)) from None
        except Unavailable as error:
            raise VerbFailed(f"{place_of(config)}: {error}") from None


def in_use(held: LockHeld, config: Config) -> str:
    """Return, for people, the reason that nothing can be done while another process has it."""
    if held.what != config.data_path():
        return f"{held}, which has another data folder: give it as --data"
    return f"{held}, which doesn't answer: wait until it has started or ended"


def _asked(folder: Path, verb: Verb) -> Answer:
    try:
        return control.ask(folder, verb)
    except control.NoAnswer:
        raise VerbFailed("the daemon ended before it answered: look whether it was done before you repeat it") from None
