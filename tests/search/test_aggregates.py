"""Histogram, fields, values and explain through a running server, against figures computed here."""

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.search import buckets
from tests.conftest import RunningServer

Ask = Callable[..., dict[str, Any]]
Send = Callable[[list[dict[str, Any]]], str]

START = 1_694_764_800
HOUR, DAY = 3_600, 86_400
COUNT = 2_000


@pytest.fixture(scope="module")
def send(server: RunningServer) -> Send:
    """Send records marked as one run of their own; gives the search text that finds only them."""

    def sent(records: list[dict[str, Any]]) -> str:
        run = uuid.uuid4().hex
        body = json.dumps([record | {"run": run} for record in records])
        answer = server.client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
        assert answer.json()["accepted"] == len(records)
        return f"run:{run}"

    return sent


@pytest.fixture(scope="module")
def ask(server: RunningServer) -> Ask:
    def asked(call: str, **params: Any) -> dict[str, Any]:
        params = {name.rstrip("_"): value for name, value in params.items()}
        answer = server.client.get(f"/api/v1/{call}", params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return asked


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """Over ten days, with two fields that only some have."""
    draw = random.Random(4)
    made = []
    for number in range(COUNT):
        record = {
            "timestamp": START + draw.randrange(10 * DAY),
            "level": draw.choice(["info", "info", "warn", "error"]),
            "message": f"request {number}",
            "user": f"u{min(draw.randrange(40), draw.randrange(40))}",
            "http": {"status": draw.choice([200, 404, 500]), "path": "/x"},
        }
        if number % 4 == 0:
            record["rare"] = draw.choice([True, "yes", 1.5])
        made.append(record)
    return made


@pytest.fixture(scope="module")
def run(send: Send, records: list[dict[str, Any]]) -> str:
    return send(records)


# -- histogram ---------------------------------------------------------------------------------------------------------


def test_a_histogram_counts_every_record_once_by_time_and_level(ask: Ask, run: str, records: Any) -> None:
    found = ask("histogram", q=run, from_=START, to=START + 10 * DAY, buckets=80)
    assert found["interval_seconds"] == 3 * HOUR
    assert (found["from"], found["to"], found["total"]) == ("2023-09-15T08:00:00Z", "2023-09-25T08:00:00Z", COUNT)
    expected = Counter((r["level"], r["timestamp"] // (3 * HOUR) * 3 * HOUR) for r in records)
    counted = {(s["key"], start): n for s in found["series"] for start, n in s["values"] if n}
    assert counted == expected
    totals = [sum(n for _, n in s["values"]) for s in found["series"]]
    assert totals == sorted(totals, reverse=True)


def test_empty_buckets_are_zeros_and_all_series_have_the_same(ask: Ask, send: Send) -> None:
    run = send([{"timestamp": START, "level": "info"}, {"timestamp": START + 9 * HOUR, "level": "error"}])
    found = ask("histogram", q=run, from_=START - HOUR, to=START + 10 * HOUR, buckets=11)
    assert [start for start, _ in found["series"][0]["values"]] == [START + (n - 1) * HOUR for n in range(11)]
    assert {s["key"]: [n for _, n in s["values"]] for s in found["series"]} == {
        "error": [0] * 10 + [1],
        "info": [0, 1] + [0] * 9,
    }


def test_of_a_field_with_many_values_the_frequent_have_a_series(ask: Ask, run: str, records: Any) -> None:
    found = ask("histogram", q=run, from_=START, to=START + 10 * DAY, by="user")
    counts = Counter(record["user"] for record in records)
    totals = {s["key"]: sum(n for _, n in s["values"]) for s in found["series"] if not s["rest"]}
    assert len(totals) == 20
    assert all(counts[key] == total for key, total in totals.items())
    assert sorted(totals.values(), reverse=True) == [n for _, n in counts.most_common(20)]
    (rest,) = [s for s in found["series"] if s["rest"]]
    assert rest["key"] == "other"
    assert sum(n for _, n in rest["values"]) == COUNT - sum(totals.values())


def test_records_without_the_field_are_a_series_of_their_own(ask: Ask, run: str) -> None:
    found = ask("histogram", q=run, from_=START, to=START + 10 * DAY, by="rare")
    totals = {s["key"]: sum(n for _, n in s["values"]) for s in found["series"]}
    assert totals[None] == COUNT - COUNT // 4
    assert sum(totals.values()) == COUNT
    assert set(totals) == {None, "true", "yes", "1.5"}


def test_days_begin_at_midnight_in_the_zone(ask: Ask, send: Send) -> None:
    zone = ZoneInfo("America/New_York")
    # The clocks are set back on 5 November: that day has 25 hours.
    times = [datetime(2023, 11, day, hour, tzinfo=zone) for day in (3, 4, 5, 6, 7) for hour in (0, 23)]
    run = send([{"timestamp": time.isoformat()} for time in times])
    found = ask("histogram", q=run, from_="2023-11-03T04:00:00Z", to="2023-11-08T05:00:00Z", buckets=6, tz=zone.key)
    assert found["interval_seconds"] == DAY
    midnights = [int(datetime(2023, 11, day, tzinfo=zone).timestamp()) for day in (3, 4, 5, 6, 7)]
    assert found["series"][0]["values"] == [[midnight, 2] for midnight in midnights]


def test_open_ends_are_those_of_the_data(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    nothing = server.client.get("/api/v1/histogram").json()
    assert (nothing["series"], nothing["total"]) == ([], 0)
    records = [{"timestamp": START}, {"timestamp": START + 120}]
    server.client.post("/api/v1/logs?wait=searchable", content=json.dumps(records))
    found = server.client.get("/api/v1/histogram", params={"buckets": 200}).json()
    assert (found["from"], found["interval_seconds"]) == ("2023-09-15T08:00:00Z", 1)
    assert len(found["series"][0]["values"]) == 121
    assert found["total"] == 2


def test_pipes_do_not_change_which_records_a_histogram_counts(ask: Ask, run: str) -> None:
    assert (
        ask("histogram", q=f"{run} level:error | fields level")["total"]
        == (ask("histogram", q=f"{run} level:error")["total"])
    )


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"buckets": "0"}, "buckets"),
        ({"buckets": "x"}, "buckets"),
        ({"tz": "Mars/Olympus"}, "Mars/Olympus"),
        ({"tz": "../etc"}, "tz"),
        ({"by": "timestamp"}, "timestamp"),
        ({"from": "yesterday-ish"}, "from"),
    ],
)
def test_what_a_histogram_cannot_do_is_said(server: RunningServer, params: dict[str, str], word: str) -> None:
    answer = server.client.get("/api/v1/histogram", params=params)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


