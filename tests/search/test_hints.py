"""The hint of an empty answer: a search text that does find something, for each way of missing it."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import RunningServer

Miss = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def mark() -> str:
    """A word that only the records of this module have."""
    return "w" + uuid.uuid4().hex


@pytest.fixture(scope="module")
def miss(server: RunningServer, mark: str) -> Miss:
    """Ask for something that finds nothing."""
    records = [
        {
            "message": f"{mark} connect to localhost:8080 failed",
            "resourceId": f"r{mark}",
            "http": {"statusCode": 418},
            "tags": ["red", "green"],
            "roles": [{"name": "admin"}],
        },
        {"message": f"{mark} red balloon", "level": "info", "timestamp": "2001-02-03T04:05:06Z"},
        {"message": f"{mark} blue balloon", "owner": f"o{mark}", "service": f"checkout-{mark}"},
    ]
    body = json.dumps(records)
    assert server.client.post("/api/v1/logs?wait=searchable", content=body).json()["accepted"] == len(records)

    def missed(q: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        # The time for a hint is short, and the machine may have other work: a few more attempts.
        for _ in range(5):
            answer = server.client.get("/api/v1/search", params={"q": q, **params}).json()
            assert answer["rows"] == []
            if answer["hint"]:
                break
        return answer

    return missed


@pytest.mark.parametrize(
    ("q", "word", "finds"),
    [
        ("MARK localhost:8080", "quotes", 1),
        ("MARK (red or nothing)", "capitals", 1),
        ("oMARK", "in a field", 1),
        ("MARK red level:infos", "no level is 'infos', but 'info'", 1),
        ("MARK blue service:chekout-MARK", "but 'checkout-w", 1),
        ("resourceid:rMARK", "'resourceId'", 1),
        ("ressourceId:rMARK", "'resourceId'", 1),
        ("MARK statusCode:418", "'http.statusCode'", 1),
        ("MARK statusCode:>=400", "'http.statusCode'", 1),
        ("MARK http.StatusCode:*", "'http.statusCode'", 1),
        ("MARK resourceid:r*", "'resourceId'", 1),
        ('MARK resourceid=~"^rw"', "'resourceId'", 1),
        ("MARK http.statusCode >= 400", "without spaces", 1),
        ("MARK and http.statusCode: 418", "without spaces", 1),
        ('MARK resourceId = "rMARK"', "without spaces", 1),
        ("MARK resourceId != none red", "without spaces", 1),
        ('MARK resourceId="rMARK"', "without spaces", 1),
        ("MARK red level:INFOS", "no level is 'INFOS', but 'info'", 1),
        ("MARK service:CHECKOUT-MARK", "but 'checkout-w", 1),
        ("MARK timestamp:2001-02-03", "of that day", 1),
        ("MARK tags:gree", "it is in some", 1),
        ("MARK tags:RED", "in another case", 1),
        ("MARK roles.name:admin", "of another field", 1),
        ("MARK ballo", "some begin so", 2),
        ("MARK alloo", "some have it in them", 2),
        ("MARK *red*oon*", "over several", 1),
        ("MARK http.statusCode:(418 419)", "with OR", 1),
        ("MARK _exists_:owner", "written so", 1),
        ("_time:5m MARK red", "written so", 1),
        ("MARK !red !blue", "written so", 1),
        ("MARK red|blue", "written so", 2),
        ("MARK http.statusCode:in(417, 418)", "written so", 1),
        ('MARK red level:~"^inf"', "written so", 1),
        ('{owner="oMARK",level!="info"} |= "blue" != "red" |~ "ball.*" !~ "x"', "written so", 1),
        ('MARK "balloon red"', "order", 1),
        ("MARK balloon | lmit 1", "pipes are", 1),
        ("MARK balloon | TAKE 1", "pipes are", 1),
        ("MARK balloon | filter status:500", "pipes are", 2),
        ('MARK red | extract "x <y>" | limit 1', "pipes are", 1),
    ],
)
def test_the_hint_finds_what_was_missed(
    server: RunningServer, miss: Miss, mark: str, q: str, word: str, finds: int
) -> None:
    answer = miss(q.replace("MARK", mark))
    assert answer["hint"] is not None
    assert word in answer["hint"]
    assert answer["hint"].endswith(f"`{answer['hint_query']}`")
    assert len(server.search(q=answer["hint_query"])) == finds


def test_other_times_are_told(server: RunningServer, miss: Miss, mark: str) -> None:
    answer = miss(f"{mark} red", **{"from": "2020-01-01"})
    assert "at others, the newest at 2001-02-03T04:05:06Z: " in answer["hint"]
    assert len(server.search(q=answer["hint_query"])) == 1


def test_blanks_in_a_condition_are_told_where_other_times_have_it(server: RunningServer, miss: Miss, mark: str) -> None:
    answer = miss(f"{mark} level: info", **{"from": "2020-01-01"})
    assert "without spaces; at other times, the newest at 2001-02-03T04:05:06Z: " in answer["hint"]
    assert len(server.search(q=answer["hint_query"])) == 1


def test_times_in_the_wrong_order_are_told(miss: Miss, mark: str) -> None:
    answer = miss(f"{mark} red", **{"from": "2020-01-02", "to": "2020-01-01"})
    assert answer["hint"].startswith("these times end before they begin; at others, the newest at 2001-02-03")


def test_where_nothing_is_near_there_is_no_hint(miss: Miss) -> None:
    answer = miss("word" + uuid.uuid4().hex)
    assert (answer["hint"], answer["hint_query"]) == (None, None)


def test_an_answer_with_rows_has_no_hint(server: RunningServer, miss: Miss, mark: str) -> None:
    answer = server.client.get("/api/v1/search", params={"q": mark}).json()
    assert answer["rows"]
    assert answer["hint"] is None


@pytest.mark.parametrize("written", ['-owner="oMARK"', "NOT owner=oMARK", "-(owner==oMARK)"])
def test_what_is_left_out_as_a_text_is_told(server: RunningServer, mark: str, written: str) -> None:
    q = f"{mark} {written}".replace("MARK", mark)
    answer = server.client.get("/api/v1/search", params={"q": q}).json()
    assert (len(answer["rows"]), answer["hint_query"]) == (3, f"{mark} NOT owner:o{mark}")
    assert len(server.search(q=answer["hint_query"])) == 2
    counted = server.client.get("/api/v1/stats", params={"q": f"{q} | stats count()"}).json()
    assert (counted["rows"], counted["hint_query"]) == ([[3]], f"{mark} NOT owner:o{mark} | stats count()")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("level: info", "level:info"),
        ("WORD severity:  info", "WORD severity:info"),
        ("level: info -x", "level:info -x"),
    ],
)
def test_a_column_with_a_blank_behind_its_colon_is_told(server: RunningServer, written: str, meant: str) -> None:
    """Two words, which some records have: the answer looks right."""
    word = f"w{uuid.uuid4().hex}"
    body = json.dumps({"message": f"{word} level severity info"})
    assert server.client.post("/api/v1/logs?wait=searchable", content=body).is_success
    answer = server.client.get("/api/v1/search", params={"q": written.replace("WORD", word)}).json()
    assert answer["rows"]
    assert "without spaces" in answer["hint"]
    assert answer["hint_query"] == meant.replace("WORD", word)


def test_fields_that_no_record_has_are_told(server: RunningServer, mark: str) -> None:
    def hint(q: str) -> str | None:
        answer = server.client.get("/api/v1/search", params={"q": q}).json()
        assert answer["rows"]
        found: str | None = answer["hint"]
        return found

    said = hint(f"{mark} | fields message, resourceld")
    assert said == "no record has a field 'resourceld', but there is 'resourceId'"
    # Other records have it.
    assert hint(f"{mark} blue | fields message, resourceId") is None
    assert hint(f"{mark} | fields message, owner") is None


def test_statistics_of_nothing_have_a_hint(server: RunningServer, mark: str) -> None:
    def table(q: str) -> dict[str, Any]:
        answer: dict[str, Any] = server.client.get("/api/v1/stats", params={"q": q}).json()
        return answer

    for pipes in ("stats count()", "top 3 owner"):
        missed = table(f"{mark} resourceid:r{mark} | {pipes}")
        assert missed["hint_query"] == f"{mark} resourceId:r{mark} | {pipes}"
        assert "'resourceId'" in missed["hint"]
        assert table(missed["hint_query"])["hint"] is None
    of_nothing = table(f"{mark} | stats sum(nothing), count(nothing)")
    assert (of_nothing["hint"], of_nothing["hint_query"]) == ("no record has a field 'nothing'", None)
    assert table(f"{mark} | stats count() as n | where n > 100")["hint"] is None


def test_many_records_of_one_source_hide_no_names(server: RunningServer, mark: str) -> None:
    many = [
        {"message": "x", "service": f"many-{mark}", "other": n, "timestamp": "2031-01-01T00:00:00Z"}
        for n in range(3000)
    ]
    assert server.client.post("/api/v1/logs?wait=searchable", content=json.dumps(many)).is_success
    assert server.client.get("/api/v1/search", params={"q": f"{mark} statusCode:418"}).json()["hint"] is not None
    found = server.client.get("/api/v1/suggest", params={"q": "http.statusC"}).json()["items"]
    assert [item["text"] for item in found] == ["http.statusCode:"]


def test_a_source_alone_has_all_of_the_sample(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    rare = [{"message": "x", "n": n} | ({"in_one_of_them": 1} if n == 100 else {}) for n in range(450)]
    assert server.client.post("/api/v1/logs?wait=searchable", content=json.dumps(rare)).is_success
    found = server.client.get("/api/v1/suggest", params={"q": "in_one"}).json()["items"]
    assert [item["text"] for item in found] == ["in_one_of_them:"]


@pytest.mark.parametrize(
    ("written", "meant", "rows"),
    [
        ("stat count() as n", "stats count() as n", [[3]]),
        ("count", "stats count()", [[3]]),
        ("uniq message | limit 1", "top 10 message | limit 1", 1),
    ],
)
def test_a_mistyped_pipe_of_a_table_is_hinted_at(
    server: RunningServer, miss: Miss, mark: str, written: str, meant: str, rows: object
) -> None:
    asked = miss(f"{mark} | {written}")["hint_query"]
    assert asked == f"{mark} | {meant}"
    found = server.client.get("/api/v1/stats", params={"q": asked}).json()["rows"]
    assert rows in (found, len(found))


def test_pipes_stay_in_the_text_of_a_hint(server: RunningServer, miss: Miss, mark: str) -> None:
    answer = miss(f"resourceid:r{mark} | fields message")
    assert answer["hint_query"] == f"resourceId:r{mark} | fields message"
