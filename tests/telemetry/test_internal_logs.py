"""The internal log in the own store: lines are found like any other, and storing them never makes more of them."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from logriver.errors import BadBody, Unavailable
from logriver.telemetry import store_log
from logriver.telemetry.store_log import Put, internal_log_stored
from tests.conftest import RunningServer
from tests.running_agent import Network, RunningAgent
from tests.store.test_small_disk import Server, SmallDisk

WAIT_SECONDS = 30
log = logging.getLogger("logriver.tests.own")


def trace(server: RunningServer, path: str = "/api/v1/fields") -> str:
    """Ask something; the trace that its line in the internal log has."""
    return server.client.get(path).headers["traceparent"].split("-")[1]


def wait_for_line(server: RunningServer, query: str) -> dict[str, object]:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (rows := server.search(q=query)):
        assert time.monotonic() < deadline, query
        time.sleep(0.1)
    return rows[0]


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("talkative") / "data", "--internal-logs", "--name", "my-host")
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


def test_a_line_is_found_like_any_log(talkative: RunningServer) -> None:
    row = wait_for_line(talkative, f"service:logriver trace_id:{trace(talkative)} fields")

    assert row["message"] == "GET /api/v1/fields 200"
    assert (row["level"], row["host"], row["_source"]) == ("info", "my-host", "logriver")
    assert (row["logger"], row["method"], row["path"]) == ("logriver.api.tracing", "GET", "/api/v1/fields")


def test_what_the_log_file_has_is_the_same(talkative: RunningServer) -> None:
    row = wait_for_line(talkative, f"trace_id:{trace(talkative)}")
    lines = [json.loads(line) for line in talkative.log_path.read_text().splitlines()]

    (written,) = [line for line in lines if line.get("trace_id") == row["trace_id"]]
    assert {name: row[name] for name in written if name != "time"} == {
        name: value for name, value in written.items() if name != "time"
    }


def test_a_server_that_was_not_told_to_keeps_none(server: RunningServer) -> None:
    stored = server.status()["stored"]
    trace(server)
    time.sleep(2)

    assert server.search(q="service:logriver") == []
    assert server.status()["stored"] == stored


def test_a_stop_loses_no_line_and_a_kill_at_most_the_last_second(talkative: RunningServer) -> None:
    stopped_at_once = trace(talkative)
    assert talkative.stop() == 0
    talkative.start()
    assert len(talkative.search(q=f"trace_id:{stopped_at_once}")) == 1

    stored = trace(talkative)
    wait_for_line(talkative, f"trace_id:{stored}")
    killed_at_once = trace(talkative)
    talkative.kill()
    talkative.start()
    # What was not verified when it was killed is shown a moment later.
    wait_for_line(talkative, f"trace_id:{stored}")
    assert len(talkative.search(q=f"trace_id:{stored}")) == 1
    assert len(talkative.search(q=f"trace_id:{killed_at_once}")) <= 1


def test_a_full_disk_brings_few_lines_and_they_are_there_when_it_is_not_full_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGRIVER_INTERNAL_LOGS", "true")
    disk = SmallDisk(tmp_path / "disk")
    server = Server(disk, tmp_path / "disk" / "data")
    try:
        disk.fill(0)
        wait_until_refused(server)
        before = len(server.log_path.read_text().splitlines())
        traces = []
        for _ in range(15):
            assert server.client.post("/api/v1/logs", content=b'{"message":"m"}').status_code in (429, 503)
            traces.append(trace(server))
            time.sleep(0.2)
        after = len(server.log_path.read_text().splitlines())
        disk.empty()

        assert after - before <= len(traces) + 10
        for one in (traces[0], traces[-1]):
            wait_for_line(server, f"trace_id:{one}")
        assert [one for one in traces if len(server.search(q=f"trace_id:{one}")) != 1] == []
    finally:
        server.kill()
        disk.close()


def wait_until_refused(server: RunningServer) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while server.client.post("/api/v1/logs", content=b'{"message":"m"}').status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_agent_keeps_its_log_in_its_server_once_whatever_the_network_loses(
    talkative: RunningServer, tmp_path: Path
) -> None:
    network = Network(lambda: talkative.url)
    network.lose_answers = 3
    arguments = ["--internal-logs", "--name", "web-1", "--files-root", str(tmp_path), "--server", network.url]
    agent = RunningAgent(tmp_path / "own", *arguments)
    try:
        row = wait_for_line(talkative, "service:logriver host:web-1 following server:*")
        wait_for_line(talkative, "service:logriver host:web-1 channel open")
        assert agent.stop() == 0
    finally:
        agent.kill()
        network.close()

    assert network.lost_answers == 3
    assert (row["logger"], row["server"], row["level"]) == ("logriver.agent", network.url, "info")
    lines = talkative.search(q="service:logriver host:web-1")
    assert len(lines) == len({(str(line["timestamp"]), str(line["message"])) for line in lines})


# What follows is the handler alone, with stores that fail in every way.


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_log, "_FLUSH_SECONDS", 0.02)
    monkeypatch.setattr(store_log, "_MOST_SECONDS_BETWEEN_TRIES", 0.04)


class Store:
    """Takes lines, or fails as `error` says; what it logs itself, it logs in each put."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.puts: list[bytes] = []
        self.lines: list[dict[str, object]] = []

    async def put(self, lines: bytes) -> None:
        self.puts.append(lines)
        log.error("storing said so")
        await asyncio.to_thread(log.error, "its thread said so")
        if self.error is not None:
            raise self.error
        self.lines += [msgspec.json.decode(line, type=dict[str, object]) for line in lines.split(b"\n")]


