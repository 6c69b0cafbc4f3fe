"""Kills, stops, freezes and rotations in an order of chance, while clients send and a file is written: each once.

Sixty events; a few of some kinds are in `test_crash.py` and `tests/follow/test_rotation.py`, in the ordinary suite.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import NewServer, kill_while_starting
from tests.crash_clients import found, sending, start, wait_until_stored
from tests.follow.rotation_writer import LogWriter
from tests.follow.test_rotation import gaps, wait_until_held

SEED = 20261130
EVENTS = 60
SIZES = [1, 1, 30, 200]
# Small segments and blocks, so that events fall between all of their steps.
SMALL = {"LOGRIVER_SEGMENT_BYTES": "1000000", "LOGRIVER_BLOCK_RECORDS": "5000"}


class Events:
    """What is done to a server and its followed file; `done` counts it by kind."""

    def __init__(self, server: RunningServer, writer: LogWriter, seed: int) -> None:
        self._server = server
        self._writer = writer
        self._choice = random.Random(seed)
        self.done: Counter[str] = Counter()

    def run(self, count: int) -> None:
        """So many, each kind about as often; the server runs at the end."""
        kinds: list[Callable[[], None]] = [
            self.kill,
            self.kill_at_start,
            self.stop,
            self.freeze,
            self.rename,
            self.copy,
        ]
        order = (kinds * count)[:count]
        self._choice.shuffle(order)
        for event in order:
            time.sleep(self._choice.uniform(0.1, 1.0))
            event()
            self.done[event.__name__] += 1

    def kill(self) -> None:
        """SIGKILL, and start again."""
        self._server.kill()
        self._server.start()

    def kill_at_start(self) -> None:
        """SIGKILL, and again while it starts."""
        self._server.kill()
        kill_while_starting(self._server, self._choice.uniform(0.3, 2.0))
        self._server.kill()
        while not start(self._server):
            pass

    def stop(self) -> None:
        """SIGTERM: it drains and ends with 0."""
        assert self._server.stop() == 0
        self._server.start()

    def freeze(self) -> None:
        """SIGSTOP for a while, as a machine that is out of memory or suspended does."""
        self._server.process.send_signal(signal.SIGSTOP)
        time.sleep(self._choice.uniform(0.2, 3.0))
        self._server.process.send_signal(signal.SIGCONT)

    def rename(self) -> None:
        """The file is rotated by renaming."""
        self._writer.rename()

    def copy(self) -> None:
        """The file is rotated by copying and truncating."""
        self._writer.copy_and_truncate()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED, SEED + 3))
def test_sixty_kills_stops_and_rotations_lose_and_double_nothing(
    new_server: NewServer, tmp_path: Path, seed: int
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    server = new_server("--follow", f"json={logs / 'app.log*'}", **SMALL)
    writer = LogWriter(logs / "app.log")
    writer.start()
    events = Events(server, writer, seed)
    with sending(server, SIZES, seed) as clients:
        events.run(EVENTS)
    writer.finish()
    assert events.done.total() == EVENTS
    wait_until_held(server, writer.path)
    sent = Counter((client.name, number) for client in clients for number in client.acknowledged)
    wait_until_total(server, sent.total() + len(writer.lines))
    counts = found(server, "client")
    lines = Counter({(str(life), number): count for (life, number), count in found(server, "life").items()})
    assert sorted((sent - counts).elements())[:20] == [], "lost"
    assert sorted((counts - sent).elements())[:20] == [], "doubled"
    written = Counter((str(life), number) for number, life, _ in writer.lines)
    assert sorted((written - lines).elements())[:20] == [], "lines lost"
    assert sorted((lines - written).elements())[:20] == [], "lines doubled"
    assert gaps(server) == []
    print(f"{dict(events.done)}: {sent.total():,} records and {len(writer.lines):,} lines, each once")


def wait_until_total(server: RunningServer, count: int) -> None:
    """Until so many are stored, and for one look more, which finds what would be read twice."""
    deadline = time.monotonic() + 120
    while server.status()["stored"] < count and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.2)
    time.sleep(1.5)
    wait_until_stored(server)
