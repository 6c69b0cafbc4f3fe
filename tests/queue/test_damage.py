"""Damage to the log is counted, logged, kept and shown until somebody acknowledges it, wherever it is."""

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import pytest

from logriver.errors import DataDirectoryError
from logriver.queue import backlog as backlog_module
from logriver.queue.damage import MAX_OPEN, MAX_SET_ASIDE, Damage, Damages
from logriver.queue.segment_header import FILE_HEADER_BYTES, SegmentHeader
from logriver.queue.state import State
from logriver.queue.wal import Wal
from tests.queue.test_log_damage import Place, flip, places
from tests.queue.test_wal import LARGE, batch, copied, count, file_range, opened, queue_at, rows_of

BATCHES = 26
ROWS = 3
_SEGMENT_BYTES = 300


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """What a process leaves that is killed with all in the log, before its first snapshot and after one."""
    directory = tmp_path_factory.mktemp("killed")
    left: dict[bool, Path] = {}

    async def run() -> None:
        async with opened(directory / "running", segment_bytes=_SEGMENT_BYTES) as wal:
            for number in range(BATCHES):
                await wal.put(batch(*(f"row {ROWS * number + place + 1}" for place in range(ROWS))))
            left[False] = copied(directory / "running", directory / "before")
            assert wal._snapshot()
            left[True] = copied(directory / "running", directory / "after")

    asyncio.run(run())
    return left


@contextmanager
def started(directory: Path, stored_seq: int = 0) -> Iterator[tuple[State, Wal]]:
    """The queue as a start has it; it ends as a process does that is killed."""
    state, wal = queue_at(directory, stored_seq, LARGE, LARGE)
    yield state, wal
    state.close()


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "log").glob("*.log"))


def numbers(*gone: Place) -> set[int]:
    return {number for place in gone for number in place.numbers}


@dataclass(frozen=True)
class Lost:
    """What a damage costs: these numbers, said exactly or as a least, and found at start or by the writer."""

    numbers: set[int]
    exact: bool = True
    at_least: int | None = None


def flip_in_a_sealed_segment(directory: Path) -> Lost:
    _, second, third, *_ = places(segments(directory)[1])
    flip(second.segment, second.end - 3)
    flip(third.segment, third.start + 18)
    return Lost(numbers(second, third))


def flip_in_the_newest_segment(directory: Path) -> Lost:
    first, *_ = places(segments(directory)[-1])
    flip(first.segment, first.end - 3)
    return Lost(numbers(first))


def flip_in_the_header_of_the_first_segment(directory: Path) -> Lost:
    flip(segments(directory)[0], 30)
    return Lost(set())


def flip_in_the_formats_of_a_header(directory: Path) -> Lost:
    flip(segments(directory)[1], FILE_HEADER_BYTES - 9)
    return Lost(set())


def flip_in_an_index(directory: Path) -> Lost:
    segment = segments(directory)[1]
    flip(segment, places(segment)[-1].end + 40)
    return Lost(set())


def flip_in_a_trailer(directory: Path) -> Lost:
    segment = segments(directory)[1]
    flip(segment, segment.stat().st_size - 1)
    return Lost(set())


def cut_a_sealed_segment(directory: Path) -> Lost:
    _, second, *rest = places(segments(directory)[1])
    os.truncate(second.segment, second.start + 5)
    return Lost(numbers(second, *rest))


def cut_a_sealed_segment_at_the_end_of_a_record(directory: Path) -> Lost:
    _, second, *rest = places(segments(directory)[1])
    os.truncate(second.segment, second.start)
    return Lost(numbers(second, *rest))


def remove_the_first_segment(directory: Path) -> Lost:
    return remove(segments(directory)[0])


def remove_a_segment_in_the_middle(directory: Path) -> Lost:
    return remove(segments(directory)[2])


def remove_two_segments(directory: Path) -> Lost:
    second, third = segments(directory)[1:3]
    return Lost(remove(second).numbers | remove(third).numbers)


def remove(segment: Path) -> Lost:
    lost = numbers(*places(segment))
    segment.unlink()
    return Lost(lost)


def remove_the_newest_segment(directory: Path) -> Lost:
    return Lost(remove(segments(directory)[-1]).numbers, exact=False)


def remove_the_newest_two_segments(directory: Path) -> Lost:
    before, newest = segments(directory)[-2:]
    sure = remove(before).numbers
    return Lost(sure | remove(newest).numbers, exact=False, at_least=len(sure))


def remove_all_segments(directory: Path) -> Lost:
    *others, newest = segments(directory)
    sure = {number for segment in others for number in remove(segment).numbers}
    return Lost(sure | remove(newest).numbers, exact=False, at_least=len(sure))


