"""The queue on its write-ahead log: what is answered for is there, once, whatever happens in between."""

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import clock, metrics
from logriver.errors import KeyReused, Overloaded, RangeConflict, Unavailable
from logriver.file_position import FileIdentity, FileRange
from logriver.queue import state as state_module
from logriver.queue import wal as wal_module
from logriver.queue.base import ClaimedBatch
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.record import Batch, BatchKey, Decoded, Receipt, Refused

LARGE = 10**9
GENERATION = FileIdentity("me", 1, 2, 3, "head")


def queue_at(directory: Path, stored_seq: int, segment_bytes: int, max_backlog_bytes: int) -> tuple[State, Wal]:
    directory.mkdir(exist_ok=True)
    state = State(directory / "state.db", LARGE)
    return state, Wal(directory / "log", "node", state, stored_seq, segment_bytes, max_backlog_bytes)


@asynccontextmanager
async def opened(
    directory: Path, *, stored_seq: int = 0, segment_bytes: int = LARGE, max_backlog_bytes: int = LARGE
) -> AsyncIterator[Wal]:
    state, wal = queue_at(directory, stored_seq, segment_bytes, max_backlog_bytes)
    wal.start(asyncio.get_running_loop())
    try:
        yield wal
    finally:
        await asyncio.to_thread(wal.stop_receiving)
        wal.close()
        state.close()


def batch(*rows: str, key: str = "", content: str = "", range: FileRange | None = None) -> Batch:
    lines = [f"{row}\n".encode() for row in rows]
    scope = BatchKey(key.encode().ljust(16), content.encode().ljust(16)) if key else None
    return Batch(Decoded(b"".join(lines), len(lines)), source="test", key=scope, range=range)


def file_range(start: int, end: int) -> FileRange:
    return FileRange(GENERATION, "/var/log/x", start, end, 0, b"")


def poll(wal: Wal, max_records: int = LARGE) -> ClaimedBatch:
    run = wal.poll(max_records, LARGE, 0.0)
    assert run is not None
    return run


def rows_of(run: ClaimedBatch) -> dict[int, str]:
    """Number to row, without what is joined from the header."""
    return {
        piece.first_seq + place: line.split("\t")[0]
        for piece in run.row_ranges
        for place, line in enumerate(piece.rows.decode().splitlines())
    }


def count(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"logriver_{name}_total") or 0.0


