"""The limits of receiving, keys, and what inflating refuses: each is a clear answer, and what was there stays."""

import gzip
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from logriver.errors import BadBody
from logriver.ingest.decompress import decompress

SOCKET_SECONDS = 20
NewServer = Callable[..., Any]
# The store takes nothing within a test, so what is received waits in the log.
HELD = {"STREAM_MAX_WAIT_TIME_IN_SECONDS": "3600", "STREAM_MAX_SIZE": "1000000"}


def post(server: Any, body: Any, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: httpx.Response = server.client.post("/api/v1/logs?wait=searchable", content=body, headers=sent)
    return answer


def record(run: str, size: int = 0) -> bytes:
    return f'{{"run":"{run}","text":"{"x" * size}"}}'.encode()


def stored(server: Any, run: str) -> int:
    return len(server.search(q=f"run:{run}", limit=1000))


def assert_refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "position", "hint"}
    assert error["code"] == code
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 1
    return str(error["message"])


@pytest.fixture
def run() -> str:
    return uuid.uuid4().hex


def test_another_wait_is_refused_before_anything_is_stored(server: Any, run: str) -> None:
    for wait in ("true", "stored"):
        answer = server.client.post("/api/v1/logs", params={"wait": wait}, content=record(run))
        assert assert_refused(answer, 400, "bad_request") == f"parameter 'wait' is 'searchable', not '{wait}'"
    answer = server.client.post("/api/v1/logs?wait=stored&wait=searchable", content=record(run))
    assert_refused(answer, 400, "bad_request")
    answer = server.client.post("/api/v1/logs?wait=&x=1&wait=%73earchable", content=record(run))
    assert answer.json()["searchable"] is True
    assert stored(server, run) == 1


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_that_comes_again_gets_the_same_counts(server: Any, run: str) -> None:
    body = b"\n".join([record(run), b"not JSON", record(run)])
    first, again = (post(server, body, idempotency_key=run).json() for _ in range(2))
    assert (first["accepted"], first["rejected"], first["duplicate"]) == (2, 1, False)
    assert (again["accepted"], again["rejected"], again["duplicate"]) == (2, 1, True)
    assert again["errors"] == first["errors"]
    packed = post(server, gzip.compress(body), idempotency_key=run, content_encoding="gzip")
    assert packed.json()["duplicate"] is True
    assert stored(server, run) == 2


def test_a_key_with_other_content_is_refused(server: Any, run: str) -> None:
    assert post(server, record(run), idempotency_key=run).status_code == 200
    assert_refused(post(server, record(run, 1), idempotency_key=run), 422, "key_reused")
    assert post(server, record(run), idempotency_key=run).json()["duplicate"] is True
    assert post(server, record(run), idempotency_key=run.upper()).json()["duplicate"] is False
    assert stored(server, run) == 2


def test_a_refused_body_does_not_use_its_key_up(server: Any, run: str) -> None:
    assert_refused(post(server, b"not JSON", idempotency_key=run), 400, "bad_body")
    assert post(server, record(run), idempotency_key=run).json()["duplicate"] is False
    assert stored(server, run) == 1


def test_of_equal_keys_at_one_time_one_is_stored(server: Any, run: str) -> None:
    body = b"\n".join([record(run, 1000)] * 100)
    together = threading.Barrier(8)

    def send(_: int) -> dict[str, Any]:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            together.wait()
            answer = client.post("/api/v1/logs", content=body, headers={"Idempotency-Key": run})
        counts: dict[str, Any] = answer.json()
        return counts

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert [answer["accepted"] for answer in answers] == [100] * 8
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 7
    post(server, record(run), idempotency_key=run + "last")
    assert stored(server, run) == 101


def test_a_key_has_a_longest_length(server: Any, run: str) -> None:
    assert_refused(post(server, record(run), idempotency_key="k" * 257), 400, "bad_request")
    assert post(server, record(run), idempotency_key=run + "k" * 224).status_code == 200
    assert stored(server, run) == 1


def test_a_key_is_remembered_over_a_restart(new_server: NewServer, run: str) -> None:
    server = new_server()
    assert post(server, record(run), idempotency_key=run).json()["duplicate"] is False
    server.kill()
    server.start()
    again = post(server, record(run), idempotency_key=run).json()
    assert (again["accepted"], again["rejected"], again["duplicate"]) == (1, 0, True)
    post(server, record(run + "after"))
    assert_refused(post(server, record(run, 1), idempotency_key=run), 422, "key_reused")
    assert stored(server, run) == 1


# -- limits ------------------------------------------------------------------------------------------------------------


def test_what_is_acknowledged_and_not_yet_searchable_says_so(new_server: NewServer, run: str) -> None:
    server = new_server(**HELD)
    answer = post(server, record(run)).json()
    assert (answer["accepted"], answer["searchable"]) == (1, False)
    assert stored(server, run) == 0
    assert server.status()["waiting"] == 1
    assert server.stop() == 0
    server.start()
    assert stored(server, run) == 1


def test_a_full_backlog_is_a_429_that_keeps_nothing(new_server: NewServer, run: str) -> None:
    server = new_server(LOGRIVER_MAX_BACKLOG_BYTES="20000", **HELD)
    answers = [server.client.post("/api/v1/logs", content=record(run, 1000)) for _ in range(40)]
    accepted = sum(answer.status_code == 200 for answer in answers)
    assert 10 < accepted < 40
    for answer in answers[accepted:]:
        assert "waiting to be stored" in assert_refused(answer, 429, "overloaded")
    server.stop()
    server.start()
    assert stored(server, run) == accepted
    assert server.client.post("/api/v1/logs", content=record(run, 1000)).status_code == 200


