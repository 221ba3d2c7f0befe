"""Which texts a query finds, whatever the script, and what is shown of them."""

import unicodedata
from unittest import mock

import hypothesis
import pytest
from hypothesis import strategies as st

from storage import search
from storage.contract import Store
from storage.search import LEAD_CHARS, MARK, SNIPPET_CHARS, UNMARK, fold, matches, snippet, words_of
from support.searches import bodies, everywhere
from support.stores import Desk

TRAPS = [
    '"', "'", "''", '"" OR ""', "*", "tooth*", "NEAR(tooth ache)", "a AND b", "a OR b", "NOT x", "text:tooth", "^tooth",
    "-tooth", "(", "{tooth}", "%", "_", "100%", "a_b", "\\", "\\%", ";--", "?", "[", "{", "\x01", "\x1f", "\x7f",
    "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "$[0]", "\ufffd", "null",
]  # fmt: skip


# -- texts --


CASES = [
    ("It hurts when I bite", "hurt", True),
    ("It hurts when I bite", "BITE it", True),
    ("It hurts when I bite", "hurts bites", False),
    ("It hurts when I bite", "tswhen", False),
    ("It hurts\nwhen", "hurts when", True),
    ("Straße", "STRASSE", True),
    ("STRASSE", "straße", True),
    ("Überweisung", "überWEIS", True),
    ("U\u0308berweisung", "über", True),
    ("Überweisung", "uberweisung", False),
    ("ΟΔΟΝΤΙΑΤΡΟΣ", "οδοντιατρος", True),
    ("Зуб болит", "зУб", True),
    ("歯が痛いです", "痛い", True),
    ("歯が痛いです", "痛", True),
    ("ＡＢＣ ﬁne ½", "abc fine 1", True),
    ("ℌello", "hello", True),
    ("ｶﾞｰｾﾞ", "ガーゼ", True),
    ("ألم في الأسنان", "أسنان", True),
    ("مـــوعد", "موعد", True),
    ("שן כואבת", "כואב", True),
    ("I ❤️ you", "❤", True),
    ("I ❤ you", "❤️", True),
    ("👩‍⚕️ is here", "👩", True),
    ("🦷🦷", "🦷", True),
    ("한국어", "국어", True),
    ("co\u00adop\u200berate", "cooperate", True),
    ("\u200fשן\u200f", "שן", True),
    ("İstanbul", "istanbul", True),
    ("istanbul", "İSTANBUL", True),
    ("I\u0307stanbul", "ISTANBUL", True),
    ("Isparta", "ısparta", True),
    ("ŉ dag", "'N DAG", True),
    ("ᾼ\u0342", "ᾷ", True),
    ("L\u2019hiver, c\u02bcest l'été", "l'hiver", True),
    ("L'hiver", "l\u2019HIVER", True),
    ("O\u02bcBrien", "o\u2019brien", True),
    ("rock ‘n’ roll", "'n'", True),
    ("צ׳ק", "צ'ק", True),
    ("مُحَمَّد", "محمد", True),
    ("محمد", "مُحَمَّد", True),
    ("أب", "اب", False),
    ("שָׁלוֹם", "שלום", True),
    ("שלום", "שָׁלוֹם", True),
    ("\ufb2aלום", "שלום", True),
    ("ﬀﬃ ｗｉｄｅ", "FFFFI WIDE", True),
    ("anything", " \t\u3000\u00ad ", False),
    ("", "x", False),
]
"""A text, a query, and whether it finds the text."""


@pytest.mark.parametrize(("body", "query", "found"), CASES)
def test_search_words_match_folded_texts(body: str, query: str, found: bool) -> None:
    assert matches(body, words_of(query)) is found