@asynccontextmanager
async def logging_into(put: Put) -> AsyncIterator[None]:
    logging.getLogger().setLevel(logging.INFO)
    async with internal_log_stored(put, socket.gethostname()):
        yield


async def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def messages(store: Store) -> list[object]:
    return [line["message"] for line in store.lines]


def test_what_storing_logs_is_not_stored() -> None:
    store = Store()

    async def work() -> None:
        async with logging_into(store.put):
            log.info("a line")
            await until(lambda: len(store.puts) == 1)
            await asyncio.sleep(0.2)

    asyncio.run(work())
    assert messages(store) == ["a line"]


def test_what_was_not_taken_comes_again_as_it_was_and_later_lines_after_it() -> None:
    store = Store(Unavailable("the disk is full"))

    async def work() -> None:
        async with logging_into(store.put):
            log.info("first")
            await until(lambda: len(store.puts) == 3)
            log.info("second")
            store.error = None
            await until(lambda: len(store.lines) == 2)

    asyncio.run(work())
    assert len(set(store.puts[:3])) == 1
    assert messages(store) == ["first", "second"]


def test_what_is_refused_is_counted_and_not_tried_again() -> None:
    store = Store(BadBody("no"))

    async def work() -> None:
        async with logging_into(store.put):
            log.info("first")
            await until(lambda: len(store.puts) == 1)
            store.error = None
            log.info("second")
            await until(lambda: len(store.lines) > 1)

    asyncio.run(work())
    assert set(messages(store)) == {"second", "lines of the internal log are not in the store"}
    assert [line["lost"] for line in store.lines if "lost" in line] == [1]


def test_equal_lines_become_one_with_a_count() -> None:
    store = Store()

    async def work() -> None:
        async with logging_into(store.put):
            for _ in range(1_000):
                log.warning("again", extra={"fields": {"code": 7}})
            log.warning("again", extra={"fields": {"code": 8}})

    asyncio.run(work())
    assert [(line["message"], line["code"], line.get("repeated")) for line in store.lines] == [
        ("again", 7, 999),
        ("again", 8, None),
    ]


def test_a_flood_is_cut_off_and_counted() -> None:
    store = Store()
    threads = [threading.Thread(target=flood, args=(name, 1_000)) for name in "abcd"]

    async def work() -> None:
        async with logging_into(store.put):
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            await until(lambda: any("lost" in line for line in store.lines))

    began = time.monotonic()
    asyncio.run(work())
    kept = [line for line in store.lines if str(line["message"]).startswith("flood")]
    seconds = time.monotonic() - began + 2
    assert 50 <= len(kept) <= 50 * seconds
    assert sum(msgspec.convert(line["lost"], int) for line in store.lines if "lost" in line) == 4_000 - len(kept)


def flood(name: str, count: int) -> None:
    for number in range(count):
        log.info("flood %s %d", name, number)


def test_what_waits_is_bounded() -> None:
    store = Store(Unavailable("away"))

    async def work() -> None:
        async with logging_into(store.put):
            log.info("first")
            await until(lambda: len(store.puts) == 1)
            for number in range(30):
                log.info("%d %s", number, "x" * 100_000)
            store.error = None

    asyncio.run(work())
    assert sum(map(len, messages_of_size(store))) <= 1_000_000
    assert len(messages_of_size(store)) == 9
    assert [line["lost"] for line in store.lines if "lost" in line] == [21]


def messages_of_size(store: Store) -> list[str]:
    return [str(message) for message in messages(store) if len(str(message)) > 1_000]


def test_a_line_that_cannot_be_shown_does_not_hurt_who_logs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    # The runner's own, which cannot be shown either.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    async def work() -> None:
        async with logging_into(store.put):
            log.info(
                "odd file \udcff", extra={"fields": {"path": "\udcfe", "object": Path("x"), "number": float("nan")}}
            )

    asyncio.run(work())
    (line,) = store.lines
    assert (line["message"], line["path"], line["object"]) == ("odd file \\udcff", "\\udcfe", "x")


def test_a_store_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_log, "_LAST_FLUSH_SECONDS", 0.1)

    async def hang(_: bytes) -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        async with logging_into(hang):
            log.info("a line")

    began = time.monotonic()
    asyncio.run(work())
    assert time.monotonic() - began < 10
