"""A merged part whose files end early, as a merge on a full disk leaves it, costs no record."""

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import RunningServer
from tests.crash_clients import wait_until_stored

RECORDS = 50
MAX_BATCHES = 400
PAUSE_SECONDS = 0.3
LOOK_SECONDS = 10.0
PART = re.compile(r"(\d+)_(\d+)_(\d+)_(\d+)")


def merged_parts(data: Path) -> set[Path]:
    """Those that were not merged further, and whose sources are all there still."""
    found = ((path, PART.fullmatch(path.name)) for path in (data / "store" / "store").glob("*/*/*_*_*_*"))
    parts = {path: tuple(map(int, match.groups())) for path, match in found if match}
    merged = set()
    for path, (_, first, last, level) in parts.items():
        sources = [range(p[1], p[2] + 1) for p in parts.values() if first <= p[1] and p[2] <= last and p[3] < level]
        newest = not any(p[1] <= first and last <= p[2] and p[3] > level for p in parts.values())
        if newest and level and {number for numbers in sources for number in numbers} == set(range(first, last + 1)):
            merged.add(path)
    return merged


def merges(server: RunningServer) -> Iterator[tuple[Path, int]]:
    """Sends records, and gives each part that was just merged, with how many were sent."""
    seen: set[Path] = set()
    for batch in range(1, MAX_BATCHES):
        lines = "".join(f'{{"message":"record {batch} {n}"}}\n' for n in range(RECORDS))
        server.client.post("/api/v1/logs", content=lines).raise_for_status()
        deadline = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < deadline:
            new = merged_parts(server.data) - seen
            seen |= new
            if new:
                yield new.pop(), batch * RECORDS
            time.sleep(0.005)
    raise AssertionError("nothing was merged")


def damage_a_merge(server: RunningServer, name: str = "data.bin") -> int:
    """How many records were sent. A part that the server had looked at before it was cut short is mended again."""
    for part, records in merges(server):
        file = part / name
        content = file.read_bytes()
        os.truncate(file, len(content) // 2 if name == "data.bin" else 0)
        deadline = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < deadline:
            if "the disk was full during a merge" in server.log_path.read_text():
                return records
            time.sleep(0.02)
        file.write_bytes(content)
    raise AssertionError


def count_and_different(server: RunningServer) -> list[int]:
    q = "* | stats count() as n, uniq(message) as different"
    answer = server.client.get("/api/v1/stats", params={"q": q})
    answer.raise_for_status()
    return [int(number) for number in answer.json()["rows"][0]]


def wait_until_restored(server: RunningServer, records: int, seconds: float = 10) -> None:
    """Nobody sees an error meanwhile, fewer records than there were, or one twice."""
    restored = 'logriver_damaged_parts_total{outcome="restored"} 1.0'
    deadline, seen = time.monotonic() + seconds, 0
    while restored not in server.client.get("/metrics").text:
        assert time.monotonic() < deadline, server.log_path.read_text()[-2000:]
        count, different = count_and_different(server)
        assert count == different >= seen
        seen = count
        time.sleep(0.05)
    wait_until_stored(server)
    assert count_and_different(server) == [records] * 2


def test_it_is_replaced_while_the_server_runs(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    records = damage_a_merge(server)
    wait_until_restored(server, records)
    assert server.client.post("/api/v1/logs?wait=searchable", json={"message": "one more"}).status_code == 200
    assert count_and_different(server) == [records + 1] * 2
    assert not list(server.data.rglob("broken-on-start*"))


@pytest.mark.parametrize("takes", [True, False])
def test_an_export_under_way_is_cut_off_for_it(new_server: Callable[..., RunningServer], takes: bool) -> None:
    """Whether its client takes something or not."""
    server = new_server()
    lines = [json.dumps({"message": random.randbytes(480).hex()}) for _ in range(20_000)]
    server.client.post("/api/v1/logs?wait=searchable", content="\n".join(lines)).raise_for_status()
    headers = {"Accept": "application/x-ndjson", "Accept-Encoding": "identity"}
    with httpx.Client(base_url=server.url) as client, client.stream("GET", "/api/v1/search", headers=headers) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        records = damage_a_merge(server)
        if not takes:
            wait_until_restored(server, len(lines) + records)
        with pytest.raises(httpx.RemoteProtocolError):
            take_slowly(pieces)
    wait_until_restored(server, len(lines) + records)


def take_slowly(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        time.sleep(0.02)


def test_it_is_replaced_by_the_next_start(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    part, records = next(merges(server))
    server.kill()
    os.truncate(part / "data.bin", 1000)
    server.start()
    wait_until_stored(server)
    assert count_and_different(server) == [records] * 2
    assert "put aside" in server.log_path.read_text()


@pytest.mark.parametrize(
    "name",
    ["checksums.txt", *(pytest.param(name, marks=pytest.mark.soak) for name in ("columns.txt", "skp_idx.packed"))],
)
def test_which_file_it_is_makes_no_difference(new_server: Callable[..., RunningServer], name: str) -> None:
    server = new_server()
    records = damage_a_merge(server, name)
    wait_until_restored(server, records)
    server.kill()
    server.start()
    wait_until_stored(server)
    assert count_and_different(server) == [records] * 2
