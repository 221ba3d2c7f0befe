"""What a search finds and shows, on every store; and what SQLite's index must never change about it."""

import contextlib
import json
import sqlite3 as system_sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from storage import memory
from storage.changes import Change, DeleteMessage, EditMessage, Leave, OpenDirect, PutUser, SendMessage
from storage.contract import Store, Unavailable
from storage.memory import MemoryStore
from storage.mysql import searching
from storage.search import LEAD, MARK, SNIPPET, UNMARK, fold, matches, snippet, words_of
from storage.sqlite import SqliteStore
from storage.sqlite import search as sqlite_search
from support.stores import KINDS, Desk, Kind, sqlite_file

SUPPORT = Path(__file__).parent / "support"

TRAPS = [
    '"', "'", "''", '"" OR ""', "*", "tooth*", "NEAR(tooth ache)", "a AND b", "a OR b", "NOT x", "text:tooth", "^tooth",
    "-tooth", "(", "{tooth}", "%", "_", "100%", "a_b", "\\", "\\%", ";--", "?", "[", "{", "\x01", "\x1f", "\x7f",
    "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "$[0]", "\ufffd", "null",
]  # fmt: skip


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    assert isinstance(request.param, Kind)
    with contextlib.closing(request.param.open(tmp_path)) as store:
        yield store


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert isinstance(store, SqliteStore)
        yield store


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
    before: int | None = None
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
    ("anything", " \t\u3000\u00ad ", False),
    ("", "x", False),
]
"""A text, a query, and whether it finds the text."""


@pytest.mark.parametrize(("body", "query", "found"), CASES)
def test_what_matches(body: str, query: str, found: bool) -> None:
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


