import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from logriver import clock
from logriver.cli.line_documents import LineDocuments
from logriver.errors import BadRequest
from logriver.generate import formats, pace

START_NS = clock.from_text("2024-09-14T16:15:35Z")
MILLISECOND_NS = 1_000_000
OWN_VARIABLES = ("LOG_BATCH_SIZE", "LOG_INTERVAL_SECONDS", "LOG_FILE_PATH", "MAX_LOGS_TO_GENERATE", "LOGRIVER_SERVER")


def generate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    command = [sys.executable, "-m", "logriver", "generate", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=False)


def some(format: str, count: int = 2000, seed: int = 7) -> list[bytes]:
    return list(islice(formats.lines(format, seed, START_NS, MILLISECOND_NS), count))


@pytest.mark.parametrize("format", formats.FORMATS)
def test_the_same_seed_gives_the_same_lines_and_another_one_others(format: str) -> None:
    assert some(format) == some(format)
    assert some(format, seed=7) != some(format, seed=8)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_lines_are_whole_and_a_server_can_take_them(format: str) -> None:
    lines = some(format)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    for document in LineDocuments("").of([line.rstrip(b"\n") for line in lines]):
        record = json.loads(document)
        assert record["message"]
        assert abs(clock.from_text(record["timestamp"]) - START_NS) < 60 * clock.SECOND_NS


def test_unknown_format_is_named() -> None:
    with pytest.raises(BadRequest, match="unknown format 'xml'"):
        formats.lines("xml", 1, START_NS, MILLISECOND_NS)


def test_json_is_the_record_that_users_send() -> None:
    records = [json.loads(line) for line in some("json")]
    keys = {"level", "message", "resourceId", "timestamp", "traceId", "spanId", "commit", "metadata"}
    assert all(set(record) == keys and len(record["metadata"]) == 5 for record in records)
    times = [clock.from_text(record["timestamp"]) for record in records]
    assert times == [START_NS + number * MILLISECOND_NS for number in range(len(records))]
    assert len({record["traceId"] for record in records}) == len(records)
    assert set(Counter(record["level"] for record in records)) == {"info", "debug", "warn", "error"}
    assert 350 <= sum(map(len, some("json"))) / 2000 <= 390


def test_api_requests_have_six_tokens_and_are_not_in_order_and_never_from_the_future() -> None:
    tokens = [line.decode().split() for line in some("api_requests")]
    assert {len(line) for line in tokens} == {6}
    times = [f"{line[0]} {line[1]}" for line in tokens]
    assert times != sorted(times)
    ends = clock.to_text(START_NS + len(tokens) * MILLISECOND_NS)[:19].replace("T", " ")
    assert max(times) <= ends
    assert {line[2] for line in tokens} == {f"cust_{number}" for number in range(1, 21)}
    assert any(int(line[4]) >= 400 for line in tokens)
    assert all(0 <= float(line[5]) < 60 for line in tokens)


def test_api_requests_as_a_record_keep_every_field() -> None:
    line = b"2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772\n"
    assert json.loads(LineDocuments("").of([line.rstrip(b"\n")])[0]) == {
        "timestamp": "2024-09-14T16:15:35Z",
        "message": "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772",
        "customer": "cust_5",
        "path": "/api/v1/resource4",
        "status": 200,
        "latency_seconds": 0.772,
    }


def test_nginx_lines_are_in_the_combined_format() -> None:
    combined = re.compile(
        r'\d+\.\d+\.\d+\.\d+ - - \[14/Sep/2024:16:15:3\d \+0000\] "[A-Z]+ \S+ HTTP/1\.1" \d{3} \d+ "[^"]+" "[^"]+"\n'
    )
    assert all(combined.fullmatch(line.decode()) for line in some("nginx"))


def test_app_lines_name_service_and_trace() -> None:
    records = [json.loads(line) for line in some("app")]
    assert len({record["service"] for record in records}) == 8
    assert all(re.fullmatch("[0-9a-f]{32}", record["trace_id"]) for record in records)
    assert all(isinstance(record["duration_ms"], float) for record in records)


