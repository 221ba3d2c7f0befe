"""Emoji in one form: with and without variation selectors they are the same reaction.

UTS #51 calls the form fully qualified (ED-18): a variation selector follows each character that is text by default,
unless a skin tone does; no other has one.
"""

from functools import lru_cache

import regex

_SELECTORS = regex.compile("[\ufe0e\ufe0f]")
_TEXT_BY_DEFAULT = regex.compile(
    r"([\p{Emoji}--\p{Emoji_Presentation}])(?!\p{Emoji_Modifier})", regex.VERSION1 | regex.DOTALL
)

KEPT_FORMS = 10_000
"""Emoji whose form is remembered; Unicode has some 4,000."""


@lru_cache(KEPT_FORMS)
def qualified(emoji: str) -> str:
    """Return the fully qualified form of one emoji."""
    return _TEXT_BY_DEFAULT.sub("\\1\ufe0f", _SELECTORS.sub("", emoji))