@given(
    st.integers(clock.MIN_TIME_NS, clock.MAX_TIME_NS),
    st.integers(0, 400 * 366 * DAY * clock.SECOND_NS),
    st.integers(1, 1000),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]),
)
@settings(max_examples=200)
def test_buckets_cover_any_span_with_about_as_many_as_wanted(from_ns: int, span: int, most: int, zone: str) -> None:
    to_ns = min(from_ns + span, clock.MAX_TIME_NS)
    made = buckets.buckets(from_ns, to_ns, most, ZoneInfo(zone))
    assert made.starts == sorted(set(made.starts))
    first, last = from_ns // clock.SECOND_NS, max(from_ns, to_ns - 1) // clock.SECOND_NS
    assert made.starts[0] <= first
    assert made.starts[-1] <= last < made.starts[-1] + made.seconds + 2 * DAY
    assert len(made.starts) <= max(most + 2, 45)
    assert all(made.index(start) == place for place, start in enumerate(made.starts))


# -- fields and values -------------------------------------------------------------------------------------------------


def test_fields_have_types_and_shares(ask: Ask, run: str) -> None:
    found = ask("fields", q=run)
    fields = {field["name"]: field for field in found["fields"]}
    assert (found["sampled"], found["complete"]) == (COUNT, True)
    assert (fields["http.status"]["type"], fields["http.status"]["share"]) == ("number", 1.0)
    assert fields["http.path"]["types"] == ["string"]
    assert sorted(fields["rare"]["types"]) == ["boolean", "number", "string"]
    assert fields["rare"]["share"] == 0.25
    assert {name for name, field in fields.items() if field["column"]} == {
        *("timestamp", "level", "message", "_source", "_received")
    }
    assert fields["timestamp"]["type"] == "time"
    assert not any(field["promoted"] for field in fields.values() if field["column"])


