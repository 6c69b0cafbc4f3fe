"""A file that begins as another does is a copy of it, or one of its own: read once either way."""

import asyncio
import os
from pathlib import Path

import pytest

from logriver.errors import Unavailable
from tests.follow.test_follow import Ledger, Slow, append, following, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("truncated", [True, False])
async def test_a_copy_that_is_made_while_the_first_lines_are_on_their_way_is_not_read_again(
    tmp_path: Path, truncated: bool
) -> None:
    path, sink = tmp_path / "app.log", Slow()
    append(path, b"one\ntwo\n")
    async with following(sink, tmp_path / "app.log*") as follower:
        await sink.asked.wait()
        append(path, b"three\n")
        (tmp_path / "app.log.1").write_bytes(path.read_bytes())
        if truncated:
            os.truncate(path, 0)
            append(path, b"new, and more than there was\n")
        await until(lambda: [source.error != "" for source in follower.sources()] == [False, True])
        sink.go.set()
        await until(lambda: "three" in sink.messages())
        await asyncio.sleep(1.2)
    assert sorted(sink.messages()) == sorted(["one", "two", "three"] + ["new, and more than there was"] * truncated)


async def test_a_copy_is_read_on_although_the_sink_was_away_when_it_was_found(tmp_path: Path) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n")
    async with following(sink, tmp_path / "app.log*"):
        await until(lambda: sink.messages() == ["one"])
    append(path, b"two\n")
    (tmp_path / "app.log.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    append(path, b"new\n")
    failures = iter([Unavailable("away")] * 3)
    sink.failing = lambda: next(failures, None)
    async with following(sink, tmp_path / "app.log*"):
        await until(lambda: sorted(sink.messages()) == ["new", "one", "two"], 20)


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
async def test_a_new_file_with_the_same_header_does_not_wait_for_the_renamed_one(tmp_path: Path, pattern: str) -> None:
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"the header\n")
    async with following(sink, tmp_path / pattern):
        await until(lambda: len(sink.messages()) == 1)
        append(path, b"one\ntwo\nthree\n")
        await until(lambda: len(sink.messages()) == 4)
        path.rename(tmp_path / "app.log.1")
        append(path, b"the header\nnew\n")
        await until(lambda: sink.messages()[4:] == ["the header", "new"])


async def test_files_that_begin_alike_and_go_on_otherwise_do_not_wait_for_each_other(tmp_path: Path) -> None:
    sink = Slow()
    for number in range(20):
        append(tmp_path / f"{number}.log", b"the first line\n" + b"%d\n" % number)
    async with following(sink, tmp_path / "*.log") as follower:
        await sink.asked.wait()
        await until(lambda: len(follower.sources()) == 20)
        await asyncio.sleep(0.5)
        assert not any(source.error for source in follower.sources())
        sink.go.set()
        await until(lambda: len(sink.messages()) == 40)
