"""The pipeline before endpoints of other protocols than ours: streams, items answered in order, values of paths.

Uvicorn on a thread, raw sockets, and a sink that is told what to answer.
"""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from logriver.errors import BadBody, LogriverError, Overloaded
from logriver.ingest.body import BodyLimits
from logriver.ingest.endpoint import Answer, Fate, Item, Outcome, Outcomes, Request, Route
from logriver.ingest.memory_budget import MemoryBudget
from logriver.ingest.pipeline import Pipeline
from logriver.ingest.request_body import SMALL_BODY_BYTES, RequestBody
from logriver.metrics import REGISTRY
from logriver.record import Batch, BatchKey, Decoded, Known, Receipt, Refused

BUDGET_BYTES = 100_000
MAX_BODY_BYTES = 60_000
# Which items of a batch are good, and what became of it.
GROUPS = st.tuples(st.lists(st.booleans(), min_size=1, max_size=4), st.sampled_from(["new", "old", "away"]))


class Kept:
    """A sink that has what was put; a row that holds "later" is turned away, equal keys are duplicates."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.keys: set[bytes] = set()
        self.waiting = 0
        self.most_waiting = 0

    async def put(self, batch: Batch) -> Receipt:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        rows = batch.decoded.rows
        if b"later" in rows:
            raise Overloaded("come back")
        if b"broken" in rows:
            raise RuntimeError("nobody foresaw that")
        if batch.key is not None and batch.key.scope in self.keys:
            return Receipt(batch.decoded.count, batch.rejected, duplicate=True)
        if batch.key is not None:
            self.keys.add(batch.key.scope)
        self.rows += rows.splitlines()
        return Receipt(batch.decoded.count, batch.rejected, len(self.rows))

    async def known(self, follower: str) -> Known:
        return Known()


def line_batch(lines: list[bytes], key: BatchKey | None = None, first: int = 1) -> Batch:
    """Lines as records; one that begins with "bad" is refused."""
    decoded = Decoded()
    for number, line in enumerate(lines, first):
        if line.startswith(b"bad"):
            decoded.refused.append(Refused(number, f"{line.decode()} is bad"))
        else:
            decoded.rows += line + b"\n"
            decoded.count += 1
    return Batch(decoded, "probe", key, rejected=len(decoded.refused))


class Bulk:
    """Each line an item with a fate of its own; those with `id=` have a key, and so a batch of their own."""

    protocol = "probe"
    routes = (Route("POST", "/{index}/_bulk"), Route("GET", "/"), Route("HEAD", "/{index}"))

    def __init__(self) -> None:
        self.threads: list[str] = []

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        if request.route.method == "POST":
            yield await body.decode(self._batches)

    def _batches(self, data: bytes) -> list[Batch]:
        self.threads.append(threading.current_thread().name)
        if data.startswith(b"?"):
            raise BadBody("no action")
        if b"id=" not in data:
            return [line_batch(data.splitlines())]
        return [
            line_batch([line], BatchKey(line, b"") if b"id=" in line else None, number)
            for number, line in enumerate(data.splitlines(), 1)
        ]

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        if request.route.method != "POST":
            return Answer(200, b"hello", [(b"x-product", b"probe")], b"text/plain")
        fates = ",".join(f"{item.fate.value} {item.reason}".strip() for item in outcomes.items())
        return Answer(200, f"{request.values['index']}: {fates}".encode())

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        return Answer(error.status, f"refused: {error.message}".encode())


class Upload:
    """A request that stays open: lines are put as they arrive, until the client ends it."""

    protocol = "upload"
    routes = (Route("POST", "/upload"),)

    async def decode(self, request: Request, body: RequestBody) -> AsyncGenerator[list[Batch], None]:
        rest = b""
        async for piece in body.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            if lines:
                yield [line_batch(lines)]
        if rest:
            raise BadBody("the last line has no end")

    async def answer(self, request: Request, outcomes: Outcomes) -> Answer:
        return Answer(202, b"OK %d in %d" % (outcomes.accepted, len(outcomes.batches)), content_type=b"text/plain")

    def refuse(self, request: Request, error: LogriverError) -> Answer:
        return Answer(error.status, f"refused: {error.message}".encode())


class Serving:
    """The pipeline behind uvicorn on a thread of its own."""

    def __init__(self) -> None:
        self.kept, self.bulk, self.budget = Kept(), Bulk(), MemoryBudget(BUDGET_BYTES)
        limits = BodyLimits(self.budget, MAX_BODY_BYTES, 10_000)
        self.pipeline = Pipeline(self.kept, limits, [self.bulk, Upload()])
        config = uvicorn.Config(self._app, port=0, interface="asgi3", lifespan="off", log_config=None)
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=(self.server.serve(),))
        self._thread.start()
        wait_until(lambda: self.server.started)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.pipeline.handles(scope)
        await self.pipeline(scope, receive, send)

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        address = self.server.servers[0].sockets[0].getsockname()
        with socket.create_connection(address, timeout=10) as connection:
            yield connection

    def ask(self, head: str, body: bytes = b"", *headers: str) -> tuple[int, str]:
        """Status and body of the answer to one request."""
        lines = [f"{head} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}", *headers]
        with self.connection() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            return answer_of(connection)

    def free_bytes(self) -> int:
        """How much of the budget is free: nothing is kept of a request that has been answered."""
        size = BUDGET_BYTES
        while size:
            with contextlib.suppress(Overloaded):
                self.budget.reserve(size)
                self.budget.release(size)
                return size
            size -= 1
        return 0

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()


def answer_of(connection: socket.socket) -> tuple[int, str]:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def running() -> Iterator[Serving]:
    running = Serving()
    yield running
    running.stop()


@pytest.fixture
def serving(running: Serving) -> Serving:
    kept = running.kept
    kept.rows, kept.keys, kept.most_waiting = [], set(), 0
    return running


def count(name: str, protocol: str = "probe") -> float:
    return REGISTRY.get_sample_value(f"logriver_records_{name}_total", {"protocol": protocol}) or 0.0


def test_each_item_is_answered_in_order(serving: Serving) -> None:
    before = count("accepted"), count("rejected")
    answer = serving.ask("POST /logs-1/_bulk", b"one\nbad two\nthree\nbad four")
    assert answer == (200, "logs-1: accepted,refused bad two is bad,accepted,refused bad four is bad")
    assert serving.kept.rows == [b"one", b"three"]
    assert (count("accepted"), count("rejected")) == (before[0] + 2, before[1] + 2)


def test_items_with_keys_are_put_together_and_duplicates_are_told(serving: Serving) -> None:
    body = b"id=1\nbad two\nid=3\nplain"
    assert serving.ask("POST /x/_bulk", body)[1] == "x: accepted,refused bad two is bad,accepted,accepted"
    assert serving.kept.most_waiting == 3
    before = count("accepted")
    assert serving.ask("POST /x/_bulk", body)[1] == "x: duplicate,refused bad two is bad,duplicate,accepted"
    assert serving.kept.rows == [b"id=1", b"id=3", b"plain", b"plain"]
    assert count("accepted") == before + 1


def test_where_some_of_a_group_fails_the_others_are_answered_for(serving: Serving) -> None:
    assert serving.ask("POST /x/_bulk", b"id=1\nid=later\nid=3")[1] == "x: accepted,failed come back,accepted"
    assert serving.kept.rows == [b"id=1", b"id=3"]


@pytest.mark.parametrize("body", [b"later", b"id=later\nid=2 later"])
def test_where_all_of_it_fails_the_request_is_refused(serving: Serving, body: bytes) -> None:
    assert serving.ask("POST /x/_bulk", body) == (429, "refused: come back")


@pytest.mark.parametrize("body", [b"broken", b"id=1\nid=broken"])
def test_what_nobody_foresaw_is_refused_in_the_protocols_shape(serving: Serving, body: bytes) -> None:
    assert serving.ask("POST /x/_bulk", body) == (500, "refused: something went wrong in the server")


def test_where_all_is_refused_nothing_is_put(serving: Serving) -> None:
    before = count("rejected")
    assert serving.ask("POST /x/_bulk", b"bad\nbad")[1] == "x: refused bad is bad,refused bad is bad"
    assert serving.kept.rows == []
    assert serving.kept.most_waiting == 0
    assert count("rejected") == before + 2


def test_an_error_of_the_decoder_is_refused(serving: Serving) -> None:
    assert serving.ask("POST /x/_bulk", b"?") == (400, "refused: no action")
    assert serving.ask("POST /x/_bulk", b"x" * (MAX_BODY_BYTES + 1))[0] == 413
    assert serving.ask("POST /x/_bulk", b"x", "Content-Encoding: br")[0] == 415


def test_calls_that_bring_nothing_are_answered(serving: Serving) -> None:
    assert serving.ask("GET /") == (200, "hello")
    assert serving.ask("HEAD /x") == (200, "")
    assert serving.kept.rows == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("POST", "/a/b/_bulk"), ("GET", "/x/_bulk"), ("PUT", "/x")]
)
def test_other_calls_are_not_its(serving: Serving, method: str, path: str) -> None:
    assert not serving.pipeline.handles({"type": "http", "method": method, "path": path})


def test_only_small_plain_bodies_are_decoded_on_the_event_loop(serving: Serving) -> None:
    serving.bulk.threads.clear()
    serving.ask("POST /x/_bulk", b"x" * SMALL_BODY_BYTES)
    serving.ask("POST /x/_bulk", b"x" * (SMALL_BODY_BYTES + 1))
    serving.ask("POST /x/_bulk", gzip.compress(b"x"), "Content-Encoding: gzip")
    loop, *threads = serving.bulk.threads
    assert not loop.startswith("ingest-")
    assert [name.partition("_")[0] for name in threads] == ["ingest-probe"] * 2


def test_memory_is_given_back(serving: Serving) -> None:
    for body in (b"x", b"?", b"later", b"x" * MAX_BODY_BYTES):
        serving.ask("POST /x/_bulk", body)
    assert serving.free_bytes() == BUDGET_BYTES


def test_a_stream_is_put_while_it_comes(serving: Serving) -> None:
    with serving.connection() as connection:
        connection.sendall(
            b"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(5):
            # Far more than its memory, all in all.
            line = b"%d" % number * 40_000
            connection.sendall(b"%x\r\n%b\n\r\n" % (len(line) + 1, line))
            wait_until(lambda number=number: len(serving.kept.rows) == number + 1)  # type: ignore[misc]
        connection.sendall(b"0\r\n\r\n")
        assert answer_of(connection) == (202, "OK 5 in 1")
    assert serving.free_bytes() == BUDGET_BYTES


def test_what_was_put_of_a_stream_stays_when_the_rest_is_refused(serving: Serving) -> None:
    assert serving.ask("POST /upload", b"one\ntwo\nthr") == (400, "refused: the last line has no end")
    assert serving.kept.rows == [b"one", b"two"]
    assert serving.ask("POST /upload", b"later\n") == (429, "refused: come back")
    assert serving.ask("POST /upload", gzip.compress(b"x\n"), "Content-Encoding: br")[0] == 415


def test_a_stream_whose_client_leaves_keeps_what_came_and_gives_its_memory_back(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with serving.connection() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\none\ntw")
        wait_until(lambda: serving.kept.rows == [b"one"])
    wait_until(lambda: serving.free_bytes() == BUDGET_BYTES)
    assert serving.kept.rows == [b"one"]
    assert caplog.messages == []


@given(st.lists(GROUPS, max_size=6))
def test_outcomes_of_neighbours_that_are_alike_are_one_and_say_the_same(batches: list[tuple[list[bool], str]]) -> None:
    outcomes, expected, number = Outcomes(), [], 0
    for good, became in batches:
        refused = [Refused(number + place, "no") for place, is_good in enumerate(good, 1) if not is_good]
        number += len(good)
        receipt = None if became == "away" else Receipt(sum(good), duplicate=became == "old")
        error = Overloaded("away") if became == "away" else None
        outcomes.add(Outcome(sum(good), refused, receipt, error))
        fate = {"new": Item(Fate.ACCEPTED), "old": Item(Fate.DUPLICATE), "away": Item(Fate.FAILED, "away")}[became]
        expected += [fate if is_good else Item(Fate.REFUSED, "no") for is_good in good]
    assert list(outcomes.items()) == expected
    assert outcomes.accepted == sum(sum(good) for good, became in batches if became != "away")
    assert len(outcomes.refused) == sum(good.count(False) for good, _ in batches)
