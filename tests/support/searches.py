"""All that a search finds, page by page."""

from collections.abc import Callable, Iterator
from typing import Any

from storage.contract import Store
from storage.records import Place
from storage.search import words_of


def pages(
    store: Store,
    user: str,
    query: str,
    *,
    conversation: str | None = None,
    limit: int = 50,
    between: Callable[[], object] = lambda: None,
) -> list[tuple[str, int, str]]:
    """All that a search finds, page by page: conversations, seqs, texts. `between` happens between two pages."""
    found: list[tuple[str, int, str]] = []
    before: Place | None = None
    while True:
        page = store.search(user, words_of(query), conversation=conversation, before=before, limit=limit)
        assert page is not None
        assert len(page.hits) <= limit
        places = [hit.place for hit in page.hits]
        assert places == sorted(set(places), reverse=True)
        assert before is None or not places or places[0] < before
        found += [(hit.message.conversation, hit.message.seq, hit.message.body) for hit in page.hits]
        if page.next is None:
            return found
        assert before is None or page.next < before
        before = page.next
        between()


def bodies(store: Store, user: str, query: str, **options: Any) -> list[str]:
    return [body for _, _, body in pages(store, user, query, **options)]


def everywhere(store: Store) -> Iterator[None]:
    """Twice: with nothing in the index, then with everything in it."""
    yield
    while store.index(1000):
        pass
    yield
