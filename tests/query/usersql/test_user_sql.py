"""SQL for users over HTTP and the command: what it answers, and that it means what the engine means."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlglot

from logriver.query.sql import escaping
from logriver.query.usersql import engine_tree
from logriver.query.usersql.dialect import UserDialect
from logriver.query.usersql.functions import AGGREGATES, FUNCTIONS, is_allowed
from logriver.store.embedded import Embedded
from tests.conftest import RunningServer
from tests.query.test_attribute_sql import MISLEADING

DOCUMENT = (Path(__file__).parents[3] / "docs" / "reference" / "sql.md").read_text()

FIELDS = (
    "timestamp",
    "level",
    "message",
    "service",
    "traceId",
    "spanId",
    "resourceId",
    "latency",
    "rack",
    "tags",
    "ip",
)
LINES: list[tuple[Any, ...]] = [
    ("00", "info", "login of user 1", "web", "t1", "s0", "server-1", 10, "rack-1", ["a"], "10.0.0.1"),
    ("01", "info", "login of user 2", "web", "t2", "s1", "server-1", 20, "rack-1", ["a", "b"], "10.0.0.2"),
    ("03", "error", "Failed to connect to DB", "db", "t1", "s3", "server-2", 250.5, "rack-1", [], "10.0.0.1"),
    ("06", "warn", "slow query took 900ms", "db", "t3", "s6", "server-2", 900, "rack-1", ["b"], "10.0.1.1"),
    ("07", "error", "Failed to connect to DB", "db", "t2", "s7", "server-2", 251, "rack-2", ["c"], "10.0.1.2"),
    ("12", "info", "logout of user 1", "web", "t1", "s12", "server-1", 5, "rack-2", ["a"], "10.0.0.1"),
    ("14", "debug", "cache 17 of 20 full", "cache", "", "s14", "server-3", 1, "rack-2", None, "10.0.2.1"),
    ("21", "fatal", "out of memory", "cache", "", "s21", "server-3", 0, "rack-2", ["oom", "c"], "10.0.2.1"),
]


def record(line: tuple[Any, ...]) -> dict[str, Any]:
    fields = dict(zip(FIELDS, line, strict=True))
    rack, ip = fields.pop("rack"), fields.pop("ip")
    fields["timestamp"] = f"2023-09-15T08:{fields['timestamp']}:00Z"
    return {"host": "h1", "metadata": {"parentResourceId": rack}, "client.ip": ip, **fields}


Ask = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def sql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("sql") / "data")
    body = json.dumps([record(line) for line in LINES])
    answer = running.client.post("/api/v1/logs", params={"wait": "searchable"}, content=body)
    assert answer.json()["accepted"] == len(LINES), answer.text
    yield running
    assert running.stop() == 0, running.log_path.read_text()[-2000:]


def post(server: RunningServer, query: object) -> httpx.Response:
    return server.client.post("/api/v1/sql", json={"query": query})


@pytest.fixture
def ask(sql_server: RunningServer) -> Ask:
    def asked(query: str) -> dict[str, Any]:
        answer = post(sql_server, query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return asked


def refusal(server: RunningServer, query: str) -> dict[str, Any]:
    answer = post(server, query)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


# -- what can be asked -------------------------------------------------------------------------------------------------


def useful() -> list[tuple[str, list[Any]]]:
    """Statements with the rows that they give for `LINES`, from the file beside this one."""
    blocks = (Path(__file__).parent / "useful.txt").read_text().strip().split("\n\n")
    return [(query, json.loads(rows)) for query, _, rows in (block.rpartition("\n") for block in blocks)]


CASES = useful()


@pytest.mark.parametrize(("query", "rows"), CASES, ids=[query[:60] for query, _ in CASES])
def test_a_useful_statement_gives_its_rows(ask: Ask, query: str, rows: list[Any]) -> None:
    found = ask(query)["rows"]
    if "ORDER BY" in query:
        assert found == rows
    else:
        assert sorted(found, key=str) == sorted(rows, key=str)


@pytest.mark.parametrize("field", ["a", "a.b"])
def test_a_field_is_the_same_alone_and_beside_many(new_server: Callable[..., RunningServer], field: str) -> None:
    server = new_server()
    documents = [f'{{"message":"{number}",{text[1:]}' for number, text in enumerate(MISLEADING) if text != "{}"]
    answer = server.client.post("/api/v1/logs?wait=searchable", content="\n".join(documents))
    assert answer.json()["accepted"] > 40
    alone, beside = (
        post(server, f"SELECT message, {names} FROM logs ORDER BY message").json()["rows"]
        for names in (field, f"{field}, other1, other2, other3")
    )
    assert [row[:2] for row in beside] == alone
    assert len({value for _, value in alone}) > 5


@pytest.mark.parametrize("query", ["SELECT avg(latency) FROM logs", "SELECT 1 FROM logs WHERE latency >= 500"])
def test_a_number_wanted_of_a_text_is_hinted_at(sql_server: RunningServer, query: str) -> None:
    assert "toFloat64OrNull(field)" in refusal(sql_server, query)["hint"]


@pytest.mark.parametrize(
    ("query", "is_told"),
    [
        ("SELECT max(latency) FROM logs", True),
        ("SELECT service, min(latency) AS m FROM logs GROUP BY service", True),
        ("SELECT latency FROM logs ORDER BY latency DESC LIMIT 3", True),
        ("SELECT max(toFloat64OrNull(latency)) FROM logs", False),
        ("SELECT max(resourceId), max(timestamp) FROM logs", False),
        ("SELECT resourceId FROM logs ORDER BY resourceId", False),
        ("SELECT latency FROM logs", False),
    ],
)
def test_numbers_that_are_ordered_as_texts_are_hinted_at(ask: Ask, query: str, is_told: bool) -> None:
    hint = ask(query)["hint"]
    assert (hint is not None and "toFloat64OrNull(latency)" in hint) is is_told, hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yesterday", "not a time: 'yesterday'"),
        ("2023-09-31", "no such day: '2023-09-31'"),
        ("2023-09-15T25:00:00Z", "not a time of day: 25:00:00"),
        ("9999-12-31", "time is outside 1900-01-01 to 2262-04-11T23:47:16Z"),
    ],
)
def test_what_a_time_is_compared_with_is_a_time(sql_server: RunningServer, text: str, reason: str) -> None:
    error = refusal(sql_server, f"SELECT count() FROM logs WHERE timestamp > '{text}'")
    assert error["message"] == reason
    assert "'2023-09-15T08:00:00Z'" in error["hint"]


@pytest.mark.parametrize(
    "query", ["SELECT toInt64(unhex('ff'))", "SELECT MD5(now(), base64Decode(unhex('ff')), 'day')"]
)
def test_bytes_in_what_the_engine_says_are_no_failure(sql_server: RunningServer, query: str) -> None:
    assert refusal(sql_server, query)["code"] == "bad_query"


@pytest.mark.parametrize("query", ["SELECT printf('%2000000000d', 1)", "SELECT editDistance(message, level) FROM logs"])
def test_what_takes_more_than_is_counted_is_not_there(sql_server: RunningServer, query: str) -> None:
    assert "not available" in refusal(sql_server, query)["message"]


def test_a_limit_is_said_without_the_engines_inside(sql_server: RunningServer) -> None:
    answer = post(sql_server, "SELECT repeat('a', 1000000) FROM logs ARRAY JOIN range(10000) AS n")
    message = answer.json()["error"]["message"]
    assert answer.status_code == 422, answer.text
    assert "limit of memory" in message or "limit of size" in message
    assert "DB::" not in message
    assert "version" not in message


def test_an_answer_has_columns_with_types_and_what_it_cost(ask: Ask) -> None:
    answer = ask("SELECT level, count() AS n, max(timestamp) AS t FROM logs WHERE level = 'fatal' GROUP BY level")
    assert answer["columns"] == [
        {"name": "level", "type": "LowCardinality(String)"},
        {"name": "n", "type": "UInt64"},
        {"name": "t", "type": "DateTime64(9, 'UTC')"},
    ]
    assert answer["rows"] == [["fatal", 1, "2023-09-15T08:21:00.000000000Z"]]
    assert answer["stats"]["rows_read"] == len(LINES)
    assert answer["stats"]["bytes_read"] > 0
    assert answer["stats"]["elapsed_ms"] > 0


def test_an_id_is_the_one_of_a_search(sql_server: RunningServer, ask: Ask) -> None:
    (row,) = sql_server.search(q='"out of memory"')
    assert ask(f"SELECT message FROM logs WHERE _id = '{row['_id']}'")["rows"] == [["out of memory"]]


def test_values_beyond_json_are_given_back(ask: Ask) -> None:
    largest = 2**256 - 1
    row = ask(f"SELECT toUInt256('{largest}'), 1 / 0, unhex('ff'), toUInt64('{2**64 - 1}'), NULL")["rows"][0]
    assert row == [largest, None, "\ufffd", 2**64 - 1, None]


def test_records_above_the_watermark_are_not_seen(sql_server: RunningServer, ask: Ask) -> None:
    stored = sql_server.status()["stored"]
    assert ask("SELECT count(), max(_seq) FROM logs")["rows"] == [[stored, stored]]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "position", "words"),
    [
        ("SELECT level FRM logs WHERE", 17, "cannot be read at 'logs'"),
        ("SELECT\n  count(\nFROM logs", None, "cannot be read"),
        ("SELECT (1", None, "cannot be read"),
        ("SELECT 'open", None, "cannot be read"),
        ("", None, "is empty"),
        ("SELECT * FROM system.tables", None, "only the table 'logs', not '`system`.`tables`'"),
        ("DROP TABLE logs", 0, "only SELECT is available, not 'DROP'"),
        ("SELECT 1; SELECT 2", 8, "one statement at a time"),
        ("SELECT sum(level) FROM logs", None, "illegal type"),
        ("SELECT nothing FROM (SELECT level FROM logs)", None, "unknown expression identifier"),
        ("SELECT level, count() FROM logs", None, "not under aggregate function"),
        ("SELECT substring(message) FROM logs", None, "cannot be read at ')'"),
        ("SELECT toDateTime('x')", None, "cannot read DateTime"),
        ("SELECT match(message, '(') FROM logs", None, "missing )"),
        ("SELECT count() FROM logs GROUP BY level WITH TOTALS", None, "totals"),
        ("SELECT 1 LIMIT 1 SETTINGS max_threads = 1", None, "settings"),
    ],
)
def test_a_mistake_is_explained(sql_server: RunningServer, query: str, position: int | None, words: str) -> None:
    error = refusal(sql_server, query)
    assert error["code"] == "bad_query"
    assert words in error["message"]
    assert len(error["message"]) <= 300
    assert "_visible" not in error["message"]
    if position is not None:
        assert error["position"] == position


@pytest.mark.parametrize("body", ["SELECT 1", "SELECT message = 1", '{"q": "SELECT 1"}', ""])
def test_a_body_without_a_statement_says_how_one_is_sent(sql_server: RunningServer, body: str) -> None:
    answer = sql_server.client.post("/api/v1/sql", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "bad_request")
    assert "parameter" in error["message"]


def test_a_result_that_is_too_large_says_so(sql_server: RunningServer) -> None:
    answer = post(sql_server, "SELECT arrayJoin(range(200000))")
    assert answer.status_code == 422
    assert "result" in answer.json()["error"]["message"]
    answer = post(sql_server, "SELECT repeat('x', 900000) FROM logs ARRAY JOIN range(100) AS i")
    assert answer.status_code == 422


def test_a_body_that_is_none_is_refused(sql_server: RunningServer) -> None:
    for body in (b"[]", b"{", b'{"query":["SELECT 1"]}', b'{"query":"SELECT \\ud800"}'):
        assert sql_server.client.post("/api/v1/sql", content=body).status_code == 400


# -- it means what the engine means ------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Embedded]:
    opened = Embedded(tmp_path, "n", 1_000_000_000, 100_000_000)
    yield opened
    opened.close()


def engine_names(engine: Embedded) -> dict[str, bool]:
    """Every function of the engine, and whether it is an aggregate."""
    rows = engine.query("SELECT name, is_aggregate FROM system.functions").rows
    return {str(name): bool(aggregate) for name, aggregate in rows}


def tree_of(engine: Embedded, query: str) -> Any:
    """The engine's own reading of a statement."""
    return json.loads(str(engine.query(engine_tree.PARSE, {"sql": escaping.parameter(query)}).rows[0][0]))


