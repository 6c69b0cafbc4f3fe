"""Values at the edge: what is empty is none, and times before 1970 are negative numbers."""

import uuid
from typing import Any

import pytest

from logriver import clock
from logriver.query.language import parser
from logriver.query.match.row import Row
from logriver.query.match.row_match import holds

RECORDS = [
    {"n": 1, "level": "error"},
    {"n": 2, "level": "ERR"},
    {"n": 3, "message": "m"},
    {"n": 4, "level": " "},
    {"n": 5, "level": "info", "service": "web", "user": {"name": ""}},
]


@pytest.fixture(scope="module")
def group(server: Any) -> str:
    group = f"group-{uuid.uuid4().hex}"
    answer = server.client.post("/api/v1/logs?wait=searchable", json=[{"group": group} | each for each in RECORDS])
    assert answer.json()["accepted"] == len(RECORDS)
    return group


CASES = [
    ('level:""', [3, 4]),
    ('level:" "', [4]),
    ('level:(error OR "")', [1, 2, 3, 4]),
    ("level:err", [1, 2]),
    ('service:""', [1, 2, 3, 4]),
    ("-level:*", [3, 4]),
    ('*:" "', [4]),
    ("*:error", [1, 2]),
    ('user.name:""', [5]),
    ("user.name:*", []),
]


@pytest.mark.parametrize(("condition", "found"), CASES)
def test_what_is_empty_is_found_as_such(server: Any, group: str, condition: str, found: list[int]) -> None:
    rows = server.search(q=f"group:{group} {condition}")
    assert sorted(row["n"] for row in rows) == found


@pytest.mark.parametrize(
    ("condition", "level", "sent", "is_found"),
    [
        ('level:""', "error", "", False),
        ('level:""', "", "", True),
        ('level:" "', "", "", False),
        ('level:" "', "", " ", True),
        ('*:" "', "", "", False),
    ],
)
def test_a_file_s_lines_are_matched_alike(condition: str, level: str, sent: str, is_found: bool) -> None:
    names = ("message", "service", "host", "trace_id", "span_id", "_source")
    row = Row(0, {**dict.fromkeys(names, ""), "level": level, "_level": sent}, "{}")
    assert holds(parser.parse(condition).where)(row) is is_found


@pytest.mark.parametrize(
    ("span", "start"),
    [("1s", "23:59:59"), ("5m", "23:55:00"), ("1h", "23:00:00"), ("1d", "00:00:00")],
)
def test_a_time_before_1970_is_rounded_down(server: Any, span: str, start: str) -> None:
    group = f"group-{uuid.uuid4().hex}"
    times = ["1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "1950-03-28T06:29:59.5Z"]
    records = [{"group": group, "timestamp": time} for time in times]
    assert server.client.post("/api/v1/logs?wait=searchable", json=records).json()["accepted"] == 4
    answer = server.client.get("/api/v1/stats", params={"q": f"group:{group} | stats count() by bin({span})"}).json()
    counts = {row[0]: row[1] for row in answer["rows"]}
    assert counts[f"1969-12-31T{start}Z"] == 2
    assert counts["1970-01-01T00:00:00Z"] == 1
    assert clock.from_text(min(counts)) <= clock.from_text(times[3]) < clock.from_text(f"1969-12-31T{start}Z")


def test_a_bucket_before_1970_has_what_lies_in_it(server: Any) -> None:
    group = f"group-{uuid.uuid4().hex}"
    records = [{"group": group, "timestamp": f"1969-12-31T23:59:5{second}.5Z"} for second in (1, 9)]
    assert server.client.post("/api/v1/logs?wait=searchable", json=records).json()["accepted"] == 2
    times = {"from": "1969-12-31T23:59:50Z", "to": "1970-01-01T00:00:10Z"}
    answer = server.client.get("/api/v1/histogram", params={"q": f"group:{group}", "buckets": "10", **times}).json()
    begin = clock.from_text(times["from"]) // clock.SECOND_NS
    assert [value for value in answer["series"][0]["values"] if value[1]] == [[begin, 1], [begin + 8, 1]]
