"""The search language over HTTP, line by line, on records of many shapes, against a model in Python."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import clock
from tests.conftest import RunningServer
from tests.query import language_records
from tests.query.language_cases import CASES, OF_FIELDS
from tests.query.language_model import (
    Holds,
    Record,
    all_of,
    any_of,
    anywhere,
    exists,
    is_,
    level,
    not_,
    number,
    number_of,
    part,
    phrase,
    time,
    word,
)

Find = Callable[[str], set[str]]
Records = dict[str, Record]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that has all records of `language_records.py` and no others."""
    folder = tmp_path_factory.mktemp("language")
    requests = folder / "api_requests.log"
    requests.write_text("".join(f"{line}\n" for line in language_records.request_lines()))
    server = RunningServer(folder / "data", "--follow", f"api_requests={requests}")
    sent = language_records.sent_records()
    answer = server.client.post("/api/v1/logs?wait=searchable", json=sent)
    assert answer.json()["accepted"] == len(sent), answer.text
    wait_until_stored(server, len(sent) + len(language_records.request_lines()))
    yield server
    assert server.stop() == 0, server.log_path.read_text()[-2000:]


def wait_until_stored(server: RunningServer, count: int) -> None:
    deadline = monotonic() + 60
    while server.status()["stored"] != count:
        assert monotonic() < deadline, server.status()
        sleep(0.05)


@pytest.fixture(scope="module")
def records(running: RunningServer) -> Records:
    """What the model knows, by the `_id` that the server gave."""
    sent = {record["n"]: record for record in language_records.sent_records()}
    requests = {line: language_records.request_record(line) for line in language_records.request_lines()}
    rows: list[dict[str, Any]] = running.search(limit=10_000)
    of_row = {row["_id"]: sent.pop(row["n"]) if "n" in row else requests.pop(row["message"]) for row in rows}
    assert (sent, requests) == ({}, {})
    return {key: Record(record) for key, record in of_row.items()}


@pytest.fixture(scope="module")
def find(running: RunningServer) -> Find:
    """The `_id`s of all that a text finds."""

    def found(q: str) -> set[str]:
        rows = running.search(q=f"{q} | fields _id", limit=10_000)
        ids = {str(row["_id"]) for row in rows}
        assert len(ids) == len(rows)
        return ids

    return found


def expected(records: Records, holds: Holds) -> set[str]:
    return {key for key, record in records.items() if holds(record)}


@pytest.mark.parametrize(("q", "holds"), CASES, ids=[q for q, _ in CASES])
def test_a_text_finds_what_the_model_finds(find: Find, records: Records, q: str, holds: Holds) -> None:
    wanted = expected(records, holds)
    assert 0 < len(wanted) < len(records), "a case that shows nothing"
    assert find(q) == wanted


@pytest.mark.parametrize("q", ["", "*", "*:*", "  ", "_source:*", "_received:*", "(*)"])
def test_everything(find: Find, records: Records, q: str) -> None:
    assert find(q) == set(records)


# -- combinations ------------------------------------------------------------------------------------------------------

ATOMS = st.sampled_from([pair for pair in CASES if " " not in pair[0]])
"""Terms that need no brackets."""


@st.composite
def combined(draw: st.DrawFn, depth: int = 3) -> tuple[str, Holds, int]:
    """A text of terms, operators and no more brackets than need be; how it binds: 0 OR, 1 AND, 2 one term."""
    kind = draw(st.sampled_from(["term", "not", "and", "or"])) if depth else "term"
    if kind == "term":
        q, holds = draw(ATOMS)
        return q, holds, 2
    if kind == "not":
        q, holds = within(2, *draw(combined(depth - 1)))
        return f"NOT {q}", not_(holds), 2
    binding, joins = (1, [" ", " AND "]) if kind == "and" else (0, [" OR "])
    parts = [within(binding, *draw(combined(depth - 1))) for _ in range(draw(st.integers(2, 3)))]
    q = draw(st.sampled_from(joins)).join(q for q, _ in parts)
    together = all_of if kind == "and" else any_of
    return q, together(*(holds for _, holds in parts)), binding


def within(binding: int, q: str, holds: Holds, own: int) -> tuple[str, Holds]:
    return (q if own >= binding else f"({q})"), holds


@given(combined())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_any_combination_means_what_it_says(find: Find, records: Records, made: tuple[str, Holds, int]) -> None:
    q, holds, _ = made
    assert find(q) == expected(records, holds)


# -- times, pages, validation queries ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "holds"),
    [
        ({"q": "level:error"}, level("error")),
        ({"q": '"Failed to connect"'}, phrase("failed", "to", "connect")),
        ({"q": "resourceId:server-1234"}, is_("resourceId", "server-1234")),
        (
            {"from": "2023-09-10T00:00:00Z", "to": "2023-09-15T23:59:59Z"},
            time(lambda there: "2023-09-10" <= there < "2023-09-15T23:59:59"),
        ),
        (
            {"query": "level:error connect", "start": "1694304000", "end": "2023-09-12"},
            all_of(level("error"), word("connect"), time(lambda there: "2023-09-10" <= there < "2023-09-12")),
        ),
    ],
    ids=["level", "phrase", "resource", "times", "other names"],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_have_each_record_once_in_order(
    running: RunningServer, records: Records, params: dict[str, str], holds: Holds, order: str
) -> None:
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = running.client.get("/api/v1/search", params=params | {"limit": 97, "order": order, "cursor": cursor})
        rows += answer.json()["rows"]
        cursor = answer.json()["cursor"]
    assert sorted(row["_id"] for row in rows) == sorted(expected(records, holds))
    times = [records[row["_id"]].time_ns for row in rows]
    assert times == sorted(times, reverse=order == "desc")


