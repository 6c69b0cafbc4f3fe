"""What is sent of a file or a stream while something before it is on its way is not kept where that fails."""

import asyncio
import errno
import os
import queue
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.errors import RangeConflict, Unavailable
from logriver.file_position import FileIdentity, FileRange
from logriver.queue.wal import Wal
from logriver.record import Batch, Decoded, Position, Receipt, Stream, StreamRange
from tests.queue.test_stream_positions import batch, ends_of, of_file, of_stream
from tests.queue.test_wal import copied, opened, poll, rows_of

WAIT_SECONDS = 20
STEP = 10


class Disk:
    """Each write of a group waits for a verdict, and fails where that is bad."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._verdicts = queue.SimpleQueue[bool]()
        self._begun = queue.SimpleQueue[None]()
        self._is_open = False
        self._writev = os.writev
        patch.setattr(os, "writev", self.writev)

    def writev(self, file: int, buffers: list[bytes]) -> int:
        self._begun.put(None)
        if not self._is_open and not self._verdicts.get(timeout=WAIT_SECONDS):
            raise OSError(errno.EIO, "Input/output error")
        return self._writev(file, buffers)

    async def begun(self) -> None:
        """Wait until a write has begun."""
        await asyncio.to_thread(self._begun.get, timeout=WAIT_SECONDS)

    def decide(self, is_good: bool) -> None:
        self._verdicts.put(is_good)

    def open(self) -> None:
        """From now on all goes well."""
        self._is_open = True
        self._verdicts.put(True)


@pytest.mark.parametrize("at", [of_file, of_stream])
def test_what_comes_behind_a_failure_fails_too(
    tmp_path: Path, at: Callable[[int, int], Position], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)

    async def run() -> None:
        async with opened(tmp_path / "data") as wal:
            first = asyncio.ensure_future(wal.put(batch(at(0, 10), "first")))
            await disk.begun()
            second = asyncio.ensure_future(wal.put(batch(at(10, 20), "second")))
            other = asyncio.ensure_future(wal.put(Batch(Decoded(b"other\n", 1), "test")))
            third = asyncio.ensure_future(wal.put(batch(at(20, 30), "third")))
            await asyncio.sleep(0)
            disk.decide(False)
            disk.open()
            with pytest.raises(Unavailable, match="could not be written: Input/output error"):
                await first
            for behind in (second, third):
                with pytest.raises(Unavailable, match="what comes before it of the same source could not be written"):
                    await behind
            assert (await other).last_seq == 3
            assert ends_of(await wal.known("me")) == []
            for number in range(3):
                await wal.put(batch(at(10 * number, 10 * number + 10), f"again {number}"))
            copied(tmp_path / "data", tmp_path / "killed")
            await check_again(wal)
        async with opened(tmp_path / "killed") as wal:
            await check_again(wal)

    async def check_again(wal: Wal) -> None:
        assert ends_of(await wal.known("me")) == [30]
        assert [gap for held in wal.sources() for gap in held.gaps] == []
        assert list(drained(wal).values()) == ["other", "again 0", "again 1", "again 2"]

    asyncio.run(run())


def test_nothing_begins_behind_what_has_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that would go on behind one that must fail is turned away until that has failed."""
    disk = Disk(monkeypatch)
    refused: list[int] = []

    async def run() -> None:
        async with opened(tmp_path) as wal:
            told = asyncio.Event()
            failed, loop = wal.failed, asyncio.get_running_loop()

            def failed_and_told(group: object) -> None:
                failed(group)  # type: ignore[arg-type]
                asyncio.run_coroutine_threadsafe(try_to_go_on(), loop).result(WAIT_SECONDS)

            async def try_to_go_on() -> None:
                if not told.is_set():
                    told.set()
                    for start in (0, 20):
                        with pytest.raises(RangeConflict) as conflict:
                            await wal.put(batch(of_file(start, start + 10), "behind"))
                        refused.append(conflict.value.held_end)

            monkeypatch.setattr(wal, "failed", failed_and_told)
            first = asyncio.ensure_future(wal.put(batch(of_file(0, 10), "first")))
            await disk.begun()
            second = asyncio.ensure_future(wal.put(batch(of_file(10, 20), "second")))
            await asyncio.sleep(0)
            disk.decide(False)
            disk.open()
            assert all(
                isinstance(one, Unavailable) for one in await asyncio.gather(first, second, return_exceptions=True)
            )
            assert refused == [0, 0]
            await wal.put(batch(of_file(0, 10), "again"))
            assert list(drained(wal).values()) == ["again"]

    asyncio.run(run())


