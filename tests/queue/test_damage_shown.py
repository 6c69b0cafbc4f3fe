"""Damage to the log by a server's own calls: status, metrics, log, doctor, acknowledgement; a lost `state.db`."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunningServer
from tests.crash.test_crash import HELD, SMALL
from tests.crash_clients import body, wait_until_stored
from tests.queue.test_log_damage import flip, places

BATCHES = 20
RECORDS = 20


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a server that was killed with all of its records in the log."""
    data = tmp_path_factory.mktemp("killed") / "data"
    server = RunningServer(data, environment=SMALL | HELD)
    for batch in range(BATCHES):
        server.client.post("/api/v1/logs", content=body("before", RECORDS * batch, RECORDS)).raise_for_status()
    server.kill()
    return data


@pytest.fixture
def data(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "data", symlinks=True))


def segments(data: Path) -> list[Path]:
    return sorted((data / "log").glob("*.log"))


def doctor(data: Path) -> str:
    command = [sys.executable, "-m", "logriver", "doctor", "--data", str(data), "--listen", "127.0.0.1:0"]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60).stdout


def metric(server: RunningServer, name: str) -> float:
    lines = server.client.get("/metrics").text.splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"logriver_{name} ")]
    return float(value)


def test_damage_is_shown_until_it_is_acknowledged(data: Path, new_server: Callable[..., RunningServer]) -> None:
    first, second, *_ = segments(data)
    missing = sum(len(place.numbers) for place in places(first))
    first.unlink()
    broken = places(second)[1]
    flip(broken.segment, broken.end - 30)
    server = new_server(data=data, **SMALL)
    status = wait_until_stored(server)
    assert status["stored"] == BATCHES * RECORDS - missing - len(broken.numbers)
    found = server.client.get("/api/v1/damage").json()["damage"]
    assert [(one["file"], one["records"], one["exact"]) for one in found] == [
        (first.name, missing, True),
        (second.name, RECORDS, True),
    ]
    assert [found[0]["first_seq"], found[0]["last_seq"]] == [1, missing]
    assert (found[0]["what"], found[1]["loss"]) == ("is missing", f"{RECORDS} records lost")
    problems = status["problems"]
    assert isinstance(problems, list)
    assert [one["file"] in problem for one, problem in zip(found, problems, strict=True)] == [True, True]
    assert metric(server, "queue_damaged_records_total") == missing + RECORDS
    assert metric(server, "queue_damage_unacknowledged") == 2
    logged = [json.loads(line) for line in server.log_path.read_text().splitlines() if "the log is damaged" in line]
    assert [(line["level"], line["file"]) for line in logged] == [("error", first.name), ("error", second.name)]
    server.kill()

    server.start()
    assert server.client.get("/api/v1/damage").json()["damage"] == found
    assert server.status()["problems"] == problems
    said = doctor(data)
    assert f"log file {first.name}: is missing; {missing} records lost" in said
    assert f"POST /api/v1/damage/{found[0]['id']}/acknowledge" in said
    for one in found:
        answer = server.client.post(f"/api/v1/damage/{one['id']}/acknowledge")
        assert (answer.status_code, answer.json()) == (200, {"id": one["id"], "acknowledged": True})
    assert (server.status()["problems"], metric(server, "queue_damage_unacknowledged")) == ([], 0)
    for wrong in (found[0]["id"], "0", "x", "9" * 30):
        assert server.client.post(f"/api/v1/damage/{wrong}/acknowledge").status_code == 404
    assert server.stop() == 0
    assert "none of the log" in doctor(data)


def refused(data: Path) -> str:
    command = [sys.executable, "-m", "logriver", "serve", "--listen", "127.0.0.1:0", "--data", str(data)]
    start = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert start.returncode == 1
    return start.stderr


def test_without_its_queue_file_it_starts_only_if_told_to(data: Path, new_server: Callable[..., RunningServer]) -> None:
    state = data / "state.db"
    for path in data.glob("state.db-*"):
        path.unlink()
    state.write_bytes(b"not a database" * 100)
    assert "state.db' cannot be" in refused(data)
    state.unlink()
    said = refused(data)
    assert "state.db is missing beside" in said
    assert "an empty file 'state.db' lets the server start" in said
    assert not state.exists()
    state.touch()
    server = new_server(data=data, **SMALL)
    status = wait_until_stored(server)
    assert status["stored"] == BATCHES * RECORDS
    [found] = server.client.get("/api/v1/damage").json()["damage"]
    assert (found["file"], found["records"]) == ("state.db", 0)
    assert "idempotency keys, dead letters and how far files had been read are lost" in found["what"]


def test_a_damaged_page_of_the_queue_file_is_noticed(data: Path) -> None:
    state = data / "state.db"
    with sqlite3.connect(state) as db:
        db.executemany("INSERT INTO keys VALUES (?, ?, 1, 0, 0)", ((f"{n:016}", b"x" * 16) for n in range(2_000)))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = bytearray(state.read_bytes())
    content[-4096 * 3 : -4096 * 2] = b"\xff" * 4096
    state.write_bytes(content)
    said = refused(data)
    assert "state.db' cannot be read" in said
    assert "restore it from a backup" in said