@pytest.mark.parametrize("count", [1, 1999, 2000, 2001, 5003])
def test_a_count_is_exact(count: int) -> None:
    lines = formats.lines("json", 1, START_NS, MILLISECOND_NS)
    batches = list(pace.batches(lines, pace.UNPACED, threading.Event(), count))
    assert sum(map(len, batches)) == count
    assert max(map(len, batches)) <= pace.MAX_BATCH_LINES


@pytest.mark.parametrize("rate", [0.5, 1, 15, 20, 333, 1_000_000])
def test_a_rate_is_kept_exactly(rate: float) -> None:
    chosen = pace.of_rate(rate)
    assert chosen.lines / chosen.interval_seconds == pytest.approx(rate)
    assert chosen.step_ns == pytest.approx(1e9 / rate, rel=0.001)


def test_lines_come_at_their_rate() -> None:
    lines = formats.lines("json", 1, START_NS, MILLISECOND_NS)
    began = time.monotonic()
    assert sum(map(len, pace.batches(lines, pace.of_rate(200), threading.Event(), 101))) == 101
    assert time.monotonic() - began >= 0.5


def test_a_stop_ends_an_endless_run() -> None:
    stop = threading.Event()
    lines = formats.lines("json", 1, START_NS, MILLISECOND_NS)
    taken = 0
    for batch in pace.batches(lines, pace.UNPACED, stop):
        taken += len(batch)
        stop.set()
    assert taken == pace.MAX_BATCH_LINES


def test_the_command_appends_seeded_lines(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    arguments = ("--format", "app", "--count", "3000", "--seed", "7", "--start", "2024-09-14T16:15:35Z")
    for _ in range(2):
        done = generate(*arguments, "--file", str(file))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "wrote 3000 lines\n")
    assert file.read_bytes() == b"".join(some("app", 3000)) * 2


def test_lines_without_a_rate_end_now(tmp_path: Path) -> None:
    generate("--format", "json", "--count", "3000", "--file", str(tmp_path / "x"))
    first, *_, last = (json.loads(line)["timestamp"] for line in (tmp_path / "x").read_bytes().splitlines())
    age = datetime.now(UTC) - datetime.fromisoformat(last)
    assert timedelta(0) <= age < timedelta(seconds=30)
    assert datetime.fromisoformat(last) - datetime.fromisoformat(first) == timedelta(milliseconds=2999)


def test_the_variables_of_the_earlier_generator_are_honoured(tmp_path: Path) -> None:
    file = tmp_path / "api_requests.log"
    environment = {"LOG_FILE_PATH": str(file), "LOG_BATCH_SIZE": "10", "MAX_LOGS_TO_GENERATE": "30"}
    began = time.monotonic()
    done = generate(LOG_INTERVAL_SECONDS="0.5", **environment)
    assert done.returncode == 0
    assert time.monotonic() - began >= 1.0
    assert len(file.read_bytes().splitlines()) == 30
    flagged = generate("--count", "5", "--file", str(tmp_path / "other"), LOG_INTERVAL_SECONDS="0", **environment)
    assert flagged.returncode == 0
    assert len((tmp_path / "other").read_bytes().splitlines()) == 5
    assert len(file.read_bytes().splitlines()) == 30


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        ((), {}, "--file or --server"),
        (("--file", "x", "--server", "http://127.0.0.1:1"), {}, "exclude each other"),
        (("--format", "xml", "--file", "x"), {}, "xml"),
        (("--file", "x"), {"LOG_BATCH_SIZE": "many"}, "LOG_BATCH_SIZE"),
        (("--file", "x"), {"MAX_LOGS_TO_GENERATE": "0"}, "MAX_LOGS_TO_GENERATE"),
        (("--file", "x", "--start", "yesterday"), {}, "yesterday"),
        (("--server", "ftp://x", "--count", "1"), {}, "ftp://x"),
    ],
)
def test_a_wrong_option_is_named(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = generate(*arguments, **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    done = generate("--count", "1", "--file", str(tmp_path / "missing" / "x"))
    assert done.returncode == 1
    assert "No such file" in done.stderr
