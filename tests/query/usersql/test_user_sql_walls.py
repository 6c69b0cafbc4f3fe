"""Each of the two walls alone, with the other switched off: what passes one is run, and touches nothing.

Against names that are taken for functions each wall has two rules: where a function takes a function a lambda is
written out, and a name that could be one is given by its own SELECT. Each rule is tried alone too.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.errors import BadQuery, LogriverError
from logriver.query.sql import escaping
from logriver.query.usersql import engine_tree, functions, scopes
from logriver.query.usersql import statement as statement_reader
from logriver.query.usersql.functions import AGGREGATES, ENGINE_FUNCTIONS, FUNCTIONS, TAKES_FUNCTION
from logriver.store.embedded import Embedded
from tests.query.usersql.canary import HOSTILE, USEFUL, Canary, Witness

Wall = Callable[[str], str | None]
"""Gives what the engine would be asked to run of a statement; None if it is refused."""


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    made = Canary(tmp_path_factory.mktemp("canary"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    opened = Embedded(tmp_path_factory.mktemp("engine"), "n", 1_000_000_000, 100_000_000)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def witness(engine: Embedded, canary: Canary) -> Witness:
    return Witness(engine, canary)


def first_wall(statement: str) -> str | None:
    """What is written of a statement; the engine's reading of that is not looked at."""
    try:
        return statement_reader.read(statement).sql
    except BadQuery:
        return None


@pytest.fixture(scope="module")
def second_wall(engine: Embedded) -> Wall:
    """The statement as it came, if the engine's reading of it is accepted."""

    def passed(statement: str) -> str | None:
        try:
            tree = str(engine.query(engine_tree.PARSE, {"sql": escaping.parameter(statement)}).rows[0][0])
            engine_tree.check(tree)
        except LogriverError:
            return None
        return statement

    return passed


@pytest.fixture(scope="module", params=["first", "second"])
def wall(request: pytest.FixtureRequest, second_wall: Wall) -> Wall:
    return first_wall if request.param == "first" else second_wall


