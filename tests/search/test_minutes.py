"""Counts by minute and level out of what the parts hold are those of the records, at any ends and below any mark."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver.decode import row_builder as rows
from logriver.query.sql.binding import Condition
from logriver.search.minutes import counts
from logriver.search.time_range import TimeRange
from logriver.store.base import Block
from logriver.store.ddl import MINUTE_NS
from logriver.store.embedded import Embedded
from logriver.watermark import Watermark

# Around 1970, so that minutes below zero are among them; every third record is late.
SPACING_NS = MINUTE_NS // 7
BLOCKS, RECORDS = 3, 200
LAST = BLOCKS * RECORDS
LEVELS = ("info", "warn", "error")

TIMES = st.none() | st.integers(-LAST, LAST).map(lambda place: place * SPACING_NS // 2)
RECORD = tuple[int, str]


def record(number: int) -> RECORD:
    place = number - 250 if number % 3 else 90 - number
    return place * SPACING_NS, LEVELS[number % len(LEVELS)] if number < LAST - 5 else "fatal"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    made = Embedded(tmp_path_factory.mktemp("minutes"), "n", 600_000_000, 16_000_000)
    for block in range(BLOCKS):
        numbers = range(block * RECORDS + 1, (block + 1) * RECORDS + 1)
        lines = [f"{rows.row(time_ns, level, 'x')}\ttest\t0" for time_ns, level in map(record, numbers)]
        made.insert(Block(rows.encode(lines), numbers[0], RECORDS, 1))
    yield made
    made.close()


def counted(store: Embedded, times: TimeRange, mark: int) -> dict[RECORD, int] | None:
    made = Condition()
    sql = counts(times, Watermark({"n": mark}), made)
    if sql is None:
        return None
    found: dict[RECORD, int] = {}
    for minute, level, records in store.query(sql, made.params).rows:
        key = int(str(minute)), str(level)
        found[key] = found.get(key, 0) + int(str(records))
    return {key: count for key, count in found.items() if count}


def expected(times: TimeRange, mark: int) -> dict[RECORD, int]:
    found: dict[RECORD, int] = {}
    for time_ns, level in map(record, range(1, mark + 1)):
        is_late = times.from_ns is not None and time_ns < times.from_ns
        if not is_late and (times.to_ns is None or time_ns < times.to_ns):
            key = time_ns // MINUTE_NS * MINUTE_NS, level
            found[key] = found.get(key, 0) + 1
    return found


@settings(max_examples=60)
@given(TIMES, TIMES, st.integers(0, LAST))
def test_the_counts_are_those_of_the_records(
    store: Embedded, from_ns: int | None, to_ns: int | None, mark: int
) -> None:
    times = TimeRange(from_ns, to_ns)
    found = counted(store, times, mark)
    assert found == expected(times, mark) or (found is None and has_no_whole_minute(times))


def has_no_whole_minute(times: TimeRange) -> bool:
    return times.from_ns is not None and times.to_ns is not None and times.to_ns - times.from_ns < 2 * MINUTE_NS


def test_times_that_the_mark_hides_wholly_have_no_level(store: Embedded) -> None:
    levels = {level for _, level in counted(store, TimeRange(), LAST - 6) or {}}
    assert levels == set(LEVELS)


def test_the_counts_come_out_of_the_parts(store: Embedded) -> None:
    made = Condition()
    sql = counts(TimeRange(), Watermark({"n": LAST}), made)
    plan = store.query_text(f"EXPLAIN projections = 1 {sql}", "TSVRaw", made.params).decode()
    assert "ReadFromMergeTree (minutes)" in plan
    assert store.query(str(sql), made.params).rows_read < LAST