def test_what_is_written_is_what_was_read(engine: Embedded) -> None:
    """The engine reads the statement that came and the one that is written (before `logs` is replaced) as the same."""
    for query, _ in CASES:
        tree = sqlglot.parse_one(query.rstrip("; "), dialect=UserDialect)
        written = tree.sql(dialect=UserDialect, comments=False)
        assert plain(tree_of(engine, written)) == plain(tree_of(engine, query.rstrip("; "))), written


def test_every_name_of_the_list_is_a_function_of_the_engine(engine: Embedded) -> None:
    lower = {name.lower(): aggregate for name, aggregate in engine_names(engine).items()}
    assert {name for name in FUNCTIONS | AGGREGATES if name.lower() not in lower} == set()
    assert {name for name in AGGREGATES if not lower[name.lower()]} == set()


def test_only_names_of_the_list_are_allowed(engine: Embedded) -> None:
    listed = {name.lower() for name in FUNCTIONS | AGGREGATES}
    assert {name for name in engine_names(engine) if is_allowed(name) and name.lower() not in listed} == set()
    # What may stand behind an aggregate's name makes another function of a scalar's.
    assert is_allowed("sumOrDefault")
    assert not is_allowed("accurateCastOrDefault")


SPELLINGS = {"isNotNull": "isNull", "notIn": "in"}
IRRELEVANT = {"is_operator", "kind", "nulls_direction_was_explicitly_specified"}


