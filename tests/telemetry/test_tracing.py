"""W3C Trace Context: the request that a line of the internal log belongs to, here and on agents; one for each call."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from logriver.api import tracing
from logriver.api.tracing import Tracing, note_rows
from logriver.trace import Trace, begin_trace, current_trace, outgoing_traceparent
from tests.conftest import RunningServer
from tests.running_agent import RunningAgent

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
ANSWERED = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-0[01]")
WAIT_SECONDS = 30


def hexes(text: str, length: int) -> bool:
    return len(text) == length and all(digit in "0123456789abcdef" for digit in text) and text.strip("0") != ""


def trace_id_by_the_book(header: str) -> str | None:
    """The trace's id by the text of the recommendation, sections 3.2 and 4.3; None where it says to begin anew."""
    version, *parts = header.split("-")
    if len(version) != 2 or any(digit not in "0123456789abcdef" for digit in version) or version == "ff":
        return None
    if len(parts) < 3 or (version == "00" and len(header) != 55):
        return None
    trace_id, parent_id, flags = parts[:3]
    good_flags = len(flags) == 2 and all(digit in "0123456789abcdef" for digit in flags)
    return trace_id if hexes(trace_id, 32) and hexes(parent_id, 16) and good_flags else None


DIGITS = st.sampled_from("0123456789abcdef")


def field(length: int) -> st.SearchStrategy[str]:
    """Mostly good, also of a wrong length, all zero, or with letters that are no digits."""
    good = st.text(DIGITS, min_size=length, max_size=length)
    return good | st.just("0" * length) | st.text(st.sampled_from("0aAfFgZ -"), max_size=length + 1)


HEADERS = st.tuples(
    st.sampled_from(["00", "00", "01", "cc", "fe", "ff", "FF", "0", "000", "zz"]),
    field(32),
    field(16),
    field(2),
    st.sampled_from(["", "", "-", "-00", "-what=ever", "00", " "]),
).map(lambda parts: "-".join(parts[:4]) + parts[4])


@given(HEADERS | st.text(max_size=80))
@example(TRACEPARENT)
@example(TRACEPARENT.upper())
@example(f"{TRACEPARENT}-")
@example(f"ff-{TRACE_ID}-{SPAN_ID}-01")
@example(f"01-{TRACE_ID}-{SPAN_ID}-01-later")
@example(f"01-{TRACE_ID}-{SPAN_ID}-01later")
@example(f"00-{TRACE_ID}-{SPAN_ID}-01\n")
@example(f"00-{TRACE_ID}-{SPAN_ID}-\u0660\u0661")
@settings(max_examples=200)
def test_a_header_is_read_by_the_book(header: str) -> None:
    trace = Context().run(begin_trace, header)

    expected = trace_id_by_the_book(header)
    assert ANSWERED.fullmatch(trace.traceparent)
    assert trace.parent_id == ("" if expected is None else header.split("-")[2])
    assert expected in (None, trace.trace_id)
    assert trace.span_id != trace.parent_id


@pytest.mark.parametrize(("flags", "sampled"), [("00", "00"), ("01", "01"), ("02", "00"), ("ff", "01"), ("fe", "00")])
def test_only_the_flag_that_is_known_goes_on(flags: str, sampled: str) -> None:
    trace = Context().run(begin_trace, f"00-{TRACE_ID}-{SPAN_ID}-{flags}")

    assert trace.traceparent.endswith(f"-{sampled}")


def test_what_a_request_starts_belongs_to_its_trace_and_nothing_else_does() -> None:
    async def request(header: str) -> tuple[Trace, Trace | None]:
        begun = begin_trace(header)
        await asyncio.sleep(0.01)
        assert outgoing_traceparent() == begun.traceparent
        return begun, await asyncio.to_thread(current_trace)

    async def work() -> None:
        pairs = await asyncio.gather(request(TRACEPARENT), request(""), request(""))
        assert [begun for begun, _ in pairs] == [found for _, found in pairs]
        assert len({begun.trace_id for begun, _ in pairs}) == 3
        assert outgoing_traceparent() is None

    Context().run(asyncio.run, work())


