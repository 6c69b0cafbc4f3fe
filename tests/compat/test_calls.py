"""Searching by the calls of two earlier systems: over HTTP, on mixed records, against what Python finds in the same."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import httpx
import pytest

from logriver import clock
from tests.conftest import RunningServer

Record = dict[str, Any]
Test = Callable[[Record], bool]

COUNT = 3_200
KEYS = ("message", "spanId", "commit", "traceId", "timestamp", "metadata", "level", "resourceId")
LEVELS = ("error", "ERROR", "err", "warn", "warning", "Warning", "info", "debug", "fatal", "audit")
MESSAGES = (
    "Failed to connect to DB",
    "FAILED to Connect to db-7: refused (110)",
    "failed: to connect, again",
    "connect to cache failed",
    "Failed to connectivity check",
    "Unfailed to connect",
    "user_id=5 signed in from 10.0.0.1",
    "disk 100% full, path C:\\logs\\new",
    "größe überschritten: ÄRGER im Café",
    "a -> b",
    "",
)
RESOURCES = ("server-1234", "server-12345", "SERVER-1234", "server-123", "server-0001", "o'brien \\ x", "5")
PARENTS = ("server-0987", "server-098", "Server-0987", 987)
TIMES = (
    "2023-09-09T23:59:59.999999999Z",
    "2023-09-10T00:00:00Z",
    "2023-09-12T10:30:00.25Z",
    "2023-09-15T08:00:00Z",
    "2023-09-15T23:59:59Z",
    "2023-09-15T23:59:59.000000001Z",
    "2023-09-16T00:00:00Z",
    "2023-09-16T01:30:00+02:00",
    "1969-12-31T23:59:59Z",
)


def made_records() -> list[Record]:
    """Records in the order in which they are sent; many fields are absent in some."""
    random = Random(20230915)
    records = []
    for number in range(COUNT):
        record: Record = {
            "level": random.choice(LEVELS),
            "message": random.choice(MESSAGES),
            "resourceId": random.choice(RESOURCES),
            "timestamp": random.choice(TIMES)
            if number % 3
            else f"2023-09-{random.randrange(8, 19):02}T{random.randrange(24):02}:00:00Z",
            "traceId": f"abc-xyz-{random.randrange(40)}",
            "spanId": f"span-{random.randrange(40)}",
            "commit": random.choice(("5e5342f", "5e5342F", "5e5342", "77aa")),
            "metadata": {"parentResourceId": random.choice(PARENTS), "nested": {"list": [1, "two", None]}},
            "number": number,
        }
        for absent in ("level", "resourceId", "traceId", "spanId", "commit", "metadata"):
            if random.random() < 0.05:
                del record[absent]
        records.append(record)
    return records


RECORDS = made_records()


def time_ns(record: Record) -> int:
    return clock.from_text(record["timestamp"])


def found_by(test: Test) -> list[Record]:
    """The records that pass, the newest first as they are given back; of equal times the one that was sent last."""
    passed = [record for record in RECORDS if test(record)]
    passed.sort(key=lambda record: (time_ns(record), record["number"]), reverse=True)
    return [record | {"timestamp": clock.to_text(time_ns(record))} for record in passed]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def has_words(*wanted: str) -> Test:
    return lambda record: set(wanted) <= words(record["message"])


def parent(record: Record) -> Any:
    return record.get("metadata", {}).get("parentResourceId")


def within(first: str, last: str) -> Test:
    return lambda record: clock.from_text(first) <= time_ns(record) <= clock.from_text(last)


def holds(name: str, part: str) -> Test:
    def test(record: Record) -> bool:
        value = parent(record) if name == "metadata.parentResourceId" else record.get(name)
        return value is not None and part.lower() in str(value).lower()

    return test


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server of its own that holds `RECORDS`, sent by all three calls."""
    running = RunningServer(tmp_path_factory.mktemp("earlier") / "data")
    calls = ("/logs/ingest/", "/api/v1/logs?wait=searchable", "/")
    for start, call in zip(range(0, COUNT, 400), itertools.cycle(calls), strict=False):
        answer = running.client.post(call, content=json.dumps(RECORDS[start : start + 400]))
        assert answer.status_code == 200, answer.text
    assert answer.json()["searchable"], "the last call waits for all before it, too"
    yield running.client
    assert running.stop() == 0


