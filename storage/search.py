"""What a search finds, for every store: texts in which all words occur, whole or in part, in any script.

Texts and queries are compared in a common form (`fold`): compatibility forms and case are one (Unicode NFKC and case
folding: full-width letters, ligatures, "ß" and "SS"), and characters that nobody sees or types on purpose are left out
(variation selectors, joiners, soft hyphens, marks of direction, the Arabic tatweel). Accents count.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence

MARK, UNMARK = "\x02", "\x03"
"""Around each hit in a snippet: control characters, which no text needs and no page shows."""

FOLDING = f"1 (Unicode {unicodedata.unidata_version})"
"""Names what `fold` does: an index made with another one is of no use. The number goes up when `fold` changes."""

SNIPPET = 160
"""Characters of a snippet, marks and dots excepted."""

LEAD = 40
"""Characters before the first hit of a snippet, where the text has more than fit."""

_UNSEEN = re.compile("[\u00ad\u0640\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")


def fold(text: str) -> str:
    """The form in which texts are compared."""
    if text.isascii():
        return text.lower()
    seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    return unicodedata.normalize("NFKC", seen.casefold())


def words_of(query: str) -> tuple[str, ...]:
    """What must occur, each once. Empty where the query has nothing to look for: nothing is found then."""
    return tuple(dict.fromkeys(fold(query).split()))


def matches(body: str, words: Sequence[str]) -> bool:
    """Whether a search for the words finds this text."""
    folded = fold(body)
    return bool(words) and all(word in folded for word in words)


def snippet(body: str, words: Sequence[str]) -> str:
    """The part of a text around the first hit, on one line; each hit between MARK and UNMARK, cuts shown as "…"."""
    text = " ".join(body.replace(MARK, "").replace(UNMARK, "").split())
    begins, ends = _first(text, words) or (0, 0)
    start = _whole(text, max(0, min(begins - LEAD, len(text) - SNIPPET)))
    end = _whole(text, max(start + SNIPPET, ends))
    shown = _marked(text[start:end], words)
    return ("…" if start else "") + shown + ("…" if end < len(text) else "")


def _marked(text: str, words: Sequence[str]) -> str:
    parts = []
    while (found := _first(text, words)) is not None:
        start, end = found
        parts += [text[:start], MARK, text[start:end], UNMARK]
        text = text[end:]
    return "".join(parts) + text


def _first(text: str, words: Sequence[str]) -> tuple[int, int] | None:
    """Where the first of the words begins in a text, and where it ends; of several, the longest."""
    folded = fold(text)
    found = [(at, -len(word), word) for word in words if (at := folded.find(word)) >= 0]
    if not found:
        return None
    at, _, word = min(found)
    start, end = at, _whole(text, at + len(word))
    if len(folded) != len(text) or word not in fold(text[start:end]):
        # Folding moved it. The end: of the shortest beginning that has the word; the start likewise, from there.
        ends = bisect_left(range(len(text)), x=True, key=lambda n: word in fold(text[: _whole(text, n)]))
        end = _whole(text, ends)
        start = bisect_left(range(end), x=True, lo=1, key=lambda n: word not in fold(text[n:end])) - 1
    return start, end


def _whole(text: str, at: int) -> int:
    """The place, or the next one that parts no character from the marks that belong to it."""
    while at < len(text) and (unicodedata.combining(text[at]) or _UNSEEN.match(text[at])):
        at += 1
    return at
