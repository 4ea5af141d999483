"""What waits and since when, worked out from looks: markers do not wait, and no producer's clock is trusted alone."""

from hypothesis import given
from hypothesis import strategies as st

from streams.prober.lags import ENDS_MAX, Lags, Oldest, Opens

AT = ("signals.in", 0)
NOW_MS = 1_800_000_000_000


def test_a_lane_that_has_applied_all_but_markers_has_no_lag() -> None:
    lags = Lags.of([AT])
    assert lags.look(0.0, {AT: 11}, {AT: 10}) == [AT]
    lags.read(AT, None, 11)
    assert lags.records(AT) == 0
    assert lags.look(1.0, {AT: 11}, {AT: 10}) == []
    assert (lags.records(AT), lags.seconds(AT, 1.0, NOW_MS)) == (0, 0.0)


def test_the_oldest_record_is_read_once_as_long_as_it_waits() -> None:
    lags = Lags.of([AT])
    assert lags.look(0.0, {AT: 20}, {AT: 10}) == [AT]
    lags.read(AT, Oldest(12, NOW_MS - 5_000), 12)
    assert lags.look(1.0, {AT: 30}, {AT: 10}) == []
    assert lags.records(AT) == 18
    assert lags.seconds(AT, 1.0, NOW_MS) == 5.0
    assert lags.look(2.0, {AT: 30}, {AT: 25}) == [AT]
    assert lags.look(3.0, {AT: 30}, {AT: 30}) == []
    assert lags.records(AT) == 0


def test_a_producer_with_an_old_clock_makes_no_record_old() -> None:
    lags = Lags.of([AT])
    lags.look(100.0, {AT: 10}, {AT: 10})
    lags.look(101.0, {AT: 11}, {AT: 10})
    lags.read(AT, Oldest(10, NOW_MS - 86_400_000), 10)
    assert lags.seconds(AT, 103.0, NOW_MS) == 3.0


def test_a_producer_with_a_fast_clock_makes_no_record_negative() -> None:
    lags = Lags.of([AT])
    lags.look(100.0, {AT: 11}, {AT: 10})
    lags.read(AT, Oldest(10, NOW_MS + 86_400_000), 10)
    assert lags.seconds(AT, 103.0, NOW_MS) == 0.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=200))
def test_lag_is_what_is_written_and_not_applied_and_never_below_nothing(steps: list[tuple[int, int]]) -> None:
    lags, end, applied = Lags.of([AT]), 0, 0
    lags.look(-1.0, {AT: 0}, {AT: 0})
    for number, (more, stepped) in enumerate(steps):
        end += more
        applied = min(end, applied + stepped)
        for place in lags.look(float(number), {AT: end}, {AT: applied}):
            begin = lags.begins(place)
            lags.read(place, Oldest(begin, NOW_MS) if begin < end else None, begin)
        assert lags.records(AT) == end - applied
        assert len(lags.standings[AT].ends) <= ENDS_MAX
        assert lags.seconds(AT, float(number), NOW_MS + 1_000_000) <= number + 1


def test_a_standstill_that_is_long_keeps_its_beginning_and_stays_bounded() -> None:
    lags = Lags.of([AT])
    lags.look(0.0, {AT: 1}, {AT: 0})
    lags.read(AT, Oldest(0, NOW_MS - 10_000_000), 0)
    for second in range(1, 3 * ENDS_MAX):
        lags.look(float(second), {AT: 1 + second}, {AT: 0})
    assert len(lags.standings[AT].ends) <= ENDS_MAX
    assert lags.standings[AT].ends[0] == (0.0, 1)


def test_an_open_transaction_is_as_old_as_its_standstill() -> None:
    opens = Opens()
    opens.look(0.0, {AT: 5}, {AT: 9})
    opens.look(4.0, {AT: 5}, {AT: 12})
    assert opens.records == {AT: 7}
    assert opens.seconds("signals.in", 6.0) == 6.0
    assert opens.seconds("commands", 6.0) == 0.0
    opens.look(7.0, {AT: 8}, {AT: 12})
    assert opens.seconds("signals.in", 8.0) == 1.0
    opens.look(9.0, {AT: 13}, {AT: 13})
    assert opens.seconds("signals.in", 9.0) == 0.0
