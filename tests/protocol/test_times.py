"""Times on the wire."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.times import from_rfc3339, to_rfc3339

LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_795_353_420_123, "2026-11-22T13:17:00.123Z"),
        (1_709_210_096_009, "2024-02-29T12:34:56.009Z"),
        (LAST, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_the_form_of_the_wire(ms: int, text: str) -> None:
    assert to_rfc3339(ms) == text
    assert from_rfc3339(text) == ms


@given(st.integers(0, LAST))
def test_time_round_trip_is_the_same(ms: int) -> None:
    assert from_rfc3339(to_rfc3339(ms)) == ms


@given(st.integers(0, LAST), st.integers(0, LAST))
def test_text_sorts_as_time(one: int, other: int) -> None:
    assert (to_rfc3339(one) < to_rfc3339(other)) is (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T14:17:00.123+01:00",
        "2026-11-22T13:17:00.123456Z",
        "2026-11-22T13:17:00.1229Z",
    ],
)
def test_other_forms_of_the_same_moment(text: str) -> None:
    assert from_rfc3339(text) == from_rfc3339("2026-11-22T13:17:00.123Z")


def test_whole_seconds() -> None:
    assert from_rfc3339("1970-01-01T00:00:01Z") == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-22",
        "2026-11-22T13:17:00.123",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1795353420123",
    ],
)
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time zone|isoformat|month|day"):
        from_rfc3339(text)
