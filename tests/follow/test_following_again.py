"""Following that ended by an error and goes on; files beside those that are followed: whose they are."""

import asyncio
import contextlib
import gzip
import os
import time
from pathlib import Path

import pytest

from logriver import metrics
from logriver.decode.reference import ReferenceDecoder
from logriver.errors import Overloaded
from logriver.file_position import Committed
from logriver.follow import follower, rotation
from logriver.follow.file_calls import FileCalls
from logriver.follow.follower import Follower
from logriver.follow.growing_file import GrowingFile
from logriver.follow.incarnations import Incarnations
from logriver.follow.paths import FoundFile, PathPattern, siblings
from logriver.follow.rotation import Rotations
from logriver.record import Batch, Receipt
from logriver.settings import FollowSettings
from logriver.threads import SupervisedTask
from tests.follow.test_follow import Ledger, append, following, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def file_key(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def broken(_: object) -> list[FoundFile]:
    raise RuntimeError("nobody foresaw this")


async def no_files() -> list[FoundFile]:
    return []


def failures() -> float:
    return float(metrics.loop_failures.labels(loop="follower")._value.get())


async def test_after_an_internal_error_all_files_are_followed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"old\n")
    settings = FollowSettings(follow=[f"text={tmp_path}/*.log"], name="test", from_end=True)
    follower = Follower(sink, settings, ReferenceDecoder, zone="UTC")
    supervised = SupervisedTask("follower", "files are not followed", last_backoff_seconds=0.2)
    supervised.start(follower.run)
    await until(lambda: sink.committed_bytes() == 4)
    with monkeypatch.context() as while_broken:
        while_broken.setattr(PathPattern, "files", broken)
        before = failures()
        # It is tried again and again, and fails each time.
        await until(lambda: failures() >= before + 3)
        assert supervised.problems == ["files are not followed, trying again: nobody foresaw this"]
    append(path, b"more\n")
    append(tmp_path / "later.log", b"all of it\n")
    await until(lambda: sorted(sink.messages()) == ["all of it", "more"])
    append(path, b"and more\n")
    await until(lambda: len(sink.messages()) == 3)
    assert [*supervised.problems, *follower.problems] == []
    assert {status.error for status in follower.sources()} == {""}
    assert await supervised.stop(5)


