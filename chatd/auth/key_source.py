"""Keys of an issuer, from an address or a file: cached, fetched again in time, and kept where the source is down."""

from typing import Final

import structlog
import trio

from chatd.net.fetching import Fetch, Fetched, FetchError
from storage.contract import Unavailable

from .public_keys import BadKeys, VerificationKey, fitting, keys_in

log = structlog.get_logger("chatd.keys")

MIN_AGE_S: Final = 300.0
MAX_AGE_S: Final = 86_400.0
DEFAULT_AGE_S: Final = 3600.0
"""Seconds after which the keys are fetched again; what Cache-Control says counts between the two bounds."""

REFETCH_AFTER_S: Final = 60.0
"""Seconds between two fetches at least: after one that failed, and for a key that isn't known."""

WAIT_S: Final = 2.0
"""Seconds that a sign-in waits for a fetch."""


class FixedKeys:
    """Keys that never change: those of a shared secret."""

    def __init__(self, *keys: VerificationKey) -> None:
        self._keys = keys

    async def find(self, algorithm: str, kid: str | None) -> list[VerificationKey]:
        """Return the keys that may have signed a token with this header."""
        return fitting(self._keys, algorithm, kid)


class KeySource:
    """Keys at an address, or in a file. `run` fetches them; whoever needs one that isn't known asks it to.

    The last good ones are kept for as long as there are no others: an issuer that is down locks nobody out.
    """

    def __init__(self, name: str, place: str, read: Fetch) -> None:
        self.name = name
        self._read = read
        self._place = place
        self._fetching = False
        self._keys: tuple[VerificationKey, ...] = ()
        self._fetched_at = -REFETCH_AFTER_S
        self._wanted = trio.Event()
        self._done = trio.Event()

    async def find(self, algorithm: str, kid: str | None) -> list[VerificationKey]:
        """Return the keys that may have signed a token with this header. Raises Unavailable while there are none.

        An unknown `kid` has the keys fetched, once a minute at most, and waits for that, two seconds at most.
        """
        found = fitting(self._keys, algorithm, kid)
        if not found and (self._fetching or trio.current_time() >= self._fetched_at + REFETCH_AFTER_S):
            done = self._done
            self._wanted.set()
            with trio.move_on_after(WAIT_S):
                await done.wait()
            found = fitting(self._keys, algorithm, kid)
        if not self._keys:
            raise Unavailable(f"the keys of {self.name} are not there yet")
        return found

    async def run(self) -> None:
        """Fetch the keys now, when they are too old, and when one is wanted that isn't known. Never returns."""
        while True:
            again = await self._fetch()
            self._done.set()
            self._done, self._wanted = trio.Event(), trio.Event()
            with trio.move_on_after(again):
                await self._wanted.wait()

    async def _fetch(self) -> float:
        """Fetch once; return the seconds until it is to be done again."""
        self._fetched_at, self._fetching = trio.current_time(), True
        try:
            fetched = await self._read(self._place)
            self._keys = keys_in(fetched.body)
        except (FetchError, BadKeys) as error:
            log.warning("no keys could be fetched to check tokens", source=self.name, reason=str(error))
            return REFETCH_AFTER_S
        finally:
            self._fetching = False
        log.info("fetched the keys to check tokens", source=self.name, keys=len(self._keys))
        return min(max(fetched.max_age or DEFAULT_AGE_S, MIN_AGE_S), MAX_AGE_S)


async def read_file(place: str) -> Fetched:
    """Read keys in a file, as if they had been fetched. Raises FetchError."""
    try:
        path = await trio.Path(place).expanduser()
        return Fetched(body=await path.read_bytes(), max_age=round(MIN_AGE_S))
    except OSError as error:
        raise FetchError(error.strerror or "cannot be read") from None
