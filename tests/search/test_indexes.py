"""Each class of query reads fewer granules than there are: the engine's own plan of the SQL that a search runs.

A query that stops using its index is right and slow, so nothing else would notice.
"""

import re
from collections.abc import Iterator

import pytest

from logriver.columns import TABLE
from logriver.decode import row_builder as rows
from logriver.query.language import parser
from logriver.search.filter_sql import filter_sql
from logriver.search.time_range import ANY_TIME, TimeRange
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from logriver.watermark import Watermark

PARTS = 3
RECORDS = 30_000
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
GRANULES = re.compile(r"Granules: (\d+)/(\d+)")
MARK = PARTS * RECORDS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    made = Embedded(tmp_path_factory.mktemp("indexes"), "n", 600_000_000, 16_000_000)
    for part in range(PARTS):
        first = part * RECORDS + 1
        lines = [f"{row(number)}\ttest\t0" for number in range(first, first + RECORDS)]
        made.insert(Block(rows.encode(lines), first, RECORDS, 1))
    yield made
    made.close()


def row(number: int) -> str:
    message = f"request {number % 997} took {number % 7} ms"
    if number == 50_000:
        message = "Failed to connect to zanzibar"
    return rows.row(START_NS + number * SECOND_NS, "info", message, trace_id=f"trace-{number:06}")


def granules(store: Embedded, text: str, times: TimeRange = ANY_TIME) -> tuple[int, int]:
    """How many of all granules a search reads."""
    wanted = filter_sql(parser.parse(text).where, times, Watermark({"n": MARK}), frozenset())
    plan = store.query_text(f"EXPLAIN indexes = 1 SELECT _seq FROM {TABLE} WHERE {wanted.sql}", "TSVRaw", wanted.params)
    steps = GRANULES.findall(plan.decode())
    return int(steps[-1][0]), int(steps[0][1])


def test_the_table_has_enough_granules_to_tell(store: Embedded) -> None:
    read, there = granules(store, "*")
    assert read == there >= PARTS * 3


@pytest.mark.parametrize(
    "text",
    [
        "zanzibar",
        "ZANZIBAR request",
        '"connect to Zanzibar"',
        "zanz*",
        "*anzib*",
        "zanzibar level:info",
        "zanzibar -resourceId:x",
        "message:zanzibar status:>=500",
        "trace_id:trace-050000",
        "traceId:trace-050000 zanzibar",
        "_seq:50000",
        "_seq:[50000 TO 50010]",
        "_id:n-50000",
        "timestamp:[1700050000 TO 1700050010]",
        "timestamp:>=2023-11-15T14:00:00Z",
        "_seq:<100 OR zanzibar",
    ],
)
def test_a_query_reads_few_granules(store: Embedded, text: str) -> None:
    read, there = granules(store, text)
    assert 0 < read <= there // 2


def test_what_no_record_has_reads_nothing(store: Embedded) -> None:
    assert granules(store, "nowhere")[0] == 0
    assert granules(store, "nowher*")[0] == 0


def test_times_narrow_what_is_read(store: Embedded) -> None:
    at_ns = START_NS + 50_000 * SECOND_NS
    for read, there in (
        granules(store, "*", TimeRange(at_ns, at_ns + 10 * SECOND_NS)),
        granules(store, "request", TimeRange(at_ns, at_ns + 10 * SECOND_NS)),
    ):
        assert 0 < read <= there // 3
