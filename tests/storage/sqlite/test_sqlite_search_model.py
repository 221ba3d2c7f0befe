"""Random changes and queries: a search finds what a model says, whatever is in SQLite's index."""

import contextlib
import sqlite3 as system_sqlite3
from pathlib import Path
from unittest import mock

import hypothesis
import pytest
from hypothesis import strategies as st

from storage import memory
from storage.changes import Change, DeleteMessage, EditMessage, Leave, OpenDirect, PutUser, SendMessage
from storage.memory import MemoryStore
from storage.sqlite import SqliteStore
from storage.sqlite import search as sqlite_search
from support.searches import pages
from support.stores import Desk

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
    "FEW_ROOMS": st.integers(0, 2),
    "MAX_NAMED_ROOMS": st.integers(1, 3),
    "COMMON_CANDIDATES": st.integers(1, 5),
    "MAX_TERMS": st.integers(1, 3),
    "FIRST_WINDOW": st.integers(1, 5),
    "LARGEST_WINDOW": st.integers(5, 10),
    "LARGE_WINDOW_CHARS": st.sampled_from([1, 1000]),
    "CANDIDATES_PER_CALL": st.integers(1, 12),
    "INDEXED_CHARS_PER_COMMIT": st.integers(1, 20),
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
        stack.enter_context(mock.patch.object(memory, "MESSAGES_PER_SEARCH", limits["CANDIDATES_PER_CALL"]))
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