def test_a_query_of_many_words(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    letters = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    desk.say(c, "ada", letters, letters.replace("q", ""), "abcdefghijklmnopqrstuvwxyz" * 7)
    for _ in everywhere(store):
        assert len(bodies(store, "ada", letters)) == 2
        assert bodies(store, "ada", "abcdefghijklmnopqrstuvwxyz" * 7) == ["abcdefghijklmnopqrstuvwxyz" * 7]


def test_a_query_means_nothing_but_itself(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    texts = ["tooth ache", "a b", "other", *(f"so: {query}!" for query in TRAPS)]
    desk.say(c, "ada", *texts)
    for _ in everywhere(store):
        for query in TRAPS:
            words = query.lower().split()
            expected = [text for text in reversed(texts) if words and all(word in text.lower() for word in words)]
            assert bodies(store, "ada", query) == expected
            assert bodies(store, "ada", query, conversation=c) == expected


# -- who sees what --


def test_newest_first_over_all_conversations_or_one(store: Store, desk: Desk) -> None:
    one, two, three = desk.chat("ada", "ben"), desk.chat("ada", "cleo"), desk.chat("ben", "cleo")
    for n, c in enumerate((one, two, one, three, two)):
        desk.say(c, "cleo" if c == three else "ada", f"tooth {n}")
    for _ in everywhere(store):
        assert bodies(store, "ada", "tooth") == ["tooth 4", "tooth 2", "tooth 1", "tooth 0"]
        assert bodies(store, "ben", "tooth") == ["tooth 3", "tooth 2", "tooth 0"]
        assert bodies(store, "ada", "tooth", conversation=one) == ["tooth 2", "tooth 0"]
        assert bodies(store, "nobody", "tooth") == []
        for user, conversation in (("ada", three), ("ada", "nowhere"), ("nobody", one)):
            assert store.search(user, ("tooth",), conversation=conversation, before=None, limit=5) is None


def test_who_left_finds_nothing_and_who_is_back_finds_all(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.chat("ben", "cleo")  # who is nowhere at all isn't even looked for
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        desk.changed(desk.leave(c, "ben"))
        assert bodies(store, "ben", "tooth") == []
        assert store.search("ben", ("tooth",), conversation=c, before=None, limit=5) is None
        assert bodies(store, "ada", "tooth") == ["tooth"]
        desk.changed(desk.open("ben", "ada"))
        assert bodies(store, "ben", "tooth") == ["tooth"]


def test_who_was_removed_finds_nothing_and_who_came_later_finds_all(store: Store, desk: Desk) -> None:
    desk.people("ada", "ben", "cleo")
    desk.chat("ben", "cleo")
    c = desk.group("ada", "ben")
    desk.say(c, "ada", "tooth")
    desk.changed(desk.remove(c, "ada", "ben"))
    desk.changed(desk.add(c, "ada", "cleo"))
    for _ in everywhere(store):
        assert bodies(store, "ben", "tooth") == []
        assert bodies(store, "cleo", "tooth") == ["tooth"]


def test_only_the_present_text_counts(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    for _ in everywhere(store):
        edited, deleted, twice = desk.say(c, "ada", "first tooth", "second tooth", "third tooth")
        store.index(1000)
        desk.do(
            desk.edit(c, "ada", edited.seq, "first molar"),
            desk.delete(c, "ada", deleted.seq),
            desk.edit(c, "ada", twice.seq, "third crown"),
            desk.edit(c, "ada", twice.seq, "third bridge"),
        )
        assert bodies(store, "ben", "tooth") == []
        assert bodies(store, "ben", "crown") == []
        assert bodies(store, "ben", "second") == []
        assert bodies(store, "ben", "molar")[0] == "first molar"
        assert bodies(store, "ben", "bridge")[0] == "third bridge"
        desk.do(desk.edit(c, "ada", edited.seq, "gone"), desk.delete(c, "ada", edited.seq))
        assert "first molar" not in bodies(store, "ben", "molar")
        assert "gone" not in bodies(store, "ben", "gone")


def test_a_hit_is_the_message_as_it_is_now(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        desk.changed(desk.edit(c, "ada", 1, f"tooth {desk.tick()}"))
        desk.do(desk.react(c, "ben", 1))
        history = store.history(c, "ben", before=None, after=None, limit=1)
        found = store.search("ben", ("tooth",), conversation=c, before=None, limit=1)
        assert history is not None
        assert found is not None
        assert tuple(hit.message for hit in found.hits) == history.messages


def test_system_messages_are_found_too(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.changed(desk.leave(c, "ben"))
    for _ in everywhere(store):
        assert len(bodies(store, "ada", "left")) == 1


# -- pages --


def test_pages_are_complete_while_messages_come_and_the_index_moves(store: Store, desk: Desk) -> None:
    chats = [desk.chat("ada", f"u{n}") for n in range(3)]
    sent = [f"tooth {n}" for n in range(60)]
    for n, text in enumerate(sent):
        desk.say(chats[n % 3], "ada", text, "noise")

    def meanwhile() -> None:
        desk.say(chats[0], "ada", "tooth, later")
        store.index(7)

    assert bodies(store, "ada", "tooth", limit=7, between=meanwhile) == sent[::-1]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 14])
def test_the_last_page_says_so(store: Store, desk: Desk, count: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *["tooth"] * count)
    for _ in everywhere(store):
        sizes, before = [], None
        while True:
            page = store.search("ada", ("tooth",), conversation=None, before=before, limit=7)
            assert page is not None
            sizes.append(len(page.hits))
            before = page.next
            if before is None:
                break
        assert sizes == ([7] * ((count - 1) // 7) + [count - (count - 1) // 7 * 7] if count else [0])


@pytest.mark.parametrize("before", [-5, 0, 1, 2**53])
def test_a_forged_place_finds_nothing_wrong(store: Store, desk: Desk, before: int) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    for _ in everywhere(store):
        page = store.search("ada", ("tooth",), conversation=None, before=before, limit=5)
        assert page is not None
        assert len(page.hits) == (1 if before > 1 else 0)
        assert page.next is None


def test_one_call_looks_at_so_many_messages_and_says_where_to_go_on(store: Store, desk: Desk) -> None:
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth", *["noise"] * 30)
    with (
        mock.patch.object(memory, "SEARCHED", 10),
        mock.patch.multiple(sqlite_search, BUDGET=10, FIRST_WINDOW=4, LARGEST_WINDOW=4),
        mock.patch.multiple(searching, BUDGET=10, WINDOW=4),
    ):
        for _ in everywhere(store):
            page = store.search("ada", ("oo",), conversation=None, before=None, limit=5)
            assert page is not None
            assert page.hits == ()
            assert page.next is not None
            assert bodies(store, "ada", "oo") == ["tooth"]
            assert len(bodies(store, "ada", "noise")) == len(bodies(store, "ada", "oi")) == 30


def test_short_queries_reach_far_back(store: Store, desk: Desk) -> None:
    one, two = desk.chat("ada", "ben"), desk.chat("cleo", "ben")
    desk.say(one, "ada", "Zq")
    for _ in range(3):
        desk.say(two, "ben", *["noise"] * 1000)
    for _ in everywhere(store):
        for user, conversation in (("ada", None), ("ben", None), ("ada", one)):
            assert bodies(store, user, "zq", conversation=conversation) == ["Zq"]
            assert bodies(store, user, "q", conversation=conversation) == ["Zq"]
            assert bodies(store, user, "é", conversation=conversation) == []


# -- all together, against a model --

PAIRS = (("ada", "ben"), ("ada", "cleo"), ("ben", "cleo"))
LETTERS = 'aaabbB ß歯%_"\\'
TEXT = st.text(LETTERS, min_size=1, max_size=12)
STEP = st.one_of(
    st.tuples(st.sampled_from(["say", "edit"]), st.integers(0, 20), TEXT),
    st.tuples(
        st.sampled_from(["delete", "leave", "back", "index", "vacuum", "reopen"]), st.integers(0, 20), st.just("")
    ),
)
LIMITS = st.fixed_dictionaries({
    "FEW": st.integers(0, 2),
    "ROOMS": st.integers(1, 3),
    "COMMON": st.integers(1, 5),
    "TERMS": st.integers(1, 3),
    "FIRST_WINDOW": st.integers(1, 5),
    "LARGEST_WINDOW": st.integers(5, 10),
    "LARGE": st.sampled_from([1, 1000]),
    "BUDGET": st.integers(1, 12),
    "INDEXED_TEXT": st.integers(1, 20),
})  # fmt: skip


class Model:
    """What was said in three conversations, c1 to c3, by the first of each pair; the second one leaves and is back."""

    def __init__(self) -> None:
        self.chats = {f"c{number}": pair for number, pair in enumerate(PAIRS, 1)}
        self.present = {c: set(pair) for c, pair in self.chats.items()}
        self.lengths = dict.fromkeys(self.chats, 0)
        self.said: dict[tuple[str, int], str] = {}

    def changes(self, desk: Desk, step: str, number: int, text: str) -> list[Change]:
        c = f"c{number % 3 + 1}"
        writer, other = self.chats[c]
        id, seq = list(self.said)[number % len(self.said)] if self.said else (c, 99)
        match step:
            case "say":
                return [desk.send(c, writer, text)]
            case "edit":
                return [desk.edit(id, self.chats[id][0], seq, text)]
            case "delete":
                return [desk.delete(id, self.chats[id][0], seq)]
            case "leave":
                return [desk.leave(c, other)]
            case "back":
                return [desk.open(writer, other)]
        return []

    def note(self, change: Change) -> None:
        match change:
            case SendMessage(conversation=c):
                self.present[c] = set(self.chats[c])
                self.lengths[c] += 1
                self.said[c, self.lengths[c]] = change.body
            case EditMessage() if (change.conversation, change.seq) in self.said:
                self.said[change.conversation, change.seq] = change.body
            case DeleteMessage():
                self.said.pop((change.conversation, change.seq), None)
            case Leave(conversation=c) if change.user in self.present[c]:
                self.present[c].discard(change.user)
                self.lengths[c] += 1
            case OpenDirect():
                c = next(c for c, pair in self.chats.items() if {change.user, change.other} == set(pair))
                self.present[c] = set(self.chats[c])

    def found(self, user: str, query: str) -> list[tuple[str, int, str]]:
        words = query.casefold().split()
        return [
            (c, seq, body)
            for (c, seq), body in reversed(self.said.items())
            if user in self.present[c] and words and all(word in body.casefold() for word in words)
        ]


def quick(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "chat.db", new_epoch=lambda: "model", durability="normal")


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    steps=st.lists(STEP, max_size=30),
    queries=st.lists(st.text(LETTERS, max_size=4), min_size=1, max_size=4),
    limits=LIMITS,
    clash=st.booleans(),
)
def test_stores_find_what_the_model_says(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, str]],
    queries: list[str],
    limits: dict[str, int],
    clash: bool,
) -> None:
    """`clash`: all conversations have the same trigram in the index, which must change nothing."""
    folder = tmp_path_factory.mktemp("search")
    with contextlib.ExitStack() as stack:
        for name, limit in limits.items():
            stack.enter_context(mock.patch.object(sqlite_search, name, limit))
        stack.enter_context(mock.patch.object(memory, "SEARCHED", limits["BUDGET"]))
        if clash:
            stack.enter_context(mock.patch.object(sqlite_search, "_room", return_value="\ue000\ue001\ue002"))
        file = quick(folder)
        stack.callback(lambda: file.close())
        reference = MemoryStore(epoch="model")
        model = Model()
        desk = Desk(reference, first=100)
        opened: list[Change] = [PutUser(user, None, None, 0) for user in ("ada", "ben", "cleo")]
        opened += [OpenDirect(c, *pair, 0) for c, pair in model.chats.items()]
        for store in (reference, file):
            store.commit(opened)
        for step, number, text in steps:
            if step == "index":
                file.index(number)
            elif step in ("vacuum", "reopen"):
                file.close()
                if step == "vacuum":
                    with contextlib.closing(system_sqlite3.connect(file.path)) as db:
                        db.execute("VACUUM")
                file = quick(folder)
            changes = model.changes(desk, step, number, text)
            for store in (reference, file):
                store.commit(changes)
            for change in changes:
                model.note(change)
        for query in queries:
            for user in ("ada", "ben", "cleo"):
                for store in (reference, file):
                    found = [hit for hit in pages(store, user, query, limit=3) if "left the" not in hit[2]]
                    assert found == model.found(user, query)


# -- SQLite's index --


def terms(store: SqliteStore) -> set[str]:
    """All trigrams in the index."""
    with contextlib.closing(sqlite3.connect(str(store.path))) as db:
        db.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, chatd_search, row)")
        return {term for (term,) in db.execute("SELECT term FROM temp.terms")}


def blocks(store: SqliteStore) -> bytes:
    """The index as it is in the file."""
    with contextlib.closing(sqlite3.connect(str(store.path))) as db:
        return b"".join(block for (block,) in db.execute("SELECT block FROM chatd_search_data"))


def test_what_leaves_a_text_leaves_the_index(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "hello", "xylophone", "quagga", "zebra")
    assert file.index(100) == 0
    assert {"xyl", "qua", "zeb"} < terms(file)
    assert all(term in blocks(file) for term in (b"xyl", b"qua", b"zeb"))
    desk.do(
        desk.edit(c, "ada", 2, "oboe"),
        desk.edit(c, "ada", 2, "vuvuzela"),
        desk.edit(c, "ada", 3, "okapi"),
        desk.delete(c, "ada", 3),
        desk.delete(c, "ada", 4),
    )
    left = terms(file)
    assert {"vuv", "hel"} < left
    assert not {"xyl", "one", "qua", "gga", "zeb", "obo", "oka"} & left
    assert not any(term in blocks(file) for term in (b"xyl", b"qua", b"zeb"))


def test_a_commit_that_fails_leaves_the_index_alone(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    file.index(100)
    with (
        mock.patch("storage.sqlite.store.finish", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        desk.do(desk.delete(c, "ada", 1))
    assert "xyl" in terms(file)
    assert bodies(file, "ada", "xylophone") == ["xylophone"]


def test_what_was_sent_before_a_crash_is_found(tmp_path: Path) -> None:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "tooth 1", "tooth 2", "tooth 3")
        assert store.index(1) == 2
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert bodies(store, "ada", "tooth") == ["tooth 3", "tooth 2", "tooth 1"]
        assert store.index(0) == 2
        assert store.index(100) == 0
        assert bodies(store, "ada", "tooth") == ["tooth 3", "tooth 2", "tooth 1"]


def test_the_index_takes_the_oldest_and_so_much_text_at_once(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    assert file.index(100) == 0
    desk.say(c, "ada", *["a" * 90] * 10, "b" * 500, "c")
    with mock.patch.object(sqlite_search, "INDEXED_TEXT", 200):
        assert file.index(1) == 11
        assert file.index(100) == 9  # two of 90 fit
        for left in (7, 5, 3, 2, 1, 0):
            assert file.index(100) == left
    assert {"aaa", "bbb"} < terms(file)


def test_a_deleted_message_never_enters_the_index(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    desk.do(desk.delete(c, "ada", 1))
    assert file.index(100) == 0
    assert terms(file) == set()


def test_a_message_that_another_program_deleted_is_not_found(file: SqliteStore) -> None:
    """Which may have left its text where it was."""
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "xylophone")
    for _ in everywhere(file):
        with contextlib.closing(sqlite3.connect(str(file.path))) as db, db:
            db.execute('UPDATE "Message" SET "deletedAt" = 1')
        assert bodies(file, "ada", "xylophone") == []


def test_an_index_of_another_unicode_is_made_anew(tmp_path: Path) -> None:
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        desk = Desk(store)
        c = desk.chat("ada", "ben")
        desk.say(c, "ada", "tooth 1", "tooth 2")
        assert store.index(100) == 0
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        assert store.index(0) == 0
    with mock.patch.object(sqlite_search, "FOLDING", "1 (Unicode 99)"):
        with contextlib.closing(sqlite_file(tmp_path)) as store:
            assert isinstance(store, SqliteStore)
            assert terms(store) == set()
            assert bodies(store, "ada", "tooth") == ["tooth 2", "tooth 1"]
            assert store.index(0) == 2
            assert store.index(100) == 0
            assert "too" in terms(store)
        with contextlib.closing(sqlite_file(tmp_path)) as store:
            assert store.index(0) == 0


def test_a_file_without_an_index_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with contextlib.closing(sqlite3.connect(str(path))) as db:
        db.executescript((SUPPORT / "schema_001.sql").read_text("utf-8"))
    with contextlib.closing(sqlite_file(tmp_path)) as store:
        for _ in everywhere(store):
            assert bodies(store, "ada", "hurts 🦷") == ["It hurts when I bite 🦷"]
            assert bodies(store, "ben", "th") == ["Thanks", "It's \"only\"\nthe gum; don't worry"]
        assert store.index(0) == 0


def test_an_index_that_fails_is_unavailable_and_nothing_else_suffers(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", "tooth")
    failing = mock.patch.object(sqlite_search, "index", side_effect=sqlite3.OperationalError("disk I/O error"))
    with failing, pytest.raises(Unavailable):
        file.index(100)
    desk.say(c, "ada", "tooth 2")
    assert bodies(file, "ada", "tooth") == ["tooth 2", "tooth"]
    assert file.index(100) == 0


def test_long_texts_are_looked_at_a_few_at_a_time(file: SqliteStore) -> None:
    desk = Desk(file)
    c = desk.chat("ada", "ben")
    desk.say(c, "ada", *["é" * 500] * 200)
    for _ in everywhere(file):
        with (
            mock.patch.multiple(sqlite_search, LARGE=5_000, FIRST_WINDOW=4),
            mock.patch("json.loads", wraps=json.loads) as loads,
        ):
            assert pages(file, "ada", "x é", conversation=c) == []
        sizes = [len(call.args[0]) for call in loads.call_args_list]
        assert sum(sizes) > 200 * 500
        assert max(sizes) < 5 * 5_000


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_conversations_are_named_or_passed_over(file: SqliteStore, number: int) -> None:
    desk = Desk(file)
    for n in range(number):
        desk.say(desk.chat("ada", f"u{n}"), "ada", "tooth")
        desk.say(desk.chat("ben", f"u{n}"), "ben", "tooth")
    with mock.patch.multiple(sqlite_search, FEW=1, ROOMS=3, COMMON=2, FIRST_WINDOW=1):
        for _ in everywhere(file):
            assert len(pages(file, "ada", "tooth")) == len(pages(file, "ada", "oo")) == number


@pytest.mark.parametrize("few", [1, 0])
def test_few_conversations_are_searched_alone(file: SqliteStore, few: int) -> None:
    """However common the words are elsewhere: candidates of the caller's conversations only, at once or soon."""
    desk = Desk(file)
    mine, others = desk.chat("ada", "ben"), desk.chat("cleo", "ben")
    desk.say(mine, "ada", "tooth")
    desk.say(others, "cleo", *["tooth"] * 500)
    while file.index(1000):
        pass
    with mock.patch.multiple(sqlite_search, BUDGET=7, FIRST_WINDOW=3, COMMON=3, FEW=few):
        page = file.search("ada", ("tooth",), conversation=None, before=None, limit=5)
        assert page is not None
        assert ([hit.message.body for hit in page.hits], page.next) == (["tooth"], None)


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
def test_snippets(body: str, query: str, expected: str) -> None:
    assert shown(snippet(body, words_of(query))) == expected


def test_a_snippet_of_a_long_text_is_around_the_first_hit() -> None:
    found = shown(snippet("x" * 500 + " Needle in the hay, needle " + "y" * 500, ("needle",)))
    assert found == "…" + "x" * (LEAD - 1) + " [Needle] in the hay, [needle] " + "y" * (SNIPPET - LEAD - 26) + "…"
    assert shown(snippet("x" * 500 + " needle", ("needle",))) == "…" + "x" * (SNIPPET - 7) + " [needle]"
    assert shown(snippet("needle " + "y" * 500, ("needle",))) == "[needle] " + "y" * (SNIPPET - 7) + "…"


@hypothesis.given(
    body=st.text("aBß\u0308é ﬁ歯\n❤\ufe0f\u200dx", max_size=300), query=st.text("abßé ﬁfi歯❤x", min_size=1, max_size=6)
)
def test_a_snippet_is_part_of_the_text_and_marks_the_words(body: str, query: str) -> None:
    words = words_of(query)
    found = snippet(body, words)
    plain = found.replace(MARK, "").replace(UNMARK, "")
    assert plain.removeprefix("…").removesuffix("…") in " ".join(body.split())
    assert len(plain) <= SNIPPET + 20
    marked = [part.split(UNMARK)[0] for part in found.split(MARK)[1:]]
    assert found.count(MARK) == found.count(UNMARK) == len(marked)
    assert all(any(word in fold(part) for word in words) for part in marked)
    assert bool(marked) == any(word in fold(body) for word in words)
