"""Search in what the caller may see."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from chatd.commands.context import Context
from chatd.commands.paging import DEFAULT_PAGE_ITEMS, cursor_of, fit, key_of
from chatd.core import view
from chatd.core.caller import Read
from chatd.core.errors import Refusal, not_found
from protocol.codes import ErrorCode
from protocol.frames import SearchOk
from protocol.objects import Hit
from protocol.requests import MessageSearch
from protocol.types import Mark
from storage import records
from storage.search import snippet, words_of

SEARCHES_PER_USER = 4
"""Under way or waiting, on all connections of a user."""

MIN_READS_PER_PAGE = 4
"""Reads that a page may always take: in a store all of whose messages are the caller's, 80,000 messages."""

PAGE_LIMIT_S = 1.0
"""Seconds after which a page that has had its reads ends, however short it is; its cursor goes on."""


async def search(context: Context[MessageSearch]) -> None:
    """Answer with a page of messages with all the words; it may be short, even empty, and have a cursor yet."""
    gate, user = context.parts.gate, context.user.id
    if gate.searches(user) >= SEARCHES_PER_USER:
        raise Refusal(ErrorCode.RATE_LIMITED, "other searches of yours are under way", retry_after=1)
    await context.caller.read(partial(_search, context), gate.searching(user))


async def _search(context: Context[MessageSearch]) -> Read:
    r, store, user = context.request, context.parts.store, context.user.id
    words = words_of(r.query)
    before: Any = key_of(r.cursor, tuple[Mark, str, Mark])
    limit = r.limit or DEFAULT_PAGE_ITEMS
    found: list[records.Hit] = []
    until = trio.current_time() + PAGE_LIMIT_S
    rounds = 0
    while rounds < MIN_READS_PER_PAGE or trio.current_time() < until:
        wanted = limit - len(found)
        work = partial(store.search, user, words, conversation=r.conversation, before=before, limit=wanted)
        page = await context.parts.gate.read(work)
        if page is None:
            raise not_found()
        found += page.hits
        before = page.next
        rounds += 1
        if before is None or len(found) == limit:
            break
    if r.id is None:
        return Read(None)
    # Not in the event loop: the snippet of a long message in unusual letters takes milliseconds.
    encoded = await context.parts.gate.read(lambda: fit(_shown(hit.message, words) for hit in found))
    if len(encoded) < len(found):
        before = found[len(encoded) - 1].place
    # Events of the meantime come after the page, which may be older: an edit, or that the caller was removed.
    shown = {hit.message.conversation: 0 for hit in found[: len(encoded)]}
    return Read(SearchOk(re=r.id, hits=encoded, cursor=cursor_of(before)), shown)


def _shown(m: records.Message, words: Sequence[str]) -> Hit:
    return Hit(conversation=m.conversation, message=view.message(m), snippet=snippet(m.body, words))
