"""Generations of files, one by one, followed into a sink with the queue's own ledger: copies, reused inodes, gaps."""

import asyncio
import os
from pathlib import Path

import pytest

from logriver import metrics
from logriver.follow import reader
from logriver.queue.ledger import FORGET_AFTER_NS
from tests.test_follow import OFFSET, Ledger, append, following, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_copy_is_held_back_while_the_known_file_lives_and_takes_over_when_that_is_truncated(
    tmp_path: Path,
) -> None:
    path, copy, sink = tmp_path / "app.log", tmp_path / "app.log.1", Ledger()
    append(path, b"one\n")
    async with following(sink, tmp_path / "app.log*") as follower:
        await until(lambda: sink.messages() == ["one"])
        copy.write_bytes(path.read_bytes())
        await until(lambda: any("held back" in status.error for status in follower.sources()))
        append(path, b"two\n")
        await until(lambda: sink.messages() == ["one", "two"])
        append(copy, b"two\nonly in the copy\n")
        os.truncate(path, 0)
        append(path, b"new\n")
        await until(lambda: len(sink.messages()) == 4)
        await asyncio.sleep(1.2)
    assert sorted(sink.messages()) == ["new", "one", "only in the copy", "two"]
    for _ in range(2):
        async with following(sink, tmp_path / "app.log*"):
            await asyncio.sleep(0.3)
    assert len(sink.messages()) == 4


async def test_files_with_equal_first_lines_are_each_read_as_soon_as_they_differ(tmp_path: Path) -> None:
    sink = Ledger()
    append(tmp_path / "a.log", b"header\n")
    async with following(sink, tmp_path / "*.log"):
        await until(lambda: len(sink.messages()) == 1)
        append(tmp_path / "b.log", b"header\n")
        await asyncio.sleep(1.2)
        assert sink.messages() == ["header"]
        append(tmp_path / "a.log", b"of a\n")
        await until(lambda: len(sink.messages()) == 2)
        append(tmp_path / "b.log", b"of b\n")
        await until(lambda: len(sink.messages()) == 4)
    assert sorted(sink.messages()) == ["header", "header", "of a", "of b"]
    assert len(sink.ledger) == 2


async def test_lives_of_one_inode_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    expected = []
    async with following(sink, path):
        for life in range(4):
            os.truncate(path, 0) if path.exists() else path.touch()
            append(path, b"header\n")
            append(path, b"%d lines follow\n" % life)
            expected += ["header", f"{life} lines follow"]
            for number in range(3 - life):
                append(path, b"number %d of life %d\n" % (number, life))
                expected.append(f"number {number} of life {life}")
            await until(lambda: sink.messages() == expected)  # noqa: B023
    assert [held.generation.life for held in sink.ledger.values()] == [0, 1, 2, 3]
    assert {held.gaps for held in sink.ledger.values()} == {()}


async def test_an_inode_that_is_used_again_while_away_is_a_new_generation_without_a_gap_of_known_size(
    tmp_path: Path,
) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"first\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["first"])
    path.unlink()
    append(path, b"other\nand longer\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 3)
    assert sink.messages() == ["first", "other", "and longer"]


async def test_a_file_that_was_renamed_out_of_the_pattern_while_away_is_read_to_its_end(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    path.rename(tmp_path / "rotated-2024")
    append(path, b"three\n")
    append(tmp_path / "stranger.log", b"not followed\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 3)
        await asyncio.sleep(0.3)
    assert sorted(sink.messages()) == ["one", "three", "two"]
    assert {batch.source for batch in sink.taken} == {str(path)}


@pytest.mark.parametrize("ending", ["rotated", "gone", "quiet"])
async def test_an_unterminated_last_line_is_taken(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "QUIET_SECONDS", 1.5 if ending == "quiet" else 3600)
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"whole\nhalf")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["whole"])
        if ending == "rotated":
            path.rename(tmp_path / "app.log.1")
            path.touch()
        elif ending == "gone":
            path.unlink()
        await until(lambda: sink.messages() == ["whole", "half"])
        assert sink.ranges()[-1].end == len(b"whole\nhalf")
        if ending == "quiet":
            append(path, b" and more\n")
            await until(lambda: sink.messages() == ["whole", "half", " and more"])
            assert [int(row[OFFSET]) for row in sink.rows()] == [0, 6, 10]


async def test_bytes_that_were_seen_and_destroyed_are_a_gap_of_their_size(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    before = metrics.REGISTRY.get_sample_value("logriver_followed_lost_bytes_total") or 0
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one"])
        append(path, b"half a line that is seen")
        await until(lambda: follower.sources()[0].lag_bytes == 24)
        os.truncate(path, 0)
        append(path, b"new\n")
        await until(lambda: sink.messages() == ["one", "new"])
        (gap,) = follower.sources()[0].gaps
        assert (gap.offset, gap.bytes) == (4, 24)
        assert [life.state for life in follower.sources()[0].generations] == ["truncated", "followed"]
    assert metrics.REGISTRY.get_sample_value("logriver_followed_lost_bytes_total") == before + 24


def open_under(directory: Path) -> list[Path]:
    """The files in there that this process has open."""
    targets = [fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.exists()]
    return [target for target in targets if target.is_relative_to(directory)]


async def test_hundreds_of_files_with_few_of_them_open(tmp_path: Path) -> None:
    sink, count = Ledger(), 600
    for number in range(count):
        append(tmp_path / f"{number}.log", b"file %d\n" % number)
    async with following(sink, tmp_path, max_open=20):
        await until(lambda: len(sink.messages()) == count, 30)
        assert len(open_under(tmp_path)) <= 20 + 8
        for number in range(0, count, 30):
            append(tmp_path / f"{number}.log", b"again %d\n" % number)
        await until(lambda: len(sink.messages()) == count + 20, 30)
    assert len(set(sink.messages())) == count + 20


async def test_stars_recurse_and_symbolic_links_and_links_are_followed_once(tmp_path: Path) -> None:
    sink, logs = Ledger(), tmp_path / "logs"
    for name in ("a.log", "in/b.log", "in/deep/c.log", ".hidden/d.log", "in/e.gz"):
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        append(logs / name, f"{name}\n".encode())
    (logs / "link").symlink_to(logs / "a.log")
    async with following(sink, logs / "**"):
        await until(lambda: len(sink.messages()) == 3)
        append(logs / "in/deep/new.log", b"new\n")
        await until(lambda: len(sink.messages()) == 4)
    assert sorted(sink.messages()) == ["a.log", "in/b.log", "in/deep/c.log", "new"]


async def test_a_generation_is_forgotten_30_days_after_its_file_is_gone(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    path.unlink()
    async with following(sink, path):
        await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
    ((key, held),) = sink.ledger.items()
    assert sink.kept.forget(held.gone_ns + FORGET_AFTER_NS) == []
    assert sink.kept.forget(held.gone_ns + FORGET_AFTER_NS + 1) == [key]
    assert sink.ledger == {}
