"""`chatd check` of the database and, by what is in it, of the clock. It changes nothing."""

import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime

from chatd.config import LoadedConfig
from storage.contract import StoreError
from storage.sqlite.inspection import inspect, refusal

from .finding import CheckFinding, exposed
from .first_start import may_make
from .open_store import check_server

BUILT = 2026
"""The year this was written in: a clock that is behind it is wrong."""

CLOCK_TOLERANCE_MS = 5_000
"""Milliseconds that the newest message may be ahead of the clock."""


def database(loaded: LoadedConfig, now: int) -> Iterator[CheckFinding]:
    """Look at the database, then at the clock. `now`: the clock, in ms since 1970."""
    newest = None
    try:
        if loaded.config.database_is_file():
            newest = yield from _file(loaded)
        else:
            for level, text in check_server(loaded.config):
                yield CheckFinding(level, "database", text)
    except StoreError as error:
        yield CheckFinding("wrong", "database", str(error))
    yield _clock(now, newest)


def _file(loaded: LoadedConfig) -> Generator[CheckFinding, None, int | None]:
    """Return when its newest message was sent, if there is any."""
    path = loaded.config.database_path()
    if not path.exists():
        may_make(loaded, development=False)
        yield CheckFinding("warning", "database", f"{path}: not there yet; chatd init makes it")
        return None
    seen = inspect(path)
    if why := refusal(seen, new=False, upgrade=True):
        yield CheckFinding("wrong", "database", f"{path}: {why}")
        return seen.newest
    yield from exposed("database", path, f"chmod 600 {path}")
    if seen.pending:
        text = f"{path}: of an older version; chatd serve brings it up to date ({', '.join(seen.pending)})"
        yield CheckFinding("warning", "database", text)
    else:
        yield CheckFinding("ok", "database", f"{path}: up to date")
    return seen.newest


def _clock(now: int, newest: int | None) -> CheckFinding:
    year = time.gmtime(now / 1000).tm_year
    if year < BUILT:
        return CheckFinding("wrong", "clock", f"it is not {year}: set the clock, and keep it right (NTP)")
    if newest is not None and newest > now + CLOCK_TOLERANCE_MS:
        behind = (newest - now) // 1000
        return CheckFinding("warning", "clock", f"{behind} s behind the newest message: is it set right?")
    return CheckFinding("ok", "clock", f"{datetime.fromtimestamp(now / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC")
