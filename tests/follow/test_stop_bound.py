"""A follower that is stopped ends in time, whatever of it hangs: a sink, a file system, or both."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from logriver import agent, server
from logriver.decode.reference import ReferenceDecoder
from logriver.follow import follower
from logriver.follow.file_calls import FileCalls
from logriver.follow.follower import Follower
from logriver.record import Batch, Receipt
from logriver.settings import FollowSettings
from tests.follow.test_follow import Ledger, append, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Deaf(Ledger):
    """Does not end a put before it is let go, whoever cancels that."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def put(self, batch: Batch) -> Receipt:
        self.asked.set()
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue
        return await super().put(batch)


async def test_a_stop_has_one_bound_whatever_hangs(tmp_path: Path) -> None:
    append(tmp_path / "app.log", b"one\n")
    sink, answered = Deaf(), threading.Event()
    calls = FileCalls(60)
    settings = FollowSettings(follow=[str(tmp_path / "app.log")], name="test")
    following = Follower(sink, settings, ReferenceDecoder, calls=calls)
    task = asyncio.create_task(following.run())
    await until(sink.asked.is_set)
    call = asyncio.create_task(calls.run("mount", answered.wait))
    await asyncio.sleep(0)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task], timeout=20)
    took_seconds = time.monotonic() - began
    sink.go.set()
    answered.set()
    await call
    assert task.cancelled()
    # Both hung to the end.
    assert follower._STOP_SECONDS < took_seconds < min(server._CANCEL_SECONDS, agent._CANCEL_SECONDS)