@given(st.lists(HEADERS | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=300), max_size=3))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_caller_sends_is_answered(server: RunningServer, headers: list[str]) -> None:
    answer = server.client.get("/health", headers=[("traceparent", header.strip()) for header in headers])

    assert answer.status_code == 200
    answered = ANSWERED.fullmatch(answer.headers["traceparent"])
    assert answered
    expected = trace_id_by_the_book(headers[0].strip()) if len(headers) == 1 else None
    assert expected in (None, answered[1])


def test_bytes_that_are_no_text_are_a_trace_of_their_own(server: RunningServer) -> None:
    for value in (b"\xff\xfe", TRACEPARENT.encode() + b"\xe9", b"x" * 20_000):
        answer = server.client.get("/health", headers={b"traceparent": value})
        assert answer.status_code == 200
        assert TRACE_ID not in answer.headers["traceparent"]


def test_an_ingest_endpoint_takes_a_trace_along(server: RunningServer) -> None:
    for header in (TRACEPARENT, "nonsense"):
        answer = server.client.post("/api/v1/logs", content=b'{"message":"m"}', headers={"traceparent": header})
        assert answer.json()["accepted"] == 1


# The line of a call.


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("traced") / "data", "--internal-logs", "--name", "primary")
    yield running
    assert running.stop() == 0


def wait_for_rows(server: RunningServer, query: str, count: int) -> list[dict[str, object]]:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(rows := server.search(q=query)) < count:
        assert time.monotonic() < deadline, rows
        time.sleep(0.1)
    return rows


def test_a_request_is_found_by_the_trace_of_its_caller(talkative: RunningServer) -> None:
    talkative.client.post("/api/v1/logs?wait=searchable", content=b'{"message":"needle"}\n{"message":"needle"}')
    answer = talkative.client.get("/api/v1/search", params={"q": "needle"}, headers={"traceparent": TRACEPARENT})
    refused = talkative.client.get("/api/v1/search", params={"q": '"secret'}, headers={"traceparent": TRACEPARENT})
    absent = talkative.client.get("/api/v1/nothing", headers={"traceparent": TRACEPARENT})

    rows = wait_for_rows(talkative, f"trace_id:{TRACE_ID}", 3)
    spans = [one.headers["traceparent"].split("-")[2] for one in (absent, refused, answer)]
    assert [row["span_id"] for row in rows] == spans
    assert {row["parent_span_id"] for row in rows} == {SPAN_ID}
    assert [(row["status"], row["level"]) for row in rows] == [(404, "info"), (400, "info"), (200, "info")]
    assert (rows[2]["message"], rows[2]["rows"]) == ("GET /api/v1/search 200", 2)
    elapsed_ms = rows[2]["elapsed_ms"]
    assert isinstance(elapsed_ms, float)
    assert elapsed_ms >= answer.json()["stats"]["elapsed_ms"]


def test_what_was_searched_for_is_not_in_the_line(talkative: RunningServer) -> None:
    answer = talkative.client.get("/api/v1/search", params={"q": "mysterious"})
    talkative.client.post("/api/v1/sql", json={"query": "SELECT 'mysterious'"})
    trace_id = answer.headers["traceparent"].split("-")[1]
    wait_for_rows(talkative, f"trace_id:{trace_id}", 1)

    assert "mysterious" not in talkative.log_path.read_text()


def test_who_watches_and_who_sends_leaves_no_line(talkative: RunningServer) -> None:
    header = {"traceparent": f"00-{'b' * 32}-{SPAN_ID}-01"}
    for path in ("/health", "/ready", "/metrics", "/api/v1/status", "/api/v1/sources", "/", "/ui/app.js", "/docs"):
        assert talkative.client.get(path, headers=header).status_code == 200
    talkative.client.post("/api/v1/logs", content=b'{"message":"m"}', headers=header)
    talkative.client.get("/api/v1/fields", headers=header)

    (row,) = wait_for_rows(talkative, f"trace_id:{'b' * 32}", 1)
    assert row["path"] == "/api/v1/fields"