@pytest.fixture(params=["both rules", "written out", "given by its own"])
def rules(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the two rules about names switched off, or none."""
    if request.param == "written out":
        monkeypatch.setattr(scopes, "is_reserved", lambda name: False)
    if request.param == "given by its own":
        monkeypatch.setattr(functions, "TAKES_FUNCTION", frozenset())
    return str(request.param)


# -- the statements of the file ----------------------------------------------------------------------------------------

# Nothing is reached by these: names, numbers and the table itself, written oddly.
HARMLESS = {
    "WITH _visible AS (SELECT 1) SELECT * FROM _visible",
    "SELECT * FROM logs FINAL",
    "SELECT 1 FROM logs GLOBAL JOIN logs AS b ON 1",
    "SELECT {watermark0:UInt64}",
    "SELECT $1",
    "SELECT $tag$x$tag$",
    "SELECT * FROM logs AS `a``b`",
    r"SELECT 1 AS `x\`, file('CANARY_FILE') AS y`",
    r"SELECT `a\` , file('CANARY_FILE'), `",
    "SELECT 1 AS logs",
    "SELECT level AS _visible FROM logs",
    "SELECT b'1', 0b1, 0x41",
    "SELECT 0b1, 0o7",
    "SELECT 1 − 1",  # noqa: RUF001
    "TABLE logs",
}


def test_the_second_wall_stands_alone(second_wall: Wall, witness: Witness, canary: Canary) -> None:
    passed = {statement for statement in HOSTILE if second_wall(statement)}
    assert passed == HARMLESS
    for statement in passed:
        assert witness.touched(canary.put(statement)) == set(), statement


def test_the_witness_sees_what_is_touched(witness: Witness, canary: Canary) -> None:
    """Most of what is refused would have reached something, had it been run."""
    reaching = [statement for statement in HOSTILE if "arrayMap(file" in statement]
    seen = [statement for statement in reaching if "file" in witness.touched(canary.put(statement))]
    assert len(seen) > 30
    assert "system.tables" in witness.touched("SELECT 1 WHERE 'a' IN (SELECT name FROM system.tables)")
    assert "numbers" in witness.touched("SELECT * FROM numbers(3)")
    assert {"file", "the secret"} <= witness.touched(canary.put("SELECT file('CANARY_FILE')"))


# -- names that are taken for functions --------------------------------------------------------------------------------

NAMES = st.sampled_from(["file", "file", "file", "message", "a", "b", "upper"])
HANDED = st.sampled_from(["arrayMap({}, ['CANARY_FILE'])", "arraySort({}, ['CANARY_FILE'])", "tuple({}, 1)"])


@st.composite
def expression(draw: st.DrawFn, depth: int) -> str:
    """An expression with names in it, and lambdas and aliases that give such names."""
    kind = draw(st.sampled_from(["name", "handed", "handed", "alias", "lambda", "pair", "select", "text"]))
    if depth <= 0 or kind in ("name", "text"):
        return draw(NAMES) if kind == "name" else "'t'"
    if kind == "handed":
        return draw(HANDED).format(draw(NAMES))
    inner = draw(select(depth - 2) if kind == "select" else expression(depth - 1))
    if kind == "select":
        return f"({inner})"
    if kind == "alias":
        return f"({inner} AS {draw(NAMES)})"
    if kind == "lambda":
        return f"arrayMap({draw(NAMES)} -> {inner}, ['t'])"
    return f"tuple({inner}, {draw(expression(depth - 1))})"


@st.composite
def source(draw: st.DrawFn, depth: int) -> str:
    """What stands in FROM."""
    kind = draw(
        st.sampled_from(["logs", "query", "columns", "star", "join", "cte", "array"] if depth > 0 else ["logs"])
    )
    if kind in ("logs", "cte"):
        return str(draw(st.sampled_from(["logs", "logs AS t"]))) if kind == "logs" else "c"
    inner = draw(select(depth - 1))
    return {
        "query": f"({inner}) AS {draw(NAMES)}",
        "columns": f"({inner}) AS t({draw(NAMES)})",
        "star": f"(SELECT * EXCEPT ({draw(NAMES)}) FROM ({inner}) AS s) AS t",
        "join": f"({inner}) AS t CROSS JOIN (SELECT 1 AS {draw(NAMES)}) AS u",
        "array": f"({inner}) AS t ARRAY JOIN ['CANARY_FILE'] AS {draw(NAMES)}",
    }[kind]


@st.composite
def select(draw: st.DrawFn, depth: int) -> str:
    """A SELECT that gives names in many places and uses them in others."""
    shown = draw(st.sampled_from(["{} AS {}", "{}, '1' AS {}", "{}, * REPLACE ('1' AS {})"]))
    query = f"SELECT {shown.format(draw(expression(depth)), draw(NAMES))}"
    given_before = ["", "WITH {0} AS {1} ", "WITH c AS (SELECT {0} AS {1}) ", "WITH c({1}) AS (SELECT '1') "]
    before = draw(st.sampled_from(given_before)).format(draw(expression(depth - 1)), draw(NAMES))
    query = before + query
    if depth > 0 and draw(st.booleans()):
        query += f" FROM {draw(source(depth - 1))}"
    clauses = ["", "", " WHERE toString({0}) != ''", " ORDER BY {0}", " GROUP BY {0}", " LIMIT 1 BY {0}"]
    clauses += [" QUALIFY toString({0}) != ''", " WINDOW file AS (ORDER BY {0})", " ORDER BY 1 WITH FILL TO 1"]
    query += draw(st.sampled_from(clauses)).format(draw(expression(depth - 1)))
    return f"{query} UNION ALL {draw(select(depth - 2))}" if depth > 1 and draw(st.booleans()) else query


FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=2500)


def check_touches_nothing(wall: Wall, witness: Witness, canary: Canary, statement: str) -> None:
    passed = wall(canary.put(statement))
    assert passed is None or witness.touched(passed) == set()


@FEW
@given(statement=select(3))
def test_a_name_is_never_taken_for_a_function(
    wall: Wall, rules: str, witness: Witness, canary: Canary, statement: str
) -> None:
    check_touches_nothing(wall, witness, canary, statement)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@MANY
@given(statement=select(3))
def test_of_many_names_none_is_taken_for_a_function(
    wall: Wall, rules: str, witness: Witness, canary: Canary, statement: str
) -> None:
    check_touches_nothing(wall, witness, canary, statement)


# What such statements found, and what a sentence in the engine's manual suggests.
TAKEN = [
    "SELECT arrayMap(file, ['CANARY_FILE'])",
    "SELECT arrayMap(file, ['CANARY_FILE']) AS file",
    "SELECT arrayMap(x -> (x AS file), [1]), arrayMap(file, ['CANARY_FILE'])",
    "SELECT arrayMap(x -> x + length(arrayMap(file, ['CANARY_FILE'])), [1]) AS file",
    "SELECT message AS file WHERE toString((arrayMap(file, ['CANARY_FILE']) AS message)) != ''",
    "SELECT tuple(arrayMap(file, ['CANARY_FILE']), (('t' AS file) AS message)) AS a",
    "SELECT * REPLACE (1 AS file), arrayMap(file, ['CANARY_FILE']) FROM (SELECT 1 AS x)",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT 1 AS a) AS file",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT 1 AS a UNION ALL SELECT 2 AS file)",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT a.* FROM (SELECT 1 AS x) AS a, (SELECT 1 AS file) AS b)",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT a FROM (SELECT 1 AS a, 2 AS file))",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT * EXCEPT (file) FROM (SELECT 1 AS a, 2 AS file))",
    "SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT 1 AS a) AS t WINDOW file AS (ORDER BY a)",
    "SELECT arrayMap(file, ['CANARY_FILE']), (SELECT 1 AS file) FROM (SELECT message FROM logs)",
    "WITH file AS (SELECT 1 AS a) SELECT arrayMap(file, ['CANARY_FILE']) FROM file",
    "WITH message AS file SELECT arrayMap(file, ['CANARY_FILE'])",
    "WITH message AS file SELECT arrayMap(file, ['CANARY_FILE']), * REPLACE ('1' AS file)",
    "WITH a AS file, b AS a SELECT arrayMap(file, ['CANARY_FILE'])",
    "WITH a.b AS file SELECT arrayMap(file, ['CANARY_FILE']) FROM (SELECT 1 AS a)",
]


@pytest.mark.parametrize("statement", TAKEN)
def test_a_name_that_is_taken_for_a_function_is_refused(
    wall: Wall, rules: str, witness: Witness, canary: Canary, statement: str
) -> None:
    assert "file" in witness.touched(canary.put(statement))
    assert wall(canary.put(statement)) is None


GIVEN = [
    "SELECT arrayMap(file, ['t']) FROM (SELECT 1 AS file)",
    "SELECT arrayMap(file, ['t']) FROM (SELECT 1 AS a) AS t(file)",
    "WITH t(file) AS (SELECT 1) SELECT arrayMap(file, ['t']) FROM t",
    "WITH 1 AS file SELECT arrayMap(file, ['t'])",
    "WITH 1 AS file SELECT * FROM (SELECT arrayMap(file, ['t']))",
    "SELECT 1 AS file, arrayMap(file, ['t'])",
    "SELECT arrayMap(file -> arrayMap(file, ['t']), [1])",
    "SELECT arrayMap(file, ['t']) FROM logs ARRAY JOIN [1] AS file",
    "SELECT arrayMap(file, ['t']) FROM (SELECT * FROM (SELECT 1 AS file) AS a)",
    "SELECT arrayMap(file, ['t']) FROM (SELECT b.file FROM (SELECT 1 AS file) AS b)",
    "SELECT arrayMap(file, ['t']) FROM (SELECT 1 AS file UNION ALL SELECT 2 AS b)",
]


@pytest.mark.parametrize("rules", ["given by its own"], indirect=True)
@pytest.mark.parametrize("statement", GIVEN)
def test_a_name_that_its_own_select_gives_is_none(wall: Wall, rules: str, witness: Witness, statement: str) -> None:
    """Nor does the engine take it for one; what it says is that this is no function."""
    passed = wall(statement)
    assert passed is not None
    assert witness.touched(passed) == set()


# -- any statement at all ----------------------------------------------------------------------------------------------

SMUGGLED = """
    file('CANARY_FILE') | arrayMap(file, ['CANARY_FILE']) | arrayMap(x -> file(x), ['CANARY_FILE']) | file | throwIf
    (SELECT * FROM system.one) | (SELECT * FROM file('CANARY_FILE', 'LineAsString')) | system.tables | numbers(3)
    {watermark0:Identifier} | hostName() | 'x'::AggregateFunction(sum, UInt8) | CAST('{}' AS JSON) | dictGet(d, 'a', 1)
    joinGet(logs, 'a', 1) | getSetting('x') | sumState(1) | arrayReduce('sum', [1]) | (file AS f) | x -> file(x)
    logs._part | _part | $$CANARY_FILE$$ | 'a\\' | "a" | -- | /* | */ | # | ; | SETTINGS readonly = 0 | FORMAT CSV
    INTO OUTFILE 'CANARY_MADE' | IN system.one | IN (file) | AS file | AS upper | APPLY(file) | COLUMNS('.*') | version
"""
PIECES = [piece.strip() for line in SMUGGLED.strip().split("\n") for piece in line.split(" | ")]
TOKEN = re.compile(r"[A-Za-z_.]+|\d+|'[^']*'|\S")


@st.composite
def smuggled(draw: st.DrawFn) -> str:
    """A statement of the files in which pieces stand in the place of words, or beside them."""
    statement: str = draw(st.sampled_from(USEFUL + HOSTILE))
    for _ in range(draw(st.integers(1, 3))):
        token = draw(st.sampled_from([*TOKEN.finditer(f"{statement} ")]))
        piece = draw(st.sampled_from(PIECES))
        kept = draw(st.sampled_from(["", f"{token[0]} ", f"{token[0]}, "]))
        statement = f"{statement[: token.start()]}{kept}{piece}{statement[token.end() :]}"
    return statement


@FEW
@given(statement=smuggled())
def test_what_passes_a_wall_touches_nothing(wall: Wall, witness: Witness, canary: Canary, statement: str) -> None:
    check_touches_nothing(wall, witness, canary, statement)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@MANY
@given(statement=smuggled())
def test_of_many_that_pass_a_wall_none_touches_anything(
    wall: Wall, witness: Witness, canary: Canary, statement: str
) -> None:
    check_touches_nothing(wall, witness, canary, statement)


# -- what the walls know of the engine ---------------------------------------------------------------------------------


def test_the_names_of_functions_are_those_of_the_engine(engine: Embedded) -> None:
    names = {str(name).lower() for (name,) in engine.query("SELECT name FROM system.functions").rows}
    assert names - ENGINE_FUNCTIONS == set(), "missing in engine_functions.txt"
    assert ENGINE_FUNCTIONS - names == set(), "no longer in the engine: to be taken out of engine_functions.txt"


def what_takes_a_function(engine: Embedded, count: int, places: Iterable[int]) -> set[tuple[str, int]]:
    """The functions that take another in one of the `places` of so many arguments, each with that place.

    A name that is not to be found is one error of the engine; where a function is taken it gives others, or none.
    """
    taking = set()
    for name, at in itertools.product(sorted(FUNCTIONS | AGGREGATES), places):
        arguments = ["upper" if place == at else "['t']" for place in range(count)]
        try:
            engine.query_text(f"EXPLAIN QUERY TREE SELECT {name}({', '.join(arguments)})")
        except LogriverError as error:
            said = f"{error.message} {getattr(error, 'detail', None)}"
            if "identifier `upper`" in said or "Syntax error" in said:
                continue
        taking.add((name.lower(), at))
    return taking


TAKING = {(name, 0) for name in TAKES_FUNCTION}
# The second argument has to be a text, which is found out first.
FOUND_LATER = {
    2: {(name, at) for name in ("groupconcat", "group_concat", "string_agg") for at in (0, 1)},
    3: set(),
    4: set(),
}


def test_what_takes_a_function_is_known(engine: Embedded) -> None:
    assert what_takes_a_function(engine, 2, [0]) == {(name, at) for name, at in TAKING | FOUND_LATER[2] if at == 0}


@pytest.mark.soak
@pytest.mark.parametrize("count", [2, 3, 4])
def test_what_takes_a_function_among_more_is_known(engine: Embedded, count: int) -> None:
    assert what_takes_a_function(engine, count, range(count)) == TAKING | FOUND_LATER[count]