def drained(wal: Wal) -> dict[int, str]:
    """All rows that wait, by number."""
    found: dict[int, str] = {}
    while wal.waiting:
        claimed = poll(wal)
        found |= rows_of(claimed)
        wal.ack(claimed)
    return found


class Sender:
    """Sends its records in order, more of them before the first are answered for, and goes back to where it has to."""

    def __init__(self, number: int) -> None:
        self.name = f"source {number}"
        self._is_stream = bool(number % 2)
        self._next = 0
        self.under_way: set[asyncio.Task[None]] = set()

    def send(self, wal: Wal) -> None:
        task = asyncio.create_task(self._send(wal, self._next))
        self._next += STEP
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _send(self, wal: Wal, start: int) -> None:
        row = f"{self.name} {start}\n".encode()
        made = Batch(Decoded(row, 1), "test")
        if self._is_stream:
            made.stream = StreamRange(Stream("me", self.name, "epoch"), start, start + STEP)
        else:
            made.range = FileRange(FileIdentity("me", 1, 2, 3, self.name), self.name, start, start + STEP, 0, b"")
        try:
            assert isinstance(await wal.put(made), Receipt)
        except Unavailable:
            self._next = min(self._next, start)
        except RangeConflict as conflict:
            self._next = conflict.held_end

    def check(self, rows: list[str], end: int) -> None:
        """What is there is each record up to where the ledger ends, once and in order."""
        mine = [row for row in rows if row.startswith(f"{self.name} ")]
        assert mine == [f"{self.name} {start}" for start in range(0, end, STEP)]


steps = st.lists(
    st.sampled_from(["send 0", "send 1", "send 2", "turn", "turn", "good", "bad", "bad", "kill"]), max_size=40
)


@given(steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_fails_what_is_kept_of_a_source_is_contiguous(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("contiguous")
    try:
        with pytest.MonkeyPatch.context() as patch:
            asyncio.run(live(directory, steps, Disk(patch)))
    finally:
        shutil.rmtree(directory)


async def live(directory: Path, steps: list[str], disk: Disk) -> None:
    sources = [Sender(number) for number in range(3)]
    copies: list[Path] = []
    async with opened(directory / "data") as wal:
        for step in steps:
            match step.split():
                case ["send", number]:
                    sources[int(number)].send(wal)
                case ["turn"]:
                    for _ in range(3):
                        await asyncio.sleep(0)
                    with suppress(queue.Empty):
                        disk._begun.get(timeout=0.002)
                case ["kill"]:
                    copies.append(copied(directory / "data", directory / f"killed {len(copies)}"))
                case [verdict]:
                    disk.decide(verdict == "good")
        disk.open()
        for source in sources:
            while source.under_way:
                await asyncio.wait_for(asyncio.gather(*source.under_way), WAIT_SECONDS)
            source.send(wal)
            await asyncio.wait_for(asyncio.gather(*source.under_way), WAIT_SECONDS)
        await check(wal, sources)
    for copy in copies:
        async with opened(copy) as wal:
            await check(wal, sources)


async def check(wal: Wal, sources: list[Sender]) -> None:
    known = await wal.known("me")
    ends = {held.path: held.end for held in known.files} | {held.stream.name: held.end for held in known.streams}
    assert not [gap for held in known.files for gap in held.gaps]
    rows = list(drained(wal).values())
    for source in sources:
        source.check(rows, ends.get(source.name, 0))