class SlowToMove(Ledger):
    """Takes its time, unless told to `go`, to note that a copy has now what a file had; `moving` is set meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.moving, self.go = asyncio.Event(), asyncio.Event()

    async def put(self, batch: Batch) -> Receipt:
        if batch.range and batch.range.file_key:
            self.moving.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.go.wait(), 1.5)
        return await super().put(batch)


@pytest.fixture
async def moving(monkeypatch: pytest.MonkeyPatch) -> SlowToMove:
    """A slow ledger that is done in the worst moment: while a copy is being looked for once more."""
    sink, loop = SlowToMove(), asyncio.get_running_loop()

    def looked_for_once_more(beside: Path) -> list[FoundFile]:
        if sink.moving.is_set():
            loop.call_soon_threadsafe(sink.go.set)
            time.sleep(0.3)
        return siblings(beside)

    monkeypatch.setattr(rotation, "siblings", looked_for_once_more)
    return sink


@pytest.mark.parametrize("more", [b"", b"three\n"], ids=["all held", "more in the copy"])
async def test_what_a_copy_takes_over_is_no_gap_of_the_truncated_file(
    tmp_path: Path, moving: SlowToMove, more: bytes
) -> None:
    path = tmp_path / "app.log"
    append(path, b"one\ntwo\n")
    async with following(moving, path):
        await until(lambda: moving.committed_bytes() == 8)
        (tmp_path / "app.log.1").write_bytes(path.read_bytes() + more)
        os.truncate(path, 0)
        await moving.moving.wait()
        append(path, b"another life\n")
        await until(lambda: len(moving.messages()) == 3 + bool(more))
        await asyncio.sleep(1.2)
    assert sorted(moving.messages()) == sorted(["one", "two", "another life", *more.decode().split()])
    assert [gap for held in moving.ledger.values() for gap in held.gaps] == []


async def test_what_a_copy_takes_over_is_no_gap_where_the_inode_is_used_again(
    tmp_path: Path, moving: SlowToMove
) -> None:
    path, unseen = tmp_path / "app.log", tmp_path / "elsewhere" / "app.log"
    unseen.parent.mkdir()
    moving.go.set()
    append(path, b"one\ntwo\n")
    async with following(moving, path):
        await until(lambda: moving.committed_bytes() == 8)
    moving.go.clear()
    (tmp_path / "app.log.1").write_bytes(path.read_bytes())
    path.rename(unseen)
    async with following(moving, path) as follower:
        await moving.moving.wait()
        unseen.write_bytes(b"another life\n")
        unseen.rename(path)
        await until(lambda: len(moving.messages()) == 3)
        assert file_key(path) in follower.file_keys()
        await asyncio.sleep(1.2)
    assert moving.messages() == ["one", "two", "another life"]
    assert [(held.over, held.gaps) for held in moving.ledger.values()] == [(False, ())] * 2


@pytest.mark.parametrize("name", ["secrets.txt", "other.log.1", "app.log.bak", "app.log.1.gz"])
async def test_a_file_of_others_that_got_the_inode_of_one_that_is_gone_is_not_read(tmp_path: Path, name: str) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    # The inode stays, as if it had been used again.
    stranger = path.rename(tmp_path / name)
    content = b"for nobody's eyes\n"
    stranger.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    append(path, b"two\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one", "two"])
        await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
        await asyncio.sleep(1.2)
        assert {status.gaps for status in follower.sources()} == {()}
        assert file_key(stranger) not in follower.file_keys()
    assert sink.messages() == ["one", "two"]


async def test_what_rotated_before_its_turn_came_is_read(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    sink.failing = lambda: Overloaded("away")
    settings = FollowSettings(follow=[f"text={path}"], name="test")
    follower = Follower(sink, settings, ReferenceDecoder, zone="UTC", at_once=1)
    task = asyncio.create_task(follower.run())
    for number in range(4):
        append(path, b"line %d\n" % number)
        await until(lambda: file_key(path) in follower.file_keys())
        for old in range(number, 0, -1):
            (tmp_path / f"app.log.{old}").rename(tmp_path / f"app.log.{old + 1}")
        path.rename(tmp_path / "app.log.1")
    sink.failing = lambda: None
    await until(lambda: sorted(sink.messages()) == [f"line {number}" for number in range(4)], 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {held.path for held in sink.ledger.values()} == {str(path)}


async def test_two_of_one_name_that_saw_different_first_bytes_hold_each_line_once(tmp_path: Path) -> None:
    path, early = tmp_path / "app.log", Ledger()
    late = Ledger(kept=early.kept)
    early.failing = lambda: Overloaded("away")
    append(path, b"one\n")
    async with following(early, path) as follower:
        await until(lambda: "away" in {status.error for status in follower.sources()})
        append(path, b"two\n")
        async with following(late, path):
            await until(lambda: late.messages() == ["one", "two"])
        early.failing = lambda: None
        append(path, b"three\n")
        await until(lambda: early.messages() == ["three"])
    assert (late.messages(), early.committed_bytes()) == (["one", "two"], path.stat().st_size)


async def test_what_rotated_between_known_files_is_read_and_what_was_before_them_is_not(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    for number, text in ((3, b"one\n"), (1, b"three\n")):
        append(path, text)
        async with following(sink, path):
            await until(lambda text=text: sink.messages()[-1:] == [text.decode().strip()])  # type: ignore[misc]
        path.rename(tmp_path / f"app.log.{number}")
    # Begun and rotated while the other was read, and then the follower was killed before its turn came.
    append(tmp_path / "app.log.2", b"two\n")
    append(tmp_path / "app.log.4", b"before\n")
    for number in range(1, 5):
        os.utime(tmp_path / f"app.log.{number}", (1_000_000 - number, 1_000_000 - number))
    append(path, b"four\n")
    async with following(sink, path):
        await until(lambda: sorted(sink.messages()) == ["four", "one", "three", "two"])
        await asyncio.sleep(1.2)
    assert len(sink.messages()) == 4


@pytest.mark.parametrize("cause", ["another file took its path", "it cannot be read"])
async def test_what_cannot_be_judged_just_now_is_not_taken_for_other_content(
    tmp_path: Path, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    rotated = path.rename(tmp_path / "app.log.1")
    (seen,) = siblings(path)

    def unreadable(_: GrowingFile, __: Committed) -> bool:
        raise OSError("input/output error")

    if cause == "it cannot be read":
        monkeypatch.setattr(GrowingFile, "still_is", unreadable)
    else:
        rotated.rename(tmp_path / "app.log.2")
        append(rotated, b"other content\n")
    incarnations = Incarnations("test", sink)
    await incarnations.load()
    started: list[tuple[FoundFile, str]] = []
    settling = Rotations(incarnations, FileCalls(), no_files, lambda file, identity: started.append((file, identity)))
    (held,) = incarnations.all()
    await settling.missing(held, {seen.file_key: seen})
    assert started == [(seen, held.identity.id)]
    assert list(sink.ledger.values()) == [held]


@pytest.mark.parametrize("more", [b"", b"two\n"])
async def test_archives_of_what_is_held_are_not_searched_as_files_of_others(tmp_path: Path, more: bytes) -> None:
    path, archive, sink = tmp_path / "app.log", tmp_path / "app.log.1.gz", Ledger()
    stranger = tmp_path / "stranger.gz"
    stranger.write_bytes(gzip.compress(b"of others\n"))
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, more)
    archive.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    for _ in range(2):
        async with following(sink, path) as follower:
            await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
            await until(lambda: file_key(archive) in follower.file_keys())  # noqa: B023
            # Long enough to let go of the archive, and to look once more.
            await asyncio.sleep(2.5)
            await until(lambda: file_key(archive) in follower.file_keys())  # noqa: B023
            assert file_key(stranger) not in follower.file_keys()
            archive = archive.rename(tmp_path / "app.log.2.gz")
    assert len(sink.messages()) == len(more.splitlines()) + 1


async def test_an_archive_with_the_inode_of_a_known_file_is_what_could_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_KEPT_AFTER_GONE_SECONDS", 1.0)
    path, oldest, waiting, sink = tmp_path / "app.log", tmp_path / "oldest", tmp_path / "app.log.1", Ledger()
    append(path, b"known\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["known"])
    path.rename(tmp_path / "app.log.3")
    append(path, b"has the turn\n")
    sink.failing = lambda: Overloaded("full")
    async with following(sink, path, at_once=1):
        await asyncio.sleep(1.3)
        path.rename(tmp_path / "app.log.2")
        append(path, b"compressed\n")
        await asyncio.sleep(1.3)
        path.rename(waiting)
        append(path, b"last\n")
        await asyncio.sleep(1.3)
        # The oldest is deleted, and what is compressed next gets its inode.
        times = waiting.stat()
        (tmp_path / "app.log.3").rename(oldest)
        oldest.write_bytes(gzip.compress(waiting.read_bytes()))
        os.utime(oldest, ns=(times.st_atime_ns, times.st_mtime_ns))
        oldest.rename(f"{waiting}.gz")
        waiting.unlink()
        await asyncio.sleep(2.5)
        sink.failing = lambda: None
        await until(lambda: len(sink.messages()) == 4, 20)
        await asyncio.sleep(1.5)
    assert sorted(sink.messages()) == ["compressed", "has the turn", "known", "last"]
    assert [gap for held in sink.ledger.values() for gap in held.gaps] == []
