"""Two nodes in one store: of each is shown what is not above its own watermark, by every way of asking."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver.columns import TABLE
from logriver.decode import row_builder as rows
from logriver.errors import NotFound
from logriver.query.sql import watermark_sql
from logriver.query.sql.binding import Condition
from logriver.search import cursor as cursors
from logriver.search.context import Context
from logriver.search.cursor import Order
from logriver.search.export import Export, ExportRequest
from logriver.search.fields import FieldList
from logriver.search.histogram import HistogramRequest, Histograms
from logriver.search.patterns import PatternList, PatternsRequest
from logriver.search.scheduler import Bounds, QueryScheduler
from logriver.search.search import Search, SearchRequest
from logriver.search.sql import Sql
from logriver.search.stats import Statistics, StatsRequest
from logriver.search.status import Status
from logriver.search.tail import Batch, Tail
from logriver.search.values import FieldValues, ValuesRequest
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from logriver.watermark import Watermark

COUNT = 30
NODES = ("a", "b")
A, B = NODES
RECORDS = [(node, seq) for node in NODES for seq in range(1, COUNT + 1)]
Record = tuple[str, int]


def time_ns(record: Record) -> int:
    """The nodes alternate, and their times go in another direction than their numbers."""
    node, seq = record
    return (seq * 7 % COUNT * 2 + NODES.index(node)) * 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    path = tmp_path_factory.mktemp("nodes")
    for node in NODES:
        insert(path, node)
    made = Embedded(path, A, 600_000_000, 16_000_000)
    yield made
    made.close()


def insert(path: Path, node: str) -> None:
    made = Embedded(path, node, 600_000_000, 16_000_000)
    lines = [
        f"{rows.row(time_ns((node, seq)), 'info', 'x', attributes=json.dumps({'n': seq}))}\ttest\t0"
        for seq in range(1, COUNT + 1)
    ]
    made.insert(Block(rows.encode(lines), 1, COUNT, 1))
    made.close()


def record_of(document: bytes) -> Record:
    node, _, seq = json.loads(document)["_id"].rpartition("-")
    return node, int(seq)


def scheduler_of(store: Embedded) -> QueryScheduler:
    return QueryScheduler(store, Bounds(2, 1, 30, 200_000_000))


def below(watermark: Watermark) -> list[Record]:
    return [(node, seq) for node, seq in RECORDS if seq <= watermark.get(node, 0)]


NUMBER = st.integers(0, COUNT + 2)
WATERMARKS = st.dictionaries(st.sampled_from([*NODES, "c", "\\'"]), NUMBER, min_size=2).map(Watermark)


@settings(max_examples=30)
@given(WATERMARKS)
def test_the_conditions_part_the_records(store: Embedded, watermark: Watermark) -> None:
    def found(write: Callable[..., str]) -> list[Record]:
        made = Condition()
        sql = f"SELECT _node, _seq FROM {TABLE} WHERE {write(watermark, made.bind)} ORDER BY _node, _seq"
        return [(str(node), int(str(seq))) for node, seq in store.query(sql, made.params).rows]

    assert found(watermark_sql.below) == sorted(below(watermark))
    assert found(watermark_sql.above) == sorted(set(RECORDS) - set(below(watermark)))


def pages(store: Embedded, text: str, order: Order, marks: list[Watermark]) -> list[Record]:
    """The records on all pages; the watermark moves on with each time that it is asked for."""

    async def ask() -> list[Record]:
        left = iter(marks)
        search = Search(scheduler_of(store), lambda: next(left, marks[-1]), frozenset)
        cursor, found = "", list[Record]()
        while True:
            page = await search.page(SearchRequest(text=text, limit=7, order=order, cursor=cursor))
            found += map(record_of, page.documents)
            if page.cursor is None:
                return found
            cursor = page.cursor

    return asyncio.run(ask())


ALL = Watermark({A: COUNT, B: COUNT})


@pytest.mark.parametrize("first", [Watermark({A: 9, B: 17}), Watermark({A: COUNT, B: 0}), Watermark({A: 0, B: 3}), ALL])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("text", ["x", "x | sort n desc"])
def test_pages_have_what_the_first_of_them_saw(store: Embedded, first: Watermark, order: Order, text: str) -> None:
    found = pages(store, text, order, [first, ALL])
    expected = sorted(below(first), key=time_ns, reverse=order == "desc")
    if "sort" in text:
        expected = sorted(expected, key=lambda record: -record[1])
    assert found == expected


def test_a_newer_page_counts_what_came_late_of_any_node(store: Embedded) -> None:
    first = Watermark({A: 10, B: 20})

    async def ask() -> tuple[list[Record], int]:
        now = [first]
        search = Search(scheduler_of(store), lambda: now[0], frozenset)
        page = await search.page(SearchRequest(text="x", limit=100))
        now[0] = ALL
        newer = await search.page(SearchRequest(text="x", limit=100, cursor=str(page.newer)))
        return list(map(record_of, newer.documents)), newer.late

    newest = max(map(time_ns, below(first)))
    added = set(RECORDS) - set(below(first))
    found, late = asyncio.run(ask())
    assert set(found) == {record for record in added if time_ns(record) > newest}
    assert late == len(added) - len(found)


def test_a_tail_shows_each_record_once_in_the_order_of_its_node(store: Embedded) -> None:
    moves = [Watermark({A: 3}), Watermark({A: 3, B: 4}), Watermark({A: 20, B: 4}), ALL]

    async def follow() -> list[Record]:
        now, ends = [moves[0]], [False]
        tail = Tail(scheduler_of(store), lambda: now[0], frozenset, lambda: ALL, 2, lambda: ends[0])
        found: list[Record] = []
        after = cursors.TailCursor(Watermark({A: 0}))
        for move in moves:
            now[0] = move
            # Each time from the cursor as it is given out and taken back.
            async with aclosing(tail.follow("x", cursors.decode_tail(cursors.encode(after)))) as batches:
                after = await taken(batches, found, len(below(move)))
        return found

    found = asyncio.run(asyncio.wait_for(follow(), 20))
    assert sorted(found) == sorted(RECORDS)
    for node in NODES:
        seqs = [seq for of, seq in found if of == node]
        assert seqs == sorted(seqs)


async def taken(batches: AsyncGenerator[Batch, None], found: list[Record], until: int) -> cursors.TailCursor:
    """Take batches until so many records are found; the cursor behind the last of them."""
    async for batch in batches:
        found += [record_of(document) for _, document in batch.documents]
        if len(found) >= until:
            return batch.documents[-1][0]
    raise AssertionError("the tail ended")


def test_a_tail_begins_now_where_the_cursor_knows_no_node(store: Embedded) -> None:
    async def first() -> Watermark:
        tail = Tail(scheduler_of(store), lambda: ALL, frozenset, lambda: ALL, 1, lambda: False)
        async with aclosing(tail.follow("x", cursors.TailCursor(Watermark({"gone": 5})))) as batches:
            return (await anext(batches)).end.watermark

    assert asyncio.run(first()) == ALL


@pytest.mark.parametrize("now", [Watermark({A: 10, B: 21}), Watermark({A: 0, B: 30}), ALL])
def test_every_count_is_of_what_is_below(store: Embedded, now: Watermark) -> None:
    async def counts() -> dict[str, int]:
        asked = scheduler_of(store), lambda: now, frozenset
        sql, _ = await Sql(*asked).answer("SELECT count() FROM logs")
        table = await Statistics(*asked).table(StatsRequest("* | stats count()"))
        files = [piece async for piece in Export(*asked).stream(ExportRequest("x"))]
        return {
            "sql": int(str(sql.rows[0][0])),
            "stats": int(str(table.rows[0][0])),
            "histogram of all": (await Histograms(*asked).histogram(HistogramRequest(""))).total,
            "histogram": (await Histograms(*asked).histogram(HistogramRequest("x", by="service"))).total,
            "values": (await FieldValues(*asked).top(ValuesRequest("message"))).records,
            "patterns": (await PatternList(*asked).patterns(PatternsRequest("x"))).records,
            "fields": (await FieldList(*asked).sample()).sampled,
            "export": b"".join(files).count(b"\n"),
            "status": await Status(*asked[:2]).stored(),
        }

    assert asyncio.run(counts()) == dict.fromkeys(
        ("sql", "stats", "histogram of all", "histogram", "values", "patterns", "fields", "export", "status"),
        len(below(now)),
    )


def test_lines_around_one_are_of_its_node_and_below(store: Embedded) -> None:
    context = Context(scheduler_of(store), lambda: Watermark({A: 5, B: 12}))
    for node, last in ((A, 5), (B, 12)):
        lines = asyncio.run(context.around(f"{node}-4", 100, 100))
        assert list(map(record_of, lines.documents)) == [(node, seq) for seq in range(1, last + 1)]
        with pytest.raises(NotFound):
            asyncio.run(context.around(f"{node}-{last + 1}", 1, 1))
    with pytest.raises(NotFound):
        asyncio.run(context.around("unknown-1", 1, 1))
