"""Incarnations of files, one by one, followed into a sink with the queue's own ledger: copies, reused inodes, gaps."""

import asyncio
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from logriver import metrics
from logriver.errors import Overloaded, Unauthenticated
from logriver.follow import follower, reader
from logriver.queue.ledger import FORGET_AFTER_NS
from tests.follow.test_follow import OFFSET, Ledger, append, following, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def compress(path: Path) -> None:
    """As `gzip` does: with the time of the last write, and the file itself is gone."""
    times, copy = path.stat(), Path(f"{path}.gz")
    copy.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.unlink()


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
    assert [held.identity.incarnation for held in sink.ledger.values()] == [0, 1, 2, 3]
    assert {held.gaps for held in sink.ledger.values()} == {()}


async def test_an_inode_that_is_used_again_while_away_is_a_new_incarnation_without_a_gap_of_known_size(
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


@pytest.mark.parametrize("compresses", [False, True])
async def test_of_several_rotations_while_away_every_file_is_read(tmp_path: Path, compresses: bool) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    suffix = ".gz" if compresses else ""

    def rotate(content: bytes) -> None:
        for number in (3, 2, 1):
            if (older := Path(f"{path}.{number}{suffix}")).exists():
                older.rename(f"{path}.{number + 1}{suffix}")
        path.rename(f"{path}.1")
        if compresses:
            compress(Path(f"{path}.1"))
        append(path, content)

    append(tmp_path / "app.log.1", b"from before it was followed\n")
    if compresses:
        compress(tmp_path / "app.log.1")
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    rotate(b"three\n")
    rotate(b"four\n")
    rotate(b"five\n")
    append(tmp_path / "app.log.report", b"not of a rotation\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 5)
        await asyncio.sleep(1.2)
    assert sorted(sink.messages()) == ["five", "four", "one", "three", "two"]
    assert {batch.source for batch in sink.taken} == {str(path)}


def compress_into(inode_of: Path, content: bytes, *, written_after: Path) -> None:
    """Another compressed file that has the inode of a deleted one."""
    times = written_after.stat()
    inode_of.write_bytes(gzip.compress(content))
    os.utime(inode_of, ns=(times.st_atime_ns, times.st_mtime_ns + 1))


async def test_a_compressed_file_with_the_inode_of_one_that_is_known_is_read(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    for number in (2, 1):
        path.rename(f"{path}.{number}")
        compress(Path(f"{path}.{number}"))
        append(path, b"two\n")
    os.truncate(path, 0)
    append(path, b"three\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 3)
        await until(lambda: all(held.gone_ns for held in sink.ledger.values() if held.path and held.end == 4), 20)
    assert sorted(sink.messages()) == ["one", "three", "two"]
    compress_into(Path(f"{path}.2.gz"), b"four\n", written_after=Path(f"{path}.1.gz"))
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 4)
        await asyncio.sleep(1.2)
    assert sorted(sink.messages()) == ["four", "one", "three", "two"]


async def test_what_rotated_before_it_could_be_opened_is_read_or_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_KEPT_AFTER_GONE_SECONDS", 1.0)
    path, sink = tmp_path / "app.log", Ledger(failing=lambda: Overloaded("full"))
    append(path, b"one\n")
    async with following(sink, path, at_once=1):
        await asyncio.sleep(1)
        for number, content in enumerate((b"compressed\n", b"deleted\n", b"renamed\n", b"five\n")):
            path.rename(tmp_path / f"app.log.{number}")
            append(path, content)
            await asyncio.sleep(1)
        compressed, deleted = tmp_path / "app.log.1", tmp_path / "app.log.2"
        times, copy = compressed.stat(), tmp_path / "app.log.1.gz"
        copy.write_bytes(gzip.compress(compressed.read_bytes()))
        os.utime(copy, ns=(times.st_atime_ns, int(times.st_mtime) * 10**9))
        compressed.unlink()
        deleted.unlink()
        await asyncio.sleep(1)
        sink.failing = lambda: None
        await until(lambda: len(sink.messages()) == 4 and any(held.gaps for held in sink.ledger.values()), 20)
    assert sorted(sink.messages()) == ["compressed", "five", "one", "renamed"]
    assert {batch.source for batch in sink.taken} == {str(path)}
    (lost,) = (held for held in sink.ledger.values() if held.gaps)
    (gap,) = lost.gaps
    assert (lost.path, lost.end, lost.over, gap.offset, gap.bytes) == (str(path), 0, True, 0, 8)
    assert (gap.exact, gap.lost, gap.reason) == (False, True, "gone before it was opened")
    async with following(sink, path):
        await asyncio.sleep(1.5)
    assert len(sink.messages()) == 4


async def test_an_inode_that_is_used_again_before_its_file_could_be_opened_is_two_files(tmp_path: Path) -> None:
    path, elsewhere, sink = tmp_path / "app.log", tmp_path / "elsewhere", Ledger(failing=lambda: Overloaded("full"))
    elsewhere.mkdir()
    of_first, of_second = elsewhere / "first", elsewhere / "second"

    def rotate(to: Path, content: bytes, inode_of: Path | None = None) -> None:
        path.rename(to)
        if inode_of:
            os.truncate(inode_of, 0)
            inode_of.rename(path)
        append(path, content)

    def compress_first() -> None:
        older = tmp_path / "app.log.1"
        os.link(older, of_first)
        compress(older)

    events: list[Callable[[], None]] = [
        lambda: rotate(tmp_path / "app.log.0", b"compressed\n"),
        lambda: rotate(tmp_path / "app.log.1", b"deleted\n"),
        compress_first,
        lambda: rotate(of_second, b"four\n", inode_of=of_first),
        lambda: rotate(tmp_path / "app.log.2", b"five\n", inode_of=of_second),
    ]
    append(path, b"one\n")
    async with following(sink, path, at_once=1):
        for happens in events:
            await asyncio.sleep(1.3)
            happens()
        await asyncio.sleep(1.3)
        sink.failing = lambda: None
        await until(lambda: len(sink.messages()) == 4 and any(held.gaps for held in sink.ledger.values()), 20)
    assert sorted(sink.messages()) == ["compressed", "five", "four", "one"]
    gaps = [(held.path, gap.offset, gap.bytes) for held in sink.ledger.values() for gap in held.gaps]
    assert gaps == [(str(path), 0, len("deleted\n"))]


@pytest.mark.parametrize("more", ["", "that is longer than what was held before\n"])
async def test_a_file_truncated_and_then_rotated_away_while_away_is_read(tmp_path: Path, more: str) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    (tmp_path / "app.log.2").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, f"3\n{more}".encode())
    path.rename(tmp_path / "app.log.1")
    append(path, b"four\n")
    expected = sorted(["one", "two", "3", *more.splitlines(), "four"])
    for _ in range(2):
        async with following(sink, path):
            await until(lambda: len(sink.messages()) == len(expected))
            await asyncio.sleep(1.2)
        assert sorted(sink.messages()) == expected
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
        assert [one.state for one in follower.sources()[0].incarnations] == ["truncated", "followed"]
    assert metrics.REGISTRY.get_sample_value("logriver_followed_lost_bytes_total") == before + 24


@pytest.mark.parametrize(
    ("copy", "ending"), [("app-old.log", "truncated"), ("app.log.1.gz", "truncated"), ("app.log-20240101.zst", "gone")]
)
async def test_what_a_copy_has_is_read_from_it_once(tmp_path: Path, copy: str, ending: str) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\nwithout an end")
    compressing: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
    compress = compressing.get(Path(copy).suffix, bytes)
    (tmp_path / copy).write_bytes(compress(path.read_bytes()))
    os.truncate(path, 0) if ending == "truncated" else path.unlink()
    append(path, b"new\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 4)
    async with following(sink, path) as follower:
        await asyncio.sleep(1.2)
        assert follower.sources()[0].gaps == ()
    assert sorted(sink.messages()) == ["new", "one", "two", "without an end"]


async def test_an_archive_that_is_cut_off_is_a_gap_of_unknown_size(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(path.read_bytes())[:-1])
    os.truncate(path, 0)
    append(path, b"new\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one", "new"])
        (gap,) = follower.sources()[0].gaps
    assert (gap.offset, gap.bytes, gap.exact) == (4, 0, False)


async def test_what_was_seen_behind_the_end_of_its_copy_is_a_gap(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages() == ["one"])
        sink.failing = lambda: Unauthenticated("wrong token")
        append(path, b"two\n")
        (tmp_path / "app.log.1").write_bytes(path.read_bytes())
        append(path, b"written between\n")
        await until(lambda: follower.sources()[0].lag_bytes == 20)
        await asyncio.sleep(0.3)
        os.truncate(path, 0)
        append(path, b"new\n")
        sink.failing = lambda: None
        await until(lambda: sorted(sink.messages()) == ["new", "one", "two"])
        (gap,) = follower.sources()[0].gaps
    assert (gap.offset, gap.bytes, gap.exact) == (8, 16, False)
    assert "after its copy was made" in gap.reason


@pytest.mark.parametrize("held", [7, 10])
async def test_an_archive_of_an_earlier_life_that_began_alike_is_not_read_again(tmp_path: Path, held: int) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"header\nA\nB\n")
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == 3)
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (tmp_path / "other").touch()
    append(path, b"header\nC\n"[:held])
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == (4 if held == 7 else 5))
    os.truncate(path, 0)
    append(path, b"anew\n")
    async with following(sink, path) as follower:
        await until(lambda: sink.messages()[-1] == "anew")
        await asyncio.sleep(1.2)
        assert follower.sources()[0].gaps == ()
    assert sorted(sink.messages()) == sorted(["header", "A", "B", "header", *["C"][: held == 10], "anew"])


