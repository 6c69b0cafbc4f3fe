"""Conditions in SQL: every node of a tree, asked to the engine itself on rows whose answers are known."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.columns import COLUMNS
from logriver.errors import BadQuery
from logriver.levels import level_of
from logriver.query.language import parser
from logriver.query.language.tree import Anywhere, Compare, Exists, Field, Not, Or, Part, Query, Range, Regex, Text
from logriver.query.sql import conditions as sql
from logriver.query.sql import escaping
from logriver.store.engine import ChdbError, Session

Find = Callable[[Query | str], list[int]]

any_text = st.text(st.characters(codec="utf-8"), max_size=20)

MESSAGES = {
    1: "Failed to connect to DB",
    2: "connect failed: user_id=5 => gone",
    3: "reconnected to database",
    4: "café au lait, 日本語のログ",
    5: "100% of C:\\temp\\new and a\ttab\nline",
    6: "ÄRGER mit dem Server",
    7: "",
}
ATTRIBUTES = {
    1: '{"resourceId":"server-1234","metadata":{"parentResourceId":"server-0987"},"n":5}',
    2: '{"resourceId":"server-12345","n":"5","a":{"b":"path"}}',
    3: '{"resourceId":"\\u0073erver-1234","n":5.0,"a.b":"literal","a":{"b":"path"}}',
    4: '{"n":true,"big":9007199254740993,"z":null,"level":"kept","host":{"name":"h9"}}',
    5: '{"n":"+5","t":"x\\ty","q":"say \\"hi\\" \\\\ there","percent":"100%"}',
    6: '{"n":1e2,"list":[1, "a"],"o":{"k": 1},"odd name":"é"}',
    7: "{}",
}
LEVELS = {1: "error", 2: "ERR", 3: "warning", 4: "info", 5: "3", 6: "Custom", 7: ""}
TIMES = {number: f"2023-09-{9 + number:02} 08:00:00.000000000" for number in MESSAGES}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(str(tmp_path_factory.mktemp("engine")))
    columns = ", ".join(f"{column.name} {column.type}" for column in COLUMNS)
    index = "INDEX words lowerUTF8(message) TYPE text(tokenizer = splitByNonAlpha)"
    session.query(
        f"CREATE TABLE logs ({columns}, {index}) ENGINE = MergeTree PARTITION BY _slice"
        " ORDER BY (timestamp, _node, _seq) SETTINGS index_granularity = 2"
    )
    for number, message in MESSAGES.items():
        meaning = level_of(LEVELS[number])
        row = {
            "timestamp": TIMES[number],
            "level": meaning,
            "_level": "" if meaning == LEVELS[number] else LEVELS[number],
            "message": message,
            "service": f"it's \\{number}",
            "trace_id": f"t{number}",
            "attributes": ATTRIBUTES[number],
            "_node": "n-1",
            "_seq": number,
            "_slice": number % 2,
        }
        # Shaped by the engine's own JSON reader, so that nothing here knows an escape.
        session.query(f"INSERT INTO logs FORMAT JSONEachRow {json.dumps(row)}")
    yield session
    session.close()


@pytest.fixture
def find(engine: Session) -> Find:
    def found(query: Query | str) -> list[int]:
        made = sql.condition(parser.parse(query).where if isinstance(query, str) else query)
        answer = engine.query(f"SELECT _seq FROM logs WHERE {made.sql} ORDER BY _seq", "TSV", params=made.params)
        return [int(line) for line in answer.bytes().split()]

    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7]),
        ("connect", [1, 2]),
        ("CONNECT failed", [1, 2]),
        ('"Failed to connect"', [1]),
        ('message:"Failed to connect"', [1]),
        ("msg:connect", [1, 2]),
        ("user_id=5", [2]),
        ("=>", [2]),
        ("connect -gone", [1]),
        ("gone OR reconnected", [2, 3]),
        ("(gone OR reconnected) to", [3]),
        ("CAFÉ", [4]),
        ("日本", [4]),
        ("ärger", [6]),
        ("100%", [5]),
        ("%", [5]),
        (r"C:\temp\new", [5]),
        ("% -server", [5]),
        ("level:error", [1, 2]),
        ("level:ERR", [1, 2]),
        ("severity:warn", [3]),
        ("level:3", [5]),
        ("level:Custom", [6]),
        ("level:custom", [6]),
        ("-level:error", [3, 4, 5, 6, 7]),
        ("resourceId:server-1234", [1, 3]),
        ("-resourceId:server-1234", [2, 4, 5, 6, 7]),
        ("metadata.parentResourceId:server-0987", [1]),
        ("n:5", [1, 2, 3]),
        ("n:5.0", [1, 2, 3]),
        ("n:+5", [5]),
        ("n:1", []),
        ("n:true", [4]),
        ("n:100", [6]),
        ("big:9007199254740993", [4]),
        ("big:9007199254740992", []),
        ("a.b:literal", [3]),
        ("a.b:path", [2]),
        ("attributes.level:kept", [4]),
        ("host.name:h9", []),
        ("attributes.host.name:h9", [4]),
        ('t:"x\ty"', [5]),
        (r'q:"say \"hi\" \\ there"', [5]),
        ("percent:100%", [5]),
        ('list:"[1,\\"a\\"]"', [6]),
        ("`odd name`:é", [6]),
        ("z:null", []),
        ("missing:x", []),
        ('missing:""', []),
        ("traceId:t3", [3]),
        (r"service:it's\3", []),
        (r'service:"it\'s \\3"', []),
        ('service:"it\'s \\\\3"', [3]),
        ("_seq:4", [4]),
        ("_seq:x", []),
        ("_id:n-1-4", [4]),
        ("_id:x", []),
        ("timestamp:2023-09-10T08:00:00Z", [1]),
        ("timestamp:2023-09-10T10:00:00+02:00", [1]),
    ],
)
def test_what_a_text_finds(find: Find, text: str, numbers: list[int]) -> None:
    assert find(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("conn*", [1, 2]),
        ("CONN*", [1, 2]),
        ("*nect", [1, 2]),
        ("*onnec*", [1, 2, 3]),
        ("*nec*", [1, 2, 3]),
        ("con*", [1, 2]),
        ("rec*", [3]),
        ("message:recon*", [3]),
        ("*日本*", [4]),
        ("caf*", [4]),
        ("ärg*", [6]),
        ("NOT *onnec*", [4, 5, 6, 7]),
        ("resourceId:server-1234*", [1, 2, 3]),
        ("resourceId:*1234", [1, 3]),
        ("resourceId:*SERVER*", []),
        ("resourceId:server_1*", []),
        ("metadata.parentResourceId:server*", [1]),
        ("n:1*", [6]),
        ("n:5*", [1, 2, 3]),
        ("percent:*%", [5]),
        (r"q:*hi*", [5]),
        ("list:*a*", [6]),
        ("traceId:t*", [1, 2, 3, 4, 5, 6, 7]),
        ("level:err*", [1, 2]),
        ("level:ER*", [1, 2]),
        ("level:cust*", [6]),
        ("_id:n-1-*", [1, 2, 3, 4, 5, 6, 7]),
        ("_id:*-3", [3]),
        ("timestamp:2023-09-1*", [1, 2, 3, 4, 5, 6, 7]),
        ("timestamp:*T08:00:00Z", [1, 2, 3, 4, 5, 6, 7]),
        ('timestamp:"2023-09-12T08:00:00Z"', [3]),
        ("n:*", [1, 2, 3, 4, 5, 6]),
        ("z:*", []),
        ("-n:*", [7]),
        ("a.b:*", [2, 3]),
        ("o:*", [6]),
        ("level:*", [1, 2, 3, 4, 5, 6]),
        ("message:*", [1, 2, 3, 4, 5, 6]),
        ("timestamp:*", [1, 2, 3, 4, 5, 6, 7]),
        ("host:*", []),
    ],
)
def test_parts_and_what_is_there(find: Find, text: str, numbers: list[int]) -> None:
    assert find(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("n:>5", [6]),
        ("n:>=5", [1, 2, 3, 6]),
        ("n:<100", [1, 2, 3]),
        ("n:<=1e2", [1, 2, 3, 6]),
        ("n:[5 TO 100]", [1, 2, 3, 6]),
        ("n:{5 TO 100]", [6]),
        ("n:[5 TO 100}", [1, 2, 3]),
        ("n:[* TO 6]", [1, 2, 3]),
        ("n:[* TO *]", [1, 2, 3, 4, 5, 6]),
        ("-n:>=5", [4, 5, 7]),
        ("n:>=true", [4]),
        ("n:>=1e999", []),
        ("big:>9007199254740000", [4]),
        ("resourceId:>server-1234", [2]),
        ("resourceId:[server-1234 TO server-12344]", [1, 3]),
        ("traceId:>=t6", [6, 7]),
        ("traceId:{t2 TO t4}", [3]),
        ("level:>=error", [1, 2]),
        ("level:<=WARN", [3, 4]),
        ("level:{info TO error}", [3]),
        ("level:<trace", []),
        ("_seq:>5", [6, 7]),
        ("_seq:[2 TO 3.5]", [2, 3]),
        ("timestamp:>=2023-09-15", [6, 7]),
        ("timestamp:<1694419200", [1]),
        ('timestamp:["2023-09-11T08:00:00Z" TO "2023-09-12T08:00:00Z"}', [2]),
        ("host:<b", []),
    ],
)
def test_comparisons_and_ranges(find: Find, text: str, numbers: list[int]) -> None:
    assert find(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('=~"conn.ct"', [1, 2, 3]),
        ('=~"^conn"', [2]),
        ('=~"(?i)FAILED"', [1, 2]),
        ('=~"FAILED"', []),
        (r'=~"user_id=\d$"', []),
        (r'=~"user_id=\d"', [2]),
        ('=~"日本|ÄRGER"', [4, 6]),
        ('message=~"DB$"', [1]),
        ('resourceId=~"-1234$"', [1, 3]),
        ('n=~"^[0-9]+$"', [1, 2, 3, 6]),
        ('metadata.parentResourceId=~"^s"', [1]),
        ('missing=~""', []),
        ('host=~""', []),
        ('-n=~"."', [7]),
        ('level=~"^err"', [1, 2]),
        ('level=~"^ERR$"', [2]),
        (r'service=~"s \\\\[12]"', [1, 2]),
        ('_seq=~"^[23]$"', [2, 3]),
    ],
)
def test_regular_expressions(find: Find, text: str, numbers: list[int]) -> None:
    assert find(text) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("*:connect", [1, 2]),
        ("*:server-1234", [1, 3]),
        ("*:server-0987", [1]),
        ("*:path", [2, 3]),
        ("*:5", [1, 2, 3]),
        ("*:100", [5, 6]),
        ("*:true", [4]),
        ("*:null", []),
        ("*:a", [5, 6]),
        ("*:b", []),
        ("*:resourceId", []),
        ("*:h9", [4]),
        ('*:"say \\"hi\\" \\\\ there"', [5]),
        ("*:é", [4, 6]),
        ("*:t3", [3]),
        ("*:error", [1, 2]),
        ("*:warning", [3]),
        ("*:9007199254740993", [4]),
        ("NOT *:server-1234", [2, 4, 5, 6, 7]),
    ],
)
def test_a_value_of_any_field(find: Find, text: str, numbers: list[int]) -> None:
    assert find(text) == numbers


@pytest.mark.parametrize("text", ["timestamp:yesterday", "timestamp:>now-15m", "_received:[1 TO x]", "_seq:>x"])
def test_a_bound_that_its_column_cannot_have_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        sql.condition(parser.parse(text).where)


@pytest.mark.parametrize("text", ['=~"("', 'missing=~"a**"', '_seq=~"[a"', 'a=~"(?<=x)y" nothing'])
def test_a_bad_pattern_is_refused_whatever_rows_there_are(find: Find, text: str) -> None:
    with pytest.raises(BadQuery, match="not a regular expression"):
        find(text)


hostile = st.one_of(
    st.sampled_from(
        ["') OR 1=1 --", "{p1:String}", "\\", "\\N", "%' --", "\x00", "\t\n\r", "`; DROP TABLE logs", "1e999"]
    ),
    any_text,
)


@given(hostile, hostile.filter(bool))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_values_and_names_are_data(find: Find, value: str, name: str) -> None:
    assert find(Field("resourceId", value)) == []
    assert find(Field("service", value)) == []
    assert find(Field(name, "no such value")) == []
    assert find(Part("resourceId", ("nothing", value, ""))) == []
    assert find(Part(name, ("no such", value))) == []
    assert find(Compare("traceId", ">", f"u{value}")) == []
    assert find(Range(name, "no such value", f"no such value{value}", with_low=False, with_high=True)) == []
    assert find(Regex(name, f"^no such value{re.escape(value)}")) == []
    assert find(Not(Exists(name))) == find(Not(Regex(name, "(?s).")))
    assert find(Anywhere(f"no such value {value}")) == []
    for query in (Text(value), Part(None, ("", value, "")), Anywhere(value)):
        assert sorted(find(query) + find(Not(query))) == list(MESSAGES)


@given(hostile)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_a_pattern_is_read_or_refused(find: Find, pattern: str) -> None:
    query = Or((Regex(None, pattern), Regex("resourceId", pattern)))
    try:
        found = find(query)
    except BadQuery:
        pass
    except ChdbError as error:
        assert_refused(error)
    else:
        assert sorted(found + find(Not(query))) == list(MESSAGES)


def assert_refused(error: ChdbError) -> None:
    assert "Code: 427." in str(error)


json_values = st.recursive(
    st.sampled_from(["word", "a b", "x: 1, y", '"q"', "\\", "[", "5", "", 5, -5, 50, 5.0, 0.5, True, None]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["word", "k"]), inner)),
    max_leaves=6,
)


def leaves(value: object) -> list[object]:
    """All scalars inside of a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for inner in value for leaf in leaves(inner)] if isinstance(value, list) else [value]