def flip_in_the_last_record(directory: Path) -> Lost:
    last = places(segments(directory)[-1])[-1]
    flip(last.segment, last.end - 3)
    return Lost(numbers(last), exact=False)


def put_a_directory_in_the_place_of_a_segment(directory: Path) -> Lost:
    segment = segments(directory)[1]
    lost = remove(segment)
    segment.mkdir()
    (segment / "something").write_text("of somebody's")
    return lost


def put_a_pipe_in_the_place_of_a_segment(directory: Path) -> Lost:
    segment = segments(directory)[1]
    lost = remove(segment)
    os.mkfifo(segment)
    return lost


def empty_a_segment(directory: Path) -> Lost:
    segment = segments(directory)[1]
    lost = numbers(*places(segment))
    os.truncate(segment, 0)
    return Lost(lost)


def empty_the_newest_segment(directory: Path) -> Lost:
    segment = segments(directory)[-1]
    lost = numbers(*places(segment))
    os.truncate(segment, 0)
    return Lost(lost, exact=False)


def zero_a_segment(directory: Path) -> Lost:
    segment = segments(directory)[1]
    lost = numbers(*places(segment))
    segment.write_bytes(bytes(segment.stat().st_size))
    return Lost(lost)


DAMAGES = [
    flip_in_a_sealed_segment,
    flip_in_the_newest_segment,
    flip_in_the_header_of_the_first_segment,
    flip_in_the_formats_of_a_header,
    flip_in_an_index,
    cut_a_sealed_segment,
    cut_a_sealed_segment_at_the_end_of_a_record,
    remove_the_first_segment,
    remove_a_segment_in_the_middle,
    remove_two_segments,
    remove_the_newest_segment,
    remove_the_newest_two_segments,
    remove_all_segments,
    flip_in_the_last_record,
    put_a_directory_in_the_place_of_a_segment,
    put_a_pipe_in_the_place_of_a_segment,
    empty_a_segment,
    empty_the_newest_segment,
    zero_a_segment,
]


def said(wal: Wal) -> list[str]:
    return [*wal.torn, *wal.damage.problems]


def rows_left(wal: Wal) -> set[int]:
    """The numbers of all rows that the writer still gets, each under its own."""
    found: dict[int, str] = {}
    wal.backlog.close()
    while True:
        try:
            run = wal.poll(LARGE, LARGE, 0.0)
        except OSError:
            continue
        if run is None:
            break
        found |= rows_of(run)
        wal.ack(run)
    assert all(row == f"row {number}" for number, row in found.items())
    return set(found)


