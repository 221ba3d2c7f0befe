"""Texts of others, as a terminal may show them."""

import unicodedata

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing, and could make a line look like another."""


def printable(text: str, indent: str = "\n    ") -> str:
    """A text without what a terminal obeys; its further lines are indented, so that none passes for another message."""
    kept = []
    for character in text.replace("\r\n", "\n").replace("\t", " "):
        category = unicodedata.category(character)
        if character == "\n" or category in ("Zl", "Zp"):
            kept.append(indent)
        elif category not in ("Cc", "Cs") and character not in BIDI:
            kept.append(character)
    return "".join(kept)