@pytest.fixture(scope="module")
def fetch(client: httpx.Client) -> Callable[..., list[Record]]:
    """All pages of `/fetch_logs`, each full but the last."""

    def fetched(*rules: tuple[str, Any]) -> list[Record]:
        asked = [{"field": field, "value": value} for field, value in rules]
        records: list[Record] = []
        for page in itertools.count(1):
            answer = client.post("/fetch_logs", json={"rules": asked, "page": page})
            assert answer.status_code == 200, answer.text
            records += answer.json()
            if len(answer.json()) < 50:
                return records
            assert len(answer.json()) == 50
        raise AssertionError("unreachable")

    return fetched


@pytest.fixture(scope="module")
def filtered(client: httpx.Client) -> Callable[[object], list[Record]]:
    def results(body: object) -> list[Record]:
        answer = client.post("/logs/filter/", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] is True
        found: list[Record] = answer.json()["results"]
        return found

    return results


def eight_keys(records: list[Record]) -> list[Record]:
    return [{key: record.get(key) for key in KEYS} for record in records]


# -- the log ingestor --------------------------------------------------------------------------------------------------

RULES: dict[str, tuple[list[tuple[str, Any]], Test]] = {
    "level": ([("level", "error")], lambda record: record.get("level") == "error"),
    "level as it was sent": ([("level", "warning")], lambda record: record.get("level") == "warning"),
    "level of no meaning": ([("level", "audit")], lambda record: record.get("level") == "audit"),
    "level that is a part": ([("level", "erro")], lambda record: False),
    "message": ([("message", "Failed to connect")], has_words("failed", "to", "connect")),
    "one word": ([("message", "CONNECT")], has_words("connect")),
    "part of a word": ([("message", "connec")], lambda record: False),
    "words in another order": ([("message", "connect failed!")], has_words("connect", "failed")),
    "what stands together": ([("message", "user_id=5")], has_words("user", "id", "5")),
    "beyond ASCII": ([("message", "ärger café")], lambda record: "ÄRGER" in record["message"]),
    "a sign among words": ([("message", "connect - failed")], has_words("connect", "failed")),
    "no word at all": ([("message", "->")], lambda record: "->" in record["message"]),
    "resourceId": ([("resourceId", "server-1234")], lambda record: record.get("resourceId") == "server-1234"),
    "resource": ([("resource", "o'brien \\ x")], lambda record: record.get("resourceId") == "o'brien \\ x"),
    "a number": ([("resourceId", 5)], lambda record: record.get("resourceId") == "5"),
    "traceId": ([("traceId", "abc-xyz-1")], lambda record: record.get("traceId") == "abc-xyz-1"),
    "spanId": ([("spanId", "span-3")], lambda record: record.get("spanId") == "span-3"),
    "commit": ([("commit", "5e5342f")], lambda record: record.get("commit") == "5e5342f"),
    "parentResourceId": ([("parentResourceId", "server-0987")], lambda record: parent(record) == "server-0987"),
    "timestamp": (
        [("timestamp", "2023-09-10T00:00:00Z,2023-09-15T23:59:59Z")],
        within("2023-09-10T00:00:00Z", "2023-09-15T23:59:59Z"),
    ),
    "one time": ([("timestamp", "2023-09-15T08:00:00Z,2023-09-15T08:00:00Z")], within(TIMES[3], TIMES[3])),
    "all of several": (
        [("level", "err"), ("message", "connect"), ("timestamp", "2023-09-10,2023-09-15T23:59:59Z")],
        lambda record: (
            record.get("level") == "err"
            and "connect" in words(record["message"])
            and within("2023-09-10", "2023-09-15T23:59:59Z")(record)
        ),
    ),
    "two times": (
        [("timestamp", "2023-09-10,2023-09-15"), ("timestamp", "2023-09-12,2023-09-16")],
        within("2023-09-12", "2023-09-15"),
    ),
    "what excludes itself": ([("level", "error"), ("level", "info")], lambda record: False),
}


@pytest.mark.parametrize("case", RULES)
def test_fetch_logs_finds_exactly(fetch: Callable[..., list[Record]], case: str) -> None:
    rules, test = RULES[case]
    assert fetch(*rules) == eight_keys(found_by(test))


def test_every_rule_of_these_tests_finds_something_or_is_meant_not_to() -> None:
    empty = {case for case, (_, test) in RULES.items() if not found_by(test)}
    assert empty == {"level that is a part", "part of a word", "what excludes itself"}


def test_pages_of_fetch_logs(client: httpx.Client) -> None:
    everything = eight_keys(found_by(lambda record: True))
    last = COUNT // 50
    for page in (1, 2, last, last + 1, 10**18):
        records = client.post("/fetch_logs", json={"rules": [], "page": page}).json()
        assert records == everything[(page - 1) * 50 : page * 50]
    assert client.post("/fetch_logs", json={}).json() == everything[:50]


