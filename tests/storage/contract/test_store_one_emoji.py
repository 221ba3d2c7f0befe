"""An emoji is one reaction, whichever variation selectors it comes with; on every store."""

import json

import pytest
import regex

from storage import sql
from storage.contract import Store
from storage.emoji import qualified
from storage.records import Reaction
from support.stores import Desk

FORMS = [
    ("❤️", "❤", "❤\ufe0e"),
    ("🦷", "🦷\ufe0f", "🦷\ufe0e"),
    ("👍🏽",),
    ("☝🏽", "☝\ufe0f🏽"),
    ("1\ufe0f\u20e3", "1\u20e3", "1\ufe0e\u20e3"),
    ("©️", "©"),
    ("🇩🇪",),
    ("🏴󠁧󠁢󠁥󠁮󠁧󠁿",),
    ("👩🏽‍⚕️", "👩🏽‍⚕"),
    ("👩‍❤️‍💋‍👨", "👩‍❤‍💋‍👨"),
    ("🏃🏿‍♀️‍➡️", "🏃🏿‍♀‍➡", "🏃🏿‍♀️‍➡", "🏃🏿‍♀‍➡️"),
    ("🐈‍⬛", "🐈‍⬛\ufe0f"),
    ("👁️‍🗨️", "👁‍🗨"),
]
"""Forms of one emoji each: first the fully qualified one, as Unicode's emoji-test.txt has it."""


@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: ascii(forms[0]))
def test_emoji_forms_have_one_qualified_form(forms: tuple[str, ...]) -> None:
    assert {qualified(form) for form in forms} == {forms[0]}


def test_emoji_of_one_character_with_any_selector_is_the_same() -> None:
    every = [c for c in map(chr, range(0x23, 0x1FBFF)) if regex.match(r"\p{Extended_Pictographic}|\p{Emoji}", c)]
    assert len(every) > 1500
    for c in every:
        assert len({qualified(c), qualified(c + "\ufe0f"), qualified(c + "\ufe0e"), qualified(qualified(c))}) == 1
        by_default = regex.match(r"\p{Emoji_Presentation}", c) is not None
        assert qualified(c).endswith("\ufe0f") == (not by_default and regex.match(r"\p{Emoji}", c) is not None)


@pytest.mark.parametrize("forms", [FORMS[0], FORMS[8], FORMS[10]], ids=lambda forms: ascii(forms[0]))
def test_reaction_in_any_form_is_one_and_is_taken_back_in_any(store: Store, desk: Desk, forms: tuple[str, ...]) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "one")
    desk.changed(desk.react(c, "ada", 1, forms[1]))
    assert desk.unchanged(desk.react(c, "ada", 1, forms[0])).messages[0].reactions == (Reaction(forms[0], ("ada",)),)
    (message,) = desk.changed(desk.react(c, "ben", 1, forms[0])).messages
    assert message.reactions == (Reaction(forms[0], ("ada", "ben")),)
    page = store.history(c, "ada", before=None, after=None, limit=1)
    assert page is not None
    assert page.messages == (message,)
    desk.changed(desk.react(c, "ada", 1, forms[-1], on=False))
    (message,) = desk.changed(desk.react(c, "ben", 1, forms[1], on=False)).messages
    assert message.reactions == ()


def test_reactions_kept_in_two_forms_count_together() -> None:
    text = json.dumps([["❤", ["ada", "ben"]], ["👍", ["ada"]], ["❤️", ["ben", "cleo"]]])
    reactions = sql.reactions_of(json.loads(text))
    assert reactions == (Reaction("❤️", ("ada", "ben", "cleo")), Reaction("👍", ("ada",)))
    assert sql.reactions_of(json.loads(sql.reactions_text(reactions) or "")) == reactions
