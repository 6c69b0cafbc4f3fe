"""The live tail: each matching record once, in order, within a second, over restarts of either side."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from logriver.search import cursor as cursors
from logriver.watermark import Watermark
from tests.conftest import RunningServer

NewServer = Callable[..., RunningServer]
Event = tuple[str, dict[str, Any]]


class Reader:
    """An event stream as a browser reads it: `last_id` is what it would send to go on."""

    def __init__(self, server: RunningServer, q: str, last_id: str = "", **params: str) -> None:
        self.last_id = last_id
        self._client = httpx.Client(base_url=server.url, timeout=20)
        headers = {"Last-Event-ID": last_id} if last_id else {}
        request = self._client.build_request("GET", "/api/v1/tail", params={"q": q, **params}, headers=headers)
        self.answer = self._client.send(request, stream=True)

    def events(self) -> Iterator[Event]:
        identity = ""
        for line in self.answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                identity = value
            elif not line:
                self.last_id = identity
            elif name == "data":
                self.last_id = identity
                yield identity, json.loads(value)

    def take(self, count: int) -> list[dict[str, Any]]:
        events = self.events()
        return [next(events)[1] for _ in range(count)]

    def close(self) -> None:
        self.answer.close()
        self._client.close()

    def __enter__(self) -> "Reader":
        assert self.answer.status_code == 200, self.answer.read()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def send(server: RunningServer, records: list[dict[str, Any]]) -> None:
    answer = httpx.post(f"{server.url}/api/v1/logs", params={"wait": "searchable"}, json=records, timeout=30)
    assert answer.json()["accepted"] == len(records)


def numbers(run: str, numbers: range) -> list[dict[str, Any]]:
    return [{"run": run, "n": n} for n in numbers]


@pytest.fixture
def run() -> str:
    return uuid.uuid4().hex


def test_records_come_in_order_within_a_second(server: RunningServer, run: str) -> None:
    send(server, numbers(run, range(5)))
    with Reader(server, f"run:{run} -n:7") as reader:
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        assert reader.answer.headers["cache-control"] == "no-store"
        assert reader.answer.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in reader.answer.headers
        # What came before is not given; the times of records do not change their order.
        records = [record | {"timestamp": f"20{20 - record['n']}-01-01"} for record in numbers(run, range(5, 10))]
        send(server, records)
        searchable = time.monotonic()
        seen = reader.take(4)
        assert time.monotonic() - searchable < 1
    assert [row["n"] for row in seen] == [5, 6, 8, 9]
    assert seen == list(reversed(server.search(q=f"run:{run} -n:7", limit=4, order="asc")))


def test_a_tail_goes_on_after_its_cursor(server: RunningServer, run: str) -> None:
    with Reader(server, f"run:{run}") as reader:
        send(server, numbers(run, range(10)))
        assert [row["n"] for row in reader.take(4)] == [0, 1, 2, 3]
        cursor = reader.last_id
    send(server, numbers(run, range(10, 12)))
    with Reader(server, f"run:{run}", last_id=cursor) as reader:
        assert [row["n"] for row in reader.take(8)] == list(range(4, 12))
    # A browser that comes back sends the header beside the address of its beginning.
    with Reader(server, f"run:{run}", last_id=reader.last_id, after=cursor) as reader:
        send(server, numbers(run, range(12, 13)))
        assert [row["n"] for row in reader.take(1)] == [12]
    with Reader(server, f"run:{run}", after=cursor) as reader:
        assert [row["n"] for row in reader.take(9)] == list(range(4, 13))


def test_a_cursor_of_another_data_directory_begins_now(server: RunningServer, run: str) -> None:
    ahead = cursors.encode(cursors.TailCursor(Watermark({"n": 2**62})))
    send(server, numbers(run, range(3)))
    with Reader(server, f"run:{run}", last_id=ahead) as reader:
        send(server, numbers(run, range(3, 5)))
        assert [row["n"] for row in reader.take(2)] == [3, 4]


def test_pipe_fields_chooses_what_is_sent(server: RunningServer, run: str) -> None:
    with Reader(server, f"run:{run} | fields n, missing") as reader:
        send(server, numbers(run, range(2)))
        assert reader.take(2) == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    "params", [{"q": "a | sort n"}, {"q": "a | limit 5"}, {"q": "a | stats count()"}, {"q": '"'}, {"after": "x"}]
)
def test_what_a_tail_cannot_give_is_refused(server: RunningServer, params: dict[str, str]) -> None:
    answer = server.client.get("/api/v1/tail", params=params)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_more_tails_than_allowed_are_turned_away(new_server: NewServer) -> None:
    server = new_server(LOGRIVER_MAX_TAILS="1")
    with Reader(server, ""):
        answer = server.client.get("/api/v1/tail")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1
    deadline = time.monotonic() + 2
    while True:
        with server.client.stream("GET", "/api/v1/tail") as answer:
            if answer.status_code == 200:
                break
        assert time.monotonic() < deadline


def test_a_slow_reader_delays_nobody_and_gets_all(new_server: NewServer, run: str) -> None:
    server = new_server()
    count, text = 30_000, "x" * 500
    with Reader(server, f"run:{run}") as reader:
        for start in range(0, count, 10_000):
            send(server, [record | {"text": text} for record in numbers(run, range(start, start + 10_000))])
        # More than lies on the way to it has been sent before it begins to read.
        assert [row["n"] for row in reader.take(count)] == list(range(count))


def test_nothing_is_lost_or_doubled_over_restarts(new_server: NewServer, run: str) -> None:
    server = new_server()
    count, batch = 400, 10
    sent = threading.Event()

    def keep_sending() -> None:
        for start in range(0, count, batch):
            while True:
                try:
                    body = json.dumps(numbers(run, range(start, start + batch)))
                    httpx.post(f"{server.url}/api/v1/logs", content=body, headers={"Idempotency-Key": f"{run}{start}"})
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            time.sleep(0.02)
        sent.set()

    with Reader(server, f"run:{run}") as reader:
        start_id = next(line for line in reader.answer.iter_lines() if line.startswith("id: ")).removeprefix("id: ")
    sender = threading.Thread(target=keep_sending)
    sender.start()
    seen: list[int] = []
    last_id = start_id
    while len(seen) < count:
        with Reader(server, f"run:{run}", last_id=last_id) as reader:
            try:
                for identity, row in reader.events():
                    seen.append(row["n"])
                    last_id = identity
                    # The server dies once, and the client goes away now and then.
                    if len(seen) == 95:
                        server.kill()
                        server.start()
                    if len(seen) % 150 == 0 or len(seen) == count:
                        break
            except httpx.HTTPError:
                pass
    sender.join()
    assert sent.is_set()
    assert seen == list(range(count))


def test_tails_end_when_the_server_stops(new_server: NewServer) -> None:
    server = new_server()
    with Reader(server, "") as reader:
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5
        assert list(reader.events()) == []


@pytest.mark.soak
def test_a_quiet_tail_shows_that_it_lives(server: RunningServer, run: str) -> None:
    with Reader(server, f"run:{run}") as reader:
        lines = reader.answer.iter_lines()
        started = time.monotonic()
        comments = [line for line in (next(lines) for _ in range(7)) if line.startswith(":")]
        assert len(comments) == 2
        assert 13 < time.monotonic() - started < 20


def test_a_tail_begins_where_a_page_ended(server: RunningServer, run: str) -> None:
    send(server, numbers(run, range(5)))
    page = server.client.get("/api/v1/search", params={"q": f"run:{run}", "limit": 2}).json()
    send(server, numbers(run, range(5, 9)))
    with Reader(server, f"run:{run}", after=page["newer"]) as reader:
        assert [row["n"] for row in reader.take(4)] == [5, 6, 7, 8]
