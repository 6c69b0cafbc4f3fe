"""The answers of a running server: search, its pages and parameters, status, health, docs, and errors."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.search import cursor as cursors
from logriver.search import time_range
from logriver.watermark import Watermark

RECORD = {
    "level": "error",
    "message": "Failed to connect to DB",
    "resourceId": "server-1234",
    "timestamp": "2023-09-15T08:00:00Z",
    "traceId": "abc-xyz-123",
    "spanId": "span-456",
    "commit": "5e5342f",
    "metadata": {"parentResourceId": "server-0987"},
}

Send = Callable[[list[dict[str, Any]]], str]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def client(server: Any) -> Any:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened


@pytest.fixture
def send(client: httpx.Client) -> Send:
    """Send records marked as one run of their own; gives the search text that finds only them."""

    def sent(records: list[dict[str, Any]]) -> str:
        run = uuid.uuid4().hex
        body = json.dumps([record | {"run": run} for record in records])
        answer = client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(records)
        return f"run:{run}"

    return sent


@pytest.fixture
def ask(client: httpx.Client) -> Ask:
    def asked(q: str, **params: Any) -> dict[str, Any]:
        answer = client.get("/api/v1/search", params={"q": q, **params})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return asked


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "position", "hint"}
    return error


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_was_sent(send: Send, ask: Ask) -> None:
    odd = {"float": 1.50, "big": 9007199254740993, "none": None, "text": 'é\t"\\', "list": [1, [2.0, {}]], "a.b": 1}
    run = send([RECORD | {"nested": odd, "": "no name"}])
    (row,) = ask(run)["rows"]
    assert row.pop("run") == run.removeprefix("run:")
    assert row.pop("_id")
    assert row.pop("_received")
    assert row.pop("_source")
    sent = RECORD | {"trace_id": RECORD["traceId"], "span_id": RECORD["spanId"], "nested": odd, "": "no name"}
    del sent["traceId"], sent["spanId"]
    assert row == sent


def test_numbers_keep_their_spelling(client: httpx.Client) -> None:
    run = uuid.uuid4().hex
    body = '[{"n":1.50,"e":1E2,"deep":{"x":[0.10]},"run":"' + run + '"}]'
    client.post("/api/v1/logs?wait=searchable", content=body)
    answer = client.get("/api/v1/search", params={"q": f"run:{run}"})
    assert '"n":1.50' in answer.text
    assert '"e":1E2' in answer.text
    assert '"deep":{"x":[0.10]}' in answer.text


def test_a_field_that_a_column_displaced_keeps_its_value(send: Send, ask: Ask) -> None:
    run = send([{"message": "chosen", "msg": "displaced", "level": {"deep": 1}, "timestamp": "2023-09-15T08:00:00Z"}])
    (row,) = ask(f"{run} attributes.msg:displaced attributes.level.deep:1")["rows"]
    assert (row["message"], row["attributes.msg"], row["attributes.level"]) == ("chosen", "displaced", {"deep": 1})
    assert ask(f"{run} msg:displaced")["rows"] == []


def test_the_four_validation_queries(send: Send, ask: Ask) -> None:
    others = [
        {"level": "info", "message": "Connected to DB"},
        {"resourceId": "server-12345", "message": "connect failed to"},
        {"timestamp": "2023-09-09T23:59:59.999999999Z", "message": "before"},
        {"timestamp": "2023-09-16T00:00:00Z", "message": "after"},
        {"timestamp": "2023-09-15T23:59:59Z", "message": "last"},
        {"timestamp": "2023-09-10T00:00:00Z", "message": "first"},
    ]
    run = send([RECORD, *({"timestamp": "2020-01-01T00:00:00Z"} | other for other in others)])

    def found(q: str, **params: Any) -> list[str]:
        return [row["message"] for row in ask(f"{run} {q}", **params)["rows"]]

    failed = RECORD["message"]
    assert found("level:error") == [failed]
    assert found('"Failed to connect"') == [failed]
    assert found("resourceId:server-1234") == [failed]
    between = {"from": "2023-09-10T00:00:00Z", "to": "2023-09-16T00:00:00Z"}
    assert found("", **between) == ["last", failed, "first"]


def test_get_and_post_and_other_names_ask_the_same(client: httpx.Client, send: Send) -> None:
    run = send([RECORD, RECORD | {"timestamp": "2023-09-16T08:00:00Z"}])
    asked: dict[str, str | int] = {"query": run, "start": "2023-09-15", "end": "2023-09-16", "limit": 5}
    by_get = client.get("/api/v1/search", params=asked)
    by_json = client.post("/api/v1/search", json=asked)
    by_form = client.post("/api/v1/search", data=asked)
    rows = [answer.json()["rows"] for answer in (by_get, by_json, by_form)]
    assert rows[0] == rows[1] == rows[2]
    assert [row["timestamp"] for row in rows[0]] == [RECORD["timestamp"]]


def test_an_answer_tells_its_cost(send: Send, ask: Ask) -> None:
    answer = ask(send([RECORD]))
    assert answer["cursor"] is None
    assert answer["hint"] is None
    stats = answer["stats"]
    assert stats["matched"] is None
    assert stats["elapsed_ms"] > 0
    assert stats["rows_read"] >= 1
    assert stats["bytes_read"] > 0


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_neither_lose_nor_repeat_while_records_arrive(send: Send, ask: Ask, order: str) -> None:
    records = [{"message": "page", "n": n, "timestamp": f"2023-09-15T08:00:0{n % 3}Z"} for n in range(23)]
    run = send(records)
    marked = "message:page " + run
    seen: list[int] = []
    answer = ask(marked, limit=5, order=order)
    seen += [row["n"] for row in answer["rows"]]
    while answer["cursor"]:
        assert len(answer["rows"]) == 5
        send([{"message": "page", "n": -1, "timestamp": "2023-09-15T08:00:01Z"}])
        answer = ask(marked, limit=5, cursor=answer["cursor"])
        seen += [row["n"] for row in answer["rows"]]
    in_order = sorted(range(23), key=lambda n: (n % 3, n), reverse=order == "desc")
    assert seen == in_order


def test_a_cursor_keeps_what_its_first_page_saw(client: httpx.Client, ask: Ask) -> None:
    run = uuid.uuid4().hex

    def post(n: int) -> None:
        record = [{"run": run, "n": n, "timestamp": f"2023-09-15T08:00:0{n}Z"}]
        assert client.post("/api/v1/logs?wait=searchable", content=json.dumps(record)).status_code == 200

    for n in (1, 5, 9):
        post(n)
    first = ask(f"run:{run}", limit=1, to="2023-09-15T08:00:09Z")
    assert [row["n"] for row in first["rows"]] == [5]
    post(3)
    second = ask(f"run:{run}", limit=5, cursor=first["cursor"])
    assert [row["n"] for row in second["rows"]] == [1]


def test_a_last_full_page_has_no_cursor(send: Send, ask: Ask) -> None:
    run = send([RECORD, RECORD])
    assert ask(run, limit=2)["cursor"] is None
    assert ask(run, limit=1)["cursor"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_newer_pages_show_what_came_and_count_what_came_late(send: Send, client: httpx.Client, order: str) -> None:
    run = uuid.uuid4().hex

    def post(*minutes: int) -> None:
        records = [{"run": run, "n": n, "timestamp": f"2023-09-15T08:{n:02}:00Z"} for n in minutes]
        assert client.post("/api/v1/logs?wait=searchable", json=records).json()["accepted"] == len(records)

    def page(cursor: str = "", limit: int = 3) -> tuple[list[int], dict[str, Any]]:
        params: dict[str, str | int] = {"q": f"run:{run}", "limit": limit, "order": order, "cursor": cursor}
        answer = client.get("/api/v1/search", params=params).json()
        return sorted(row["n"] for row in answer["rows"]), answer

    post(1, 3, 5)
    shown, first = page()
    assert (shown, first["late"]) == ([1, 3, 5], 0)
    assert page(first["newer"])[0] == []
    post(6, 7, 8, 9, 2, 4)
    shown, second = page(first["newer"])
    assert (shown, second["late"]) == ([6, 7, 8], 2)
    times = [row["timestamp"] for row in second["rows"]]
    assert times == sorted(times, reverse=order == "desc")
    post(0)
    shown, third = page(second["newer"])
    assert (shown, third["late"]) == ([9], 1)
    assert page(third["newer"])[0] == []
    assert page(third["newer"])[1]["late"] == 0
    if order == "desc":
        # Back over what was shown, without what came late.
        assert page(second["cursor"])[0] == [1, 3, 5]


def test_an_empty_answer_leads_to_what_comes(client: httpx.Client, ask: Ask) -> None:
    run = uuid.uuid4().hex
    empty = ask(f"run:{run}")
    assert (empty["rows"], empty["cursor"]) == ([], None)
    client.post("/api/v1/logs?wait=searchable", json=[{"run": run, "n": 1, "timestamp": "1905-01-01"}])
    assert [row["n"] for row in ask(f"run:{run}", cursor=empty["newer"])["rows"]] == [1]


# -- pipes -------------------------------------------------------------------------------------------------------------


def test_sorted_pages_neither_lose_nor_repeat(send: Send, ask: Ask) -> None:
    values: list[Any] = [10, 9, "b", "a", 2.5, None, 100, -1]
    run = send([{"v": value, "n": n} for n, value in enumerate(values)] + [{"n": 99}])
    seen: list[Any] = []
    answer = ask(f"{run} | sort v | fields v", limit=4)
    seen += answer["rows"]
    while answer["cursor"]:
        send([{"v": 0, "run": run.removeprefix("run:")}])
        answer = ask(f"{run} | sort v | fields v", limit=4, cursor=answer["cursor"])
        seen += answer["rows"]
    numbers_then_texts = [-1, 2.5, 9, 10, 100, "a", "b"]
    assert [row["v"] for row in seen[:7]] == numbers_then_texts
    assert len(seen) == 9
    falling = ask(f"{run} n:* | sort v desc, n | limit 3 | fields v")["rows"]
    assert falling == [{"v": 100}, {"v": 10}, {"v": 9}]


def test_a_limit_counts_over_all_pages(send: Send, ask: Ask) -> None:
    run = send([{"n": n, "timestamp": f"2023-09-15T08:00:{n:02}Z"} for n in range(10)])
    first = ask(f"{run} | limit 5", limit=3)
    second = ask(f"{run} | limit 5", limit=3, cursor=first["cursor"])
    assert [row["n"] for row in first["rows"] + second["rows"]] == [9, 8, 7, 6, 5]
    assert (second["cursor"], second["newer"]) == (None, None)


def test_fields_gives_back_only_those(send: Send, ask: Ask) -> None:
    run = send([RECORD | {"a.b": 1, "a": {"b": 2, "c": [3]}, "msg": "other"}])
    (row,) = ask(f"{run} | fields traceId, metadata.parentResourceId, a.b, a.c, attributes.msg, service, level")["rows"]
    assert row == {
        "traceId": "abc-xyz-123",
        "metadata.parentResourceId": "server-0987",
        "a.b": 1,
        "a.c": [3],
        "attributes.msg": "other",
        "level": "error",
    }


@pytest.mark.parametrize("pipe", ["stats count()", "top 3 level", "where n > 1", "eval n = 1", "patterns"])
def test_pipes_that_give_no_records_are_refused(client: httpx.Client, pipe: str) -> None:
    answer = client.get("/api/v1/search", params={"q": f"error | {pipe}"})
    assert (answer.status_code, error_of(answer)["code"], error_of(answer)["position"]) == (400, "bad_query", 6)


@pytest.mark.parametrize(
    ("call", "text", "position"),
    [
        ("stats", '"a | stats b" | stats count() | fields level', 30),
        ("stats", "error | limit 3", 6),
        ("stats", "error | stats count() as n | where nobody > 3", 27),
        ("search", "error | limit 3 | sort level", 16),
        ("patterns", "error | patterns | sort level", 17),
        ("patterns", "error | patterns | limit 5 | sort level", 27),
        ("tail", "error | fields level | limit 2", 21),
    ],
)
def test_a_pipe_that_cannot_be_is_pointed_at(client: httpx.Client, call: str, text: str, position: int) -> None:
    answer = client.get(f"/api/v1/{call}", params={"q": text})
    assert (answer.status_code, error_of(answer)["position"]) == (400, position), answer.text


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "code", "position"),
    [
        ({"q": 'say "hi'}, "bad_query", 4),
        ({"q": "say (hi"}, "bad_query", 4),
        ({"from": "yesterday"}, "bad_query", None),
        ({"to": "9" * 30}, "bad_query", None),
        ({"limit": "0"}, "bad_request", None),
        ({"limit": "10001"}, "bad_request", None),
        ({"limit": "²"}, "bad_request", None),
        ({"limit": "many"}, "bad_request", None),
        ({"order": "up"}, "bad_request", None),
        ({"cursor": "x"}, "bad_request", None),
        ({"cursor": "é"}, "bad_request", None),
    ],
)
def test_wrong_parameters_are_refused(
    client: httpx.Client, params: dict[str, str], code: str, position: int | None
) -> None:
    answer = client.get("/api/v1/search", params=params)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["position"]) == (400, code, position)


@pytest.mark.parametrize("body", ["[1]", "level:error", '{"q": ', '{"q": []}', '{"q": {"a": 1}}', b"\xff\xfe"])
def test_a_body_that_holds_no_parameters_is_refused(client: httpx.Client, body: str | bytes) -> None:
    answer = client.post("/api/v1/search", content=body)
    assert answer.status_code == 400


def test_a_huge_body_of_parameters_is_refused(client: httpx.Client) -> None:
    answer = client.post("/api/v1/search", content=b'{"q":"' + b"x" * 200_000 + b'"}')
    assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


def test_an_unknown_address_and_a_wrong_method(client: httpx.Client) -> None:
    nothing, wrong = client.get("/api/v1/nothing"), client.delete("/api/v1/search")
    assert (nothing.status_code, error_of(nothing)["code"]) == (404, "not_found")
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert error_of(client.get("/api/v1/sql"))["hint"] == "use POST"


def test_a_parameter_that_is_missing_is_named(client: httpx.Client) -> None:
    answer = client.get("/api/v1/context")
    assert (answer.status_code, error_of(answer)["message"]) == (400, "parameter 'id' is missing")


@pytest.mark.parametrize("path", ["/api/v1/logs", "/logs/ingest/", "/logs/ingest"])
def test_a_way_in_names_its_method_and_is_found_with_a_slash_too_many(client: httpx.Client, path: str) -> None:
    wrong = client.get(path)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    slash = client.post(f"{path.rstrip('/')}/", json={"message": "x"}, follow_redirects=True)
    assert slash.status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/", "/ui/app.js"])
def test_what_is_watched_can_be_asked_by_head(client: httpx.Client, path: str) -> None:
    answer, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (answer.status_code, b"") == (200, b"")
    assert head.headers["Content-Type"] == answer.headers["Content-Type"]


hostile = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["' OR 1=1 --", "{p0:String}", "\\", "\\N", "a\tb\nc", "\x00", "x:`y`:\\'", '"\\"', "`a`:b", "-" * 80]
    ),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("q", "from", "to", "limit", "order", "cursor"), hostile)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_no_parameter_breaks_out(client: httpx.Client, params: dict[str, str]) -> None:
    assert client.post("/api/v1/search", json=params).status_code in (200, 400)


@given(hostile)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_a_forged_cursor_is_only_a_place(client: httpx.Client, node: str) -> None:
    forged = cursors.encode(
        cursors.Cursor(Watermark({node: 2**62}), None, None, "desc", 0, node, 2**62, asked=cursors.checksum("*"))
    )
    answer = client.get("/api/v1/search", params={"cursor": forged, "limit": 1})
    assert answer.status_code == 200, answer.text


def test_a_cursor_goes_with_its_search_text(client: httpx.Client, send: Send) -> None:
    run = send([{"message": f"m{n}"} for n in range(3)])
    first = client.get("/api/v1/search", params={"q": run, "limit": 1}).json()
    for kind in ("cursor", "newer"):
        again = client.get("/api/v1/search", params={"q": f"  {run} ", "cursor": first[kind]})
        assert again.status_code == 200
        other = client.get("/api/v1/search", params={"q": f"{run} m1", "cursor": first[kind]})
        assert (other.status_code, other.json()["error"]["message"]) == (400, "the cursor is of another search text")


# -- the other calls ---------------------------------------------------------------------------------------------------


def test_status_counts_what_can_be_found(client: httpx.Client, send: Send) -> None:
    before = client.get("/api/v1/status").json()["stored"]
    send([RECORD] * 3)
    status = client.get("/api/v1/status").json()
    assert status["stored"] == before + 3
    assert {
        "waiting",
        "oldest_waiting_seconds",
        "dead_letters",
        "removed_by_retention",
        "accepted_per_second",
        "stored_per_second",
        "problems",
    } <= set(status)


def test_sources_are_a_list(client: httpx.Client) -> None:
    assert isinstance(client.get("/api/v1/sources").json()["sources"], list)


def test_health_ready_and_metrics(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "problems": []})
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "logriver_queries_total" in metrics.text
    assert "_created" not in metrics.text


def test_docs_work_offline_and_name_every_call(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert f'"/docs/{asset}"' in page.text
        assert client.get(f"/docs/{asset}").status_code == 200
    calls = client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/logs", "/", "/logs/ingest/", "/api/v1/status", "/ready", "/metrics"} <= set(calls)
    assert "post" in calls["/api/v1/logs"]
    assert {"get", "post"} <= set(calls["/api/v1/search"])


def test_answers_are_compressed_when_asked(client: httpx.Client) -> None:
    assert client.get("/openapi.json", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/openapi.json", headers={"Accept-Encoding": "identity"}).headers


# -- times -------------------------------------------------------------------------------------------------------------

NOW = clock.from_text("2023-09-15T08:00:00Z")
MINUTE = 60 * clock.SECOND_NS


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("now", NOW),
        ("now-15m", NOW - 15 * MINUTE),
        ("now+1h", NOW + 60 * MINUTE),
        ("15m", NOW - 15 * MINUTE),
        ("1h30m", NOW - 90 * MINUTE),
        ("1.5h", NOW - 90 * MINUTE),
        ("2d", NOW - 2880 * MINUTE),
        ("1w", NOW - 10080 * MINUTE),
        ("30s", NOW - MINUTE // 2),
        ("1694764800", NOW),
        ("1694764800.5", NOW + clock.SECOND_NS // 2),
        ("1694764800000", NOW),
        ("2023-09-15", NOW - 480 * MINUTE),
        ("2023-09-15T10:00:00+02:00", NOW),
        ("9999999w", clock.MIN_TIME_NS),
    ],
)
def test_times_as_people_write_them(text: str, time_ns: int) -> None:
    assert time_range.parse("from", text, NOW) == time_ns


def test_a_browser_at_the_address_is_shown_something(server: Any) -> None:
    answer = server.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path", "given", "hint"),
    [
        ("GET", "search", {"form": "1h"}, "did you mean 'from'?"),
        ("POST", "search", {"query": "a", "limt": 3}, "did you mean 'limit'?"),
        ("GET", "fields/a/values", {"zzz": "1"}, "known are: q, from, to, limit"),
        ("GET", "status", {"zzz": "1"}, "known are: none"),
        ("POST", "stats", {"q": "* | stats count()", "zone": "UTC"}, None),
    ],
)
def test_a_mistyped_parameter_is_refused(
    client: httpx.Client, method: str, path: str, given: dict[str, Any], hint: str | None
) -> None:
    sent = {"json": given} if method == "POST" else {"params": given}
    answer = client.request(method, f"/api/v1/{path}", **sent)  # type: ignore[arg-type]
    error = answer.json()["error"]
    assert (answer.status_code, error["message"]) == (400, f"unknown parameter '{list(given)[-1]}'")
    assert hint in (None, error["hint"])