# -- pipes -------------------------------------------------------------------------------------------------------------


def table(running: RunningServer, q: str, **params: str) -> list[list[Any]]:
    answer = running.client.get("/api/v1/stats", params={"q": q} | params)
    assert answer.status_code == 200, answer.text
    rows: list[list[Any]] = answer.json()["rows"]
    return rows


def chosen(records: Records, holds: Holds) -> list[Record]:
    return [record for record in records.values() if holds(record)]


def test_sort_limit_and_fields_shape_the_rows(running: RunningServer, records: Records) -> None:
    rows = running.search(
        q="customer:* | sort latency_seconds desc, timestamp | limit 50 | fields customer, latency_seconds"
    )
    requests = chosen(records, exists("customer"))
    requests.sort(key=lambda record: (-record.fields["latency_seconds"], record.time_ns))
    wanted = [{name: record.fields[name] for name in ("customer", "latency_seconds")} for record in requests[:50]]
    assert rows == wanted


def test_stats_of_the_records_a_text_finds(running: RunningServer, records: Records) -> None:
    q = (
        "customer:* | stats count() as n, count() if (status:<400) as ok, sum(latency_seconds), avg(latency_seconds),"
        " min(latency_seconds), max(latency_seconds), p50(latency_seconds), p90(latency_seconds),"
        " p99(latency_seconds), uniq(path) by customer | eval uptime = 100*ok/n | where n > 10 | sort customer"
    )
    rows = table(running, q)
    wanted = []
    for customer in sorted({str(record.text("customer")) for record in chosen(records, exists("customer"))}):
        own = chosen(records, is_("customer", customer))
        seconds = sorted(record.fields["latency_seconds"] for record in own)
        ok = sum(record.fields["status"] < 400 for record in own)
        shares = [seconds[int(share * len(own))] for share in (0.5, 0.9, 0.99)]
        total, paths = pytest.approx(sum(seconds)), len({record.fields["path"] for record in own})
        mean, uptime = pytest.approx(sum(seconds) / len(own)), pytest.approx(100 * ok / len(own))
        if len(own) > 10:
            wanted.append([customer, len(own), ok, total, mean, seconds[0], seconds[-1], *shares, paths, uptime])
    assert wanted
    assert rows == wanted