def test_a_field_that_a_column_displaced_has_the_name_it_is_searched_by(ask: Ask, send: Send) -> None:
    run = send([{"message": "m", "msg": "n", "list": [1, {"a": 2}], "none": None, "a.b": 1}])
    fields = {field["name"]: field["type"] for field in ask("fields", q=run)["fields"] if not field["column"]}
    assert fields == {"attributes.msg": "string", "list": "array", "none": "null", "a.b": "number", "run": "string"}


def test_promoted_fields_are_shown_as_such(new_server: Callable[..., RunningServer]) -> None:
    server = new_server(LOGRIVER_PROMOTE='["deep.er"]')
    server.client.post("/api/v1/logs?wait=searchable", content='{"deep": {"er": 1, "other": 2}}')
    fields = server.client.get("/api/v1/fields").json()["fields"]
    assert {field["name"]: field["promoted"] for field in fields if not field["column"]} == {
        "deep.er": True,
        "deep.other": False,
    }
    values = server.client.get("/api/v1/fields/deep.er/values").json()["values"]
    assert values == [{"value": "1", "count": 1}]


@pytest.mark.parametrize("name", ["n\nl", "a/values", "a b/c?d#e", "%0A"])
def test_a_name_may_hold_anything(server: RunningServer, send: Send, name: str) -> None:
    run = send([{name: 5}])
    answer = server.client.get(f"/api/v1/fields/{quote(name, safe='')}/values", params={"q": run})
    assert (answer.json()["field"], answer.json()["values"]) == (name, [{"value": "5", "count": 1}])


def test_very_large_records_count_by_their_columns_alone(ask: Ask, send: Send) -> None:
    run = send([{"message": "large", "blob": "x" * 100_000}, {"message": "small", "tiny": 1}])
    found = ask("fields", q=run)
    fields = {field["name"]: field["share"] for field in found["fields"]}
    assert (fields["message"], fields["tiny"]) == (1.0, 0.5)
    assert "blob" not in fields


@pytest.mark.parametrize("field", ["user", "level", "http.status"])
def test_values_are_counted_over_all_records(ask: Ask, run: str, records: Any, field: str) -> None:
    counts = Counter(str(r["http"]["status"] if field == "http.status" else r[field]) for r in records)
    found = ask(f"fields/{field}/values", q=run, limit=3)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert [(item["value"], item["count"]) for item in found["values"]] == ranked[:3]
    assert (found["distinct"], found["records"], found["complete"]) == (len(counts), COUNT, True)


def test_elements_of_a_list_are_values(ask: Ask, send: Send) -> None:
    lists: list[Any] = [["eu", "prod"], ["prod", "prod", None], [], [[1], 2.0], "prod", '["eu"]', None]
    run = send([{"tags": tags} for tags in lists])
    found = ask("fields/tags/values", q=run)
    assert [(value["value"], value["count"]) for value in found["values"]] == [
        ("prod", 3),
        ("eu", 2),
        ("2", 1),
        ("[1]", 1),
        ("[]", 1),
    ]
    assert (found["distinct"], found["records"], found["complete"]) == (5, 6, True)
    assert ask("search", q=f"{run} tags:2")["rows"][0]["tags"] == [[1], 2.0]
    suggested = [item["text"] for item in ask("suggest", q="tags:pr")["items"]]
    assert suggested == ["prod"]


