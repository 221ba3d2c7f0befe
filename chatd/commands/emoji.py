"""The test for one emoji: UTS #51, section 1.4, without what a client would show as plain text.

Code points that Unicode keeps for emoji to come (Extended_Pictographic) are let in, so that a new phone's emoji needs
no new server; a skin tone only follows what can have one. Variation selectors may be there or not, of text or of emoji:
`storage.emoji` makes one form of them.
"""

import regex

_EMOJI = regex.compile(
    r"""
      \p{Regional_Indicator}{2}                                   # a flag
    | [0-9\#*] [\uFE0E\uFE0F]? \u20E3                             # a keycap
    | (?P<part>
          (?: \p{Emoji_Modifier_Base} \uFE0F? \p{Emoji_Modifier}
            | [\p{Extended_Pictographic}\p{Emoji_Modifier}] [\uFE0E\uFE0F]? )
          (?: [\U000E0020-\U000E007E]+ \U000E007F )?              # a region's flag: England, Scotland
      )
      (?: \u200D (?&part) )*                                      # families, professions
    """,
    regex.VERBOSE | regex.VERSION1,
)
_CLUSTER = regex.compile(r"\X", regex.VERSION1)


def is_emoji(text: str) -> bool:
    """Return True if the text is one emoji, and one extended grapheme cluster (UAX #29)."""
    return _EMOJI.fullmatch(text) is not None and _CLUSTER.fullmatch(text) is not None
