"""Timestamps are judged by the calendar, and written from milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.vocabulary.timestamps import TIME_MS_MAX, is_time, milliseconds, rfc3339
from tests.processors.vocabulary import oracle

SHAPE: Final = (
    r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    r"(\.[0-9]{0,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?\Z"
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, TIME_MS_MAX))
@example(0)
@example(TIME_MS_MAX)
@example(951_782_400_000)
def test_milliseconds_are_written_as_the_calendar_has_them(time_ms: int) -> None:
    expected = (EPOCH + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds")
    assert rfc3339(time_ms) == expected.replace("+00:00", "Z")
    assert is_time(rfc3339(time_ms))


@pytest.mark.parametrize("time_ms, text", [(-1, "1970-01-01T00:00:00.000Z"), (2**63 - 1, "9999-12-31T23:59:59.999Z")])
def test_a_clock_that_is_far_off_never_raises(time_ms: int, text: str) -> None:
    assert rfc3339(time_ms) == text


def test_every_day_of_leap_and_common_years() -> None:
    for year in (0, 1900, 2000, 2023, 2024, 9999):
        for month in range(14):
            for day in range(33):
                text = f"{year:04d}-{month:02d}-{day:02d}T00:00:00Z"
                assert is_time(text) == oracle.is_time(text), text


@given(st.from_regex(SHAPE))
def test_shapes_agree_with_the_second_opinion(text: str) -> None:
    assert is_time(text) == oracle.is_time(text)


@given(st.integers(0, TIME_MS_MAX))
def test_what_is_written_is_read_again(time_ms: int) -> None:
    assert milliseconds(rfc3339(time_ms)) == time_ms


@pytest.mark.parametrize(
    "text, time_ms",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t01:00:00.5+01:00", 500),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1969-12-31T23:00:00Z", 0),
        ("1972-06-30T23:59:60Z", 78_796_799_000),
    ],
)
def test_moments_are_read_in_any_zone(text: str, time_ms: int) -> None:
    assert milliseconds(text) == time_ms


@given(st.from_regex(SHAPE))
@example("0000-01-01T00:00:00Z")
@example("9999-12-31T23:59:60.9999999-23:59")
@example("0001-01-01T00:00:00+23:59")
def test_whatever_is_a_time_can_be_read(text: str) -> None:
    if is_time(text):
        assert 0 <= milliseconds(text) <= TIME_MS_MAX + 2 * 86_400_000
