"""Both databases answer what a plain filter over the same rows answers, and keep rows and offsets together."""

import asyncio
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.vocabulary import topics
from streams.history.filters import Filter, compiled
from streams.history.keys import key_of
from streams.history.projector import opened
from streams.history.reading import History, content_sum
from streams.history.rows import Row, sum_of
from streams.history.sqlite import SqliteHome
from streams.history.store import HistoryError, Home, MissingError, OvertakenError, TakenError
from tests.streams.history.made import filters, row, rows_, signal_row

SECONDS: Final = 20.0
ONE_HOME = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def renewed(home: Home) -> None:
    """Begin an empty history."""
    writer = home.writer(home.fresh())
    writer.close()
    home.publish(writer.generation)


def write(home: Home, rows: list[Row], parts: int = 1) -> None:
    """Write rows in so many parts."""
    writer = opened(home)
    try:
        size = max(1, len(rows) // parts)
        for start in range(0, len(rows), size):
            writer.write(rows[start : start + size], {}, complete_ms=0, share=0.0)
    finally:
        writer.close()


async def pages(history: History, tenant: str | None, asked: Filter, limit: int) -> list[Row]:
    """Return all that a search gives, page by page."""
    found: list[Row] = []
    cursor: str | None = None
    while True:
        answer = await history.search(tenant, asked, cursor=cursor, limit=limit)
        found += answer.rows
        if answer.cursor is None:
            return found
        cursor = answer.cursor


@settings(suppress_health_check=ONE_HOME, max_examples=30)
@given(
    rows=rows_(),
    parts=st.integers(1, 3),
    asked=st.lists(filters, min_size=1, max_size=6),
    limit=st.integers(1, 7),
)
def test_the_answer_is_that_of_a_plain_filter(
    home: Home, rows: list[Row], parts: int, asked: list[Filter], limit: int
) -> None:
    renewed(home)
    write(home, rows, parts)
    history = History(home, seconds_max=SECONDS)
    try:
        for each in asked:
            query = compiled(each)
            found = asyncio.run(pages(history, None, each, limit))
            assert sorted(found) == sorted(one for one in rows if query.matches(one))
            assert [one.at_ms for one in found] == sorted((one.at_ms for one in found), reverse=True)
    finally:
        history.close()
    assert content_sum(home, SECONDS) == {"rows": len(rows), "sum": f"{sum_of(rows)[1]:032x}"}


@settings(suppress_health_check=ONE_HOME, max_examples=10)
@given(rows=rows_(), asked=filters)
def test_what_one_tenant_sends_changes_nothing_that_another_is_shown(
    home: Home, rows: list[Row], asked: Filter
) -> None:
    def answers() -> tuple[list[Row], list[object]]:
        history = History(home, seconds_max=SECONDS)
        try:
            mine = Filter(**{name: getattr(asked, name) for name in asked.__slots__ if name != "tenant"})
            found = asyncio.run(pages(history, "acme", mine, 3))
            refs = sorted({one.ref for one in rows})
            signals: list[object] = []
            for ref in islice(refs, 8):
                signal = asyncio.run(history.signal("acme", ref))
                signals += [ref, signal and (signal.ends, signal.outcomes, signal.caused)]
                signals.append(asyncio.run(history.causes("acme", ref)))
            return found, signals
        finally:
            history.close()

    renewed(home)
    write(home, [one for one in rows if one.tenant == "acme"])
    alone = answers()
    write(home, [one for one in rows if one.tenant != "acme"])
    beside = answers()
    assert sorted(beside[0]) == sorted(alone[0])
    assert beside[1] == alone[1]


def test_rows_and_offsets_are_written_together_or_not_at_all(home: Home) -> None:
    place = (topics.SIGNALS, 0)
    writer = opened(home)
    try:
        writer.write([signal_row(0)], {place: 1}, complete_ms=7, share=0.5)
        broken = signal_row(1)._replace(lane=1 << 70)
        with pytest.raises((HistoryError, OverflowError)):
            writer.write([signal_row(1), broken], {place: 3}, complete_ms=9, share=1.0)
        assert writer.offsets() == {place: 1}
        writer.write([signal_row(1)], {place: 2, (topics.AUDIT, 3): 4}, complete_ms=9, share=1.0)
        assert writer.offsets() == {place: 2, (topics.AUDIT, 3): 4}
    finally:
        writer.close()
    reader = home.reader(SECONDS)
    standing = reader.standing()
    assert (standing.complete_ms, standing.share, standing.rows) == (9, 1.0, 2)
    assert sorted(reader.rows()) == [signal_row(0), signal_row(1)]
    reader.close()


def test_who_was_overtaken_writes_nothing_twice(home: Home) -> None:
    place = (topics.SIGNALS, 0)
    first = opened(home)
    second = opened(home)
    try:
        first.write([signal_row(0)], {place: 1}, complete_ms=0, share=0.0)
        with pytest.raises(OvertakenError, match="another process"):
            second.write([signal_row(0)], {place: 1}, complete_ms=0, share=0.0)
        assert second.offsets() == {place: 1}
        second.write([signal_row(1)], {place: 2}, complete_ms=0, share=0.0)
    finally:
        first.close()
        second.close()
    assert content_sum(home, SECONDS)["rows"] == 2


def test_many_rows_of_one_millisecond_and_lane_are_told_apart(home: Home) -> None:
    rows = [row(offset=offset * 16_384, id=str(offset)) for offset in range(300)]
    assert len({key_of(each) for each in rows}) == 1
    write(home, rows, parts=3)
    assert content_sum(home, SECONDS)["sum"] == f"{sum_of(rows)[1]:032x}"


def test_old_rows_are_forgotten_step_by_step_and_found_no_more(home: Home) -> None:
    rows = [signal_row(number, at_ms=1_000 + number, data={"word": "belt"}) for number in range(20)]
    write(home, rows)
    writer = opened(home)
    assert writer.forget(1_015, 10) == 10
    assert writer.forget(1_015, 10) == 5
    assert writer.forget(1_015, 10) == 0
    writer.close()
    history = History(home, seconds_max=SECONDS)
    found = asyncio.run(pages(history, None, Filter(text="belt"), 3))
    standing = asyncio.run(history.standing())
    history.close()
    assert sorted(found) == rows[15:]
    assert standing.rows == 5


def test_a_new_generation_is_seen_when_it_is_published_and_the_old_one_goes(home: Home) -> None:
    write(home, [signal_row(0)])
    before = home.current()
    writer = home.writer(home.fresh())
    writer.write([signal_row(1), signal_row(2)], {}, complete_ms=0, share=0.0)
    assert content_sum(home, SECONDS)["rows"] == 1
    writer.close()
    home.publish(writer.generation)
    assert home.current() == writer.generation != before
    assert content_sum(home, SECONDS)["rows"] == 2


def test_two_do_not_write_at_once(home: Home) -> None:
    with home.lock("writing"), pytest.raises(TakenError, match="end it"), home.lock("writing"):
        pass
    with home.lock("writing"), home.lock("rebuilding"):
        assert home.current() is None or home.current()


async def test_no_question_that_an_index_can_answer_looks_at_all_rows(tmp_path: Path) -> None:
    home = SqliteHome(tmp_path)
    write(home, [signal_row(0, causationid="9", correlationid="8")])
    asked: list[str] = []
    reader = home.reader(SECONDS)
    reader._connection.set_trace_callback(asked.append)
    reader.by_ref(None, signal_row(0).ref, 10)
    reader.by_ids("acme", ["0", "1"], 10)
    reader.by_causes("acme", ["9"], 10)
    for tenant in (None, "acme"):
        for wanted in (Filter(correlation="8"), Filter(text="number"), Filter(subject="x"), Filter(pattern="order.**")):
            reader.page(compiled(replace(wanted, tenant=tenant)).plan(), 1 << 62, 10)
    reader._connection.set_trace_callback(None)
    # What FTS5 asks of its own tables is its own matter.
    questions = [each for each in asked if each.startswith("select records.")]
    assert len(questions) == 13
    for question in questions:
        steps = [step[3] for step in reader._connection.execute(f"explain query plan {question}")]
        assert not any(step.startswith("SCAN records") for step in steps), (question, steps)
        # The table's own order is right for what comes from the word index, row by row, and for nothing else.
        assert "rowid>" not in " ".join(steps), (question, steps)
    reader.close()


def test_a_history_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="hopline history run"):
        SqliteHome(tmp_path).reader(1.0)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    home = SqliteHome(tmp_path)
    write(home, [signal_row(0)])
    (tmp_path / (home.current() or "")).write_bytes(b"no database" * 1_000)
    with pytest.raises(HistoryError, match="hopline history rebuild"):
        home.reader(1.0).standing()
