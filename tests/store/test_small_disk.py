"""A disk of 300 MB under load: it never fills, nothing sticks, every record is found or counted as removed.

The disk is in memory and in a mount namespace that a sleeping process keeps, so the tests need to be root.
"""

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from logriver.columns import TABLE
from tests.conftest import RunningServer
from tests.crash_clients import wait_until_stored

DISK_MB = 300
RATE = 20_000
BATCH = 2_000
RANDOM = base64.b64encode(os.urandom(6_000_000)).decode()
# So much text that does not compress fills the disk within seconds; each record takes a piece of it.
PIECE = 1_500
QUERY = """
import sys
from chdb.session import Session
print(Session(sys.argv[1]).query(sys.argv[2], "TabSeparated"), end="")
"""


class SmallDisk:
    """The disk, mounted at `path` for those who are inside. `outside` is the same directory for us."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        mount = f"mount -t tmpfs -o size={DISK_MB}m tmpfs {path} && echo mounted && exec sleep infinity"
        self._keeper = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "mounted\n", "a private mount is needed: run as root"
        self.enter = ["nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--"]
        self.outside = Path(f"/proc/{self._keeper.pid}/root{path}")

    def free(self) -> int:
        """Bytes."""
        disk = os.statvfs(self.outside)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int) -> None:
        """Somebody else takes what is free, but for some bytes."""
        size = self.free() - leave
        if size > 0:
            # The server writes meanwhile; the next attempt takes what is then left.
            with contextlib.suppress(OSError), (self.outside / "fill").open("ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), size)

    def empty(self) -> None:
        """Somebody else goes."""
        (self.outside / "fill").unlink()

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.wait()
        assert self._keeper.stdout is not None
        self._keeper.stdout.close()


class Server(RunningServer):
    """A server inside."""

    def __init__(self, disk: SmallDisk, data: Path) -> None:
        self._disk = disk
        super().__init__(data)

    def start(self) -> None:
        self.wrapper = self._disk.enter
        super().start()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Server, SmallDisk]]:
    disk = SmallDisk(tmp_path / "disk")
    server = Server(disk, tmp_path / "disk" / "data")
    yield server, disk
    if server.process.poll() is None:
        server.kill()
    disk.close()


Batch = Callable[[int], bytes]


class Load(threading.Thread):
    """Sends numbered records at a rate, each batch until it is acknowledged, and watches what is free."""

    def __init__(self, server: Server, disk: SmallDisk, batch: Batch) -> None:
        super().__init__(daemon=True)
        self._batch = batch
        self._server = server
        self._disk = disk
        self._finish = threading.Event()
        self.acknowledged = 0
        self.answers: Counter[int] = Counter()
        self.least_free = disk.free()
        self.longest_wait = 0.0

    def finish(self) -> None:
        self._finish.set()
        self.join(90)
        assert not self.is_alive()

    def run(self) -> None:
        due = time.monotonic()
        with httpx.Client(timeout=60) as client:
            while not self._finish.is_set():
                self._send(client)
                due = max(due + BATCH / RATE, time.monotonic() - 1)
                time.sleep(max(0.0, due - time.monotonic()))

    def _send(self, client: httpx.Client) -> None:
        body = self._batch(self.acknowledged)
        headers = {"Idempotency-Key": str(self.acknowledged)}
        started = time.monotonic()
        while True:
            answer = client.post(f"{self._server.url}/api/v1/logs", content=body, headers=headers)
            self.answers[answer.status_code] += 1
            self.least_free = min(self.least_free, self._disk.free())
            if answer.status_code == 200:
                break
            assert answer.status_code in (429, 503), answer.text
            assert int(answer.headers["retry-after"]) > 0
            time.sleep(0.1)
        self.longest_wait = max(self.longest_wait, time.monotonic() - started)
        self.acknowledged += BATCH


def batch(first: int) -> bytes:
    """NDJSON of numbered records."""
    at = first * 977 % (len(RANDOM) - BATCH * PIECE)
    lines = (
        f'{{"message":"record {n}","n":{n},"text":"{RANDOM[at + i * PIECE : at + (i + 1) * PIECE]}"}}\n'
        for i, n in enumerate(range(first, first + BATCH))
    )
    return "".join(lines).encode()


def usual_batch(first: int) -> bytes:
    """NDJSON of numbered records as most users send them, 370 bytes each."""
    at = first * 977 % (len(RANDOM) - BATCH * 64)
    lines = []
    for n in range(first, first + BATCH):
        trace, at = RANDOM[at : at + 32], at + 64
        level, clock = "error" if n % 9 == 0 else "info", f"08:{n // 60 % 60:02}:{n % 60:02}"
        lines.append(
            f'{{"level":"{level}","message":"Failed to connect to DB, attempt {n % 7} of 7 for order {n % 9973}",'
            f'"resourceId":"server-{n % 997}","timestamp":"2023-09-15T{clock}Z","traceId":"{trace}",'
            f'"spanId":"{trace[:16]}","commit":"5e5342f","n":{n},"metadata":{{"parentResourceId":"server-{n % 89}",'
            f'"region":"eu-west-1","attempt":{n % 7},"latency_ms":{n % 1709},"user":"user-{n % 4999}"}}}}\n'
        )
    return "".join(lines).encode()


def assert_all_accounted_for(server: Server, disk: SmallDisk, acknowledged: int) -> None:
    """Every record is in the store once or was removed with a whole partition, the oldest first. Stops the server."""
    status = wait_until_stored(server)
    removed = int(str(status["removed_by_retention"]))
    assert int(str(status["stored"])) + removed == acknowledged, status
    assert server.stop() == 0
    numbers = "JSONExtractUInt(attributes, 'n')"
    sums = f"SELECT count(), uniqExact({numbers}), max({numbers}) FROM {TABLE}"
    assert numbers_of(disk, server, sums) == [acknowledged - removed] * 2 + [acknowledged - 1]
    # Blocks of one moment may be in two partitions, so a removed partition may end behind the next one's begin.
    oldest = f"(SELECT max({numbers}) FROM {TABLE} WHERE _slice = (SELECT min(_slice) FROM {TABLE}))"
    holes = f"SELECT max({numbers}) - {oldest} - countIf({numbers} > {oldest}) FROM {TABLE}"
    assert numbers_of(disk, server, holes) == [0]


def numbers_of(disk: SmallDisk, server: Server, sql: str) -> list[int]:
    """The engine's own answer of one row, from inside, where the server's paths are."""
    command = [*disk.enter, sys.executable, "-c", QUERY, str(server.data / "store"), sql]
    answer = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    return [int(number) for number in answer.stdout.split()]


def metric(server: Server, name: str) -> float:
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    return sum(map(float, values))


def run_load(server: Server, disk: SmallDisk, seconds: float, batch: Batch = batch) -> Load:
    """Load for so long, and on a slow machine until the disk has been full of records for a while."""
    load = Load(server, disk, batch)
    load.start()
    deadline = time.monotonic() + seconds
    latest = deadline + 60
    searched = partitions = 0
    while (time.monotonic() < deadline or partitions < 3) and load.is_alive():
        assert time.monotonic() < latest, server.status()
        partitions = server.log_path.read_text().count("removed the oldest partition")
        assert server.client.get("/api/v1/search", params={"limit": "1"}).status_code == 200
        searched += 1
        time.sleep(0.2)
    assert load.is_alive()
    load.finish()
    assert searched > seconds
    assert load.least_free > 5_000_000, load.least_free
    assert load.longest_wait < 15, load.longest_wait
    assert metric(server, "logriver_queue_sync_failures_total") == 0
    assert metric(server, "logriver_insert_failures_total") == 0
    return load


@pytest.mark.timeout(180)
def test_a_small_disk_never_fills_and_goes_on_when_others_leave_it(small: tuple[Server, SmallDisk]) -> None:
    server, disk = small
    load = run_load(server, disk, 20)
    refused = fill_until_refused(server, disk, load)
    assert int(refused.headers["retry-after"]) > 0
    assert "must stay free" in refused.text
    ready = server.client.get("/ready")
    assert ready.status_code == 503
    assert "must stay free" in ready.text
    # All that is visible may be removed while what came last is not acknowledged yet.
    status = server.status()
    found = server.client.get("/api/v1/search?limit=1")
    assert found.status_code == 200, found.text
    assert found.json()["rows"] or status["stored"] == 0, ("what is there can be found", status)

    disk.empty()
    deadline = time.monotonic() + 10
    while (answer := server.client.post("/api/v1/logs", content=batch(load.acknowledged))).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
    # A writer may be waiting for its next attempt.
    while (ready := server.client.get("/ready")).status_code != 200:
        assert time.monotonic() < deadline + 10, ready.text
        time.sleep(0.1)
    assert_all_accounted_for(server, disk, load.acknowledged + BATCH)


def fill_until_refused(server: Server, disk: SmallDisk, load: Load) -> httpx.Response:
    """Fill what is free, also what retention makes free, until there is nothing left to remove."""
    deadline = time.monotonic() + 60
    while True:
        disk.fill(leave=3_000_000)
        answer = server.client.post("/api/v1/logs", content=batch(load.acknowledged))
        assert answer.status_code in (200, 429, 503), answer.text
        if answer.status_code == 503:
            return answer
        if answer.status_code == 200:
            # Retention made space between the two.
            load.acknowledged += BATCH
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def test_what_the_engine_did_not_write_whole_is_not_taken_for_stored(tmp_path: Path) -> None:
    """The engine passes over writes that fail for want of space; whole means that every value can be read."""
    disk = SmallDisk(tmp_path / "disk")
    try:
        victim = Path(__file__).with_name("full_disk_victim.py")
        command = [*disk.enter, sys.executable, str(victim), str(tmp_path / "disk")]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
        assert answer.returncode == 0, answer.stderr
        stored, failed = map(int, answer.stdout.split())
        assert stored
        assert failed, "the disk was never full at the right moment"
    finally:
        disk.close()


@pytest.mark.soak
def test_what_a_merge_did_not_write_whole_is_replaced_by_what_it_read(tmp_path: Path) -> None:
    """Somebody fills the disk within merges, again and again, and nothing that was stored is lost.

    Here only, because the engine may need minutes for a damaged block; `test_damaged_parts.py` has the short form.
    """
    disk = SmallDisk(tmp_path / "disk")
    try:
        restored = sum(merge_while_others_fill(disk, tmp_path / "disk" / str(seed), seed) for seed in range(20))
        assert restored, "the disk was never full within a merge"
    finally:
        disk.close()


def merge_while_others_fill(disk: SmallDisk, directory: Path, seed: int) -> int:
    """How many damaged parts were restored."""
    victim = Path(__file__).with_name("full_disk_merges_victim.py")
    command = [*disk.enter, sys.executable, str(victim), str(directory), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(victim.parents[2])}
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1_200, env=environment)
    assert answer.returncode == 0, answer.stderr
    stored, found, once, readable, restored, put_aside = map(int, answer.stdout.split())
    assert (found, once, readable, put_aside) == (stored, stored, stored, 0), answer.stderr
    shutil.rmtree(disk.outside / directory.name)
    return restored


@pytest.mark.soak
def test_a_small_disk_for_minutes(small: tuple[Server, SmallDisk]) -> None:
    server, disk = small
    started = time.monotonic()
    load = run_load(server, disk, 240, usual_batch)
    rate = load.acknowledged / (time.monotonic() - started)
    assert rate > 0.9 * RATE, (rate, load.answers)
    assert_all_accounted_for(server, disk, load.acknowledged)
