"""What a user's SQL must not do: each statement is refused, and nothing outside was touched."""

import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.errors import BadQuery
from logriver.query.usersql import statement as statement_reader
from tests.conftest import RunningServer
from tests.query.usersql.canary import HOSTILE, SECRET, USEFUL, Canary


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    made = Canary(tmp_path_factory.mktemp("canary"))
    yield made
    made.close()


def post(server: RunningServer, query: str) -> httpx.Response:
    return server.client.post("/api/v1/sql", json={"query": query})


def test_there_are_many_of_them() -> None:
    assert len(HOSTILE) >= 600
    assert len(set(HOSTILE)) == len(HOSTILE)


@pytest.mark.parametrize("statement", HOSTILE)
def test_a_hostile_statement_is_refused_before_it_reaches_the_engine(statement: str) -> None:
    with pytest.raises(BadQuery):
        statement_reader.read(statement)


def test_hostile_statements_are_refused_and_touch_nothing(server: RunningServer, canary: Canary) -> None:
    before = server.status()["stored"]
    for statement in HOSTILE:
        answer = post(server, canary.put(statement))
        assert answer.status_code == 400, f"{statement}: {answer.text}"
        assert SECRET not in answer.text, statement
    time.sleep(0.2)
    assert canary.calls == 0
    assert not canary.made.exists()
    assert server.status()["stored"] == before


def test_the_canary_sings(server: RunningServer, canary: Canary) -> None:
    with socket.create_connection(("127.0.0.1", int(canary.address.partition(":")[2]))):
        deadline = time.monotonic() + 5
        while not canary.calls and time.monotonic() < deadline:
            time.sleep(0.01)
    assert canary.calls == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT repeat('a', 900000000)",
        "SELECT arrayMap(x -> range(100000), range(100000))",
        "SELECT arrayFold((acc, x) -> concat(acc, acc), range(40), 'x')",
        "SELECT count() FROM logs ARRAY JOIN range(400000000) AS x",
        "SELECT groupArray(x) FROM (SELECT arrayJoin(range(400000000)) AS x)",
        "SELECT 1 AS a0, " + ", ".join(f"a{i} + a{i} AS a{i + 1}" for i in range(200)),
        "SELECT multiMatchAny(message, ['" + "(a?){50}" * 200 + "']) FROM logs",
        "SELECT match('a', '(((a{100}){100}){100})')",
        "SELECT " + "(" * 500 + "1" + ")" * 500,
        "SELECT " + "NOT " * 900 + "1",
        "SELECT x" + ".x" * 1400,
        "SELECT x" + "::Int8" * 900,
        "SELECT " + "(SELECT " * 39 + "1" + ")" * 39,
        "SELECT 1 FROM logs" + " JOIN logs" * 25,
        "SELECT 1 FROM logs" + ", logs" * 100,
        "SELECT " + ", ".join(f"field{i}" for i in range(500)) + " FROM logs",
        "SELECT " + "1+" * 30_000 + "1",
    ],
    ids=lambda statement: statement[:40],
)
def test_a_bomb_is_defused(server: RunningServer, statement: str) -> None:
    started = time.monotonic()
    answer = post(server, statement)
    assert answer.status_code in (400, 422), answer.text[:300]
    assert time.monotonic() - started < 20
    assert post(server, "SELECT 1").json()["rows"] == [[1]]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT toDateTime('/var/lib/secret/data')",
        "SELECT sum(level) FROM logs WHERE message = 'x'",
        "SELECT unknown.level FROM (SELECT 1 AS a) AS b",
    ],
)
def test_an_error_names_no_path_of_the_server(server: RunningServer, statement: str) -> None:
    message = post(server, statement).json()["error"]["message"]
    assert str(server.data) not in message
    assert "/var/lib" not in message
    assert "_seq <=" not in message


# -- any statement at all ----------------------------------------------------------------------------------------------

WORDS = r"""
    SELECT FROM logs WHERE ( ) [ ] { } , . * ' " ` -- /* */ ; file system one count() level IN AS x -> JOIN ON ARRAY
    UNION ALL WITH \ 1 0.5 'a' $$ :: Int8 CASE WHEN END INTERVAL DAY OVER NOT LIMIT BY
"""
words = st.sampled_from(WORDS.split())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A statement of the files with a few words taken out, put in or doubled."""
    pieces = draw(st.sampled_from(USEFUL + HOSTILE)).split(" ")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(pieces)))
        pieces[at : at + draw(st.integers(0, 2))] = draw(st.lists(words | st.text(max_size=3), max_size=3))
    return " ".join(pieces)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statement=mutated() | st.lists(words, max_size=30).map(" ".join) | st.text(max_size=60))
def test_no_statement_is_an_error_of_the_server(server: RunningServer, canary: Canary, statement: str) -> None:
    answer = post(server, canary.put(statement))
    assert answer.status_code in (200, 400, 422), f"{statement!r}: {answer.text}"
    assert SECRET not in answer.text


@settings(max_examples=300, deadline=5000)
@given(statement=mutated() | st.lists(words, max_size=60).map(" ".join))
def test_whatever_is_read_names_the_table_alone(statement: str) -> None:
    """And it is read within five seconds, on a machine with other work: the deadline."""
    try:
        read = statement_reader.read(statement)
    except BadQuery:
        return
    assert re.findall(r"(?i)(?:FROM|JOIN) `?(?:file|system|url|s3)\b", read.sql) == []
