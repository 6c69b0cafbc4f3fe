"""`/api/v1/stats` through a running server: every function and pipe, against figures computed here."""

import json
import random
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.levels import LEVELS
from logriver.query.language.tree import Aggregate, Everything, Search
from logriver.query.pipes import stats
from logriver.query.pipes.statistic import statistic
from logriver.query.sql.conditions import condition
from tests.conftest import RunningServer

Table = Callable[..., list[list[Any]]]
START = 1_694_764_800
COUNT = 1_500


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    draw = random.Random(9)
    return [
        {
            "timestamp": START + number * 10,
            "service": draw.choice(["api", "web", ""]),
            "level": draw.choice(["info", "error"]),
            "customer": f"c{draw.randrange(5)}",
            "http": {
                "status": draw.choice([200, 200, 404, 500]),
                "ms": draw.choice([number, str(number), "slow", True]),
            },
        }
        for number in range(COUNT)
    ]


def send(server: RunningServer, records: list[dict[str, Any]]) -> str:
    run = uuid.uuid4().hex
    body = json.dumps([record | {"run": run} for record in records])
    assert server.client.post("/api/v1/logs?wait=searchable", content=body).json()["accepted"] == len(records)
    return f"run:{run}"


@pytest.fixture(scope="module")
def run(server: RunningServer, records: list[dict[str, Any]]) -> str:
    return send(server, records)


@pytest.fixture(scope="module")
def table(server: RunningServer, run: str) -> Table:
    """The rows of a statistic over the records above."""

    def made(q: str, **params: Any) -> list[list[Any]]:
        answer = server.client.get("/api/v1/stats", params={"q": f"{run} {q}"} | params)
        assert answer.status_code == 200, answer.text
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    return made


def numbers(records: list[dict[str, Any]]) -> list[float]:
    """The values of `http.ms` that are numbers."""
    values = [record["http"]["ms"] for record in records]
    return [float(value) for value in values if value is not True and value != "slow"]


def place(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


# -- functions ---------------------------------------------------------------------------------------------------------


def test_every_function(table: Table, records: Any) -> None:
    q = "| stats count(), count(http.ms), sum(http.ms), avg(http.ms), min(http.ms), max(http.ms), uniq(http.ms)"
    ((count, there, total, average, least, most, different),) = table(q)
    ms = numbers(records)
    assert (count, there, total, least, most) == (COUNT, COUNT, sum(ms), min(ms), max(ms))
    assert average == pytest.approx(sum(ms) / len(ms))
    assert different == len({str(record["http"]["ms"]) for record in records})


@pytest.mark.parametrize(
    ("function", "share"), [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)]
)
def test_percentiles_are_values_that_occur(table: Table, records: Any, function: str, share: float) -> None:
    by_customer = defaultdict(list)
    for record in records:
        by_customer[record["customer"]].append(record)
    rows = table(f"| stats {function}(http.ms) as p by customer | sort customer")
    assert rows == [[key, place(numbers(by_customer[key]), share)] for key in sorted(by_customer)]


def test_counts_under_a_condition(table: Table, records: Any) -> None:
    q = "| stats count() as n, count() if (http.status:<400 -level:error) as ok, sum(http.ms) if (http.status:500) as s"
    failed = [record for record in records if record["http"]["status"] == 500]
    good = [record for record in records if record["http"]["status"] < 400 and record["level"] != "error"]
    assert table(q) == [[COUNT, len(good), sum(numbers(failed))]]


def test_times_have_a_first_and_a_last(table: Table) -> None:
    assert table("| stats min(timestamp), max(timestamp)") == [
        ["2023-09-15T08:00:00Z", clock.to_text((START + (COUNT - 1) * 10) * clock.SECOND_NS)]
    ]


def test_of_nothing_there_is_nothing(table: Table) -> None:
    q = "nowhere | stats count(), sum(http.ms), avg(http.ms), p99(http.ms), max(timestamp), uniq(customer)"
    assert table(q) == [[0, None, None, None, None, 0]]
    assert table("nowhere | stats count() by customer") == []


def test_uniq_is_exact_for_many(server: RunningServer) -> None:
    run = send(server, [{"n": number} for number in range(100_000)])
    answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats uniq(n)"}).json()
    assert (answer["rows"], answer["exact"]) == ([[100_000]], True)


def test_what_needs_too_much_memory_to_be_exact_says_so(new_server: Callable[..., RunningServer]) -> None:
    server = new_server(LOGRIVER_MAX_QUERY_MEMORY_BYTES="40000000")
    run = send(server, [{"n": number} for number in range(400_000)])
    figures = {"uniq(n)": 400_000, "p50(n)": 200_000}
    for figure, expected in figures.items():
        answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats {figure}"}).json()
        assert answer["exact"] is (figure == "p50(n)")
        assert answer["rows"][0][0] == pytest.approx(expected, rel=0.01)