def test_stats_by_time_and_level(running: RunningServer, records: Records) -> None:
    rows = table(running, "service:* | stats count() by bin(1d), level")
    day_ns = 86_400 * clock.SECOND_NS
    counts = Counter(
        (clock.to_text(record.time_ns // day_ns * day_ns), record.columns["level"] or None)
        for record in chosen(records, exists("service"))
    )
    assert {(day, meaning): n for day, meaning, n in rows} == counts


def test_figures_of_a_field_are_of_its_numbers(running: RunningServer, records: Records) -> None:
    figures = ", ".join(f"{function}(latency)" for function in ("count", "sum", "min", "max", "uniq"))
    texts = [str(record.text("latency")) for record in chosen(records, exists("latency"))]
    numbers = [value for value in map(number_of, texts) if value is not None]
    above = sum(value > 5 for value in numbers)
    wanted = [len(texts), pytest.approx(sum(numbers)), min(numbers), max(numbers), len(set(texts)), above]
    assert 0 < len(numbers) < len(texts)
    assert table(running, f"* | stats {figures}, count() if (latency:>5)") == [wanted]


def test_top_counts_the_most_frequent(running: RunningServer, records: Records) -> None:
    counts = Counter(record.text("user.name") for record in chosen(records, exists("user.name")))
    assert table(running, "user.name:* | top 2 user.name") == [list(pair) for pair in counts.most_common(2)]


def test_patterns_are_templates_of_messages(running: RunningServer, records: Records) -> None:
    answer = running.client.get("/api/v1/patterns", params={"q": "connect failed | patterns | limit 5"}).json()
    found = {pattern["pattern"]: pattern["count"] for pattern in answer["patterns"]}
    assert found["connect failed: user_id=<num> => gone"] == len(chosen(records, word("gone")))


# -- errors and hints --------------------------------------------------------------------------------------------------

SEARCH_PIPES = ("sort level", "limit 5", "fields level")
STATS_PIPES = ("stats count()", "top 3 level", "eval n = 1", "where n > 1")
REFUSED = {
    "search": (*STATS_PIPES, "patterns", "limit 5 | sort level", "sort level | sort level"),
    "stats": (*SEARCH_PIPES, "where n > 1", "patterns", "stats count() | fields level", "stats count() | patterns"),
    "tail": ("sort level", "limit 5", *STATS_PIPES, "patterns"),
    "patterns": (*STATS_PIPES, "sort level", "fields level"),
}


@pytest.mark.parametrize(("call", "pipe"), [(call, pipe) for call, pipes in REFUSED.items() for pipe in pipes])
def test_a_pipe_that_a_call_does_not_take_is_refused(running: RunningServer, call: str, pipe: str) -> None:
    answer = running.client.get(f"/api/v1/{call}", params={"q": f"error | {pipe}"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "bad_query")
    assert "pipe" in error["message"] or repr(call) in error["message"]


@pytest.mark.parametrize(
    ("q", "position", "message"),
    [
        ('level:error "Failed', 12, "the quote is not closed"),
        ("(connect", 0, "the bracket is not closed"),
        ("connect OR", 10, "expected a word or a field at the end"),
        ("status:[1 TO", 12, "the range is not closed"),
        ("a | stats cuont()", 10, "there is no function 'cuont', but 'count'"),
        ("a | limit 0", 10, "expected a whole number from 1 to 1000000, not '0'"),
    ],
)
@pytest.mark.parametrize("call", ["search", "stats", "histogram", "tail", "explain", "patterns", "fields"])
def test_what_cannot_be_read_says_where(running: RunningServer, call: str, q: str, position: int, message: str) -> None:
    answer = running.client.get(f"/api/v1/{call}", params={"q": q})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["position"], error["message"]) == ("bad_query", position, message)


@pytest.mark.parametrize(
    ("q", "position", "word"),
    [
        ('=~"("', 2, "regular expression"),
        ('a path=~"x(?=y)"', 8, "regular expression"),
        ("timestamp:>yesterday", 11, "timestamp"),
        ("b -time:[2023 TO later]", 8, "'later'"),
        ("_received:(now OR 2023)", 11, "'now'"),
        ("* | stats count() if (timestamp:x)", 32, "'x'"),
        ("* | sort `x", 9, "backticks"),
        ("* | stats avg(timestamp)", 2, "times"),
        ("* | stats count() by level | where m > 1", 27, "'m'"),
    ],
)
def test_what_can_be_read_and_not_be_asked_says_why(running: RunningServer, q: str, position: int, word: str) -> None:
    call = "stats" if "| stats" in q else "search"
    answer = running.client.get(f"/api/v1/{call}", params={"q": q})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["position"]) == (400, "bad_query", position)
    assert word in error["message"] + (error["hint"] or "")


def asked(running: RunningServer, q: str) -> dict[str, Any]:
    """The answer to a search, with a hint if there is one."""
    answer: dict[str, Any] = {}
    # The time for a hint is short, and the machine may have other work: a few more attempts.
    for _ in range(5):
        answer = running.client.get("/api/v1/search", params={"q": q, "limit": 10_000}).json()
        if answer["rows"] or answer["hint"]:
            break
    return answer


@pytest.mark.parametrize(
    ("q", "finds"),
    [
        ("localhost:8080", phrase("localhost", "8080")),
        ("resourceID:server-1234", is_("resourceId", "server-1234")),
        ("user.nam:bob", is_("user.name", "bob")),
        ("server-0987", anywhere("server-0987")),
        ('msg:"second stays"', is_("attributes.msg", "second stays")),
        ("attributes.resourceId:server-1234", is_("resourceId", "server-1234")),
        ("customer=cust_5", is_("customer", "cust_5")),
        ("latency_seconds>0.3", number("latency_seconds", lambda there: there > 0.3)),
        ("reconnected && database", all_of(word("reconnected"), word("database"))),
        ("café || billing", any_of(part("café"), word("billing"))),
    ],
)
def test_an_empty_answer_has_a_hint_that_finds(
    running: RunningServer, find: Find, records: Records, q: str, finds: Holds
) -> None:
    answer = asked(running, q)
    assert answer["rows"] == []
    assert find(answer["hint_query"]) == expected(records, finds)
    assert answer["hint"].endswith(f"`{answer['hint_query']}`")


def test_a_pasted_line_finds_its_record_or_its_hint_does(running: RunningServer, records: Records) -> None:
    """But for lines with a pipe or with a number below zero, which means without it."""
    lines = sorted({record.message for record in records.values()} - {""})
    for line in [line for line in lines if not re.search(r"\| limit|\s-\d", line)][::10]:
        answer = asked(running, line)
        rows = answer["rows"] or asked(running, answer["hint_query"])["rows"]
        assert line in {row.get("message") for row in rows}, (line, answer["hint_query"])


# -- promotion ---------------------------------------------------------------------------------------------------------


def test_promoted_fields_change_no_answer(running: RunningServer, find: Find, records: Records) -> None:
    for name in ("status", "latency", "resourceId", "a.b", "text_value", "metadata.parentResourceId"):
        answer = running.client.post(f"/api/v1/fields/{name}/promotion")
        assert answer.json()["promoted"], answer.text
    assert [q for q, holds in OF_FIELDS if find(q) != expected(records, holds)] == []