@pytest.mark.parametrize("saved", [False, True], ids=["before_a_snapshot", "after_a_snapshot"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_counted_kept_and_shown(
    killed: dict[bool, Path],
    tmp_path: Path,
    damage: Callable[[Path], Lost],
    saved: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = Path(shutil.copytree(killed[saved], tmp_path / "data"))
    lost = damage(directory)
    # How far the newest segment went only a snapshot says.
    at_least = len(lost.numbers) if lost.exact or saved else lost.at_least or 0
    before = count("queue_damaged_records")
    with caplog.at_level(logging.ERROR), started(directory) as (_, wal):
        assert rows_left(wal) == set(range(1, BATCHES * ROWS + 1)) - lost.numbers
        found = wal.damage.open()
        assert sum(one.records for one in found) == at_least
        assert all(one.exact for one in found) == lost.exact
        assert found
        assert said_numbers(found) >= (lost.numbers if lost.exact or saved else set())
        assert count("queue_damaged_records") - before == at_least
        assert [record.levelname for record in caplog.records] == ["ERROR"] * len(found)
        assert len(said(wal)) == len(found)
        assert wal.watermark >= BATCHES * ROWS, "nobody waits for what is lost"
        next_seq = wal._next_seq
    assert next_seq > BATCHES * ROWS, "no number is given out again"
    still_there_until_it_is_acknowledged(directory, found, count("queue_damaged_records"))


def said_numbers(found: list[Damage]) -> set[int]:
    return {number for one in found if one.last_seq for number in range(one.first_seq, one.last_seq + 1)}


def still_there_until_it_is_acknowledged(directory: Path, found: list[Damage], counted: float) -> None:
    with started(directory) as (_, wal):
        assert wal.damage.open() == found
        # Everything is stored, and the segments are let go.
        rows_left(wal)
        assert wal._snapshot()
        assert not segments(directory)
    with started(directory) as (_, wal):
        assert wal.damage.open() == found
        assert [wal.damage.acknowledge(one.id) for one in found] == found
        assert said(wal) == []
    with started(directory) as (_, wal):
        assert (wal.damage.open(), said(wal)) == ([], [])
        assert wal.damage.acknowledge(found[0].id) is None
    assert count("queue_damaged_records") == counted, "it was counted once"


@pytest.mark.parametrize("saved", [False, True])
def test_without_damage_nothing_is_said(killed: dict[bool, Path], tmp_path: Path, saved: bool) -> None:
    directory = copied(killed[saved], tmp_path / "data")
    for _ in range(2):
        with started(directory) as (_, wal):
            assert (said(wal), wal.damage.open()) == ([], [])
            assert wal._snapshot()
    with started(directory) as (_, wal):
        assert rows_left(wal) == set(range(1, BATCHES * ROWS + 1))
        assert wal._snapshot()
    assert segments(directory) == []
    with started(directory) as (_, wal):
        assert (said(wal), wal.damage.open()) == ([], [])


def test_a_torn_tail_is_no_damage_unless_it_was_on_disk(killed: dict[bool, Path], tmp_path: Path) -> None:
    for saved, expected in ((False, []), (True, [f"at least {ROWS} records lost"])):
        directory = copied(killed[saved], tmp_path / "data")
        last = places(segments(directory)[-1])[-1]
        os.truncate(last.segment, last.end - 3)
        with started(directory) as (_, wal):
            assert [one.loss for one in wal.damage.open()] == expected
            assert said(wal)


def test_an_end_that_is_cut_at_a_record_is_noticed_after_a_snapshot(killed: dict[bool, Path], tmp_path: Path) -> None:
    directory = copied(killed[True], tmp_path / "data")
    last = places(segments(directory)[-1])[-1]
    os.truncate(last.segment, last.start)
    with started(directory) as (_, wal):
        [found] = wal.damage.open()
        assert (found.what, found.records, found.exact) == ("its end is missing", ROWS, False)


def test_what_was_stored_or_is_a_dead_letter_is_not_lost(killed: dict[bool, Path], tmp_path: Path) -> None:
    directory = copied(killed[True], tmp_path / "data")
    lost = remove_a_segment_in_the_middle(directory).numbers
    stored = sorted(lost)[:4]
    state = State(directory / "state.db", LARGE)
    wal = Wal(
        directory / "log",
        "node",
        state,
        stored[-1],
        LARGE,
        LARGE,
        stored_in=lambda first, last: sum(first <= number <= last for number in stored),
    )
    [found] = wal.damage.open()
    assert (found.records, found.exact) == (len(lost) - 4, True)
    state.close()


def test_segments_that_were_removed_are_not_missed(killed: dict[bool, Path], tmp_path: Path) -> None:
    directory = copied(killed[False], tmp_path / "data")
    with started(directory) as (_, wal):
        for _ in range(3):
            run = wal.poll(1, 1, 0.0)
            assert run is not None
            wal.ack(run)
        there = segments(directory)
        assert wal._snapshot()
        removed = set(there) - set(segments(directory))
        assert removed
    with started(directory) as (_, wal):
        assert said(wal) == []
    remove_the_first_segment(directory)
    with started(directory) as (_, wal):
        [found] = wal.damage.open()
        assert found.what == "is missing"
        assert found.file not in {path.name for path in removed}


def test_damaged_files_are_set_aside_until_it_is_acknowledged(killed: dict[bool, Path], tmp_path: Path) -> None:
    directory = copied(killed[True], tmp_path / "data")
    flip_in_a_sealed_segment(directory)
    damaged = segments(directory)[1]
    content = damaged.read_bytes()
    with started(directory) as (_, wal):
        rows_left(wal)
        assert wal._snapshot()
        kept = damaged.with_suffix(".damaged")
        assert kept.read_bytes() == content
        for found in wal.damage.open():
            wal.damage.acknowledge(found.id)
        assert list((directory / "log").iterdir()) == []


def test_what_the_disk_does_not_give_is_damage(
    killed: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copied(killed[True], tmp_path / "data")
    broken = segments(directory)[1]
    whole = places(broken)
    pread = os.pread

    def fail(file: int, size: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{file}").readlink() == broken:
            raise OSError(errno.EIO, "Input/output error")
        return pread(file, size, offset)

    monkeypatch.setattr(os, "pread", fail)
    with started(directory) as (_, wal):
        [found] = wal.damage.open()
        assert (found.file, found.what) == (broken.name, "cannot be read from the disk")
        assert found.records == len(numbers(*whole))
        assert rows_left(wal) == set(range(1, BATCHES * ROWS + 1)) - numbers(*whole)


@pytest.mark.parametrize("formats", [(3, 1), (2, 2), (99, 99)])
def test_a_segment_of_a_newer_release_is_refused_and_left_alone(
    killed: dict[bool, Path], tmp_path: Path, formats: tuple[int, int]
) -> None:
    directory = copied(killed[True], tmp_path / "data")
    segment = segments(directory)[1]
    content = bytearray(segment.read_bytes())
    header = SegmentHeader("node", 2, places(segment)[0].numbers[0], 2**64 - 1).encode()
    assert content[:FILE_HEADER_BYTES] == header
    newer = header[:-12] + formats[0].to_bytes(4, "little") + formats[1].to_bytes(4, "little")
    segment.write_bytes(with_checksum(newer) + content[FILE_HEADER_BYTES:])
    before = {path: path.read_bytes() for path in (directory / "log").iterdir()}
    with pytest.raises(DataDirectoryError) as error, started(directory):
        pass
    assert f"has headers of format {formats[0]} and rows of format {formats[1]}" in str(error.value)
    assert error.value.hint == "start the newer release of logriver that wrote it; nothing was changed"
    assert {path: path.read_bytes() for path in (directory / "log").iterdir()} == before


def with_checksum(header: bytes) -> bytes:
    return header + int(google_crc32c.value(header)).to_bytes(4, "little")


def test_what_nobody_acknowledges_is_bounded(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db", LARGE)
    damages = Damages(state, tmp_path)
    damages.found([Damage("x", f"x:{number}", "is damaged", number, number, 1) for number in range(1, MAX_OPEN + 11)])
    found = damages.open()
    assert len(found) == MAX_OPEN
    assert sum(one.records for one in found) == MAX_OPEN + 10
    state.close()


def test_files_that_are_set_aside_are_bounded(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db", LARGE)
    damages = Damages(state, tmp_path)
    names = [f"{number:012}.log" for number in range(1, MAX_SET_ASIDE + 3)]
    damages.found([Damage(name, f"{name}:0", "is damaged") for name in names])
    for name in names:
        (tmp_path / name).write_text("damaged")
        damages.let_go(tmp_path / name)
    assert len(list(tmp_path.glob("*.damaged"))) == MAX_SET_ASIDE
    assert list(tmp_path.glob("*.log")) == []
    state.close()


def test_a_segment_that_goes_while_it_is_waited_for_is_damage(killed: dict[bool, Path], tmp_path: Path) -> None:
    directory = copied(killed[False], tmp_path / "data")
    with started(directory) as (_, wal):
        gone, replaced = segments(directory)[1:3]
        lost = remove(gone).numbers | remove(replaced).numbers
        replaced.mkdir()
        assert rows_left(wal) == set(range(1, BATCHES * ROWS + 1)) - lost
        assert said_numbers(wal.damage.open()) == lost
        assert wal.watermark == BATCHES * ROWS


def test_what_the_disk_does_not_give_the_writer_is_asked_for_often_and_then_damage(
    killed: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = copied(killed[False], tmp_path / "data")
    monkeypatch.setattr(backlog_module, "_MOST_READS", 3)
    with started(directory) as (_, wal):
        broken = segments(directory)[1]
        lost = numbers(*places(broken))
        pread, asked = os.pread, 0

        def fail(file: int, size: int, offset: int) -> bytes:
            nonlocal asked
            if Path(f"/proc/self/fd/{file}").readlink() == broken:
                asked += 1
                raise OSError(errno.EIO, "Input/output error")
            return pread(file, size, offset)

        monkeypatch.setattr(os, "pread", fail)
        assert rows_left(wal) == set(range(1, BATCHES * ROWS + 1)) - lost
        assert asked > 3
        assert said_numbers(wal.damage.open()) == lost


def test_a_part_of_a_file_that_is_lost_with_the_log_is_a_gap(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "running", segment_bytes=1) as wal:
            for start in (0, 10, 20):
                await wal.put(batch(f"at {start}", range=file_range(start, start + 10)))
            copied(tmp_path / "running", tmp_path / "data")

    asyncio.run(run())
    remove_a_segment_in_the_middle_of_three(tmp_path / "data")
    with started(tmp_path / "data") as (_, wal):
        [held] = wal.sources()
        assert held.ranges() == [(0, 10), (20, 30)]
        assert [(gap.bytes, gap.lost, gap.reason) for gap in held.gaps] == [(10, True, "damaged in the log")]


def remove_a_segment_in_the_middle_of_three(directory: Path) -> None:
    _, middle, _ = segments(directory)[:3]
    middle.unlink()