# -- groups ------------------------------------------------------------------------------------------------------------


def test_groups_by_several_fields_and_by_time(table: Table, records: Any) -> None:
    expected: dict[tuple[Any, ...], int] = defaultdict(int)
    for record in records:
        minute = record["timestamp"] // 300 * 300
        expected[clock.to_text(minute * clock.SECOND_NS), record["level"], record["service"] or None] += 1
    rows = table("| stats count() by bin(5m), level, service")
    assert {tuple(row[:-1]): row[-1] for row in rows} == expected
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_bins_of_days_begin_at_midnight_in_the_zone(table: Table) -> None:
    utc = table("| stats count() by bin(1d)")
    kolkata = table("| stats count() by bin(1d)", tz="Asia/Kolkata")
    assert utc == [["2023-09-15T00:00:00Z", COUNT]]
    assert kolkata == [["2023-09-14T18:30:00Z", COUNT]]
    assert table("| stats count() by bin(7d)") == [["2023-09-11T00:00:00Z", COUNT]]


def test_without_a_sort_the_largest_come_first(table: Table) -> None:
    counts = [row[1] for row in table("| stats count() by customer")]
    assert counts == sorted(counts, reverse=True)


def test_top_is_the_most_frequent(table: Table, records: Any) -> None:
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[str(record["http"]["status"])] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert table("| top 2 http.status") == [list(item) for item in ranked[:2]]


# -- pipes after -------------------------------------------------------------------------------------------------------


def test_the_uptime_of_each_customer(table: Table, records: Any) -> None:
    q = (
        "| stats count() as n, count() if (http.status:<400) as ok by customer "
        "| eval uptime = 100*ok/n | where uptime > 40 and n >= 1 | sort uptime desc, customer | limit 3"
    )
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for record in records:
        totals[record["customer"]][0] += 1
        totals[record["customer"]][1] += record["http"]["status"] < 400
    made: list[list[Any]] = [
        [key, n, ok, pytest.approx(100 * ok / n)] for key, (n, ok) in totals.items() if 100 * ok / n > 40
    ]
    assert table(q) == sorted(made, key=lambda row: (-row[2] / row[1], row[0]))[:3]


def test_keys_compare_as_numbers_as_times_or_as_texts(table: Table) -> None:
    statuses = "| stats count() as n by http.status"
    assert {row[0] for row in table(f"{statuses} | where http.status >= 404")} == {"404", "500"}
    assert {row[0] for row in table(f'{statuses} | where http.status != "404"')} == {"200", "500"}
    nobody = table('| stats count() by service | where service = ""')
    assert [row[0] for row in nobody] == [None]
    assert table('| stats count() as n by service | where n = ""') == []
    assert None not in [row[0] for row in table('| stats count() by service | where service != "" and service != "x"')]
    bins = table('| stats count() by bin(1h) | where bin > "2023-09-15T09:30:00Z"')
    assert [row[0] for row in bins][:1] == ["2023-09-15T10:00:00Z"]


def test_keys_sort_as_numbers(server: RunningServer) -> None:
    run = send(server, [{"k": key} for key in (10, 9, "100", "b", "a", -1)])
    answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats count() by k | sort k"})
    assert [row[0] for row in answer.json()["rows"]] == ["-1", "9", "10", "100", "a", "b"]


def test_levels_sort_and_compare_by_severity(server: RunningServer) -> None:
    run = send(server, [{"level": level} for level in ("Custom", "ERR", "warn", "fatal", "info", "debug")] + [{"k": 1}])

    def levels(pipes: str) -> list[Any]:
        q = f"{run} | stats count() by level {pipes}"
        return [row[0] for row in server.client.get("/api/v1/stats", params={"q": q}).json()["rows"]]

    rising = ["debug", "info", "warn", "error", "fatal"]
    assert levels("| sort level") == [*rising, "custom", None]
    assert levels("| sort level desc") == [*reversed(rising), "custom", None]
    assert levels('| where level >= "Warning" | sort level') == ["warn", "error", "fatal"]
    assert levels('| where "info" > level') == ["debug"]
    assert levels('| eval l = level | where l = "err"') == ["error"]
    assert levels('| where level = "custom"') == ["custom"]
    found = server.client.get("/api/v1/search", params={"q": f"{run} | sort level desc | fields level"}).json()["rows"]
    assert [row.get("level") for row in found] == [*reversed(rising), "custom", None]


def test_rows_that_sort_alike_keep_their_order(table: Table) -> None:
    rows = table("| stats count() by level, bin(1h) | sort level")
    assert rows == sorted(rows, key=lambda row: (LEVELS.index(row[0]), row[1]))


