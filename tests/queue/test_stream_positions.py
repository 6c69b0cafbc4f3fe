"""Positions in streams: compared and appended like ranges of files, with offsets that jump, through restarts."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from logriver.errors import RangeConflict, Unavailable
from logriver.file_position import FileIdentity, FileRange
from logriver.queue.ledger import Ledger
from logriver.queue.streams import FORGET_AFTER_NS, Streams
from logriver.record import Batch, CommittedStream, Decoded, Known, Position, Stream, StreamRange
from tests.queue.test_wal import copied, opened, poll, rows_of

STREAM = Stream("me", "topic/0", "epoch")
GENERATION = FileIdentity("me", 1, 2, 3, "head")


def of_stream(start: int, end: int) -> Position:
    return StreamRange(STREAM, start, end)


def of_file(start: int, end: int) -> Position:
    return FileRange(GENERATION, "/var/log/x", start, end, 0, b"")


@pytest.fixture(params=[of_file, of_stream])
def at(request: pytest.FixtureRequest) -> Callable[[int, int], Position]:
    """Makes the position of a batch, of each kind that there is: the ledger's contract is the same for both."""
    make: Callable[[int, int], Position] = request.param
    return make


def batch(position: Position, *rows: str) -> Batch:
    decoded = Decoded("".join(f"{row}\n" for row in rows).encode(), len(rows))
    if isinstance(position, StreamRange):
        return Batch(decoded, "test", stream=position)
    return Batch(decoded, "test", range=position)


def conflict(ledger: Ledger, position: Position) -> int:
    with pytest.raises(RangeConflict) as found:
        ledger.begin(position)
    return found.value.held_end


def ends(ledger: Ledger) -> list[int]:
    return ends_of(ledger.known("me"))


def ends_of(known: Known) -> list[int]:
    return [entry.end for entry in known.files] + [entry.end for entry in known.streams]


def test_a_range_is_taken_only_where_what_is_there_ends(at: Callable[[int, int], Position]) -> None:
    ledger = Ledger([])
    assert conflict(ledger, at(5, 10)) == 0
    ledger.begin(at(0, 1_000))
    assert conflict(ledger, at(0, 1_000)) == 0
    ledger.begin(at(1_000, 1_001))
    ledger.apply(at(0, 1_000), 1)
    assert conflict(ledger, at(1_002, 1_003)) == 1_000
    ledger.apply(at(1_000, 1_001), 2)
    assert conflict(ledger, at(0, 1_000)) == 1_001
    assert conflict(ledger, at(1_000, 1_001)) == 1_001
    assert ends(ledger) == [1_001]
    assert ledger.known("you") == Known()


def test_what_failed_may_come_again(at: Callable[[int, int], Position]) -> None:
    ledger = Ledger([])
    ledger.begin(at(0, 10))
    ledger.failed(at(0, 10))
    assert conflict(ledger, at(10, 20)) == 0
    ledger.begin(at(0, 10))
    ledger.apply(at(0, 10), 1)
    assert ends(ledger) == [10]


def test_the_log_may_be_applied_twice(at: Callable[[int, int], Position]) -> None:
    ledger = Ledger([])
    for _ in range(2):
        for start in (0, 10, 20):
            ledger.apply(at(start, start + 10), 1)
    assert ends(ledger) == [30]


def test_positions_survive_a_kill_and_a_restart(tmp_path: Path, at: Callable[[int, int], Position]) -> None:
    async def run() -> None:
        async with opened(tmp_path / "running") as wal:
            await asyncio.gather(wal.put(batch(at(0, 700), "a", "b")), wal.put(batch(at(700, 900), "c")))
            with pytest.raises(RangeConflict):
                await wal.put(batch(at(0, 700), "a", "b"))
            copied(tmp_path / "running", tmp_path / "killed")
            assert rows_of(poll(wal)) == {1: "a", 2: "b", 3: "c"}
        for directory in ("running", "killed"):
            async with opened(tmp_path / directory) as wal:
                with pytest.raises(RangeConflict) as found:
                    await wal.put(batch(at(700, 900), "c"))
                assert found.value.held_end == 900
                assert ends_of(await wal.known("me")) == [900]
                await wal.put(batch(at(900, 5_000), "d"))

    asyncio.run(run())


def test_a_failed_write_leaves_the_position(
    tmp_path: Path, at: Callable[[int, int], Position], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with opened(tmp_path) as wal:
            await wal.put(batch(at(0, 10), "a"))
            writev, failures = os.writev, [1]

            def fail_once(*arguments: object) -> int:
                if failures:
                    failures.pop()
                    raise OSError(errno.ENOSPC, "no space left on device")
                return writev(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(os, "writev", fail_once)
            with pytest.raises(Unavailable):
                await wal.put(batch(at(10, 20), "b"))
            await wal.put(batch(at(10, 20), "b"))
            assert sorted(rows_of(poll(wal)).values()) == ["a"]

    asyncio.run(run())


def test_epochs_are_streams_of_their_own_and_old_ones_are_forgotten() -> None:
    old, new = Stream("me", "s", "old"), Stream("me", "s", "new")
    streams = Streams([CommittedStream(old, 100, 1_000)])
    streams.begin(StreamRange(new, 0, 5))
    streams.apply(StreamRange(new, 0, 5), 2_000)
    assert streams.known("me") == [CommittedStream(old, 100, 1_000), CommittedStream(new, 5, 2_000)]
    assert streams.forget(1_000 + FORGET_AFTER_NS) == []
    assert streams.forget(1_000 + FORGET_AFTER_NS + 1) == [old]
    # The newest is kept however old it is.
    assert streams.forget(10 * FORGET_AFTER_NS) == []
    assert streams.known("me") == [CommittedStream(new, 5, 2_000)]
    assert streams.changed() == [CommittedStream(new, 5, 2_000)]


def test_what_could_not_be_saved_comes_with_the_next_snapshot() -> None:
    ledger = Ledger([])
    ledger.apply(of_stream(0, 5), 1)
    ledger.apply(of_file(0, 5), 1)
    first = ledger.changes(2)
    assert (len(first.streams), len(first.files)) == (1, 1)
    ledger.not_saved(first)
    assert ledger.changes(2) == first
    again = ledger.changes(2)
    assert (again.files, again.streams, again.forgotten, again.forgotten_streams) == ([], [], [], [])