async def test_an_archive_of_any_size_is_read_on_from_what_is_held_and_let_go(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    lines = [f"line {number} {'x' * (number % 300)}" for number in range(30_000)]
    content = "".join(f"{line}\n" for line in lines).encode()
    append(path, content[:1_000_001])
    async with following(sink, path):
        await until(lambda: sink.committed_bytes() > 999_000)
    path.unlink()
    (tmp_path / "app.log.1.zst").write_bytes(zstandard.compress(content))
    async with following(sink, path):
        await until(lambda: len(sink.messages()) == len(lines))
        await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
        await until(lambda: open_under(tmp_path) == [])
        append(path, b"new\n")
        await until(lambda: sink.messages() == [*lines, "new"])
        await asyncio.sleep(1.2)
        append(path, b"newer\n")
        await until(lambda: sink.messages() == [*lines, "new", "newer"])


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


async def test_a_deleted_file_is_let_go_and_its_place_taken_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_KEPT_AFTER_GONE_SECONDS", 0.5)
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
        path.unlink()
        await until(lambda: open_under(tmp_path) == [])
        await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
        append(path, b"another\n")
        await until(lambda: sink.messages() == ["one", "another"])


async def test_a_file_that_was_moved_away_is_let_go_and_read_on_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_KEPT_AFTER_RENAMED_SECONDS", 0.5)
    path, elsewhere, sink = tmp_path / "logs" / "app.log", tmp_path / "app.log", Ledger()
    path.parent.mkdir()
    append(path, b"one\n")
    async with following(sink, path):
        await until(lambda: sink.messages() == ["one"])
        path.rename(elsewhere)
        await until(lambda: open_under(tmp_path) == [])
        await until(lambda: next(iter(sink.ledger.values())).gone_ns > 0)
        append(elsewhere, b"two\n")
        elsewhere.rename(path)
        await until(lambda: sink.messages() == ["one", "two"])
    (held,) = sink.ledger.values()
    assert (held.gone_ns, held.gaps) == (0, ())


async def test_an_incarnation_is_forgotten_30_days_after_its_file_is_gone(tmp_path: Path) -> None:
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