def test_a_statistic_of_a_statistic(table: Table) -> None:
    per_hour = table("| stats count() as n by customer, bin(1h)")
    assert table("| stats count() as n by customer, bin(1h) | stats count(), max(n)") == [
        [len(per_hour), max(row[2] for row in per_hour)]
    ]


def test_a_limit_holds_for_the_pipes_after_it(table: Table) -> None:
    first = table("| stats count() as n by customer | sort customer | limit 2")
    turned = table("| stats count() as n by customer | sort customer | limit 2 | sort customer desc")
    assert turned == first[::-1]


def test_a_division_by_zero_is_nothing(table: Table) -> None:
    assert table("| stats count() as n | eval z = n / 0 | eval m = n % 0") == [[COUNT, None, None]]


def test_a_literal_key_with_a_dot_comes_before_the_path(server: RunningServer) -> None:
    records: list[dict[str, Any]] = [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 3}}, {"a.b": 'q"4', "a": {"b": 5}}]
    run = send(server, records)
    answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats count() by a.b | sort a.b"})
    assert [row[0] for row in answer.json()["rows"]] == ["1", "3", 'q"4']


def test_records_without_the_field_are_a_group(table: Table) -> None:
    assert table("| stats count() by missing") == [[None, COUNT]]


# -- what cannot be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("q", "word"),
    [
        ("error", "stats"),
        ("error | sort level", "stats"),
        ("* | stats count() | fields level", "fields"),
        ("* | stats count() | patterns", "patterns"),
        ("* | stats count() as n by level | where m > 1", "'m'"),
        ("* | stats count() as n by level | sort other", "'other'"),
        ("* | stats sum(timestamp)", "times"),
        ("* | stats count() by bin(4000d)", "bin"),
        ("* | stats count() by level | stats count() by bin(5m)", "bin"),
        ("* | stats max(timestamp) as t | eval u = t + 1", "times"),
    ],
)
def test_what_a_statistic_cannot_be_is_said(server: RunningServer, q: str, word: str) -> None:
    answer = server.client.get("/api/v1/stats", params={"q": q})
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


def test_too_many_groups_are_a_clear_answer(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is told the limit, within the statement."""
    monkeypatch.setattr(stats, "MAX_GROUPS", 7)
    made = condition(Everything())
    count = Aggregate("count", None, None, "n")
    sql = statistic(Search(Everything(), (stats.Stats((count,), ("level",)),)), made, "UTC", True, 10).sql
    assert "max_rows_to_group_by = 7, group_by_overflow_mode = 'throw'" in sql


def test_more_rows_than_an_answer_holds_are_told(server: RunningServer) -> None:
    run = send(server, [{"n": number} for number in range(10_001)])
    answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats count() by n"}).json()
    assert (len(answer["rows"]), answer["complete"]) == (10_000, False)
    answer = server.client.get("/api/v1/stats", params={"q": f"{run} | stats count() by n | limit 10000"}).json()
    assert (len(answer["rows"]), answer["complete"]) == (10_000, True)


def test_post_takes_the_parameters_in_its_body(server: RunningServer, run: str) -> None:
    answer = server.client.post("/api/v1/stats", json={"q": f"{run} | stats count() by bin(1d)", "tz": "Asia/Kolkata"})
    assert answer.json()["rows"] == [["2023-09-14T18:30:00Z", COUNT]]
    assert {"elapsed_ms", "rows_read", "bytes_read"} == set(answer.json()["stats"])


def test_promoted_fields_give_the_same(new_server: Callable[..., RunningServer], table: Table, records: Any) -> None:
    q = "| stats count(), p90(http.ms), sum(http.ms), uniq(http.ms) by http.status"
    server = new_server(LOGRIVER_PROMOTE='["http.status", "http.ms"]')
    run = send(server, records)
    assert server.client.get("/api/v1/stats", params={"q": f"{run} {q}"}).json()["rows"] == table(q)


hostile = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["' OR 1=1 --", "{p0:String}", "\\", "\\N", "a\tb\nc", "\x00", "c0", "count()", "logs", "`"]),
)


@given(hostile, hostile, hostile)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_no_name_or_value_breaks_out(server: RunningServer, field: str, name: str, value: str) -> None:
    def quoted(text: str) -> str:
        return "`" + text.replace("`", "``") + "`"

    word = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    q = f"x | stats max({quoted(field)}) as {quoted(name)} by {quoted(value)} | where {quoted(name)} = {word}"
    assert server.client.post("/api/v1/stats", json={"q": q}).status_code in (200, 400)
    assert server.client.get("/api/v1/histogram", params={"by": field, "tz": value}).status_code in (200, 400)
