"""A gap is recorded exactly when bytes were seen and destroyed before they were read, however files are rotated."""

import asyncio
import gzip
import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from logriver.errors import Unavailable
from logriver.follow import follower as follower_module
from logriver.follow.follower import Follower
from logriver.follow.growing_file import GrowingFile
from tests.crash.test_crash import NewServer
from tests.follow.test_follow import Ledger, append, following, until
from tests.follow.test_rotation import gaps, sources, wait_until_held

pytestmark = pytest.mark.anyio
KEPT = 3
SEEDS = range(4)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def shift(path: Path, end: str = "") -> None:
    """`app.log.1` becomes `app.log.2`, and so on; the oldest is deleted."""
    Path(f"{path}.{KEPT}{end}").unlink(missing_ok=True)
    for number in range(KEPT - 1, 0, -1):
        with suppress(FileNotFoundError):
            Path(f"{path}.{number}{end}").rename(f"{path}.{number + 1}{end}")


def create(path: Path, _: int) -> None:
    shift(path)
    path.rename(f"{path}.1")
    path.touch()


def create_later(path: Path, _: int) -> None:
    """The program makes its new file only with its first line."""
    shift(path)
    path.rename(f"{path}.1")


def copy_and_truncate(path: Path, _: int) -> None:
    shift(path)
    shutil.copyfile(path, f"{path}.1")
    os.truncate(path, 0)


def dated(path: Path, day: int) -> None:
    for old in sorted(path.parent.glob(f"{path.name}-*"))[: -KEPT + 1]:
        old.unlink()
    path.rename(f"{path}-{20260101 + day}")
    path.touch()


def compress(path: Path) -> None:
    """As gzip does: with the time of the last write."""
    status, packed = path.stat(), Path(f"{path}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


def compressed(path: Path, _: int) -> None:
    shift(path, ".gz")
    path.rename(f"{path}.1")
    path.touch()
    compress(Path(f"{path}.1"))


def compressed_a_turn_later(path: Path, _: int) -> None:
    shift(path, ".gz")
    with suppress(FileNotFoundError):
        compress(Path(f"{path}.1"))
        Path(f"{path}.1.gz").rename(f"{path}.2.gz")
    path.rename(f"{path}.1")
    path.touch()


WAYS = [create, create_later, copy_and_truncate, dated, compressed, compressed_a_turn_later]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_read_is_no_gap_whatever_became_of_it_while_nobody_followed(
    tmp_path: Path, way: Callable[[Path, int], None], seed: int
) -> None:
    """Each turn: lines that are read, then, with the follower away, rotations, and lines that are still there."""
    path, sink, choice = tmp_path / "app.log", Ledger(), random.Random(seed)
    written: list[str] = []

    def write() -> None:
        lines = [
            f"line {len(written) + number} {'x' * choice.randrange(40)}" for number in range(choice.randrange(1, 4))
        ]
        written.extend(lines)
        append(path, "".join(f"{line}\n" for line in lines).encode())
        # Which of two files was written to first is known by their times, which have steps of some milliseconds.
        time.sleep(0.01)

    day = 0
    for _ in range(4):
        write()
        async with following(sink, path) as follower:
            await until(lambda: len(sink.messages()) == len(written))
            assert all_gaps(follower) == []
            if choice.random() < 0.3:
                way(path, day := day + 1)
        if choice.random() < 0.4:
            write()
        for _ in range(choice.randrange(KEPT)):
            if path.exists():
                way(path, day := day + 1)
            if choice.random() < 0.5:
                write()
    write()
    async with following(sink, path) as follower:
        await until(lambda: len(sink.messages()) >= len(written))
        await asyncio.sleep(0.3)
        assert all_gaps(follower) == []
    assert sorted(sink.messages()) == sorted(written)


async def test_a_copy_with_the_inode_of_a_file_that_was_read_and_deleted_is_found(tmp_path: Path) -> None:
    path, other, sink = tmp_path / "app.log", tmp_path / "other.log", Ledger()
    append(path, b"one\n")
    append(other, b"other\n")
    async with following(sink, path, other):
        await until(lambda: sorted(sink.messages()) == ["one", "other"])
    append(path, b"two\n")
    other.rename(tmp_path / "app.log.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, b"new\n")
    async with following(sink, path, other) as follower:
        await until(lambda: sorted(sink.messages()) == ["new", "one", "other", "two"])
        assert all_gaps(follower) == []


def all_gaps(follower: Follower) -> list[tuple[int, int]]:
    return [(gap.offset, gap.bytes) for source in follower.sources() for gap in source.gaps]


async def test_what_was_seen_and_truncated_before_it_was_read_is_a_gap_of_its_size(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one"])
        sink.failing = lambda: Unavailable("away")
        append(path, b"on its way\n")
        await until(lambda: follower.sources()[0].error == "away")
        append(path, b"not read\n")
        await until(lambda: follower.sources()[0].lag_bytes == 20)
        os.truncate(path, 0)
        append(path, b"new\n")
        sink.failing = lambda: None
        await until(lambda: sink.messages() == ["one", "on its way", "new"])
        assert all_gaps(follower) == [(15, 9)]


async def test_what_was_seen_and_deleted_before_it_was_read_is_a_gap_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "_KEPT_AFTER_GONE_SECONDS", 0.5)
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one"])
        with monkeypatch.context() as broken:
            broken.setattr(GrowingFile, "_read", unreadable)
            append(path, b"not read\n")
            await until(lambda: follower.sources()[0].error == "input/output error")
            path.unlink()
            await until(lambda: all_gaps(follower) == [(4, 9)])
        append(path, b"new\n")
        await until(lambda: sink.messages() == ["one", "new"])
        assert all_gaps(follower) == [(4, 9)]


def unreadable(_: GrowingFile, __: int, ___: int) -> bytes:
    raise OSError("input/output error")


async def test_what_was_read_and_deleted_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "_KEPT_AFTER_GONE_SECONDS", 0.1)
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one"])
        path.unlink()
        await until(lambda: any(held.gone_ns for held in sink.ledger.values()))
        assert all_gaps(follower) == []


@pytest.mark.parametrize(
    ("way", "turns"),
    [(create, 1), *(pytest.param(way, 12, marks=pytest.mark.soak, id=way.__name__) for way in WAYS)],
)
async def test_a_server_that_was_killed_or_stopped_raises_no_alarm(
    new_server: NewServer, tmp_path: Path, way: Callable[[Path, int], None], turns: int
) -> None:
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    append(path, b"life 0\n")
    server = new_server("--follow", str(path))
    count = 1
    for turn in range(turns):
        wait_until_held(server, path)
        server.stop() if turn % 2 else server.kill()
        # The oldest kept copy is deleted, and its inode may be a new file's.
        for _ in range(KEPT + 1):
            way(path, turn)
            append(path, f"life {count}\n".encode())
            count += 1
        server.start()
    wait_until_held(server, path)
    assert gaps(server) == [], sources(server)
