"""The writer between a real queue and a real store: each record arrives once, however often storing fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from logriver import metrics
from logriver.columns import TABLE
from logriver.decode import row_builder as rows
from logriver.errors import QueryTooExpensive, StoreError
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.record import Batch, Decoded, Refused
from logriver.store.base import Block, Limits, Param, QueryResult
from logriver.store.embedded import Embedded
from logriver.write import writer as writer_module
from logriver.write.writer import Writer

NODE = "abc123"
LARGE = 10**9


class Flaky(Embedded):
    """The real store, which fails when it is told to: `before` an insert, `after` it, or a verifying `ask`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, NODE, 600_000_000, 16_000_000)
        self.failures: list[tuple[str, Exception]] = []
        self.inserted: list[tuple[int, int]] = []

    def insert(self, block: Block) -> None:
        self._fail("before")
        super().insert(block)
        self.inserted.append((block.first_seq, block.count))
        self._fail("after")

    def query(self, sql: str, params: Mapping[str, Param] | None = None, limits: Limits = Limits()) -> QueryResult:
        if sql.startswith("SELECT count()"):
            self._fail("ask")
        return super().query(sql, params, limits)

    def _fail(self, when: str) -> None:
        if self.failures and self.failures[0][0] == when:
            raise self.failures.pop(0)[1]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Flaky]:
    made = Flaky(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_FIRST_BACKOFF_SECONDS", 0.01)


@asynccontextmanager
async def writing(
    directory: Path,
    store: Flaky,
    *,
    stored_seq: int = 0,
    writers: int = 1,
    records: int = 1_000,
    dead_letters: int = LARGE,
) -> AsyncIterator[tuple[Wal, State, Writer]]:
    state = State(directory / "state.db", dead_letters)
    wal = Wal(directory / "log", NODE, state, stored_seq, LARGE, LARGE)
    writer = Writer(wal, store, NODE, 16_000_000, block_records=records, block_bytes=LARGE, block_seconds=0.02)
    wal.start(asyncio.get_running_loop())
    writer.start(writers)
    try:
        yield wal, state, writer
    finally:
        await asyncio.to_thread(wal.stop_receiving)
        await asyncio.to_thread(writer.join, 20)
        wal.close()
        state.close()


def batch(*messages: str, dead: list[Refused] | None = None) -> Batch:
    return Batch(Decoded(rows.encode([rows.row(0, "", text) for text in messages]), len(messages)), dead=dead or [])


def poison() -> Batch:
    """Rows of which one has no time: no decoder lets it through, the engine cannot read it."""
    good = rows.encode([rows.row(0, "", "good")])
    return Batch(Decoded(good + good.replace(b"0", b"no time", 1) + good, 3))


def held(store: Flaky) -> list[tuple[int, str]]:
    answer = store.query_text(f"SELECT _seq, message FROM {TABLE} ORDER BY _seq, message").decode()
    pairs = (line.split("\t") for line in answer.splitlines())
    return [(int(seq), message) for seq, message in pairs]


def numbered(first: int, last: int) -> list[tuple[int, str]]:
    return [(number, f"m{number}") for number in range(first, last + 1)]


def texts(first: int, last: int) -> list[str]:
    return [text for _, text in numbered(first, last)]


def counted(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"logriver_{name}_total") or 0.0


def test_records_are_stored_in_blocks_and_the_mark_follows(tmp_path: Path, store: Flaky) -> None:
    async def run() -> None:
        async with writing(tmp_path, store, writers=2, records=100) as (wal, _, writer):
            for first in range(1, 1_000, 50):
                await wal.put(batch(*texts(first, first + 49)))
            assert await wal.wait_searchable(1_000, 20)
            assert held(store) == numbered(1, 1_000)
            assert writer.problems == []

    before = counted("records_stored")
    asyncio.run(run())
    assert counted("records_stored") - before == 1_000
    assert len(store.inserted) < 20


@pytest.mark.parametrize("when", ["before", "after", "ask"])
@pytest.mark.parametrize(
    "error",
    [
        StoreError("no space left", engine_code=243),
        StoreError("too many parts", engine_code=252),
        QueryTooExpensive("the query met its limit of time"),
        OSError("the disk"),
    ],
    ids=["disk", "parts", "limit", "os"],
)
def test_a_store_that_fails_is_tried_again_and_stores_once(
    tmp_path: Path, store: Flaky, when: str, error: Exception
) -> None:
    async def run() -> None:
        # After an insert there is nothing left to insert, so that can fail only once.
        store.failures = [(when, error)] * (1 if when == "after" else 3)
        async with writing(tmp_path, store) as (wal, state, writer):
            await wal.put(batch(*texts(1, 10)))
            assert await wal.wait_searchable(10, 20)
            assert held(store) == numbered(1, 10)
            assert state.dead_letter_count == 0
            assert writer.problems == []

    asyncio.run(run())
    assert store.failures == []
    assert len(store.inserted) == 1, "after a doubt only what is missing is inserted"


def test_what_keeps_the_store_from_storing_is_shown(tmp_path: Path, store: Flaky) -> None:
    async def run() -> None:
        async with writing(tmp_path, store) as (wal, _, writer):
            store.failures = [("before", StoreError("no space left", engine_code=243))] * 1_000_000
            await wal.put(batch("m1"))
            assert not await wal.wait_searchable(1, 0.3)
            assert writer.problems == ["blocks cannot be stored, trying again: no space left"]
            store.failures = []
            assert await wal.wait_searchable(1, 20)
            assert writer.problems == []

    asyncio.run(run())


def test_a_restart_in_doubt_inserts_only_the_missing(tmp_path: Path, store: Flaky) -> None:
    store.insert(Block(full_rows(1, 3), 1, 3, 20_000_000))
    store.insert(Block(full_rows(6, 7), 6, 2, 20_000_000))
    store.inserted.clear()

    async def fill() -> None:
        state = State(tmp_path / "state.db", LARGE)
        wal = Wal(tmp_path / "log", NODE, state, 0, LARGE, LARGE)
        wal.start(asyncio.get_running_loop())
        await wal.put(batch(*texts(1, 10)))
        await asyncio.to_thread(wal.stop_receiving)
        wal.close()
        state.close()

    async def run() -> None:
        async with writing(tmp_path, store, stored_seq=7) as (wal, _, _):
            assert await wal.wait_searchable(10, 20)

    asyncio.run(fill())
    asyncio.run(run())
    assert store.inserted == [(4, 2), (8, 3)]
    assert held(store) == numbered(1, 10)


def full_rows(first: int, last: int) -> bytes:
    return rows.encode([f"{rows.row(0, '', text)}\t\t0" for text in texts(first, last)])


def test_a_poison_row_becomes_a_dead_letter_and_the_others_are_stored(tmp_path: Path, store: Flaky) -> None:
    async def run() -> None:
        async with writing(tmp_path, store) as (wal, state, _):
            await asyncio.gather(wal.put(batch("m1")), wal.put(poison()), wal.put(poison()), wal.put(batch("m8")))
            assert await wal.wait_searchable(8, 20)
            assert state.dead_lettered(1, 8) == {3, 6}
            assert state.dead_letter_count == 2

    asyncio.run(run())
    assert held(store) == [(1, "m1"), (2, "good"), (4, "good"), (5, "good"), (7, "good"), (8, "m8")]


def test_dead_letters_over_their_limit_are_not_stored_after_all(tmp_path: Path, store: Flaky) -> None:
    """The older dead letter goes from the disk while its block is still being stored."""

    async def run() -> None:
        async with writing(tmp_path, store, dead_letters=1) as (wal, state, _):
            await asyncio.gather(wal.put(poison()), wal.put(poison()))
            assert await wal.wait_searchable(6, 20)
            assert state.dead_letter_count == 1

    asyncio.run(run())
    assert [seq for seq, _ in held(store)] == [1, 3, 4, 6]


def test_refused_lines_of_a_file_are_buried_before_the_mark_passes(tmp_path: Path, store: Flaky) -> None:
    async def run() -> None:
        async with writing(tmp_path, store) as (wal, state, _):
            await wal.put(batch("m1", dead=[Refused(2, "bad", b"raw")]))
            await wal.put(batch(dead=[Refused(1, "bad", b"raw")]))
            await wal.put(batch("m4"))
            assert await wal.wait_searchable(4, 20)
            assert state.dead_lettered(1, 9) == {2, 3}

    asyncio.run(run())
    assert held(store) == [(1, "m1"), (4, "m4")]


def test_a_block_that_did_not_arrive_whole_is_completed(tmp_path: Path, store: Flaky) -> None:
    """The engine may answer OK and store less; counting by number finds it."""
    whole = store.insert

    def lossy(block: Block) -> None:
        store.insert = whole  # type: ignore[method-assign]
        whole(Block(full_rows(1, 2), 1, 2, block.partition))

    store.insert = lossy  # type: ignore[method-assign]

    async def run() -> None:
        async with writing(tmp_path, store) as (wal, _, _):
            await wal.put(batch(*texts(1, 5)))
            assert await wal.wait_searchable(5, 20)

    asyncio.run(run())
    assert store.inserted == [(1, 2), (3, 3)]
    assert held(store) == numbered(1, 5)


def test_a_writer_that_gives_up_leaves_the_rest_to_the_next_start(tmp_path: Path, store: Flaky) -> None:
    async def give_up() -> None:
        async with writing(tmp_path, store) as (wal, _, writer):
            store.failures = [("before", StoreError("read-only", engine_code=164))] * 1_000_000
            await wal.put(batch(*texts(1, 5)))
            await asyncio.to_thread(wal.stop_receiving)
            assert not await asyncio.to_thread(writer.join, 0.2)

    async def go_on() -> None:
        async with writing(tmp_path, store) as (wal, _, _):
            assert await wal.wait_searchable(5, 20)

    asyncio.run(give_up())
    assert held(store) == []
    store.failures = []
    asyncio.run(go_on())
    assert held(store) == numbered(1, 5)