def test_bytes_in_flight_are_bounded_and_given_back(new_server: NewServer, run: str) -> None:
    server = new_server(LOGRIVER_MAX_INFLIGHT_BYTES="10000")
    assert_refused(post(server, record(run, 10_000)), 429, "overloaded")
    chunks = (record(run, 1000) + b"\n" for _ in range(20))
    assert_refused(post(server, chunks), 429, "overloaded")
    assert_refused(post(server, gzip.compress(record(run, 20_000)), content_encoding="gzip"), 429, "overloaded")
    url = httpx.URL(server.url)

    def beside_a_slow_one() -> httpx.Response:
        with socket.create_connection((url.host, url.port or 80), timeout=SOCKET_SECONDS) as slow:
            slow.sendall(b"POST /api/v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n")
            # Where the quick one is first, the slow one is turned away: then both are tried again.
            answer: httpx.Response = server.client.post("/api/v1/logs", content=record(run, 1500))
            return answer

    for _ in range(3):
        until(beside_a_slow_one, 429)
        until(lambda: server.client.post("/api/v1/logs", content=record(run + "after", 8000)), 200)
    post(server, record(run))
    assert stored(server, run + "after") == 3


def until(ask: Callable[[], httpx.Response], status: int) -> None:
    """Ask until the answer has this status: what another connection does takes its time to be seen."""
    deadline = time.monotonic() + SOCKET_SECONDS
    while ask().status_code != status:
        assert time.monotonic() < deadline


def test_bodies_and_records_have_a_largest_size(new_server: NewServer, run: str) -> None:
    server = new_server(LOGRIVER_MAX_BODY_BYTES="5000", LOGRIVER_MAX_RECORD_BYTES="1000")
    for body in (b"x" * 5001, (b"x" * 1000 for _ in range(6))):
        assert "the limit is 5000" in assert_refused(post(server, body), 413, "too_large")
    lines = b"\n".join([record(run), record(run, 1000), record(run)])
    answer = post(server, lines).json()
    assert (answer["accepted"], answer["errors"]) == (
        2,
        [{"line": 2, "reason": f"record of {len(record(run, 1000))} bytes, the limit is 1000"}],
    )
    assert stored(server, run) == 2


@pytest.mark.parametrize("unit", ["1\n", "{}\n", "[1,", "[{},"])
def test_a_body_of_millions_of_records_takes_no_memory(new_server: NewServer, run: str, unit: str) -> None:
    """Sixty kilobytes on their way; each record took a hundred bytes or more, four gigabytes together."""
    server = new_server()
    assert post(server, record(run)).status_code == 200
    before = resident_bytes(server)
    body = unit.strip("[") * (40_000_000 // len(unit.strip("[")))
    body = f"[{body[:-1]}]" if unit.startswith("[") else body
    for path in ("/api/v1/logs", "/", "/logs/ingest/"):
        headers = {"Content-Encoding": "gzip"}
        answer = server.client.post(path, content=gzip.compress(body.encode(), 1), headers=headers)
        assert answer.status_code == (400 if path == "/" and not unit.startswith("[{") else 413), answer.text[:200]
        assert len(answer.content) < 1000
    assert resident_bytes(server) - before < 450_000_000
    assert stored(server, run) == 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_is_large(new_server: NewServer, run: str, encoding: str) -> None:
    server = new_server(LOGRIVER_MAX_BODY_BYTES="20000000")
    before = resident_bytes(server)
    pack = gzip.compress if encoding == "gzip" else zstandard.ZstdCompressor().compress
    bomb = pack(b"{" + b" " * 200_000_000)
    for path in ("/api/v1/logs", "/", "/logs/ingest/"):
        answer = server.client.post(path, content=bomb, headers={"Content-Encoding": encoding})
        assert answer.status_code == 413
        assert "inflates to more than 20000000 bytes" in answer.text
    assert resident_bytes(server) - before < 100_000_000
    assert post(server, record(run)).status_code == 200
    assert stored(server, run) == 1


def resident_bytes(server: Any) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.parametrize("head", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_comes_too_slowly_is_a_408(new_server: NewServer, run: str, head: str) -> None:
    server = new_server(LOGRIVER_BODY_TIMEOUT="0.5")
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=SOCKET_SECONDS) as slow:
        slow.sendall(f"POST /api/v1/logs HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"}}"):
            piece = slow.recv(65536)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.5 s" in answer
    assert post(server, record(run)).status_code == 200
    assert stored(server, run) == 1


# -- inflating ---------------------------------------------------------------------------------------------------------


def no_reserve(_: int) -> None:
    """There is memory for everything."""


def test_zstd_frames_of_every_kind_are_read_whole() -> None:
    data = uuid.uuid4().bytes * 20_000 + b"\0" * 1_000_000
    skippable = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    for level in (-5, 1, 19):
        for checksum in (False, True):
            for with_size in (False, True):
                packer = zstandard.ZstdCompressor(level, write_checksum=checksum, write_content_size=with_size)
                body = skippable + packer.compress(data) + packer.compress(b"") + skippable + packer.compress(b"x")
                assert decompress(body, "zstd", len(data) + 1, no_reserve) == data + b"x"
                for cut in (1, 2, len(body) // 2, len(body) - 40):
                    with pytest.raises(BadBody):
                        decompress(body[:-cut], "zstd", len(data) + 1, no_reserve)


def test_memory_is_asked_for_step_by_step() -> None:
    asked: list[int] = []
    decompress(gzip.compress(b" " * 3_500_000), "gzip", 10_000_000, asked.append)
    assert asked[-1] == 3_500_000
    assert max(after - before for before, after in zip([0, *asked], asked, strict=False)) <= 1_000_000
