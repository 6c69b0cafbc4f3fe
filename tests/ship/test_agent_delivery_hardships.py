"""An agent delivers while clocks jump and while the server's disk is full: each line once, and the ledger says so."""

import random
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer
from tests.follow.rotation_writer import LogWriter
from tests.running_agent import RunningAgent
from tests.ship.test_agent_delivery import wait_until_arrived, write_and_rotate
from tests.store.test_small_disk import Server, SmallDisk

SEED = 20261128
JUMPS = ("+3600", "-7200", "+86400", "-30", "+0")
# Where Debian's package `faketime` has it.
FAKETIME = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")) / "faketime" / "libfaketimeMT.so.1"


@contextmanager
def clock_that_jumps(folder: Path, seed: int) -> Iterator[tuple[dict[str, str], threading.Event]]:
    """The environment of processes for which the time of day is set to another about each second inside of this block,
    from the moment on in which the event is set.

    The clocks that only ever go on do so, as on a machine whose time is set; but the library has `time.sleep` fail, so
    that retention, which sleeps, is held up.
    """
    offset, choice, begin, stop = folder / "offset", random.Random(seed), threading.Event(), threading.Event()
    offset.write_text("+0\n")

    def jump_often() -> None:
        begin.wait()
        while not stop.wait(1.3):
            new = folder / "offset.new"
            new.write_text(f"{choice.choice(JUMPS)}\n")
            new.replace(offset)

    thread = threading.Thread(target=jump_often)
    thread.start()
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    try:
        yield environment, begin
    finally:
        stop.set()
        begin.set()
        thread.join()


def assert_each_line_once(server: RunningServer, writer: LogWriter) -> None:
    """By the records, and by the ledger."""
    wait_until_arrived(server, len(writer.lines))
    # Time for one look more, which finds what would be read twice.
    time.sleep(1.5)
    sql = "SELECT count(), uniqExact(n), min(toInt64(n)), max(toInt64(n)) FROM logs"
    answer = server.client.post("/api/v1/sql", json={"query": sql})
    answer.raise_for_status()
    count = len(writer.lines)
    assert [int(value) for value in answer.json()["rows"][0]] == [count, count, 0, count - 1]
    sources = server.client.get("/api/v1/sources").json()["sources"]
    assert sources
    assert [gap for source in sources for gap in source["gaps"] if gap["lost"]] == []


def wait_until_jumped(server: RunningServer) -> None:
    """The server took records at times that are far from each other."""
    sql = "SELECT max(toUnixTimestamp(_received)) - min(toUnixTimestamp(_received)) FROM logs"
    deadline = time.monotonic() + 60
    while int((answer := server.client.post("/api/v1/sql", json={"query": sql})).json()["rows"][0][0]) <= 3000:
        assert time.monotonic() < deadline, f"the clock did not jump: {answer.text}"
        time.sleep(0.2)


@pytest.mark.timeout(240)
def test_clocks_that_jump_lose_and_double_nothing(new_server: NewServer, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with clock_that_jumps(tmp_path, SEED) as (environment, begin):
        server = new_server(**environment)
        arguments = ("--server", server.url, "--name", "a", f"json={logs / 'app.log'}")
        agent = RunningAgent(tmp_path / "agent.log", *arguments, environment=environment)
        writer = LogWriter(logs / "app.log")
        writer.start()
        try:
            wait_until_arrived(server, 1)
            # Not before: times of arrival never go back, so that no jump shows behind the furthest one.
            begin.set()
            write_and_rotate(writer, 1, 2.0, SEED)
            wait_until_jumped(server)
            writer.finish()
            assert_each_line_once(server, writer)
            assert agent.stop() == 0
        finally:
            if agent.process.poll() is None:
                agent.kill()


def fill_until_it_waits(disk: SmallDisk, agent: RunningAgent) -> None:
    """Others take what is free, again and again: what the server writes meanwhile may get in their way."""
    deadline = time.monotonic() + 30
    while "has to wait" not in agent.log_path.read_text():
        assert time.monotonic() < deadline, (disk.free(), agent.log_path.read_text()[-2000:])
        disk.fill(0)
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_a_full_disk_loses_and_doubles_nothing(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    disk = SmallDisk(tmp_path / "disk")
    server = Server(disk, tmp_path / "disk" / "data")
    agent = RunningAgent(tmp_path / "agent.log", "--server", server.url, "--name", "a", f"json={logs / 'app.log'}")
    writer = LogWriter(logs / "app.log")
    writer.start()
    try:
        wait_until_arrived(server, 1)
        fill_until_it_waits(disk, agent)
        writer.rename()
        time.sleep(1)
        disk.empty()
        time.sleep(1)
        writer.finish()
        assert_each_line_once(server, writer)
        assert server.client.get("/ready").status_code == 200, server.client.get("/ready").text
        assert agent.stop() == 0
    finally:
        for process in (agent, server):
            if process.process.poll() is None:
                process.kill()
        disk.close()