def plain(node: Any) -> Any:
    """The engine's tree without the difference between two ways to write the same."""
    if isinstance(node, list):
        return [plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    name = node.get("name")
    if node.get("type") == "Function" and name in SPELLINGS:
        inner = plain(node | {"name": SPELLINGS[name]})
        return {"type": "Function", "name": "not", "arguments": {"type": "ExpressionList", "children": [inner]}}
    if node.get("type") == "Function" and str(name).startswith("toInterval"):
        value = node["arguments"]["children"][0].get("value")
        if isinstance(value, dict):
            return [name, str(value["value"])]
    return {key: plain(value) for key, value in node.items() if key not in IRRELEVANT}


# -- the command -------------------------------------------------------------------------------------------------------

COUNTS = "SELECT service, count() AS n FROM logs GROUP BY service ORDER BY service"


def command(server: RunningServer, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "logriver", "sql", *arguments, "--server", server.url],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("text", "service\tn\ncache\t2\ndb\t3\nweb\t3\n"),
        ("csv", "service,n\ncache,2\ndb,3\nweb,3\n"),
        ("ndjson", '{"service":"cache","n":2}\n{"service":"db","n":3}\n{"service":"web","n":3}\n'),
        ("json", '[{"service":"cache","n":2},{"service":"db","n":3},{"service":"web","n":3}]\n'),
    ],
)
def test_the_command_prints(sql_server: RunningServer, format: str, expected: str) -> None:
    ran = command(sql_server, COUNTS, "-o", format)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, expected, "")


