"""Completions: what is being typed at the cursor, and what the server offers for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver.query.hints.suggest import complete
from tests.conftest import RunningServer


@pytest.mark.parametrize(
    ("text", "kind", "prefix", "start"),
    [
        ("", "field", "", 0),
        ("le", "field", "le", 0),
        ("a -le", "field", "le", 3),
        ("(a OR le", "field", "le", 6),
        ("level:error ", "field", "", 12),
        ("a AND OR le", "field", "le", 9),
        ("level:", "value", "", 6),
        ("level:er", "value", "er", 6),
        ("level:(error OR in", "value", "in", 16),
        ('service:"two w', "value", "two w", 8),
        ("status:>=5", "value", "5", 9),
        ("status:[1 ", "keyword", "", 10),
        ("*:fo", "none", "fo", 2),
        ('"a phr', "none", "a phr", 0),
        ('path=~"^/a', "none", "^/a", 6),
        ("a | st", "pipe", "st", 4),
        ("a |", "pipe", "", 3),
        ("| limit 5 | ", "pipe", "", 12),
        ('"a | st', "none", "a | st", 0),
        ("| stats ", "function", "", 8),
        ("| stats count() b", "keyword", "b", 16),
        ("| stats count() by se", "column", "se", 19),
        ("| stats count(us", "column", "us", 14),
        ("| stats count() if (le", "field", "le", 20),
        ("| sort a d", "keyword", "d", 9),
        ("| limit 5", "none", "", 9),
    ],
)
def test_what_is_being_typed(text: str, kind: str, prefix: str, start: int) -> None:
    place = complete(text, len(text))
    assert (place.kind, place.prefix, place.start, place.end) == (kind, prefix, start, len(text))


def test_in_the_middle_of_a_text_the_whole_word_is_replaced() -> None:
    place = complete("level:error foo", 8)
    assert (place.kind, place.field, place.prefix, place.start, place.end) == ("value", "level", "er", 6, 11)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("| stats count() as n, p99(x) by service, bin(5m) | where ", ("service", "bin", "n", "p99(x)")),
        ("| top 10 host | sort ", ("host", "count")),
        ("| stats count() as n | eval m = n + 1 | where m", ("n", "m")),
        ("| sort ", ()),
        ("| stats count() by ", ()),
    ],
)
def test_pipes_behind_stats_work_on_its_columns(text: str, columns: tuple[str, ...]) -> None:
    assert complete(text, len(text)).columns == columns


fragments = st.lists(
    st.sampled_from(["a", "f:", "(", ")", '"', "`", "| stats ", "count(", " by ", "[", " TO ", " OR "])
)


@given(st.one_of(st.text(), fragments.map("".join)), st.integers(-1, 40))
def test_any_text_has_a_place(text: str, at: int) -> None:
    place = complete(text, at)
    assert 0 <= place.start <= max(0, min(at, len(text))) <= place.end <= len(text)


def offered(server: RunningServer, text: str, at: int | None = None) -> tuple[str, list[str]]:
    answer = server.client.get("/api/v1/suggest", params={"q": text} | ({} if at is None else {"at": at}))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["start"] <= body["end"] <= len(text)
    assert all(item.keys() == {"text", "detail"} for item in body["items"])
    return body["kind"], [item["text"] for item in body["items"]]


@pytest.fixture(scope="module")
def typed(server: RunningServer) -> RunningServer:
    records = [
        {"message": "s", "suggested": {"colour": colour}, "odd suggested": 1, "level": "warn"}
        for colour in ("red", "red", "dark green", "blue")
    ]
    body = "\n".join(map(json.dumps, records))
    assert server.client.post("/api/v1/logs?wait=searchable", content=body).json()["accepted"] == 4
    return server


def test_fields_and_values_of_the_records_are_offered(typed: RunningServer) -> None:
    assert offered(typed, "suggested.c") == ("field", ["suggested.colour:"])
    assert offered(typed, "colo") == ("field", ["suggested.colour:"])
    assert offered(typed, "odd") == ("field", ["`odd suggested`:"])
    assert offered(typed, "suggested.colour:x", at=5)[1][0] == "suggested.colour"
    kind, items = offered(typed, "suggested.colour:")
    assert (kind, items[:3]) == ("value", ["red", "blue", '"dark green"'])
    assert set(items[3:]) == {"*", ">", ">=", "<", "<=", "[", "("}
    assert offered(typed, 'suggested.colour:"dark') == ("value", ['"dark green"'])
    assert offered(typed, "| fields suggested.c") == ("column", ["suggested.colour"])


def test_what_every_server_knows_is_offered(typed: RunningServer) -> None:
    assert offered(typed, "level:fat") == ("value", ["fatal"])
    assert "severity:" in offered(typed, "sever")[1]
    assert offered(typed, "x | pat") == ("pipe", ["patterns"])
    # A condition on records stands before the pipes.
    assert offered(typed, "x | wh") == ("pipe", [])
    assert offered(typed, "x | stats count() as n | wh") == ("pipe", ["where"])
    assert offered(typed, "x | top 3 level | ev") == ("pipe", ["eval"])
    assert offered(typed, "| stats p9") == ("function", ["p90(", "p95(", "p99("])
    assert offered(typed, "| stats count() as nn | sort n") == ("column", ["nn"])
    assert offered(typed, '"') == ("none", [])


def test_a_cursor_before_the_text_is_refused(typed: RunningServer) -> None:
    assert typed.client.get("/api/v1/suggest", params={"q": "a", "at": -1}).status_code == 400
