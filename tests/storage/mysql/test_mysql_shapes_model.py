"""The random walk against the model on apps' tables in each shape that is served: the same promises hold there."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from support.model import CHATS, PEOPLE
from support.mysql_walk import MysqlStores
from support.shaped_stores import SHAPES, Shape, done_with, opener
from support.walk import Stores

WALKS = settings(max_examples=4, stateful_step_count=15, deadline=None, print_blob=True)
"""Few: the walk on chatd's own tables has more, and here only what is written otherwise is new."""

ALWAYS = "linked"
"""The shape that every run walks on: it differs the most from chatd's own tables."""


class ShapedWalk(MysqlStores):
    shape: ClassVar[Shape]

    def open(self) -> Any:
        return opener(self.shape)(Path(self.folder.name))

    def give_back(self) -> None:
        done_with(self.shape, Path(self.folder.name))

    @invariant()
    def the_apps_many_to_many_has_who_is_present(self) -> None:
        link = self.store._others.link
        if link is not None:
            with self.store._pool.reading() as db:
                assert not link.differs(db)

    @initialize(
        known=st.just(set(PEOPLE)),
        opened=st.sets(st.sampled_from(sorted(CHATS))),
        groups=st.lists(st.permutations(PEOPLE), max_size=2),
    )
    def begin(self, known: set[str], opened: set[str], groups: list[list[str]]) -> None:
        """Everybody is known: where the app alone makes users, they are there before anybody writes."""
        Stores.begin(self, known, opened, groups)


def _walk(shape: Shape) -> Any:
    case = type(f"Walk{shape.name.title()}", (ShapedWalk,), {"shape": shape}).TestCase  # type: ignore[attr-defined]
    case.settings = WALKS
    return case if shape.name == ALWAYS else pytest.mark.shapes(case)


for _shape in SHAPES:
    globals()[f"Test{_shape.name.title()}Walk"] = _walk(_shape)