@pytest.mark.parametrize("page", [0, -1, 1.5, "x", "1", None, True, [], {}])
def test_a_page_that_is_none(client: httpx.Client, page: object) -> None:
    answer = client.post("/fetch_logs", json={"rules": [], "page": page})
    assert (answer.status_code, answer.json()) == (400, {"message": "page value is not valid"})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"rules": [{"field": "colour", "value": "red"}]}, "unknown key 'colour'"),
        ({"rules": [{"field": "level"}]}, "missing required field `value`"),
        ({"rules": [{"field": "level", "value": ["error"]}]}, "got `array`"),
        ({"rules": "level"}, "got `str`"),
        ({"rules": [{"field": "timestamp", "value": "2023-09-10"}]}, "'start,end'"),
        ({"rules": [{"field": "timestamp", "value": "soon,later"}]}, "not a time: 'soon'"),
        ({"rules": [{"field": "level", "value": "x"}] * 101}, "at most 100 rules"),
        (
            {"rules": [{"field": "message", "value": " ".join(f"word{number}" for number in range(501))}]},
            "at most 500 words",
        ),
        ([], "expected `object`"),
        (5, "expected `object`"),
    ],
)
def test_what_fetch_logs_refuses(client: httpx.Client, body: object, reason: str) -> None:
    answer = client.post("/fetch_logs", json=body)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])
    assert reason in answer.json()["message"]


