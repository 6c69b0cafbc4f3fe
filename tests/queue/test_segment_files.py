"""The files of the log: each is noted before anything in it is answered for, or it is not there."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from logriver.errors import Unavailable
from logriver.queue.state import State
from tests.queue.test_wal import batch, opened


@pytest.mark.parametrize("error", [MemoryError(), sqlite3.OperationalError("database or disk is full")])
def test_a_segment_that_could_not_be_noted_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    note, failures = State.begin_segment, [error, error]

    def fail_twice(state: State, number: int, first_seq: int) -> None:
        if failures:
            raise failures.pop()
        note(state, number, first_seq)

    async def run() -> None:
        async with opened(tmp_path) as wal:
            monkeypatch.setattr(State, "begin_segment", fail_twice)
            with pytest.raises(Unavailable):
                await wal.put(batch("refused"))
            receipt = await wal.put(batch("taken"))
            assert receipt.accepted == 1
            [segment] = (tmp_path / "log").glob("*.log")
            assert segment.name == "000000000001.log"

    asyncio.run(run())