def test_a_live_tail_has_its_line_when_it_ends(talkative: RunningServer) -> None:
    with httpx.stream("GET", f"{talkative.url}/api/v1/tail", headers={"traceparent": TRACEPARENT}) as tail:
        lines = tail.iter_lines()
        assert next(lines)
        time.sleep(1.5)

    (row,) = wait_for_rows(talkative, f"trace_id:{TRACE_ID} path:/api/v1/tail", 1)
    assert (row["status"], row["level"]) == (200, "info")
    assert isinstance(row["elapsed_ms"], float)
    assert row["elapsed_ms"] > 1_000


@pytest.fixture
def agents(talkative: RunningServer, tmp_path: Path) -> Iterator[list[RunningAgent]]:
    """Two, each with a file that it does not follow."""
    started = []
    for name in ("web-1", "web-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.log").write_text("a line\n")
        arguments = ("--internal-logs", "--server", talkative.url, "--name", name, "--files-root", str(tmp_path / name))
        started.append(RunningAgent(tmp_path / f"{name}.log", *arguments))
    for agent in started:
        agent.wait_for_log("channel to the server is open")
    yield started
    for agent in started:
        agent.kill()


def test_one_search_shows_a_request_across_machines(talkative: RunningServer, agents: list[RunningAgent]) -> None:
    header = {"traceparent": f"00-{'c' * 32}-{SPAN_ID}-01"}
    answer = talkative.client.get("/logs", params={"hostname": "*", "filename": "app.log"}, headers=header)
    assert answer.text.count("a line") == len(agents)

    rows = wait_for_rows(talkative, f"service:logriver trace_id:{'c' * 32}", 3)
    assert {row["host"] for row in rows} == {"primary", "web-1", "web-2"}
    assert len({row["span_id"] for row in rows}) == 3
    (asked,) = [row for row in rows if row["host"] == "primary"]
    assert (asked["message"], asked["parent_span_id"]) == ("GET /logs 200", SPAN_ID)
    assert {row["parent_span_id"] for row in rows if row is not asked} == {asked["span_id"]}


def test_an_answer_that_nobody_waited_for_is_part_of_the_request(
    talkative: RunningServer, agents: list[RunningAgent], tmp_path: Path
) -> None:
    (tmp_path / "web-1" / "big.log").write_text("a line\n" * 3_000_000)
    header = {"traceparent": f"00-{'d' * 32}-{SPAN_ID}-01"}
    ask = {"hostname": "web-1", "filename": "big.log"}
    with talkative.client.stream("GET", "/logs", params=ask, headers=header) as answer:
        next(answer.iter_bytes())

    (row,) = wait_for_rows(talkative, f"service:logriver host:web-1 trace_id:{'d' * 32}", 1)
    assert (row["message"], row["status"]) == ("answered the server", 499)


# Calls that a healthy server does not have: the middleware around applications that are slow, fail, or do not answer.


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def slow_stream(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.1)
    note_rows([1, 2, 3])


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": []})
    raise ValueError("inside")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    return


App = Callable[[Scope, Receive, Send], object]


@pytest.mark.parametrize(
    ("app", "level", "status"),
    [(slow, "WARNING", 200), (slow_stream, "INFO", 200), (failing, "WARNING", 500), (silent, "INFO", 499)],
)
def test_slow_and_failed_calls_are_warnings(
    app: App, level: str, status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_SLOW_SECONDS", 0.05)

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        return

    scope = {"type": "http", "method": "GET", "path": f"/api/v1/{'x' * 500}", "headers": []}
    caplog.set_level(logging.INFO)
    try:
        asyncio.run(Tracing(app)(scope, receive, send))  # type: ignore[arg-type]
    except ValueError:
        assert app is failing

    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert (record.levelname, fields["status"]) == (level, status)
    assert len(fields["path"]) == 200
    assert fields.get("rows") == (3 if app is slow_stream else None)
