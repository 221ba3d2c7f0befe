"""Search, for every store: texts in which all words occur, whole or in part, in any script.

Texts and queries are compared in a common form (`fold`), as are names of users: compatibility forms and case are one
(Unicode NFKC and case folding: full-width letters, ligatures, "ß" and "SS", "İ", "ı" and "i"), so are apostrophes, and
characters that nobody sees or types on purpose are left out (variation selectors, joiners, soft hyphens, marks of
direction, the Arabic tatweel, Arabic and Hebrew points). Accents count.
"""

import re
import unicodedata
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

MARK, UNMARK = "\x02", "\x03"
"""Around each hit in a snippet: control characters, which no text needs and no page shows."""

FOLDING = f"2 (Unicode {unicodedata.unidata_version})"
"""Names what `fold` does: an index made with another one is of no use. The number goes up when `fold` changes."""

SNIPPET_CHARS = 160
"""Characters of a snippet, marks and dots excepted."""

LEAD_CHARS = 40
"""Characters before the first hit of a snippet, where the text has more than fit."""

PIECE_CHARS = 64
"""Characters of a text that are folded at once: some become eighteen."""

_HEBREW_POINTS = "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
_ARABIC_POINTS = (  # not the hamza and the madda, which make other letters
    "\u0610-\u061a\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\ufe70-\ufe7f"
)
_UNSEEN_CLASS = (
    f"{_HEBREW_POINTS}{_ARABIC_POINTS}"
    "\u00ad\u034f\u0640\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
)
_UNSEEN = re.compile(f"[{_UNSEEN_CLASS}]")
_APOSTROPHES = "\u02bb\u02bc\u05f3\u2018\u2019\u201b"
_APOSTROPHE = re.compile(f"[{_APOSTROPHES}]")
_DOTS_OF_I = re.compile("(i[\u0316-\u0333]*)\u0307+")  # between them only marks that sort before the dot
_SPECIAL = re.compile(f"[{_UNSEEN_CLASS}{_APOSTROPHES}\u0130\u0131\u0307\u0342\u0345\u1f80-\u1fff]")


def fold(text: str) -> str:
    """Return the form in which texts are compared; of what is folded it is the same again."""
    if text.isascii():
        return text.lower()
    composed = unicodedata.normalize("NFKC", text)
    if _SPECIAL.search(composed) is None:  # a tenth of the time
        return unicodedata.normalize("NFKC", composed.casefold())
    # Case folding takes decomposed letters: the iota below a Greek letter is one of its own then.
    seen = unicodedata.normalize("NFKD", _UNSEEN.sub("", text)).casefold()
    seen = unicodedata.normalize("NFKD", _UNSEEN.sub("", seen)).casefold()
    return unicodedata.normalize("NFKC", _APOSTROPHE.sub("'", _DOTS_OF_I.sub(r"\1", seen.replace("ı", "i"))))


def words_of(query: str) -> tuple[str, ...]:
    """Return the words that must occur, each once. Empty where the query has none: nothing is found then."""
    return tuple(dict.fromkeys(fold(query).split()))


def matches(body: str, words: Sequence[str]) -> bool:
    """Return True if a search for the words finds this text."""
    folded = fold(body)
    return bool(words) and all(word in folded for word in words)


def snippet(body: str, words: Sequence[str]) -> str:
    """The part of a text around the first hit, on one line; each hit between MARK and UNMARK, cuts shown as "…"."""
    text = " ".join(body.replace(MARK, "").replace(UNMARK, "").split())
    begins, ends = _first(text, words) or (0, 0)
    start = _whole(text, max(0, min(begins - LEAD_CHARS, len(text) - SNIPPET_CHARS)))
    end = _whole(text, max(start + SNIPPET_CHARS, ends))
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
    """Return where the first of the words begins in a text and ends; of several there, the longest.

    Reads on only until it is found, and looks closer at that place alone.
    """
    if text.isascii():
        found = _earliest(text.lower(), words)
        return None if found is None else (found[0], found[0] + len(found[1]))
    keep = max((len(word) for word in words), default=1) - 1
    folded, begins = "", deque[tuple[int, int]]()  # where pieces begin: in `folded`, and in the text
    start = 0
    while start < len(text):
        end = _cut(text, start + PIECE_CHARS)
        begins.append((len(folded), start))
        folded += fold(text[start:end])
        found = _earliest(folded, words)
        # One that begins there or before it may end in the next piece.
        if found is not None and (len(folded) - found[0] > keep or end == len(text)):
            at, word = found
            first = max(begin for offset, begin in begins if offset <= at)
            return _exactly(text, first, end, word)
        drop = max(0, len(folded) - keep)
        folded = folded[drop:]
        begins = deque((offset - drop, begin) for offset, begin in begins)
        while len(begins) > 1 and begins[1][0] <= 0:
            begins.popleft()
        start = end
    return None


def _earliest(folded: str, words: Sequence[str]) -> tuple[int, str] | None:
    found = [(at, -len(word), word) for word in words if (at := folded.find(word)) >= 0]
    if not found:
        return None
    at, _, word = min(found)
    return at, word


def _exactly(text: str, first: int, last: int, word: str) -> tuple[int, int]:
    """The shortest part of `text[first:last]` that has the word: its end, then its start from there."""
    part = text[first:last]
    end = bisect_left(range(len(part)), x=True, key=lambda n: word in fold(part[: _whole(part, n)]))
    end = _whole(part, end)
    start = bisect_left(range(end), x=True, lo=1, key=lambda n: word not in fold(part[n:end])) - 1
    return first + start, first + end


def _cut(text: str, at: int) -> int:
    """The place, or the next one at which a text can be folded in two parts as in one."""
    while at < len(text) and (
        unicodedata.category(text[at])[0] == "M" or _UNSEEN.match(text[at]) or "\u1160" <= text[at] <= "\u11ff"
    ):
        at += 1
    return min(at, len(text))


def _whole(text: str, at: int) -> int:
    """The place, or the next one that parts no character from the marks that belong to it."""
    while at < len(text) and (unicodedata.combining(text[at]) or _UNSEEN.match(text[at])):
        at += 1
    return at