def copied(directory: Path, to: Path) -> Path:
    """The files as a process that is killed now would leave them."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to


@pytest.fixture
def _no_snapshots_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal_module, "_TICK_SECONDS", 1_000.0)


# -- group commit ------------------------------------------------------------------------------------------------------


async def put_many(directory: Path) -> tuple[list[Receipt], float]:
    async with opened(directory) as wal:
        before = count("queue_syncs")
        receipts = await asyncio.gather(*(wal.put(batch(f"row {number}")) for number in range(300)))
        return receipts, count("queue_syncs") - before


def test_concurrent_batches_share_a_sync(tmp_path: Path) -> None:
    receipts, syncs = asyncio.run(put_many(tmp_path))
    assert syncs <= 10
    assert sorted(receipt.last_seq for receipt in receipts) == list(range(1, 301))


def test_an_answer_comes_after_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    sync = os.fdatasync

    def fdatasync(file: int) -> None:
        sync(file)
        synced.append(os.fstat(file).st_size)

    async def run() -> None:
        async with opened(tmp_path) as wal:
            monkeypatch.setattr(os, "fdatasync", fdatasync)
            for number in range(10):
                await wal.put(batch(f"row {number}" * 10))
                [path] = (tmp_path / "log").glob("*.log")
                assert synced[-1] == path.stat().st_size

    asyncio.run(run())


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_that_comes_again_gets_the_first_answer(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            assert await wal.put(batch("a", "b", key="k", content="c")) == Receipt(2, 0, 2)
            assert await wal.put(batch("a", "b", key="k", content="c")) == Receipt(2, 0, 2, duplicate=True)
            with pytest.raises(KeyReused):
                await wal.put(batch("x", key="k", content="other"))
            assert (await wal.put(batch("c"))).last_seq == 3, "neither took a number"
        async with opened(tmp_path, stored_seq=0) as wal:
            assert (await wal.put(batch("a", "b", key="k", content="c"))).duplicate, "also after a restart"

    asyncio.run(run())


def test_an_equal_key_waits_for_the_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            puts = [wal.put(batch("a", key="k", content="c")) for _ in range(20)]
            receipts = await asyncio.gather(*puts)
            assert sorted(receipt.duplicate for receipt in receipts) == [False] + [True] * 19
            assert len(rows_of(poll(wal))) == 1

    asyncio.run(run())


def test_a_sender_that_goes_away_leaves_its_key_taken(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            first = asyncio.ensure_future(wal.put(batch("a", key="k", content="c")))
            await asyncio.sleep(0)
            first.cancel()
            again = await wal.put(batch("a", key="k", content="c"))
            assert again.accepted == 1
            await wal.put(batch("end"))
            assert sorted(rows_of(poll(wal)).values()) == ["a", "end"]

    asyncio.run(run())


def test_a_failed_attempt_is_not_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, max_backlog_bytes=400) as wal:
            await wal.put(batch("x" * 500))
            with pytest.raises(Overloaded):
                await wal.put(batch("a", key="k", content="c"))
            wal.ack(poll(wal))
            assert not (await wal.put(batch("a", key="k", content="c"))).duplicate

    asyncio.run(run())


def test_a_key_lives_for_24_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = clock.now_ns()

    async def run() -> list[bool]:
        found = []
        for hours in (0.0, 23.9, 24.1):
            now_ns = start + int(hours * 3600 * clock.SECOND_NS)
            monkeypatch.setattr(clock, "now_ns", lambda now_ns=now_ns: now_ns)
            async with opened(tmp_path) as wal:
                found.append((await wal.put(batch("a", key="k", content="c"))).duplicate)
        return found

    assert asyncio.run(run()) == [False, True, False]


# -- ranges ------------------------------------------------------------------------------------------------------------


def test_a_range_is_taken_only_where_the_ledger_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            await asyncio.gather(
                wal.put(batch("a", range=file_range(0, 10))), wal.put(batch("b", range=file_range(10, 25)))
            )
            for start, end in ((0, 10), (10, 25), (26, 30), (24, 30)):
                with pytest.raises(RangeConflict) as conflict:
                    await wal.put(batch("x", range=file_range(start, end)))
                assert conflict.value.held_end == 25
            await wal.put(batch(range=file_range(25, 30)))
            assert rows_of(poll(wal)) == {1: "a", 2: "b"}
        async with opened(tmp_path) as wal:
            [held] = (await wal.known("me")).files
            assert (held.identity, held.end) == (GENERATION, 30)
            assert (await wal.known("you")).files == []

    asyncio.run(run())


def test_two_followers_with_one_name_store_a_range_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            puts = (wal.put(batch("a", range=file_range(0, 10))) for _ in range(5))
            answers = await asyncio.gather(*puts, return_exceptions=True)
            assert sorted(type(answer).__name__ for answer in answers) == ["RangeConflict"] * 4 + ["Receipt"]

    asyncio.run(run())


def test_refused_lines_of_a_file_take_numbers_behind_the_good_ones(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            mixed = batch("a", "b", range=file_range(0, 10))
            mixed.dead = [Refused(2, "bad", b"raw")]
            assert (await wal.put(mixed)).last_seq == 3
            found = poll(wal)
            assert rows_of(found) == {1: "a", 2: "b"}
            assert [(m.seq, m.reason, m.raw, m.source) for m in found.dead_letters] == [(3, "bad", b"raw", "test")]

    asyncio.run(run())


# -- failures of the disk ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fdatasync", "writev"])
@pytest.mark.usefixtures("_no_snapshots_by_time")
def test_what_could_not_be_synced_is_a_hole_and_never_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real: Callable[..., int] = getattr(os, call)
    failures = 1

    def fail_once(*arguments: object) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(*arguments)

    async def run() -> None:
        nonlocal failures
        async with opened(tmp_path / "one") as wal:
            await wal.put(batch("before", range=file_range(0, 10)))
            failures = 1
            monkeypatch.setattr(os, call, fail_once)
            lost = batch("lost", "lost too", key="k", content="c", range=file_range(10, 20))
            with pytest.raises(Unavailable, match="no space left"):
                await wal.put(lost)
            again = await wal.put(batch("again", key="k", content="c", range=file_range(10, 20)))
            assert again == Receipt(1, 0, 4), "neither key nor range was remembered, the numbers are gone"
            killed = copied(tmp_path / "one", tmp_path / "killed")
            assert rows_of(poll(wal)) == {1: "before"}
        async with opened(killed) as wal:
            found = {**rows_of(poll(wal)), **rows_of(poll(wal))}
            assert found == {1: "before", 4: "again"}

    asyncio.run(run())


# -- watermark, backlog, segments
# -----------------------------------------------------------------------------------------


def test_the_mark_waits_for_the_oldest(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, segment_bytes=1) as wal:
            for number in range(3):
                await wal.put(batch(f"row {number}"))
            first, second, third = poll(wal, 1), poll(wal, 1), poll(wal, 1)
            waiter = asyncio.create_task(wal.wait_searchable(2, 20))
            wal.ack(third)
            wal.ack(second)
            await asyncio.sleep(0.05)
            assert (wal.watermark, wal.waiting, waiter.done()) == (0, 3, False)
            assert not await wal.wait_searchable(3, 0.05)
            wal.ack(first)
            assert await waiter
            assert (wal.watermark, wal.waiting) == (3, 0)
            assert await wal.wait_searchable(3, 0)

    asyncio.run(run())


def test_the_backlog_is_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, max_backlog_bytes=10_000) as wal:
            answers = await asyncio.gather(*(wal.put(batch("x" * 1_000)) for _ in range(50)), return_exceptions=True)
            taken = [answer for answer in answers if isinstance(answer, Receipt)]
            assert 5 <= len(taken) <= 11
            assert {type(answer) for answer in answers} == {Receipt, Overloaded}
            wal.ack(poll(wal))
            await wal.put(batch("space again"))

    asyncio.run(run())


def test_segments_go_when_a_snapshot_covers_them_and_numbers_go_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, segment_bytes=1) as wal:
            for number in range(5):
                await wal.put(batch(f"row {number}", key=f"k{number}", content="c"))
            wal.ack(poll(wal, 1))
            wal.ack(poll(wal, 1))
        assert len(list((tmp_path / "log").glob("*.log"))) == 3
        async with opened(tmp_path, stored_seq=2) as wal:
            assert wal.watermark == 2
            found: dict[int, str] = {}
            while len(found) < 3:
                run = poll(wal)
                assert run.in_doubt
                found |= rows_of(run)
                wal.ack(run)
            assert found == {3: "row 2", 4: "row 3", 5: "row 4"}
        assert list((tmp_path / "log").glob("*.log")) == []
        async with opened(tmp_path, stored_seq=5) as wal:
            assert (wal.watermark, wal.waiting) == (5, 0)
            assert (await wal.put(batch("row 1", key="k1", content="c"))).duplicate
            assert (await wal.put(batch("next"))).last_seq == 6
            assert not poll(wal).in_doubt

    asyncio.run(run())


def test_a_closed_queue_gives_what_is_left_and_then_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            await wal.put(batch("a"))
            await asyncio.to_thread(wal.stop_receiving)
            with pytest.raises(Unavailable):
                await wal.put(batch("late"))
            assert rows_of(poll(wal)) == {1: "a"}
            assert wal.poll(1, 1, 60.0) is None

    asyncio.run(run())


def test_numbers_that_the_store_has_are_never_given_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, stored_seq=1_000) as wal:
            assert wal.watermark == 1_000
            assert (await wal.put(batch("a"))).last_seq == 1_001

    asyncio.run(run())
    state = State(tmp_path / "state.db", LARGE)
    assert [(skipped_range.first_seq, skipped_range.last_seq) for skipped_range in state.skipped_ranges()] == [
        (1, 1_000)
    ]
    state.close()


# -- recovery at every point, against a model --------------------------------------------------------------------------

operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 4)),
        st.tuples(st.just("again"), st.integers(0, 5)),
        st.tuples(st.just("store"), st.integers(1, 5)),
        st.tuples(st.just("half"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["snapshot", "kill", "torn", "restart"]), st.just(0)),
    ),
    min_size=3,
    max_size=25,
)


class Model:
    """What was answered for, by the key of its batch, and a store that keeps each number once."""

    def __init__(self) -> None:
        self.answered: dict[str, list[str]] = {}
        self.stored: dict[int, str] = {}
        self.last_seq = 0

    def store(self, rows: dict[int, str]) -> None:
        for seq, row in rows.items():
            assert self.stored.setdefault(seq, row) == row, "a number has two meanings"

    def check(self) -> None:
        expected = sorted(row for rows in self.answered.values() for row in rows)
        assert sorted(self.stored.values()) == expected, "not each once"


class Scenario:
    """Runs operations on a queue that is killed and started again, and on the model."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.model = Model()
        self.life = 0

    async def run(self, steps: list[tuple[str, int]]) -> None:
        steps = list(steps)
        while steps:
            stored_seq = max(self.model.stored, default=0)
            async with opened(self.here, stored_seq=stored_seq, segment_bytes=300) as wal:
                while steps and await self.step(wal, *steps.pop(0)):
                    pass
        stored_seq = max(self.model.stored, default=0)
        async with opened(self.here, stored_seq=stored_seq) as wal:
            while wal.waiting:
                self.finish(wal, LARGE)
        self.model.check()

    @property
    def here(self) -> Path:
        return self.directory / str(self.life)

    async def step(self, wal: Wal, what: str, number: int) -> bool:
        """False if this life of the queue is over."""
        if what == "put":
            await self.put(wal, f"k{len(self.model.answered)}", number)
        elif what == "again" and f"k{number}" in self.model.answered:
            receipt = await wal.put(self.batch(f"k{number}", len(self.model.answered[f"k{number}"])))
            assert receipt.duplicate
        elif what == "store" and wal.waiting:
            self.finish(wal, number)
        elif what == "half" and wal.waiting:
            rows = rows_of(poll(wal, number))
            self.model.store(dict(list(rows.items())[: max(1, len(rows) // 2)]))
            return self.kill()
        elif what == "snapshot":
            wal._snapshot()
        elif what in ("kill", "torn"):
            return self.kill(torn=what == "torn")
        return what != "restart"

    async def put(self, wal: Wal, key: str, size: int) -> None:
        receipt = await wal.put(self.batch(key, size))
        assert receipt.accepted == size
        assert not receipt.duplicate
        assert receipt.last_seq - size + 1 > self.model.last_seq, "a number was given twice"
        self.model.last_seq = receipt.last_seq
        self.model.answered[key] = [f"{key}-{place}" for place in range(size)]

    def batch(self, key: str, size: int) -> Batch:
        return batch(*(f"{key}-{place}" for place in range(size)), key=key, content="same")

    def finish(self, wal: Wal, max_records: int) -> None:
        run = poll(wal, max_records)
        self.model.store(rows_of(run))
        wal.ack(run)

    def kill(self, *, torn: bool = False) -> bool:
        before = self.here
        self.life += 1
        copied(before, self.here)
        newest = max((self.here / "log").glob("*.log"), default=None)
        if torn and newest is not None:
            with newest.open("ab") as file:
                file.write(b"LR\xc3\xa5 the beginning of a record")
        return False


@pytest.mark.usefixtures("_no_snapshots_by_time")
@given(operations)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_was_answered_for_is_stored_once_wherever_it_is_killed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("wal")
    asyncio.run(Scenario(directory).run(steps))
    shutil.rmtree(directory)


def test_keys_are_forgotten_by_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MAX_KEYS", 3)

    async def run() -> list[bool]:
        async with opened(tmp_path) as wal:
            for number in range(6):
                await wal.put(batch("a", key=f"k{number}", content="c"))
            wal.ack(poll(wal))
        before = count("keys_expired_by_count")
        assert before >= 3
        async with opened(tmp_path, stored_seq=6) as wal:
            return [(await wal.put(batch("a", key=f"k{n}", content="c"))).duplicate for n in (5, 4, 3, 0)]

    assert asyncio.run(run()) == [True, True, True, False]
