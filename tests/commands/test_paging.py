"""Pages: cursors come back as they went out, and no page is larger than a frame."""

from typing import Any

import pytest

from chatd.commands.paging import ITEMS_BYTES, cursor_of, fit, fit_summaries, key_of
from chatd.core.errors import Refusal
from protocol.codes import ErrorCode
from protocol.objects import User
from support.small_clinic import SmallClinic

Key: type[tuple[Any, ...]] = tuple[int, str]


@pytest.mark.parametrize("key", [(0, ""), (2**53, "c-1"), (-1, "ü \U0001f9b7"), (1, "x" * 128)])
def test_cursor_comes_back_as_the_key_it_was_made_of(key: tuple[int, str]) -> None:
    cursor = cursor_of(key)
    assert cursor is not None
    assert cursor.isascii()
    assert "=" not in cursor
    assert key_of(cursor, Key) == key


def test_cursor_of_no_key_is_none_and_the_other_way_round() -> None:
    assert cursor_of(None) is None
    assert key_of(None, Key) is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "!", "ü", "e30", cursor_of((1,)), cursor_of((1, 2)), cursor_of(("1", "c")), "W" * 5_000]
)
def test_cursor_that_nobody_gave_is_a_bad_request(cursor: Any) -> None:
    with pytest.raises(Refusal, match="cursor") as refused:
        key_of(cursor, Key)
    assert refused.value.code is ErrorCode.BAD_REQUEST


def user(name: str) -> User:
    return User(id="u", name=name, role="patient")


def test_fit_takes_what_the_budget_holds_and_no_more() -> None:
    size = len(bytes(fit([user("x")])[0])) + 1
    assert [len(fit([user("x")] * 9, budget=n * size)) for n in (1, 2, 5, 9, 20)] == [1, 2, 5, 9, 9]
    assert len(fit([user("x")] * 9, budget=3 * size - 1)) == 2


def test_fit_takes_one_item_however_large_it_is() -> None:
    assert len(fit([user("x" * 100), user("y")], budget=10)) == 1
    assert fit([]) == ()


def test_fit_summaries_a_page_of_crowds_stays_under_the_budget_with_its_people() -> None:
    clinic = SmallClinic()
    for n in range(40):
        clinic.group(f"g-{n}", 499)
    page = clinic.store.summaries("ada", archived=False, after=None, limit=50)
    encoded, people = fit_summaries(page, "ada")
    assert 1 <= len(encoded) < len(page.summaries)
    assert sum(len(bytes(each)) for each in encoded) <= ITEMS_BYTES
    assert {person.id for person in people} == {"ada", *(f"u-{k}" for k in range(499))}, "all of those shown, each once"


def test_fit_summaries_names_only_people_of_the_conversations_that_are_shown() -> None:
    clinic = SmallClinic()
    clinic.group("g-1", 3)
    clinic.group("g-2", 2)
    page = clinic.store.summaries("ada", archived=False, after=None, limit=50)
    encoded, people = fit_summaries(page, "ada")
    assert (len(encoded), sorted(person.id for person in people)) == (3, ["ada", "bo", "u-0", "u-1", "u-2"])
