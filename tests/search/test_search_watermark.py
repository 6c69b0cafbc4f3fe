"""Pages show what was visible when the first of them was asked for, whatever the store holds above that."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from logriver.decode import row_builder as rows
from logriver.search.cursor import Order
from logriver.search.scheduler import Bounds, QueryScheduler
from logriver.search.search import Search, SearchRequest
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from logriver.watermark import Watermark

COUNT = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Records whose times and numbers go in other directions, so that those above a mark lie between the others."""
    made = Embedded(tmp_path_factory.mktemp("mark"), "n", 600_000_000, 16_000_000)
    lines = [
        f"{rows.row(number * 7 % COUNT * 10**9, 'info', 'x', attributes=json.dumps({'n': number % 5}))}\ttest\t0"
        for number in range(1, COUNT + 1)
    ]
    made.insert(Block(rows.encode(lines), 1, COUNT, 1))
    yield made
    made.close()


def shown(store: Embedded, text: str, order: Order, marks: list[int], limit: int) -> list[int]:
    """The numbers of the records on all pages; the mark moves on with each of them."""

    async def pages() -> list[int]:
        scheduler = QueryScheduler(store, Bounds(2, 1, 30, 200_000_000))
        left = iter(marks)
        search = Search(scheduler, lambda: Watermark({"n": next(left, marks[-1])}), frozenset)
        cursor, found = "", list[int]()
        while True:
            page = await search.page(SearchRequest(text=text, limit=limit, order=order, cursor=cursor))
            found += [int(json.loads(document)["_id"].rpartition("-")[2]) for document in page.documents]
            if page.cursor is None:
                return found
            cursor = page.cursor

    return asyncio.run(pages())


@pytest.mark.parametrize("mark", [0, 1, 30, COUNT - 1, COUNT])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("text", ["", "x", "x | sort n desc", "n:<4 | sort n | limit 25"])
def test_no_page_has_what_is_above_the_mark(store: Embedded, mark: int, order: Order, text: str) -> None:
    falls = order == "desc"
    expected = sorted(range(1, mark + 1), key=lambda number: number * 7 % COUNT, reverse=falls)
    if "n:<4" in text:
        expected = sorted((number for number in expected if number % 5 < 4), key=lambda number: number % 5)[:25]
    elif "sort" in text:
        expected = sorted(expected, key=lambda number: -(number % 5))
    assert shown(store, text, order, [mark, COUNT], limit=7) == expected