DEEP = b'{"filters":[],"page":' + b"[" * 40_000 + b"]" * 40_000 + b"}"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"rules":[{"field":"level","value":"\xff"}]}', b"[" * 5000, DEEP]
)
@pytest.mark.parametrize("path", ["/fetch_logs", "/logs/filter/"])
def test_bodies_that_are_no_json(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == 400
    assert set(answer.json()) <= {"status", "message"}


def test_lists_to_choose_from(client: httpx.Client) -> None:
    levels = client.get("/levels").json()
    resources = client.get("/resources").json()
    assert sorted(choice["level"] for choice in levels) == sorted(LEVELS)
    assert sorted(choice["resource"] for choice in resources) == sorted(RESOURCES)
    assert [choice["id"] for choice in levels] == list(range(1, len(LEVELS) + 1))
    assert [choice["id"] for choice in resources] == list(range(1, len(RESOURCES) + 1))
    assert client.get("/init_filter").json() == {"levels": levels, "resources": resources}


def test_lists_to_choose_from_grow_with_what_arrives(new_server: Callable[..., RunningServer]) -> None:
    running = new_server()

    def send_and_list(*records: Record) -> object:
        assert running.client.post("/api/v1/logs?wait=searchable", json=list(records)).status_code == 200
        return running.client.get("/init_filter").json()

    assert running.client.get("/init_filter").json() == {"levels": [], "resources": []}
    first = {"levels": [{"id": 1, "level": "WARN"}], "resources": [{"id": 1, "resource": "z"}]}
    assert (
        send_and_list({"level": "WARN", "resourceId": "z"}, {"message": "neither"}, {"resourceId": "y" * 257}) == first
    )
    assert send_and_list({"level": "WARN", "resourceId": "z"}) == first
    grown = send_and_list({"level": "error", "resourceId": "a"}, {"resourceId": 7})
    assert grown == {
        "levels": [*first["levels"], {"id": 2, "level": "error"}],
        "resources": [*first["resources"], {"id": 2, "resource": "7"}, {"id": 3, "resource": "a"}],
    }


# -- LogIngestor -------------------------------------------------------------------------------------------------------


def equals(key: str, value: object) -> Record:
    return {"key": key, "value": value, "operation": "equals"}


def contains(key: str, value: object) -> Record:
    return {"key": key, "value": value, "operation": "contains"}


def in_range(**bounds: object) -> Record:
    return {"key": "timestamp", "value": bounds, "operation": "range"}


SEPTEMBER = in_range(lower_range="2023-09-10T00:00:00Z", upper_range="2023-09-15T23:59:59Z")
FILTERS: dict[str, tuple[object, Test]] = {
    "level": (equals("level", "error"), lambda record: record.get("level") == "error"),
    "level as it was sent": (equals("level", "ERROR"), lambda record: record.get("level") == "ERROR"),
    "message has the words": (equals("message", "to DB connect"), has_words("to", "db", "connect")),
    "message has no part": (equals("message", "Fail"), lambda record: False),
    "resourceId": (equals("resourceId", "server-1234"), lambda record: record.get("resourceId") == "server-1234"),
    "traceId": (equals("traceId", "abc-xyz-7"), lambda record: record.get("traceId") == "abc-xyz-7"),
    "spanId": (equals("spanId", "span-7"), lambda record: record.get("spanId") == "span-7"),
    "commit": (equals("commit", "77aa"), lambda record: record.get("commit") == "77aa"),
    "parent": (equals("metadata.parentResourceId", "server-0987"), lambda record: parent(record) == "server-0987"),
    "parent, a number": (equals("parentResourceId", 987), lambda record: parent(record) == 987),
    "timestamp": (equals("timestamp", "2023-09-15T23:30:00Z"), within("2023-09-15T23:30:00Z", "2023-09-15T23:30:00Z")),
    "part of the message": (contains("message", "Failed to connect"), holds("message", "failed to connect")),
    "part of a word": (contains("message", "aIlEd"), holds("message", "ailed")),
    "two letters": (contains("message", "b-"), holds("message", "b-")),
    "a space at the end": (contains("message", "connect "), holds("message", "connect ")),
    "punctuation": (contains("message", "100% full, path c:\\LOGS\\"), holds("message", "100% full, path c:\\logs\\")),
    "an underline": (contains("message", "r_i"), holds("message", "r_i")),
    "a star": (contains("message", "Failed*connect"), lambda record: False),
    "part beyond ASCII": (contains("message", "ÖSSE"), lambda record: False),
    "part beyond ASCII, folded": (contains("message", "ÜBERSCHRITTEN: ä"), holds("message", "überschritten: ä")),
    "part of the level": (contains("level", "ARN"), holds("level", "arn")),
    "part of a resourceId": (contains("resourceId", "ER-1234"), holds("resourceId", "er-1234")),
    "part with punctuation": (contains("resourceId", "N \\ "), holds("resourceId", "n \\ ")),
    "no pattern": (contains("resourceId", "server.1234"), lambda record: False),
    "part of a traceId": (contains("traceId", "XYZ-3"), holds("traceId", "xyz-3")),
    "part of a spanId": (contains("spanId", "N-1"), holds("spanId", "n-1")),
    "part of a commit": (contains("commit", "342F"), holds("commit", "342f")),
    "part of a parent": (contains("parentResourceId", "098"), holds("metadata.parentResourceId", "098")),
    "range": (SEPTEMBER, within("2023-09-10T00:00:00Z", "2023-09-15T23:59:59Z")),
    "from": (in_range(lower_range="2023-09-16"), lambda record: time_ns(record) >= clock.from_text("2023-09-16")),
    "up to": (in_range(upper_range=-1), lambda record: time_ns(record) <= -clock.SECOND_NS),
    "any time": (in_range(), lambda record: True),
    "nothing": ([], lambda record: True),
    "a list": (
        [equals("level", "info"), contains("message", "connect"), SEPTEMBER],
        lambda record: (
            record.get("level") == "info"
            and "connect" in record["message"].lower()
            and within("2023-09-10T00:00:00Z", "2023-09-15T23:59:59Z")(record)
        ),
    ),
    "an object with a list": (
        {"filters": [equals("level", "warn"), equals("resourceId", "5")]},
        lambda record: record.get("level") == "warn" and record.get("resourceId") == "5",
    ),
}


@pytest.mark.parametrize("case", FILTERS)
def test_filters_find_exactly(filtered: Callable[[object], list[Record]], case: str) -> None:
    body, test = FILTERS[case]
    assert filtered(body) == found_by(test)


def test_every_filter_of_these_tests_finds_something_or_is_meant_not_to() -> None:
    empty = {case for case, (_, test) in FILTERS.items() if not found_by(test)}
    assert empty == {"message has no part", "a star", "no pattern", "part beyond ASCII"}


def test_sizes(filtered: Callable[[object], list[Record]], client: httpx.Client) -> None:
    connect = contains("message", "connect")
    newest = found_by(holds("message", "connect"))
    for body, size in (
        (connect | {"size": 7}, 7),
        (connect | {"size": 0}, 0),
        ([connect | {"size": 9}, connect], 9),
        ({"filters": [connect], "size": 3}, 3),
        (connect | {"size": 10_000}, len(newest)),
    ):
        assert filtered(body) == newest[:size]
    for wrong in (-1, 10_001, "5", 1.5, None, True):
        answer = client.post("/logs/filter/", json=connect | {"size": wrong})
        assert (answer.status_code, answer.json()["status"]) == (400, False)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (equals("colour", "red"), "unknown key 'colour'"),
        ([equals("level", "error"), equals("", "red")], "unknown key ''"),
        (equals("level", "error") | {"operation": "matches"}, "unknown operation 'matches'"),
        (SEPTEMBER | {"operation": "Range"}, "unknown operation 'Range'"),
        ({"key": "level", "value": "error"}, "missing required field `operation`"),
        ({"value": "error", "operation": "equals"}, "missing required field `key`"),
        ({"key": "level", "operation": "equals"}, "missing required field `value`"),
        ({}, "missing required field `key`"),
        (SEPTEMBER | {"key": "level"}, "a range is of 'timestamp'"),
        (SEPTEMBER | {"value": "2023-09-10"}, "lower_range"),
        (SEPTEMBER | {"operation": "equals"}, "lower_range"),
        (in_range(lower="2023-09-10"), "unknown field `lower`"),
        (in_range(lower_range="soon"), "not a time: 'soon'"),
        (equals("timestamp", "soon"), "not a time: 'soon'"),
        (contains("timestamp", "2023"), "'range'"),
        (contains("resourceId", "x" * 1001), "at most 1000 characters"),
        ([equals("level", "error")] * 101, "at most 100 rules"),
        ({"filters": 5}, "expected `array`"),
        ([5], "expected `object`"),
        ("level", "expected `object`"),
    ],
)
def test_what_filters_refuse(client: httpx.Client, body: object, reason: str) -> None:
    answer = client.post("/logs/filter/", json=body)
    assert (answer.status_code, set(answer.json())) == (400, {"status", "message"})
    assert answer.json()["status"] is False
    assert reason in answer.json()["message"]


