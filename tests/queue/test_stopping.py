"""Every stop of the queue has a bound, every batch an answer, and a snapshot that fails forgets nothing."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from logriver import clock, threads
from logriver.errors import Unavailable
from logriver.queue import backlog as backlog_module
from logriver.queue.state import State
from logriver.queue.wal import Wal
from logriver.record import Receipt
from logriver.write.writer import Writer
from tests.queue.test_faults import MemoryStore
from tests.queue.test_wal import LARGE, batch, opened, poll, queue_at


def test_a_disk_that_hangs_keeps_neither_the_stop_nor_a_sender_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, in_sync, sync = threading.Event(), threading.Event(), os.fdatasync

    def hang(file: int) -> None:
        in_sync.set()
        release.wait(60)
        sync(file)

    async def run() -> None:
        state, wal = queue_at(tmp_path, 0, LARGE, LARGE)
        wal.start(asyncio.get_running_loop())
        monkeypatch.setattr(os, "fdatasync", hang)
        first = wal.put(batch("in the sync"))
        assert await asyncio.to_thread(in_sync.wait, 10)
        second = wal.put(batch("behind it"))
        await asyncio.sleep(0)
        started = clock.monotonic()
        assert not await asyncio.to_thread(wal.stop_receiving, 0.1)
        for answer in (first, second):
            with pytest.raises(Unavailable, match="stopped before this was known to be on disk"):
                await asyncio.wait_for(answer, 10)
        with pytest.raises(Unavailable, match="the server is stopping"):
            await wal.put(batch("late"))
        assert not await asyncio.to_thread(wal.close, 0.1)
        assert clock.monotonic() - started < 5
        release.set()
        assert wal._commit._loop.join(10)
        state.close()

    asyncio.run(run())


def test_a_batch_that_comes_while_the_queue_stops_is_answered(tmp_path: Path) -> None:
    """Whatever the moment: durable, or refused."""

    async def put_all(wal: Wal) -> list[Receipt | BaseException]:
        puts = []
        while not wal._closing:
            puts += [asyncio.ensure_future(wal.put(batch("row"))) for _ in range(3)]
            await asyncio.sleep(0)
        puts += [asyncio.ensure_future(wal.put(batch("late")))]
        return await asyncio.wait_for(asyncio.gather(*puts, return_exceptions=True), 20)

    async def run(directory: Path) -> None:
        state, wal = queue_at(directory, 0, LARGE, LARGE)
        wal.start(asyncio.get_running_loop())
        putting = asyncio.create_task(put_all(wal))
        await asyncio.sleep(0.002)
        assert await asyncio.to_thread(wal.stop_receiving)
        answers = await putting
        assert {type(answer) for answer in answers} == {Receipt, Unavailable}
        durable = [answer.last_seq for answer in answers if isinstance(answer, Receipt)]
        assert max(durable) == wal.watermark + wal.waiting
        assert wal.close()
        state.close()

    for number in range(20):
        asyncio.run(run(tmp_path / str(number)))


def test_a_segment_that_cannot_be_read_does_not_hold_the_drain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        async with opened(tmp_path) as wal:
            await wal.put(batch("a"))

    def unreadable(*_: object) -> bytes:
        raise OSError(5, "Input/output error", "/var/lib/logriver/log/1.log")

    async def drain() -> None:
        state = State(tmp_path / "state.db", LARGE)
        wal = Wal(tmp_path / "log", "node", state, 0, LARGE, LARGE)
        store = MemoryStore()
        writer = Writer(wal, store, "node", LARGE, block_records=1, block_bytes=LARGE, block_seconds=0.01)
        with monkeypatch.context() as patch:
            for way in ("read_range", "read_around"):
                patch.setattr(backlog_module, way, unreadable)
            wal.start(asyncio.get_running_loop())
            writer.start(2)
            assert not await wal.wait_searchable(1, 0.2)
            assert wal.problems == ["log segment 000000000001.log cannot be read: Input/output error"]
            assert "/var" not in str(writer.problems)
            await asyncio.to_thread(wal.stop_receiving)
            started = clock.monotonic()
            assert not await asyncio.to_thread(writer.join, 0.3)
            assert clock.monotonic() - started < 10
            assert writer.has_ended
        assert wal.close()
        state.close()

    asyncio.run(fill())
    asyncio.run(drain())


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), MemoryError()], ids=repr)
def test_a_snapshot_that_fails_is_shown_and_forgets_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("logriver.queue.wal._TICK_SECONDS", 0.01)
    monkeypatch.setattr("logriver.queue.wal._SNAPSHOT_SECONDS", 0.01)
    monkeypatch.setattr(threads, "FIRST_BACKOFF_SECONDS", 0.01)
    save, failures = State.save, 0

    def fail(self: State, *arguments: object) -> None:
        nonlocal failures
        if failing.is_set():
            failures += 1
            raise error
        save(self, *arguments)  # type: ignore[arg-type]

    failing = threading.Event()
    monkeypatch.setattr(State, "save", fail)
    shown = f"the queue cannot make its snapshot, trying again: {str(error) or type(error).__name__}"

    def shown_again(wal: Wal, failures_before: int) -> bool:
        return failures > failures_before and wal.problems == [shown]

    async def run() -> None:
        async with opened(tmp_path) as wal:
            wal._keeping._backoff = (0.01, 0.01)
            failing.set()
            for number in range(3):
                await wal.put(batch("a", key=f"k{number}", content="c"))
                await until(partial(shown_again, wal, failures))
                assert (await wal.put(batch("a", key=f"k{number}", content="c"))).duplicate, "forgotten at once"
            failing.clear()
            await until(lambda: wal.problems == [])
            wal.ack(poll(wal))
        async with opened(tmp_path, stored_seq=3) as wal:
            for number in range(3):
                assert (await wal.put(batch("a", key=f"k{number}", content="c"))).duplicate, "forgotten"

    asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    deadline = clock.monotonic() + 20
    while not condition():
        assert clock.monotonic() < deadline
        await asyncio.sleep(0.005)