def test_stores_find_what_matches(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    texts = list(dict.fromkeys(body for body, _, _ in CASES))
    desk.say(c, "ada", *texts)
    for _ in everywhere(store):
        for _, query, _ in CASES:
            assert bodies(store, "ben", query) == [text for text in reversed(texts) if matches(text, words_of(query))]


def test_ascii_is_folded_like_everything_else() -> None:
    text = "".join(map(chr, range(1, 128)))
    assert fold(text) == fold(text + "é")[:-1]


@pytest.mark.untraced
def test_fold_of_every_character_is_the_same_in_each_of_its_forms() -> None:
    for c in map(chr, [*range(0xD800), *range(0xE000, 0x110000)]):
        folded = fold(c)
        forms = {c.upper(), c.lower(), c.title(), folded, *(unicodedata.normalize(form, c) for form in ("NFC", "NFD"))}
        assert all(fold(form) == folded for form in forms - {c}), ascii(c)


@hypothesis.given(st.text(st.sampled_from("aiıİßſŉ'’ʼ\u0307\u0323\u0301\u0342\u0345ᾼᾳשּׁ\u05b8أ\u064e\u0640\ufe70ｱ한")))
def test_fold_of_what_is_folded_is_the_same(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


def test_query_of_many_words(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    letters = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    desk.say(c, "ada", letters, letters.replace("q", ""), "abcdefghijklmnopqrstuvwxyz" * 7)
    for _ in everywhere(store):
        assert len(bodies(store, "ada", letters)) == 2
        assert bodies(store, "ada", "abcdefghijklmnopqrstuvwxyz" * 7) == ["abcdefghijklmnopqrstuvwxyz" * 7]


@pytest.mark.untraced
def test_query_means_nothing_but_itself(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    texts = ["tooth ache", "a b", "other", *(f"so: {query}!" for query in TRAPS)]
    desk.say(c, "ada", *texts)
    for _ in everywhere(store):
        for query in TRAPS:
            words = query.lower().split()
            expected = [text for text in reversed(texts) if words and all(word in text.lower() for word in words)]
            assert bodies(store, "ada", query) == expected
            assert bodies(store, "ada", query, conversation=c) == expected


# -- snippets --


def shown(text: str) -> str:
    return text.replace(MARK, "[").replace(UNMARK, "]")


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("It hurts when I bite", "HURT bite", "It [hurt]s when I [bite]"),
        ("a  b\n\tc", "b", "a [b] c"),
        ("aaaa", "aa a", "[aa][aa]"),
        ("tooth", "tooth to", "[tooth]"),
        ("Straße ﬁne ＡＢＣ", "STRASSE fi abc", "[Straße] [ﬁ]ne [ＡＢＣ]"),
        ("Cafe\u0301 ouvert", "café", "[Cafe\u0301] ouvert"),
        ("İstanbul", "tan", "İs[tan]bul"),
        ("ßab\u00ad", "ab", "ß[ab\u00ad]"),
        ("ﬁ\u0308ﬁBBB", "i", "ﬁ\u0308[ﬁ]BBB"),
        ("مـــوعد غدا", "موعد", "[مـــوعد] غدا"),
        ("I ❤️ you", "❤", "I [❤️] you"),
        ("歯が痛いです", "痛い", "歯が[痛い]です"),
        (f"a{MARK}b{UNMARK}c", "b", "a[b]c"),
        ("nothing", "x", "nothing"),
        ("", "x", ""),
        ("n" * 300, "n" * 200, "[" + "n" * 200 + "]…"),
    ],
)
def test_snippet_shows_and_marks_the_first_hit(body: str, query: str, expected: str) -> None:
    assert shown(snippet(body, words_of(query))) == expected


def test_snippet_of_a_long_text_is_around_the_first_hit() -> None:
    found = shown(snippet("x" * 500 + " Needle in the hay, needle " + "y" * 500, ("needle",)))
    assert (
        found
        == "…"
        + "x" * (LEAD_CHARS - 1)
        + " [Needle] in the hay, [needle] "
        + "y" * (SNIPPET_CHARS - LEAD_CHARS - 26)
        + "…"
    )
    assert shown(snippet("x" * 500 + " needle", ("needle",))) == "…" + "x" * (SNIPPET_CHARS - 7) + " [needle]"
    assert shown(snippet("needle " + "y" * 500, ("needle",))) == "[needle] " + "y" * (SNIPPET_CHARS - 7) + "…"


@pytest.mark.parametrize("letter", ["\ufdfa", "ﬁ", "a\u0308", "é", "\u200d", "\u1112\u1161"])
def test_snippet_folds_a_long_text_once(letter: str) -> None:
    """Some letters fold into eighteen: to fold a message of them again and again takes seconds."""
    body = (letter * 10_000)[:9_990] + " needle"
    folded = 0

    def counting(text: str) -> str:
        nonlocal folded
        folded += len(text)
        return fold(text)

    with mock.patch.object(search, "fold", counting):
        assert shown(snippet(body, ("needle",))).endswith("[needle]")
    assert folded < 2 * len(body)


@pytest.mark.parametrize("before", range(search.PIECE_CHARS - 12, search.PIECE_CHARS + 2))
def test_snippet_finds_what_lies_across_two_pieces(before: int) -> None:
    found = shown(snippet("é" * before + "to\u0308oth tooth", words_of("tö töoth")))
    assert "[to\u0308oth] tooth" in found


@hypothesis.given(
    body=st.text("aBß\u0308é ﬁ歯\n❤\ufe0f\u200dx", max_size=300), query=st.text("abßé ﬁfi歯❤x", min_size=1, max_size=6)
)
def test_snippet_is_part_of_the_text_and_marks_the_words(body: str, query: str) -> None:
    words = words_of(query)
    found = snippet(body, words)
    plain = found.replace(MARK, "").replace(UNMARK, "")
    assert plain.removeprefix("…").removesuffix("…") in " ".join(body.split())
    assert len(plain) <= SNIPPET_CHARS + 20
    marked = [part.split(UNMARK)[0] for part in found.split(MARK)[1:]]
    assert found.count(MARK) == found.count(UNMARK) == len(marked)
    assert all(any(word in fold(part) for word in words) for part in marked)
    assert bool(marked) == any(word in fold(body) for word in words)
