"""Requests to other servers, which an operator's settings name: bounded in size and time, without redirects."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

import attrs
import trio

if TYPE_CHECKING:
    import httpx2

FETCH_TIMEOUT_S: Final = 10.0
"""Seconds for a whole request, from the name's look-up to the last byte."""

MAX_FETCHED_BYTES: Final = 262_144


class FetchError(Exception):
    """Failure to get a usable answer. The message is for the log, and holds nothing of what was sent or came."""


@attrs.frozen(kw_only=True)
class Fetched:
    """An answer with status 200. `max_age`: seconds that it may be kept, as Cache-Control says; None: it doesn't."""

    body: bytes = attrs.field(repr=False)
    max_age: int | None = None


Fetch = Callable[[str], Awaitable[Fetched]]
Basic = tuple[str, str]
PostForm = Callable[[str, Mapping[str, str], Basic | None], Awaitable[Fetched]]


async def fetch(url: str) -> Fetched:
    """GET what is at an address. Raises FetchError."""
    return await _request("GET", url, form=None)


async def post_form(url: str, form: Mapping[str, str], basic: Basic | None) -> Fetched:
    """POST a form to an address; `basic`: name and password for it (RFC 6749, section 2.3.1). Raises FetchError."""
    encoded = None if basic is None else (quote_plus(basic[0]), quote_plus(basic[1]))
    return await _request("POST", url, form=form, basic=encoded)


async def _request(method: str, url: str, form: Mapping[str, str] | None, basic: Basic | None = None) -> Fetched:
    import httpx2  # most daemons never ask anybody, and it takes a twentieth of a second

    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "chatd"}
    try:
        with trio.fail_after(FETCH_TIMEOUT_S):
            async with (
                httpx2.AsyncClient(timeout=FETCH_TIMEOUT_S, follow_redirects=False) as client,
                client.stream(method, url, headers=headers, data=form, auth=basic) as response,
            ):
                return await _answer(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, trio.TooSlowError, OSError) as error:
        raise FetchError(f"no answer ({type(error).__name__})") from None


async def _answer(response: "httpx2.Response") -> Fetched:
    if response.status_code != 200:
        raise FetchError(f"answered with status {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("answered compressed, which nobody asked for")
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_FETCHED_BYTES:
                await response.aclose()  # ends the library's iterators in its own order, which leaving them doesn't
    except Exception:
        if len(body) <= MAX_FETCHED_BYTES:
            raise
    if len(body) > MAX_FETCHED_BYTES:
        raise FetchError("answered with more than 256 KiB")
    age = re.search(r"(?:^|[ ,])max-age=(\d{1,9})", response.headers.get("cache-control", "").lower())
    return Fetched(body=bytes(body), max_age=int(age[1]) if age else None)
