"""Everything in one stream: the same records in each format, in constant memory, and never complete when it is not."""

import asyncio
import csv
import io
import json
import random
import re
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from logriver.api.export import StreamAnswer, file_answer
from logriver.errors import StoreError
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]

NDJSON, CSV = "application/x-ndjson", "text/csv"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
COLUMNS = ["timestamp", "level", "message", "service", "host", "trace_id", "span_id", "attributes"]
COLUMNS += ["_source", "_received", "_id"]

# Read by the engine in a process of its own, as anybody would read the file.
READ = """
import sys
import time
from logriver.store.engine import Session
path, format, sql = sys.argv[1:]
sys.stdout.buffer.write(Session().query(sql.format(f"file('{path}', '{format}')"), "JSONEachRow").bytes())
"""


def read_file(path: Path, format: str, sql: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", READ, str(path), format, sql]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def run(server: RunningServer) -> str:
    """The search text of the records that all tests here export."""
    run = uuid.uuid4().hex
    records = [
        {"message": f'line, "{n}"', "timestamp": f"2023-09-15T08:00:{n:02}.5Z", "level": "warn", "run": run, "n": n}
        for n in range(50)
    ]
    # Not NDJSON: what is nested keeps its line ends.
    last = '{"message": "last\\nof all", "deep": {\n"a": 1,\r\n"b": [2]}, "run": "' + run + '"}'
    body = json.dumps(records)[:-1] + f", {last}]"
    answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
    assert answer.json()["accepted"] == 51
    return f"run:{run}"


def export(server: RunningServer, q: str, media_type: str, **params: Any) -> httpx.Response:
    answer = server.client.get("/api/v1/search", params={"q": q, **params}, headers={"Accept": media_type})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(media_type)
    return answer


def test_ndjson_has_the_documents_of_a_search(server: RunningServer, run: str) -> None:
    lines = export(server, run, NDJSON).text.splitlines()
    assert [json.loads(line) for line in lines] == server.search(q=run, limit=100)
    assert len(lines) == 51


def test_order_times_and_limit(server: RunningServer, run: str) -> None:
    answer = export(server, run, NDJSON, order="asc", **{"from": "2023-09-15T08:00:10Z", "to": "2023-09-15T08:01:00Z"})
    assert [json.loads(line)["n"] for line in answer.text.splitlines()] == list(range(10, 50))
    answer = export(server, f"{run} n:*", NDJSON, limit=3)
    assert [json.loads(line)["n"] for line in answer.text.splitlines()] == [49, 48, 47]


def test_pipes_shape_a_stream(server: RunningServer, run: str) -> None:
    answer = export(server, f"{run} n:* | sort n | limit 2 | fields n, deep.a", NDJSON)
    assert answer.text == '{"n":0}\n{"n":1}\n'
    answer = export(server, f"{run} | sort deep.a | limit 1 | fields deep.a, `odd ``name`", CSV)
    assert answer.text == '"deep.a","odd `name"\n"1",\n'


@pytest.mark.parametrize(
    ("q", "rows"),
    [
        ("-level:warn | fields level", 1),
        ("-level:* | sort level | fields level", 1),
        ("-level:>=error | fields level, message, service, host, n", 51),
        ("-service:api | sort service desc | fields service", 51),
        ("-host:h1 -trace_id:t1 | fields host, trace_id, timestamp", 51),
        ("-line | fields message", 1),
        ("timestamp:<2023-09-15T08:00:10Z | fields timestamp", 10),
        ("-n:>=10 | sort n | fields attributes, n", 11),
    ],
)
def test_names_of_columns_do_not_change_what_is_found(server: RunningServer, run: str, q: str, rows: int) -> None:
    documents = export(server, f"{run} {q}", NDJSON).text.splitlines()
    header, *found = csv.reader(io.StringIO(export(server, f"{run} {q}", CSV).text))
    assert (len(documents), len(found)) == (rows, rows)
    if "attributes" in header:
        assert [json.loads(row[0]).get("n") for row in found] == [*range(10), None]


def test_csv_has_the_columns(server: RunningServer, run: str) -> None:
    header, *rows = csv.reader(io.StringIO(export(server, run, CSV, order="asc").text))
    assert header == COLUMNS
    assert len(rows) == 51
    first = dict(zip(header, rows[0], strict=True))
    assert first["timestamp"] == "2023-09-15T08:00:00.500000000Z"
    assert first["message"] == 'line, "0"'
    assert json.loads(first["attributes"])["n"] == 0
    assert [row["_id"] for row in server.search(q=run, limit=100, order="asc")] == [row[-1] for row in rows]


@pytest.mark.parametrize(("media_type", "format"), [(ARROW, "ArrowStream"), (PARQUET, "Parquet")])
def test_column_formats_are_one_whole_file(
    server: RunningServer, run: str, tmp_path: Path, media_type: str, format: str
) -> None:
    path = tmp_path / "logs"
    path.write_bytes(export(server, run, media_type).content)
    assert [row["name"] for row in read_file(path, format, "DESCRIBE {}")] == COLUMNS
    (row,) = read_file(path, format, "SELECT count() AS rows, min(timestamp) AS first, uniqExact(_id) AS ids FROM {}")
    assert (int(row["rows"]), int(row["ids"])) == (51, 51)
    assert row["first"] == "2023-09-15 08:00:00.500000000"


def test_an_export_of_nothing_is_a_file_of_nothing(server: RunningServer) -> None:
    nothing = f"run:{uuid.uuid4().hex}"
    assert export(server, nothing, NDJSON).content == b""
    assert export(server, nothing, CSV).text.splitlines() == [",".join(f'"{name}"' for name in COLUMNS)]
    assert export(server, nothing, PARQUET).content.startswith(b"PAR1")


@pytest.mark.parametrize(
    ("params", "hint"),
    [({"q": 'say "hi'}, '"'), ({"limit": "0"}, None), ({"order": "up"}, None), ({"cursor": "x"}, "leave 'cursor' out")],
)
def test_errors_come_before_the_stream(server: RunningServer, params: dict[str, str], hint: str | None) -> None:
    answer = server.client.get("/api/v1/search", params=params, headers={"Accept": CSV})
    assert answer.status_code == 400
    if hint:
        assert hint in answer.json()["error"]["hint"]


def test_json_is_given_to_who_prefers_it(server: RunningServer, run: str) -> None:
    for accept in ("application/json, text/csv", "*/*", "text/html"):
        answer = server.client.get("/api/v1/search", params={"q": run, "limit": 1}, headers={"Accept": accept})
        assert len(answer.json()["rows"]) == 1


# -- large -------------------------------------------------------------------------------------------------------------


def fill(server: RunningServer, count: int) -> None:
    """Records of 1 kB that cannot be compressed."""
    for start in range(0, count, 20_000):
        rows = (json.dumps({"message": random.randbytes(480).hex(), "n": start + n}) for n in range(20_000))
        params = {"wait": "searchable"} if start + 20_000 >= count else {}
        server.client.post("/api/v1/logs", params=params, content="\n".join(rows)).raise_for_status()


def memory(server: RunningServer) -> int:
    """Resident bytes."""
    (resident,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    return int(resident) * 1024


def wait_until_idle(server: RunningServer) -> None:
    """Until the merges of what was just sent, which take memory too, are over."""
    process, deadline, used = psutil.Process(server.process.pid), time.monotonic() + 30, 1.0
    while used > 0.2:
        assert time.monotonic() < deadline
        before = sum(process.cpu_times()[:2])
        time.sleep(1)
        used = sum(process.cpu_times()[:2]) - before


def growth_and_size(server: RunningServer, media_type: str) -> tuple[int, int]:
    """By how much more memory the server has in the second half of an export of everything, and the bytes it sends."""
    peaks: list[tuple[int, int]] = []
    taken = 0
    headers = {"Accept": media_type, "Accept-Encoding": "identity"}
    with server.client.stream("GET", "/api/v1/search", headers=headers) as answer:
        for number, chunk in enumerate(answer.iter_raw()):
            taken += len(chunk)
            if number % 20 == 0:
                peaks.append((taken, memory(server)))
    first, second = ([peak for at, peak in peaks if (at > taken / 2) is late] for late in (False, True))
    return max(second) - max(first), taken


def test_memory_does_not_grow_with_the_export(new_server: NewServer) -> None:
    server = new_server()
    fill(server, 240_000)
    for media_type in (NDJSON, PARQUET):
        # The first brings buffers and caches that stay.
        growth_and_size(server, media_type)
        wait_until_idle(server)
        growth, size = growth_and_size(server, media_type)
        assert size > 110_000_000
        # Kept whole, the second half would be half of it. What is read at one time makes more or less by 25 MB.
        assert growth < size / 3, media_type


def test_a_server_that_dies_leaves_no_complete_file(new_server: NewServer) -> None:
    server = new_server()
    fill(server, 40_000)
    headers = {"Accept": CSV, "Accept-Encoding": "identity"}
    with httpx.Client(base_url=server.url) as client, client.stream("GET", "/api/v1/search", headers=headers) as answer:
        pieces = answer.iter_raw()
        assert next(pieces).startswith(b'"timestamp",')
        server.kill()
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            list(pieces)


def test_an_export_that_fails_midway_says_why_and_is_not_ended() -> None:
    """The engine checks what it will read before it begins, so that no damage to a file makes it fail in between."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield b'{"message":"one"}\n'
        raise StoreError("the disk fails")

    sent = asyncio.run(messages_of(file_answer(pieces(), NDJSON, 10)))
    assert [message.get("more_body") for message in sent] == [None, True, True]
    assert json.loads(sent[-1]["body"])["error"]["message"] == "the disk fails"
    assert len(asyncio.run(messages_of(file_answer(pieces(), CSV, 10)))) == 2


async def messages_of(answer: StreamAnswer) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("a stream asks for nothing")

    await answer({"type": "http"}, receive, send)
    return sent
