"""The contract on apps' tables in each shape that is served, too: half of the tests on one of
them in every run, all on all with `make test-shapes`."""

import zlib

import pytest

from .shaped_stores import SHAPED_KINDS, SHAPES

NUMBERED = ("int", "bigint")
NAMED_THERE = (*NUMBERED, "short")
"""Shapes in which the database, or its form of ids, names new rows."""

ANY_CASE = ("seed", "pairs", "linked", "short", "renamed")
"""Shapes whose ids are compared without regard to capitals, as Prisma makes columns."""

LEFT_OUT = (
    # part of the test's path and name, shapes, why they can't hold it
    ("test_store_keyed", tuple(shape.name for shape in SHAPES), "chatd's own tables, which are the same everywhere"),
    ("test_store_search_texts", tuple(shape.name for shape in SHAPES), "of one message's text, which is no id"),
    ("test_store_clock", ("short",), "hours of a test would be centuries: its milliseconds are seconds there"),
    ("test_token_expired_long_ago_is_forgotten", ("short",), "its days would be years"),
    ("test_tokens_come_by_age_in_pages", ("short",), "goes on behind a time, which is no argument by itself"),
    ("test_list_of_conversations_of_the_same_moment", NAMED_THERE, "sorts by ids of the test's"),
    ("test_users_come_by_id_in_pages_the_disabled_too", ANY_CASE, "sorts capitals before small letters"),
    ("test_chunks_of_any_size", ("seed", "bigint", "linked", "short", "renamed"), "long, and as on the others"),
    ("test_ids_are_compared_exactly", (*ANY_CASE, *NUMBERED), "there are no two users whose ids differ in capitals"),
)


def choose_shapes(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what a shape can't hold, and mark all but a sample of the rest."""
    left: list[pytest.Item] = []
    for item in items:
        shape = _shape(item)
        if shape is None:
            continue
        if any(part in item.nodeid and shape in shapes for part, shapes, _ in LEFT_OUT):
            left.append(item)
        elif "test_chunks_of_any_size" in item.nodeid or shape != _sampled(item.nodeid.replace(f"mysql-{shape}", "")):
            item.add_marker("shapes")
    out = set(map(id, left))
    items[:] = [item for item in items if id(item) not in out]
    config.hook.pytest_deselected(items=left)


def _shape(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    kind = callspec.params.get("kind") if callspec is not None else None
    return kind.name.removeprefix("mysql-") if kind in SHAPED_KINDS else None


def _sampled(test: str) -> str | None:
    """The shape on which a test is run always, if there is one: another for each, and always the same."""
    return (*(shape.name for shape in SHAPES), *[None] * len(SHAPES))[zlib.crc32(test.encode()) % (2 * len(SHAPES))]
