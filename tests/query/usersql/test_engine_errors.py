"""What is said of what the engine does not accept: the mistake, and nothing of the engine's inside."""

import re

import pytest

from logriver.query.usersql import engine_errors
from logriver.query.usersql.engine_errors import explained
from tests.conftest import RunningServer

IN_SCOPE = ". In scope SELECT 1 FROM _visible AS logs SETTINGS log_comment = 'query-1'. (NAME) (version 26.9.2.1)"


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (47, f"Unknown expression identifier `lvl`{IN_SCOPE}", "unknown expression identifier `lvl`"),
        (47, "Unknown identifier `a`. Maybe you meant: ['_visible._node']", "unknown identifier `a`"),
        (43, f"Illegal type String of argument of sum{IN_SCOPE}", "illegal type String of argument of sum"),
        (215, "Column '__table1.level' is not in GROUP BY keys", "column 'level' is not in GROUP BY keys"),
        (36, "Cannot load /var/lib/zones/x: nothing", "cannot load (path): nothing"),
        (62, "Syntax error: failed at position 9 ()): ) FROM _visible", "cannot be read at ')'"),
        (62, "Syntax error: failed at position 90 (SETTINGS): SETTINGS readonly = 1", "cannot be read to its end"),
        (53, "ARRAY JOIN  (SELECT 1 AS a) ARRAY JOIN a requires an array", "types do not go together"),
        (43, "function ref __function_ref_arg_0 is wrong", "a function does not take a value of such a type"),
        (43, "while executing 'FUNCTION file(x)'", "a function does not take a value of such a type"),
        (36, "DB::Exception: DB::Thing failed", "a function does not take such an argument"),
        (9999, "Something of /etc/passwd (version 26.9.2.1)", "the engine does not accept this statement"),
        (395, "", "a function fails on a value"),
    ],
)
def test_a_mistake_is_told_without_the_engines_inside(code: int, message: str, told: str) -> None:
    assert explained(code, message) == told


def test_every_sentence_is_one_of_ours() -> None:
    for code, sentence in engine_errors.PLAIN.items():
        assert explained(code, "in `_visible`") == sentence
        assert re.fullmatch(r"[a-zA-Z][^`]{5,90}", sentence)


FAILING = [
    "SELECT sum(level) FROM logs",
    "SELECT a FROM (SELECT level AS b FROM logs)",
    "SELECT l.a FROM (SELECT level FROM logs) AS l",
    "SELECT level, count() FROM logs GROUP BY message",
    "SELECT toInt64('/etc/passwd/x')",
    "SELECT toTimezone(now(), '/etc/localtime/x')",
    "SELECT dateDiff('nope', now(), now())",
    "SELECT splitByChar('ab', message) FROM logs",
    "SELECT count() FROM logs AS a JOIN logs AS b USING (path)",
    "SELECT 1 FROM logs WHERE 'a'",
    "SELECT (SELECT message FROM logs UNION ALL SELECT 'b')",
    "SELECT x -> 1",
    "SELECT message[1] FROM logs",
    "SELECT a FROM (SELECT 1 AS a) ARRAY JOIN a",
    "SELECT intDiv(1, toUInt8(level = 'none')) FROM logs",
    "SELECT arrayMap(x -> toUInt8(message), [1]) FROM logs",
    "SELECT multiMatchAny(message, ['(']) FROM logs",
    "SELECT repeat('a', 100000000) FROM logs ARRAY JOIN range(1000) AS n",
    "SELECT sum(1) OVER w FROM logs",
    "SELECT now() - INTERVAL 'x' DAY",
    "SELECT 1 UNION ALL SELECT 1, 2",
    "SELECT * FROM (logs)",
]
INSIDE = re.compile(
    r"DB::|version|_visible|__|log_comment|query-\d|readonly|/etc|/tmp|[Ss]tack|\b[A-Z]+_[A-Z_]+\b|scope", re.IGNORECASE
)


def test_a_statement_that_fails_shows_nothing_of_the_engine(server: RunningServer) -> None:
    server.client.post("/api/v1/logs?wait=searchable", content='{"message":"/etc/passwd","level":"info"}')
    for statement in FAILING:
        answer = server.client.post("/api/v1/sql", json={"query": statement})
        assert answer.status_code in (400, 422), f"{statement}: {answer.text}"
        assert not INSIDE.search(answer.json()["error"]["message"]), f"{statement}: {answer.text}"
