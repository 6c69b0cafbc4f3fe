"""A file system that does not answer: its own files wait, and nothing else does, whichever call hangs."""

import asyncio
import io
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logriver.decode.reference import ReferenceDecoder
from logriver.follow.file_calls import FileCalls, answered, progressed
from logriver.follow.follower import Follower
from logriver.settings import FollowSettings
from tests.follow.test_follow import Ledger, append, until

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 0.4


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Mount:
    """A directory on a device of its own, of which every call hangs while `hang` has been called and not `answer`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers = threading.Event()
        self._answers.set()

    def hang(self) -> None:
        self._answers.clear()

    def answer(self) -> None:
        self._answers.set()

    def wait_for(self, path: object) -> None:
        if not self._answers.is_set() and str(path).startswith(str(self.path)):
            self._answers.wait()


@pytest.fixture
def mount(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mount]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        mount = Mount(Path(folder))

        def slow(of: Any, name: str, path_of: Callable[[Any], object] = lambda path: path) -> None:
            original = getattr(of, name)

            def call(first: Any, *arguments: Any, **options: Any) -> Any:
                mount.wait_for(path_of(first))
                return original(first, *arguments, **options)

            monkeypatch.setattr(of, name, call)

        for name in ("stat", "lstat", "scandir", "listdir"):
            slow(os, name)
        slow(io, "open")
        slow(os, "pread", lambda descriptor: Path(f"/proc/self/fd/{descriptor}").readlink())
        slow(os, "fstat", lambda descriptor: Path(f"/proc/self/fd/{descriptor}").readlink())
        yield mount
        mount.answer()


@asynccontextmanager
async def following(sink: Ledger, *paths: str, at_once: int = 8) -> AsyncIterator[Follower]:
    """Follow, and see that the event loop turns all the time."""
    settings = FollowSettings(follow=list(paths), name="test")
    calls = FileCalls(PATIENCE_SECONDS)
    follower = Follower(sink, settings, ReferenceDecoder, zone="UTC", at_once=at_once, calls=calls)
    stuck_seconds = 0.0

    async def turn() -> None:
        nonlocal stuck_seconds
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            stuck_seconds = max(stuck_seconds, time.monotonic() - began)

    tasks = [asyncio.create_task(follower.run()), asyncio.create_task(turn())]
    try:
        yield follower
    finally:
        began = time.monotonic()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - began < 5
        assert stuck_seconds < PATIENCE_SECONDS


@pytest.mark.parametrize("pattern", ["", "/a.log"])
async def test_what_hangs_holds_up_nothing_else_and_is_read_on_later(
    tmp_path: Path, mount: Mount, pattern: str
) -> None:
    sink, fine, hanging = Ledger(), tmp_path / "fine.log", mount.path / "a.log"
    append(fine, b"fine 0\n")
    append(hanging, b"hanging 0\n")
    async with following(sink, f"{mount.path}{pattern}", f"{tmp_path}/*.log", at_once=1) as follower:
        await until(lambda: sorted(sink.messages()) == ["fine 0", "hanging 0"])
        with hanging.open("ab") as file:
            mount.hang()
            os.write(file.fileno(), b"hanging 1\n")
            append(fine, b"fine 1\n")
            await until(lambda: "fine 1" in sink.messages())
            await until(lambda: any(str(mount.path) in problem for problem in follower.problems))
            append(fine, b"fine 2\n")
            append(tmp_path / "new.log", b"new\n")
            await until(lambda: {"fine 2", "new"} <= set(sink.messages()))
            mount.answer()
        await until(lambda: "hanging 1" in sink.messages())
        await until(lambda: follower.problems == [])
        await until(lambda: {status.error for status in follower.sources()} == {""})
    assert len(sink.messages()) == 6


async def test_what_hangs_from_the_beginning_is_followed_when_it_answers(tmp_path: Path, mount: Mount) -> None:
    sink = Ledger()
    paths = [mount.path / f"{number}.log" for number in range(12)]
    for path in paths:
        append(path, f"hanging {path.name}\n".encode())
    append(tmp_path / "fine.log", b"fine\n")
    mount.hang()
    async with following(sink, *map(str, paths), f"{tmp_path}/*.log") as follower:
        await until(lambda: sink.messages() == ["fine"], 20)
        assert threading.active_count() < 30
        mount.answer()
        await until(lambda: len(sink.messages()) == 13, 20)
        assert follower.problems == []


async def test_a_read_that_hangs_does_not_keep_the_others_slots(tmp_path: Path, mount: Mount) -> None:
    sink, fine = Ledger(), tmp_path / "fine.log"
    paths = [mount.path / f"{number}.log" for number in range(5)]
    for path in (fine, *paths):
        append(path, f"first {path}\n".encode())
    async with following(sink, f"{mount.path}/*.log", str(fine), at_once=2) as follower:
        await until(lambda: len(sink.messages()) == 6)
        files = [path.open("ab", buffering=0) for path in paths]
        mount.hang()
        for file in files:
            file.write(b"hanging\n")
        append(fine, b"fine\n")
        await until(lambda: "fine" in sink.messages())
        await until(lambda: sum("has not answered" in status.error for status in follower.sources()) == 5)
        mount.answer()
        await until(lambda: sink.messages().count("hanging") == 5)
        for file in files:
            file.close()


async def test_a_follower_is_stopped_while_calls_hang(tmp_path: Path, mount: Mount) -> None:
    append(mount.path / "a.log", b"one\n")
    sink = Ledger()
    async with following(sink, f"{mount.path}/*.log"):
        await until(lambda: sink.messages() == ["one"])
        mount.hang()
        await asyncio.sleep(2 * PATIENCE_SECONDS)


async def test_a_call_that_gets_on_takes_as_long_as_it_needs() -> None:
    calls = FileCalls(0.5)

    def long_work() -> str:
        for _ in range(15):
            time.sleep(0.1)
            progressed()
        return "done"

    assert await calls.run("key", long_work) == "done"
    await calls.close()


async def test_a_call_that_is_given_up_is_refused_until_it_comes_back_and_its_result_goes_back() -> None:
    calls, release, late = FileCalls(0.1), threading.Event(), list[object]()
    with pytest.raises(TimeoutError, match="has not answered for"):
        await calls.run("key", lambda: release.wait() and "file", late.append)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await calls.run("key", lambda: "not even tried")
    assert time.monotonic() - began < 0.1
    assert await calls.run("other key", lambda: "answer") == "answer"
    release.set()
    await until(lambda: not calls.hangs("key"))
    assert late == ["file"]
    assert await calls.run("key", lambda: "answer") == "answer"
    await calls.close()
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("files-")])


async def test_the_result_goes_back_of_who_is_cancelled_as_it_comes() -> None:
    calls, returned, blocked = FileCalls(), asyncio.Queue[object](), threading.Event()
    loop = asyncio.get_running_loop()

    def give_back(result: object) -> None:
        loop.call_soon_threadsafe(returned.put_nowait, result)

    asking = asyncio.create_task(calls.run("a", partial(blocked.wait, 5), give_back))
    await asyncio.sleep(0)
    (call,) = calls._under_way
    calls._ended(call, "opened", None)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    blocked.set()
    assert {await asyncio.wait_for(returned.get(), 5) for _ in range(2)} == {True, "opened"}
    await calls.close()


async def test_what_computes_is_no_file_system_that_hangs() -> None:
    calls = FileCalls(0.1)

    def read_and_decode() -> str:
        answered()
        time.sleep(1.2)
        return "decoded"

    assert await calls.run("key", read_and_decode) == "decoded"
    assert not calls.hangs("key")
    await calls.close()
