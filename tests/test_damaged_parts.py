"""A merged part whose files end early, as a merge on a full disk leaves it, costs no record."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash_clients import wait_until_stored

RECORDS = 50
MAX_BATCHES = 400
PART = re.compile(r"(\d+)_(\d+)_(\d+)_(\d+)")


def merged_part(data: Path) -> Path | None:
    """A part that was not merged further, and whose sources are all there still."""
    found = ((path, PART.fullmatch(path.name)) for path in (data / "store").rglob("*_*_*_*"))
    parts = {path: tuple(map(int, match.groups())) for path, match in found if match}
    for path, (_, first, last, level) in parts.items():
        sources = [range(p[1], p[2] + 1) for p in parts.values() if first <= p[1] and p[2] <= last and p[3] < level]
        newest = not any(p[1] <= first and last <= p[2] and p[3] > level for p in parts.values())
        if newest and level and {number for numbers in sources for number in numbers} == set(range(first, last + 1)):
            return path
    return None


def send_until_merged(server: RunningServer) -> tuple[Path, int]:
    """The part, and how many records were stored."""
    for batch in range(1, MAX_BATCHES):
        lines = "".join(f'{{"message":"record {batch} {n}"}}\n' for n in range(RECORDS))
        server.client.post("/api/v1/logs?wait=searchable", content=lines).raise_for_status()
        if part := merged_part(server.data):
            return part, batch * RECORDS
    raise AssertionError("nothing was merged")


def cut_short(part: Path) -> None:
    file = part / "data.bin"
    os.truncate(file, file.stat().st_size // 2)


def count_and_different(server: RunningServer) -> list[int]:
    q = "* | stats count() as n, uniq(message) as different"
    answer = server.client.get("/api/v1/stats", params={"q": q})
    answer.raise_for_status()
    return [int(number) for number in answer.json()["rows"][0]]


def test_it_is_replaced_while_the_server_runs(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    part, records = send_until_merged(server)
    cut_short(part)
    restored = 'logriver_damaged_parts_total{outcome="restored"} 1.0'
    deadline = time.monotonic() + 10
    while restored not in server.client.get("/metrics").text:
        assert time.monotonic() < deadline, server.log_path.read_text()[-2000:]
        # Nobody sees an error meanwhile, or fewer records.
        assert count_and_different(server) == [records] * 2
        time.sleep(0.05)
    assert count_and_different(server) == [records] * 2
    assert server.client.post("/api/v1/logs?wait=searchable", json={"message": "one more"}).status_code == 200
    assert count_and_different(server) == [records + 1] * 2
    assert not list(server.data.rglob("broken-on-start*"))


def test_it_is_replaced_by_the_next_start(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    part, records = send_until_merged(server)
    server.kill()
    cut_short(part)
    server.start()
    wait_until_stored(server)
    assert count_and_different(server) == [records] * 2
    assert "put aside" in server.log_path.read_text()


@pytest.mark.parametrize("name", ["columns.txt", "checksums.txt", "skp_idx.packed"])
def test_which_file_it_is_makes_no_difference(new_server: Callable[..., RunningServer], name: str) -> None:
    server = new_server()
    part, records = send_until_merged(server)
    os.truncate(part / name, 0)
    deadline = time.monotonic() + 10
    while "restored what damaged parts were made of" not in server.log_path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.kill()
    server.start()
    wait_until_stored(server)
    assert count_and_different(server) == [records] * 2
