"""Files that rotate at 10,000 lines/s, an agent and a server that are killed, a network that is cut: each line once."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer
from tests.crash_clients import stored, wait_until_stored
from tests.follow.rotation_writer import LogWriter
from tests.running_agent import Network, RunningAgent

SEED = 20261121
_NO_PROGRESS_SECONDS = 60


@contextmanager
def killed_at_random(process: RunningServer | RunningAgent, seed: int, least: float, most: float) -> Iterator[None]:
    """SIGKILL it and start it again, after so many seconds each time, inside of this block; at least once."""
    choice, stop = random.Random(seed), threading.Event()

    def kill_often() -> None:
        while True:
            stop.wait(choice.uniform(least, most))
            process.kill()
            time.sleep(choice.uniform(0, 0.3))
            process.start()
            if stop.is_set():
                return

    thread = threading.Thread(target=kill_often)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def network_cut_at_random(network: Network, seed: int) -> Iterator[None]:
    """Connections end midway inside of this block, and the answers to some requests are lost."""
    choice, stop = random.Random(seed), threading.Event()
    network.cut_at_random = True

    def lose_often() -> None:
        while not stop.wait(choice.uniform(0.2, 0.8)):
            network.lose_answers = 1

    thread = threading.Thread(target=lose_often)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        network.cut_at_random, network.lose_answers = False, 0


def write_and_rotate(writer: LogWriter, rounds: int, pause_seconds: float, seed: int) -> None:
    ways = [writer.rename, writer.copy_and_truncate]
    choice = random.Random(seed)
    for _ in range(rounds):
        choice.shuffle(ways)
        for rotate in ways:
            time.sleep(pause_seconds)
            rotate()
    time.sleep(pause_seconds)


def wait_until_arrived(server: RunningServer, count: int) -> None:
    """So many lines are stored, or none came for a long time."""
    stored_before, deadline = -1, 0.0
    while stored_before < count:
        stored_now = int(str(server.status()["stored"]))
        if stored_now > stored_before:
            stored_before, deadline = stored_now, time.monotonic() + _NO_PROGRESS_SECONDS
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)


def assert_each_line_once(server: RunningServer, writer: LogWriter) -> None:
    wait_until_arrived(server, len(writer.lines))
    # Time for one look more, which finds what would be read twice.
    time.sleep(1.5)
    wait_until_stored(server)
    assert server.stop() == 0
    rows = stored(
        server.data,
        "SELECT JSONExtractInt(attributes, 'n'), JSONExtractInt(attributes, 'life'), toInt64(_offset) FROM logs",
    )
    counts = Counter((int(str(n)), int(str(life)), int(str(offset))) for n, life, offset in rows)
    expected = Counter(writer.lines)
    assert sorted(expected - counts)[:9] == [], f"{(expected - counts).total()} lost of {len(writer.lines)}"
    assert sorted(counts - expected)[:9] == [], f"{(counts - expected).total()} doubled"


def deliver(new_server: NewServer, tmp_path: Path, *, rounds: int, pause_seconds: float, seed: int) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    server = new_server()
    network = Network(lambda: server.url)
    pattern = "app.log*" if seed % 2 else "app.log"
    agent = RunningAgent(tmp_path / "agent.log", "--server", network.url, "--name", "a", f"json={logs / pattern}")
    writer = LogWriter(logs / "app.log")
    writer.start()
    try:
        # What rotates away before anything of its path is held is of the time before it was followed.
        wait_until_arrived(server, 1)
        with (
            killed_at_random(server, seed, 2.0, 8.0),
            killed_at_random(agent, seed + 1, 1.0, 5.0),
            network_cut_at_random(network, seed + 2),
        ):
            write_and_rotate(writer, rounds, pause_seconds, seed)
        writer.finish()
        assert_each_line_once(server, writer)
        assert network.cuts + network.lost_answers
        assert agent.stop() == 0
    finally:
        network.close()
        if agent.process.poll() is None:
            agent.kill()


@pytest.mark.timeout(300)
def test_killed_cut_off_and_rotated_nothing_is_lost_or_doubled(new_server: NewServer, tmp_path: Path) -> None:
    deliver(new_server, tmp_path, rounds=1, pause_seconds=2.5, seed=SEED)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_cut_off_and_rotated_for_minutes(new_server: NewServer, tmp_path: Path, seed: int) -> None:
    deliver(new_server, tmp_path, rounds=20, pause_seconds=5.0, seed=seed)