HOSTILE = ("' OR '1'='1", "\\", "%", "a\tb\nc", "{p0:String}", "(?i)(", "\0", "😀", "\u2028", "*", "`x`", '"')


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_data(filtered: Callable[[object], list[Record]], fetch: Any, value: str) -> None:
    for key in ("level", "traceId", "resourceId", "metadata.parentResourceId"):
        assert filtered(equals(key, value)) == []
        assert filtered(contains(key, value)) == found_by(holds(key, value))
        assert fetch(("parentResourceId" if "." in key else key, value)) == []
    assert filtered(contains("message", value)) == found_by(holds("message", value))


def test_as_much_as_can_be_asked(client: httpx.Client) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    for path, body in (
        ("/fetch_logs", {"rules": [{"field": "message", "value": words}]}),
        ("/fetch_logs", {"rules": [{"field": "parentResourceId", "value": 98_700_000 + n} for n in range(100)]}),
        ("/logs/filter/", [contains("parentResourceId", f"{n}") for n in range(100)]),
        (
            "/logs/filter/",
            [contains("commit", "é" * 1_000), contains("message", "é" * 1_000), equals("message", "a-" * 40_000)],
        ),
    ):
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text


# -- the four validation queries, by the third call --------------------------------------------------------------------

PHRASE = re.compile(r"\bfailed\W+to\W+connect\b")
VALIDATION: dict[str, tuple[Record, Test]] = {
    "level error": ({"q": "level:error"}, lambda record: record.get("level") in ("error", "ERROR", "err")),
    "message contains": ({"q": '"Failed to connect"'}, lambda record: bool(PHRASE.search(record["message"].lower()))),
    "resourceId": ({"q": "resourceId:server-1234"}, lambda record: record.get("resourceId") == "server-1234"),
    "timestamps": (
        {"from": "2023-09-10T00:00:00Z", "to": "2023-09-15T23:59:59.000000001Z"},
        within("2023-09-10T00:00:00Z", "2023-09-15T23:59:59Z"),
    ),
}


@pytest.mark.parametrize("case", VALIDATION)
def test_validation_queries_by_search(client: httpx.Client, case: str) -> None:
    params, test = VALIDATION[case]
    rows = client.get("/api/v1/search", params=params | {"limit": 10_000}).json()["rows"]
    assert [row["number"] for row in rows] == [record["number"] for record in found_by(test)]
    assert len(rows) > 100


# -- what is not there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/fetch_logs", "/logs/filter/"])
def test_another_method_is_refused_in_their_shape(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 405
    assert answer.json()["message"] == "method not allowed"


@pytest.mark.parametrize("path", ["/fetch_logs", "/logs/filter/"])
def test_a_body_that_is_too_large(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=b" " * 100_001)
    assert answer.status_code == 413
    assert "100000 bytes" in answer.json()["message"]