def test_values_of_a_name_with_odd_signs(ask: Ask, send: Send) -> None:
    name = "a/b '\\ {p0:String}?"
    run = send([{name: "x"}, {name: "x"}, {"other": 1}])
    found = ask("fields/a%2Fb%20'%5C%20%7Bp0%3AString%7D%3F/values", q=run)
    assert found["field"] == name
    assert found["values"] == [{"value": "x", "count": 2}]


def test_values_within_times_and_words(ask: Ask, run: str, records: Any) -> None:
    wanted = [r["user"] for r in records if r["level"] == "error" and r["timestamp"] < START + DAY]
    found = ask("fields/user/values", q=f"{run} level:error", to=START + DAY, limit=1000)
    assert {item["value"]: item["count"] for item in found["values"]} == Counter(wanted)


def test_values_of_times_and_limits_out_of_bounds_are_refused(server: RunningServer) -> None:
    for path in ("fields/timestamp/values", "fields/x/values?limit=0", "fields/x/values?limit=1001"):
        assert server.client.get(f"/api/v1/{path}").status_code == 400, path


# -- explain -----------------------------------------------------------------------------------------------------------


def test_explain_gives_text_sql_and_what_is_read(ask: Ask, run: str) -> None:
    found = ask("explain", q=f'{run}   AND "two  words"')
    assert found["query"] == f'{run} "two  words"'
    assert "FROM logs WHERE" in found["sql"]
    assert run.removeprefix("run:") in found["parameters"].values()
    assert found["rows"] >= 0
    everything = ask("explain", q="*")
    assert everything["rows"] >= COUNT
    assert everything["marks"] >= everything["parts"] >= 1
    far_away = ask("explain", q="*", to="1950-01-01")
    assert (far_away["rows"], far_away["bytes"]) == (0, 0)


def test_explain_shows_the_sql_of_a_statistic(ask: Ask) -> None:
    found = ask("explain", q="* | stats count() by level")
    assert "GROUP BY" in found["sql"]
    assert found["query"] == "* | stats count() by level"


@pytest.mark.parametrize("call", ["histogram", "fields", "fields/x/values", "stats", "patterns", "explain"])
def test_a_text_that_cannot_be_read_is_refused_with_its_position(server: RunningServer, call: str) -> None:
    answer = server.client.get(f"/api/v1/{call}", params={"q": 'word "open'})
    assert answer.status_code == 400
    assert answer.json()["error"]["position"] == 5


@pytest.mark.parametrize("call", ["histogram", "fields", "fields/level/values", "patterns"])
def test_answers_tell_what_they_cost(ask: Ask, run: str, call: str) -> None:
    stats = ask(call, q=run)["stats"]
    assert stats["rows_read"] >= COUNT
    assert stats["bytes_read"] > 0
    assert stats["elapsed_ms"] > 0


def test_everything_reads_up_to_the_watermark(ask: Ask, send: Send) -> None:
    """What is searchable is counted, at once and by all calls alike."""
    run = send([{"message": f"seen {number}", "level": "info", "n": number} for number in range(50)])
    assert ask("histogram", q=run)["total"] == 50
    assert ask("fields", q=run)["sampled"] == 50
    assert ask("fields/n/values", q=run)["distinct"] == 50
    assert ask("stats", q=f"{run} | stats count()")["rows"] == [[50]]
    assert ask("patterns", q=run)["records"] == 50


def test_epoch_seconds_are_of_utc(ask: Ask, send: Send) -> None:
    run = send([{"timestamp": "1969-12-31T23:59:58Z", "level": "info"}])
    found = ask("histogram", q=run, from_="1969-12-31T23:59:50Z", to="1970-01-01", buckets=5)
    assert [[start, n] for start, n in found["series"][0]["values"] if n] == [[-2, 1]]
