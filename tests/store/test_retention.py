"""Retention: old partitions go as a whole, are counted exactly, and stay away; kills change neither."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from logriver.errors import Overloaded, SettingsError, Unavailable
from logriver.settings import load
from logriver.store.base import PartitionSize
from logriver.store.disk import Disk, free_bytes, plan
from tests.conftest import RunningServer
from tests.crash_clients import found, sending, wait_until_stored
from tests.store.removal_victim import POINTS, RECORDS

NewServer = Callable[..., RunningServer]
SEED = 20240916
# Partitions are cut with nearly every block, so that some are removed every second.
BRIEF = {
    "LOGRIVER_PARTITION_BYTES": "1",
    "LOGRIVER_RETENTION": "1s",
    "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.05",
}
LARGE = 10**12


# -- killed while it removes -------------------------------------------------------------------------------------------


def test_killed_at_any_point_of_a_removal_nothing_comes_back_or_is_counted_twice(tmp_path: Path) -> None:
    removed_before = 0
    for point in (*POINTS, *POINTS[1:4]):
        victim = start_victim(tmp_path, point)
        assert victim.returncode == -signal.SIGKILL, victim.stderr
        stored, removed = map(int, victim.stdout.split())
        assert stored + removed == RECORDS, point
        assert removed >= removed_before
        removed_before = removed
    assert removed_before > 0

    assert start_victim(tmp_path, "").returncode == 0
    last = start_victim(tmp_path, "")
    # The newest partition is never removed.
    assert [*map(int, last.stdout.split())] == [120, RECORDS - 120]


def start_victim(directory: Path, point: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.store.removal_victim", str(directory), point]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.timeout(180)
def test_a_killed_server_neither_brings_back_nor_miscounts(new_server: NewServer) -> None:
    server = new_server(**BRIEF)
    removed = 0
    with sending(server, [1, 30, 200], SEED) as clients:
        for round_number in range(3):
            time.sleep(1.1 + 0.17 * round_number)
            server.kill()
            server.start()
            now = server.status()["removed_by_retention"]
            assert isinstance(now, int)
            assert now >= removed
            removed = now
    acknowledged = {(client.name, n) for client in clients for n in client.acknowledged}
    counts = wait_until_counted(server, len(acknowledged))
    kept = found(server, "client")
    assert removed > 0
    assert set(kept.values()) <= {1}
    assert set(kept) <= acknowledged
    assert counts["stored"] >= len(kept)
    # A clean start finds the same again.
    assert server.stop() == 0
    server.start()
    wait_until_counted(server, len(acknowledged))
    assert set(found(server, "client")) <= set(kept)


def wait_until_counted(server: RunningServer, acknowledged: int) -> dict[str, int]:
    """The status, which accounts for every record; during a removal its records may for a moment be both."""
    deadline = time.monotonic() + 10
    wait_until_stored(server)
    while True:
        counts = {name: int(str(server.status()[name])) for name in ("stored", "removed_by_retention")}
        assert sum(counts.values()) >= acknowledged, (counts, acknowledged)
        if sum(counts.values()) == acknowledged:
            return counts
        assert time.monotonic() < deadline, (counts, acknowledged)


# -- by age ------------------------------------------------------------------------------------------------------------


def test_old_records_go_by_the_time_they_came_not_by_their_own(new_server: NewServer) -> None:
    server = new_server(**BRIEF | {"LOGRIVER_RETENTION": "3s"})
    for number in range(4):
        server.client.post("/api/v1/logs?wait=searchable", json={"message": "old", "n": number}).raise_for_status()
    young = {"message": "young", "timestamp": "1970-01-01T00:00:00Z"}
    time.sleep(3)
    server.client.post("/api/v1/logs?wait=searchable", json=young).raise_for_status()
    server.client.post("/api/v1/logs?wait=searchable", json={"message": "newest"}).raise_for_status()
    deadline = time.monotonic() + 15
    while server.search(q="old"):
        assert time.monotonic() < deadline, server.status()
        assert server.search(q="newest"), "searching goes on"
        time.sleep(0.05)
    while server.search(q="young"):
        assert time.monotonic() < deadline, server.status()
        time.sleep(0.05)
    assert wait_until_counted(server, 6) == {"stored": 1, "removed_by_retention": 5}
    assert "logriver_records_removed_by_retention_total 5.0" in server.client.get("/metrics").text


# -- the settings ------------------------------------------------------------------------------------------------------


def test_what_the_limits_mean() -> None:
    assert (load().retention_seconds, load().max_disk_bytes(1_000)) == (30 * 86_400, 800)
    assert load(retention="12h").retention_seconds == 12 * 3600
    assert load(retention="forever").retention_seconds is None
    sizes = {"10GB": 10**10, "500 mb": 5 * 10**8, "1.5T": 15 * 10**11, "4GiB": 2**32, "7": 7, "12.5%": 125}
    assert {text: load(max_disk=text).max_disk_bytes(1_000) for text in sizes} == sizes


@pytest.mark.parametrize("wrong", ["30", "0d", "-1d", "d", "1 fortnight", "1.5d"])
def test_a_retention_that_is_none_is_said(wrong: str) -> None:
    with pytest.raises(SettingsError, match="'retention'"):
        load(retention=wrong)


@pytest.mark.parametrize("wrong", ["0%", "101%", "0", "ten", "10XB", "-5GB", "1i", "%"])
def test_a_size_that_is_none_is_said(wrong: str) -> None:
    with pytest.raises(SettingsError, match="'max_disk'"):
        load(max_disk=wrong)


def test_a_small_disk_has_small_parts() -> None:
    small, large = plan(load(), 300_000_000), plan(load(), 10**12)
    assert (small.partition_bytes, small.segment_bytes, small.backlog_bytes) == (16_000_000, 15_000_000, 30_000_000)
    assert (large.partition_bytes, large.segment_bytes, large.backlog_bytes) == (25 * 10**9, 64_000_000, 2_000_000_000)


# -- when receiving stops ----------------------------------------------------------------------------------------------


def test_the_order_is_retention_then_429_then_503(tmp_path: Path) -> None:
    backlog = 0
    disk = Disk(tmp_path, lambda total: LARGE, lambda: backlog)
    sizes = [PartitionSize(1, 10, 1_000), PartitionSize(2, 10, 1_000)]
    assert disk.look(sizes, 0) < 0
    disk.check()

    # So much is waiting that what is free is needed for it.
    backlog = free_bytes(tmp_path) // 2
    assert disk.look(sizes, 0) > 0
    with pytest.raises(Overloaded) as busy:
        disk.check()
    assert (busy.value.status, disk.problem()) == (429, None)

    disk.exhausted = True
    with pytest.raises(Unavailable, match="must stay free") as full:
        disk.check()
    assert (full.value.status, full.value.retry_after_seconds) == (503, 5)
    assert disk.problem() == full.value.message

    backlog = 0
    disk.check()


def test_over_its_own_limit_it_waits_for_the_writer(tmp_path: Path) -> None:
    backlog = 100
    disk = Disk(tmp_path, lambda total: 1_500, lambda: backlog)
    assert disk.look([PartitionSize(1, 10, 1_000), PartitionSize(2, 10, 1_000)], 0) == 2_000 - 1_500 * 15 // 16
    with pytest.raises(Overloaded, match="the limit is"):
        disk.check()
    # Nothing is left that waiting could change.
    backlog = 0
    disk.check()


def test_what_is_being_deleted_is_not_asked_for_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path, lambda total: 1_600, lambda: 0)
    assert disk.look([PartitionSize(1, 0, 0, 1_000), PartitionSize(2, 10, 1_000)], 1) < 0
    assert disk.leaving == 1_000
    assert disk.look([PartitionSize(1, 10, 1_000, 0), PartitionSize(2, 10, 1_000)], 0) == 500
