"""The slots of statements that users write come back: from those that run too long, that nobody waits for, or block."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from logriver.errors import Overloaded, QueryTooExpensive
from logriver.search import scheduler
from logriver.search.scheduler import Bounds, QueryScheduler
from logriver.store.embedded import Embedded
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]

SCAN = "SELECT sum(cityHash64(x, y)) FROM (SELECT arrayJoin(range(1000000)) AS x) AS a CROSS JOIN (%s) AS b"
SLOW = SCAN % "SELECT arrayJoin(range(1000000)) AS y"


def statement(server: RunningServer, query: str, seconds: float = 30) -> httpx.Response:
    return httpx.post(f"{server.url}/api/v1/sql", json={"query": query}, timeout=seconds)


def answers_again(server: RunningServer, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if statement(server, "SELECT 1").status_code == 200:
            return True
    return False


def test_slots_come_back_from_statements_that_take_too_long(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_QUERY_TIMEOUT="1", LOGRIVER_MAX_QUERIES="4")
    with ThreadPoolExecutor(6) as asking:
        # Two run, the others wait for them.
        answers = list(asking.map(lambda _: statement(server, SLOW), range(6)))
    assert {answer.status_code for answer in answers} <= {422, 429}
    assert sum(answer.status_code == 422 for answer in answers) >= 2
    assert statement(server, "SELECT 1").json()["rows"] == [[1]]


def test_slots_come_back_from_statements_that_nobody_waits_for(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_QUERY_TIMEOUT="60", LOGRIVER_MAX_QUERIES="2")
    with pytest.raises(httpx.ReadTimeout):
        statement(server, SLOW, seconds=0.5)
    assert answers_again(server, 15)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Embedded]:
    opened = Embedded(tmp_path, "n", 1_000_000_000, 100_000_000)
    yield opened
    opened.close()


def test_slots_come_back_from_statements_that_block(
    engine: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No wall lets these through; the scheduler holds if one did. A pipe that nobody writes to cannot be ended."""
    monkeypatch.setattr(scheduler, "_GRACE_SECONDS", 0.3)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    blocking = f"SELECT length(file('{pipe}'))"

    def release() -> None:
        """Open the pipe's other end for a moment, whoever waits for that."""
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))

    async def ask(asked: QueryScheduler, sql: str, is_statement: bool = True) -> object:
        return (await asked.ask("test", sql, {}, is_statement=is_statement)).rows

    async def check() -> None:
        asked = QueryScheduler(engine, Bounds(queries=1, exports=1, query_seconds=0.5, query_memory_bytes=0))
        with pytest.raises(QueryTooExpensive):
            await ask(asked, blocking)
        # It keeps the only slot of statements, and a search has the only one of all.
        with pytest.raises(Overloaded):
            await ask(asked, "SELECT 1")
        assert await ask(asked, "SELECT 2", is_statement=False) == [[2]]
        release()
        for _ in range(100):
            try:
                assert await ask(asked, "SELECT 1") == [[1]]
                break
            except Overloaded:
                continue
        else:
            pytest.fail("the slot did not come back")

    try:
        asyncio.run(check())
    finally:
        release()
