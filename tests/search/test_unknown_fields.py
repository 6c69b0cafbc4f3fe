"""A question about a field that no record has says so: its figures alone look like an answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import RunningServer

MANY = 1_500


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with many records; the oldest has fields that no sample of the newest shows."""
    running = RunningServer(tmp_path_factory.mktemp("unknown") / "data")
    records: list[dict[str, Any]] = [
        {"message": f"m{number}", "service": "web", "http": {"status": 200}} for number in range(MANY)
    ]
    records[0] |= {"seldom": {"used": "x"}, "http.retry": 3, "größe": "5", "timestamp": "2023-09-15T08:00:00Z"}
    body = "\n".join(map(json.dumps, records))
    answer = running.client.post("/api/v1/logs?wait=searchable", content=body)
    assert answer.json()["accepted"] == MANY
    yield running
    assert running.stop() == 0


def stats(server: RunningServer, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.client.get("/api/v1/stats", params={"q": query}).json()
    return answer


def sql(server: RunningServer, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.client.post("/api/v1/sql", json={"query": query}).json()
    return answer


@pytest.mark.parametrize(
    ("pipe", "hint"),
    [
        ("stats count() by servce", "no record has a field 'servce', but there is 'service'"),
        ("stats count() by service, stauts", "no record has a field 'stauts', but there is 'http.status'"),
        ("stats avg(zzzzzzz)", "no record has a field 'zzzzzzz'"),
        ("top http.stattus", "no record has a field 'http.stattus', but there is 'http.status'"),
    ],
)
def test_a_statistic_of_a_misspelled_field(sampled: RunningServer, pipe: str, hint: str) -> None:
    answer = stats(sampled, f"| {pipe}")
    assert (answer["hint"], answer["hint_query"]) == (hint, None)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT count() FROM logs WHERE servce = 'web'", "no record has a field 'servce', but there is 'service'"),
        ("SELECT stauts, count() FROM logs GROUP BY 1", "no record has a field 'stauts', but there is 'http.status'"),
        (
            'SELECT count() FROM logs WHERE service = "web"',
            "no record has a field 'web'; texts stand in single quotes",
        ),
    ],
)
def test_a_statement_about_a_misspelled_field(sampled: RunningServer, query: str, hint: str) -> None:
    assert sql(sampled, query)["hint"] == hint


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count() FROM logs WHERE service = 'nobody'",
        "SELECT count() FROM logs WHERE seldom.used = 'y'",
        "SELECT count() FROM logs WHERE `größe` = '6'",
        "SELECT sum(toInt64OrZero(http.retry)) FROM logs WHERE message = 'm1'",
        "SELECT count() FROM logs WHERE attributes.seldom.used = 'y'",
        "SELECT http.status, count() AS n FROM logs GROUP BY 1",
    ],
)
def test_no_hint_where_a_record_has_the_field(sampled: RunningServer, query: str) -> None:
    assert sql(sampled, query)["hint"] is None


def test_no_hint_of_a_statistic_where_a_record_has_the_field(sampled: RunningServer) -> None:
    assert stats(sampled, "| stats count() if (level:error) as none by http.status")["hint"] is None
    assert stats(sampled, "m1 | stats count() by seldom.used")["hint"] is None
    assert stats(sampled, "| stats count() if (level:error) as bad by service | stats max(bad)")["hint"] is None


def test_the_command_says_it_beside_the_result(sampled: RunningServer) -> None:
    command = [sys.executable, "-m", "logriver", "sql", "SELECT count() FROM logs WHERE servce = 'web'"]
    done = subprocess.run([*command, "--server", sampled.url], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["count()", "0"]
    assert done.stderr == "hint: no record has a field 'servce', but there is 'service'\n"