@given(st.dictionaries(st.sampled_from(["word", "k"]), json_values, max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_a_value_is_found_at_any_depth_and_nowhere_else(engine: Session, record: dict[str, object]) -> None:
    there = {leaf if isinstance(leaf, str) else json.dumps(leaf) for leaf in leaves(record)}
    there |= {"5"} if 5.0 in leaves(record) else set()
    for spaces in (None, 1):
        made = sql.condition(Or(tuple(Anywhere(value) for value in ("word", "x: 1, y", "5", "true", "\\"))))
        names = ("message", "level", "_level", "service", "host", "trace_id", "span_id", "_source")
        columns = [f"'' AS {name}" for name in names]
        params = made.params | {"text": escaping.parameter(json.dumps(record, indent=spaces))}
        source = f"(SELECT {', '.join(columns)}, {{text:String}} AS attributes)"
        found = engine.query(f"SELECT count() FROM {source} WHERE {made.sql}", "TSV", params=params).bytes()
        assert int(found) == bool(there & {"word", "x: 1, y", "5", "true", "\\"})


def word_part(text: str) -> Query:
    return Part(None, (text, ""))


@given(st.text(alphabet="aZ 5é=_%\\日.", min_size=1, max_size=4), st.sampled_from([Text, word_part]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_the_index_changes_no_answer(engine: Session, text: str, node: Callable[[str], Query]) -> None:
    made = sql.condition(node(text))
    count = f"SELECT count() FROM logs WHERE {made.sql} SETTINGS use_query_condition_cache = 0, use_skip_indexes = "
    with_index, without = (engine.query(count + on, "TSV", params=made.params).bytes() for on in "10")
    assert with_index == without


@pytest.mark.parametrize("text", ["connect", '"failed to connect"', "日本", "ärger"])
def test_words_are_found_by_the_index(engine: Session, text: str) -> None:
    made = sql.condition(parser.parse(text).where)
    plan = engine.query(f"EXPLAIN indexes = 1 SELECT _seq FROM logs WHERE {made.sql}", "TSVRaw", params=made.params)
    assert b"Name: words" in plan.bytes()
