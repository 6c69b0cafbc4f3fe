"""A server with a damaged part: it goes on without it, says so everywhere, and nobody sees an error or a path."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.commands import logriver
from tests.conftest import RunningServer
from tests.crash_clients import wait_until_stored
from tests.store.part_files import DAMAGE, flip, parts, set_aside

RECORDS = 600
SENTENCE = f"1 damaged part with {RECORDS} records is set aside"
CALLS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/api/v1/search", {"q": "record"}),
    ("GET", "/api/v1/histogram", {"q": "record"}),
    ("GET", "/api/v1/fields", {}),
    ("GET", "/api/v1/fields/n/values", {}),
    ("GET", "/api/v1/stats", {"q": "* | stats count() as n, uniq(message) as m"}),
    ("GET", "/api/v1/patterns", {"q": "record"}),
    ("POST", "/api/v1/sql", {"query": "SELECT count(), max(length(message)), uniqExact(n) FROM logs"}),
    ("POST", "/fetch_logs", {}),
]


def body(batch: int) -> bytes:
    lines = (
        json.dumps({"message": f"record {batch} {n}", "level": "info", "n": n, "b": batch}) for n in range(RECORDS)
    )
    return "\n".join(lines).encode()


def fill(server: RunningServer, batches: int) -> None:
    """Each batch becomes a part."""
    for batch in range(batches):
        server.client.post("/api/v1/logs?wait=searchable", content=body(batch)).raise_for_status()


def counted(server: RunningServer) -> tuple[int, int]:
    """Records, and how many of them are different ones."""
    answer = server.client.get("/api/v1/stats", params={"q": "* | stats count() as n, uniq(message) as m"})
    answer.raise_for_status()
    [[count, different]] = answer.json()["rows"]
    return int(count), int(different)


def ask(server: RunningServer, method: str, path: str, given: dict[str, str]) -> httpx.Response:
    if method == "GET":
        return server.client.get(path, params=given)
    return server.client.post(path, json={"rules": [], "page": 1} if path == "/fetch_logs" else given)


@pytest.mark.parametrize("how", ["flip", "remove"])
def test_every_answer_says_what_it_is_without(new_server: Callable[..., RunningServer], how: str) -> None:
    server = new_server()
    fill(server, 3)
    assert server.stop() == 0
    part = parts(server.data / "store")[0]
    DAMAGE[how](part / "data.bin")
    server.start()
    # It reads all of each; a query that reads something else is whole.
    assert len(server.search(limit=10_000)) == 2 * RECORDS
    for method, path, given in CALLS:
        answer = ask(server, method, path, given)
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert answer.headers["Logriver-Incomplete"] == SENTENCE, path
        if isinstance(content, dict):
            assert content["incomplete"] == [SENTENCE], path
    for media_type in ("application/x-ndjson", "text/csv"):
        answer = server.client.get("/api/v1/search", headers={"Accept": media_type})
        assert answer.headers["Logriver-Incomplete"] == SENTENCE
        assert answer.text.count("record ") == 2 * RECORDS

    problems = str(server.status()["problems"])
    assert f"part {part.name} (0.0 MB, 600 records) is damaged, answers are without it" in problems
    assert server.client.get("/ready").status_code == 200
    deadline = time.monotonic() + 20
    while "logriver_set_aside_parts 1.0" not in (metrics := server.client.get("/metrics").text):
        assert time.monotonic() < deadline, server.log_path.read_text()
        time.sleep(0.05)
    assert f"logriver_set_aside_records {RECORDS}.0" in metrics

    shown = logriver("search", "record", "-n", "1", "--server", server.url)
    assert f"incomplete: {SENTENCE}" in shown.stderr

    # What comes is stored, and a restart changes nothing.
    fill(server, 1)
    server.kill()
    server.start()
    wait_until_stored(server)
    assert counted(server)[0] == 3 * RECORDS
    assert server.client.get("/api/v1/search").json()["incomplete"] == [SENTENCE]


def test_damage_while_it_runs_is_found_by_whoever_reads_it(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    fill(server, 3)
    assert "incomplete" not in server.client.get("/api/v1/search").json()
    flip(parts(server.data / "store")[1] / "data.bin")
    deadline = time.monotonic() + 20
    while (answer := server.client.get("/api/v1/search", params={"q": "b:1", "limit": "1000"})).status_code == 200:
        if "incomplete" in answer.json():
            break
        assert time.monotonic() < deadline
    assert answer.status_code == 200, answer.text
    assert answer.json()["incomplete"] == [SENTENCE]
    fill(server, 1)
    assert counted(server)[0] == 3 * RECORDS


def test_an_export_that_meets_damage_is_cut_and_the_next_is_not(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    fill(server, 2)
    assert server.stop() == 0
    flip(parts(server.data / "store")[0] / "data.bin")
    server.start()
    headers = {"Accept": "application/x-ndjson"}
    for _ in range(2):
        try:
            answer = server.client.get("/api/v1/search", headers=headers)
        except httpx.RemoteProtocolError:
            continue
        assert str(server.data) not in answer.text
        if answer.text.count('"message":"record ') == RECORDS and "error" not in answer.text:
            break
    else:
        raise AssertionError("no export was whole")
    assert answer.headers["Logriver-Incomplete"] == SENTENCE


def test_damaged_indexes_cost_no_record(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    fill(server, 2)
    assert server.stop() == 0
    for name in ("skp_idx_ix_message.idx", "minutes.proj/data.bin"):
        flip(parts(server.data / "store")[0] / name)
    server.start()
    for q in ("record", "*"):
        answer = server.client.get("/api/v1/histogram", params={"q": q})
        assert answer.json()["total"] == 2 * RECORDS
        assert "incomplete" not in answer.json()
    deadline = time.monotonic() + 20
    while 'logriver_damaged_parts_total{outcome="rebuilt"}' not in server.client.get("/metrics").text:
        assert time.monotonic() < deadline, server.log_path.read_text()
        time.sleep(0.05)
    while server.status()["problems"]:
        assert time.monotonic() < deadline, server.status()
    assert counted(server) == (2 * RECORDS,) * 2
    assert not set_aside(server.data / "store")


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_what_is_still_in_the_log_is_stored_again_once(new_server: Callable[..., RunningServer], how: str) -> None:
    """Killed before the log's records were known to be done, and their part is damaged meanwhile."""
    server = new_server()
    # Right after the first snapshot, so that there is none between the records and the kill.
    fill(server, 1)
    server.kill()
    assert list((server.data / "log").glob("*.log"))
    DAMAGE[how](parts(server.data / "store")[0] / "data.bin")
    server.start()
    wait_until_stored(server)
    deadline = time.monotonic() + 20
    while counted(server)[0] != RECORDS:
        assert time.monotonic() < deadline, server.status()
        time.sleep(0.05)
    server.kill()
    server.start()
    wait_until_stored(server)
    assert counted(server) == (RECORDS, RECORDS)


def test_the_doctor_names_the_part_and_what_to_do(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = new_server()
    fill(server, 2)
    assert server.stop() == 0
    before = tmp_path / "before"
    shutil.copytree(server.data, before, symlinks=True)
    assert "2 parts, all of them can be read" in logriver("doctor", "--data", str(server.data)).stdout

    flip(parts(server.data / "store")[0] / "data.bin")
    DAMAGE["remove"](parts(server.data / "store")[1] / "primary.cidx")
    there = sorted(server.data.rglob("*"))
    done = logriver("doctor", "--data", str(server.data))
    assert sorted(server.data.rglob("*")) == there, "the doctor changes nothing"
    for part in parts(server.data / "store"):
        assert f"{part.name} (0.0 MB, 600 records)" in done.stdout, done.stdout
        assert f"mv '{part}'" in done.stdout

    server.start()
    counted(server)
    server.stop()
    done = logriver("doctor", "--data", str(server.data))
    for name in set_aside(server.data / "store"):
        assert f"/detached/{name}'" in done.stdout
    assert "set aside" in done.stdout