def test_the_command_reads_a_pipe_and_draws_a_table_on_a_terminal(sql_server: RunningServer) -> None:
    assert command(sql_server, "-", "-o", "csv", stdin="SELECT 1 AS one").stdout == "one\n1\n"
    inside, outside = pty.openpty()
    with os.fdopen(inside, "rb", buffering=0) as screen:
        line = [sys.executable, "-m", "logriver", "sql", COUNTS, "--server", sql_server.url]
        subprocess.run(line, stdout=outside, check=True, timeout=60, env=os.environ | {"COLUMNS": "80"})
        os.close(outside)
        shown = screen.read(10_000).decode()
    assert re.search(r"cache +│ +2 │", shown), shown


def test_the_command_ends_as_grep_does(sql_server: RunningServer) -> None:
    assert command(sql_server, "SELECT level FROM logs WHERE level = 'none'").returncode == 1
    wrong = command(sql_server, "SELECT level FRM logs WHERE")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr.splitlines()[:2] == ["  SELECT level FRM logs WHERE", "                   ^"]


# -- the document ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL))
def test_every_example_of_the_document_can_be_asked(ask: Ask, query: str) -> None:
    assert ask(query)["columns"]


def test_the_document_lists_the_columns_and_the_functions(ask: Ask) -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.partition("## Columns")[2].partition("##")[0], re.MULTILINE))
    assert listed == {column["name"] for column in ask("SELECT * FROM logs LIMIT 1")["columns"]}
    table = DOCUMENT.partition("## Functions")[2].partition("\nAn aggregate")[0]
    named = set(re.findall(r"`(\w+)(?:\(\))?`", table))
    assert len(named) > 60
    assert {name for name in named if not is_allowed(name)} == set()


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT level FROM logs ORDER BY ALL", "name the columns"),
        (f"SELECT {'NOT ' * 400}1", "shorter"),
        ("SELECT level FROM logs LIMIT 1 BY level LIMIT 2", "into brackets"),
        ("SELECT count() FROM logs WHERE when > '2024'", "in backticks"),
        ("SELECT attributes->>'n' FROM logs", "JSONExtractString(attributes, 'name')"),
    ],
)
def test_what_is_written_otherwise_is_told(sql_server: RunningServer, query: str, hint: str) -> None:
    assert hint in refusal(sql_server, query)["hint"]
