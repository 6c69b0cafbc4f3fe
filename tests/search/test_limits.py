"""What a query may use, who waits, and who is turned away; a client that leaves ends its query; ingest goes on."""

import json
import re
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]

# Each term is looked for in the whole text: seconds of work on some megabytes.
HEAVY = " OR ".join(f"é{n}é" for n in range(480))
ROWS = 20_000


def fill(server: RunningServer, count: int = ROWS) -> None:
    """Records of 1 kB whose messages are all different."""
    lines = (json.dumps({"message": f"{n} {n * 7919 % 10**9:x} " * 60, "n": n}) for n in range(count))
    answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, content="\n".join(lines))
    assert answer.json()["accepted"] == count


def metric(server: RunningServer, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> float:
    """How long it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


@contextmanager
def asking(server: RunningServer, clients: int) -> Iterator[list[httpx.Client]]:
    """So many clients that ask the heavy question at one time; they leave at the end of the block."""
    opened = [httpx.Client(base_url=server.url, timeout=60) for _ in range(clients)]
    responses = [client.build_request("POST", "/api/v1/search", json={"q": HEAVY}) for client in opened]

    def ask(client: httpx.Client, request: httpx.Request) -> None:
        try:
            client.send(request).read()
        except (httpx.HTTPError, RuntimeError, OSError):
            return  # it left

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(opened, responses, strict=True)]
    for thread in threads:
        thread.start()
    try:
        yield opened
    finally:
        for client in opened:
            client.close()
        for thread in threads:
            thread.join()


def test_a_query_that_takes_too_long_says_so(new_server: NewServer) -> None:
    # Planning so many terms takes a second and does not count; reading some megabytes may take a tenth.
    server = new_server(LOGRIVER_QUERY_TIMEOUT="0.01")
    fill(server)
    answer = server.client.post("/api/v1/search", json={"q": HEAVY})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "query_too_expensive")
    assert "limit of time" in error["message"]
    assert "shorter time range" in error["hint"]
    assert "query_timeout" in error["hint"]


def test_a_query_that_needs_too_much_memory_says_so(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_QUERY_MEMORY_BYTES="4000000")
    fill(server)
    answer = server.client.get("/api/v1/search", params={"limit": 10_000})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "query_too_expensive")
    assert "limit of memory" in error["message"]
    assert "max_query_memory_bytes" in error["hint"]
    assert server.search(limit=5, q="nothing") == []


def test_who_leaves_ends_the_query_and_frees_its_slot(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_QUERIES="1")
    fill(server)

    def leave(number: int) -> float:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/api/v1/search", json={"q": HEAVY}, timeout=0.3)
        taken = wait_until(lambda: metric(server, "logriver_queries_cancelled_total") == number)
        assert len(server.search(limit=3)) == 3
        return taken

    # The quickest of a few: the machine may be busy with other tests.
    assert any(leave(number) < 1 for number in (1, 2, 3))


def test_more_than_can_wait_are_turned_away(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_QUERIES="1")
    fill(server)

    def turned_away() -> httpx.Response | None:
        answer = server.client.get("/api/v1/search", params={"limit": 1}, timeout=0.5)
        return answer if answer.status_code == 429 else None

    with asking(server, 1 + 4):
        time.sleep(0.5)
        answer = server.client.get("/api/v1/search", params={"limit": 1})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["error"]["code"] == "overloaded"
    # All have left: those that waited as well as the one that was asking.
    wait_until(lambda: server.client.get("/api/v1/search", params={"limit": 1}).status_code == 200, 2)


def test_an_export_does_not_take_the_slots_of_questions(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_QUERIES="1", LOGRIVER_MAX_EXPORTS="1", LOGRIVER_QUERY_TIMEOUT="1")
    fill(server)
    accept = {"Accept": "text/csv", "Accept-Encoding": "identity"}
    with httpx.Client(base_url=server.url) as reader, reader.stream("GET", "/api/v1/search", headers=accept) as export:
        assert export.status_code == 200
        # It is not read, and lasts longer than a question may; a question is answered beside it.
        assert len(server.search(limit=3)) == 3
        second = server.client.get("/api/v1/search", headers=accept)
        assert (second.status_code, second.json()["error"]["code"]) == (429, "overloaded")
        lines = sum(chunk.count(b"\n") for chunk in export.iter_raw())
        assert lines == ROWS + 1
    assert server.client.get("/api/v1/search", headers=accept, params={"limit": 1}).status_code == 200


def test_an_export_whose_client_takes_nothing_is_cut_off(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_EXPORTS="1", LOGRIVER_EXPORT_IDLE="0.5")
    fill(server)
    accept = {"Accept": "application/x-ndjson", "Accept-Encoding": "identity"}
    with httpx.Client(base_url=server.url) as reader, reader.stream("GET", "/api/v1/search", headers=accept) as export:
        wait_until(lambda: "cut off" in server.log_path.read_text())
        with pytest.raises(httpx.RemoteProtocolError):
            list(export.iter_raw())
        assert server.client.get("/api/v1/search", headers=accept, params={"limit": 1}).status_code == 200


def test_an_export_whose_client_leaves_is_ended(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_EXPORTS="1")
    fill(server)
    accept = {"Accept": "text/csv", "Accept-Encoding": "identity"}

    def leave() -> float:
        with (
            httpx.Client(base_url=server.url) as reader,
            reader.stream("GET", "/api/v1/search", headers=accept) as export,
        ):
            next(export.iter_raw())
        started = time.monotonic()
        assert server.client.get("/api/v1/search", headers=accept, params={"limit": 1}).status_code == 200
        return time.monotonic() - started

    # The quickest of a few: the machine may be busy with other tests.
    assert any(leave() < 1 for _ in range(3))


# -- ingest beside heavy queries ---------------------------------------------------------------------------------------

RATE = 20_000
_BATCH = 1_000


def lags(server: RunningServer, seconds: float) -> list[float]:
    """Offer 20,000 records a second and measure, some times, how long one takes to be searchable."""
    body = "\n".join(json.dumps({"message": f"offered {n}", "level": "info", "n": n}) for n in range(_BATCH)).encode()
    measured: list[float] = []
    done = threading.Event()

    def measure() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not done.is_set():
                started = time.monotonic()
                answer = client.post("/api/v1/logs", params={"wait": "searchable"}, content=b'{"message":"lag"}')
                assert answer.json()["searchable"] is True
                measured.append(time.monotonic() - started)

    measuring = threading.Thread(target=measure)
    measuring.start()
    started = time.monotonic()
    for number in range(int(seconds * RATE / _BATCH)):
        assert server.client.post("/api/v1/logs", content=body).status_code == 200
        time.sleep(max(0.0, started + (number + 1) * _BATCH / RATE - time.monotonic()))
    done.set()
    measuring.join()
    return measured


def check_ingest_beside_heavy_queries(new_server: NewServer, seconds: float, most_times: float) -> None:
    server = new_server()
    fill(server)
    quiet = statistics.median(lags(server, seconds))
    with asking(server, 4):
        busy = statistics.median(lags(server, seconds))
    assert metric(server, 'logriver_requests_turned_away_total{reason="backlog"}') == 0
    assert busy <= most_times * quiet, (busy, quiet)


def test_heavy_queries_do_not_starve_ingest(new_server: NewServer) -> None:
    # Other tests run on the same processors at the same time: twice is held by the longer form alone.
    check_ingest_beside_heavy_queries(new_server, seconds=3, most_times=4)


@pytest.mark.soak
def test_heavy_queries_at_most_double_the_time_to_searchable(new_server: NewServer) -> None:
    check_ingest_beside_heavy_queries(new_server, seconds=20, most_times=2)


# One call of a function, which the engine does not break off.
ENDLESS = "SELECT countMatches(repeat('a', 1000000), 'a.*b|a')"


def test_a_statement_that_cannot_be_ended_stops_nobody_else(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_QUERY_TIMEOUT="1", LOGRIVER_MAX_QUERIES="2")
    fill(server, 100)
    started = time.monotonic()
    answer = server.client.post("/api/v1/sql", json={"query": ENDLESS}, timeout=30)
    assert time.monotonic() - started < 10
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "query_too_expensive")
    assert "does not end" in error["message"]
    # It keeps its slot: no other statement begins, and every search does.
    assert server.client.post("/api/v1/sql", json={"query": "SELECT 1"}).status_code == 429
    assert len(server.search(limit=5)) == 5
    assert server.stop() == 0
