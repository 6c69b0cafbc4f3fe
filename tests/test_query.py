"""The search language: text to tree and back, and the SQL of a tree asked to the engine itself."""

import json
import string
from collections.abc import Callable, Iterator

import pytest
from chdb.session import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.columns import COLUMNS, level_of
from logriver.errors import BadQuery
from logriver.query import ids, parser, sql
from logriver.query.text import to_text
from logriver.query.tree import And, Everything, Field, Not, Or, Query, Text, conjunction, disjunction

Find = Callable[[Query | str], list[int]]

# -- text to tree ------------------------------------------------------------------------------------------------------


def words(*texts: str) -> Query:
    return conjunction([Text(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        ("  \n", Everything()),
        ("*", Everything()),
        ("failed", Text("failed")),
        ("failed to", words("failed", "to")),
        ('"failed to"', Text("failed to")),
        (r'"say \"hi\" C:\\x \d"', Text(r'say "hi" C:\x \d')),
        ("level:error", Field("level", "error")),
        ('resourceId:"two words"', Field("resourceId", "two words")),
        ("metadata.parentResourceId:server-0987", Field("metadata.parentResourceId", "server-0987")),
        ("@timestamp:2023-09-15T08:00:00Z", Field("@timestamp", "2023-09-15T08:00:00Z")),
        ("`odd name``s`:x", Field("odd name`s", "x")),
        ("a:b:c", Field("a", "b:c")),
        ("localhost:8080", Field("localhost", "8080")),
        ("-debug", Not(Text("debug"))),
        ('-"x y" -level:info', And((Not(Text("x y")), Not(Field("level", "info"))))),
        ("NOT a", Not(Text("a"))),
        ("a AND b", words("a", "b")),
        ("a OR b c", Or((Text("a"), words("b", "c")))),
        ("(a OR b) c", And((Or((Text("a"), Text("b"))), Text("c")))),
        ("-(a OR b)", Not(Or((Text("a"), Text("b"))))),
        ("(level:error)", Field("level", "error")),
        ("a and b or not", words("a", "and", "b", "or", "not")),
    ],
)
def test_what_a_text_means(text: str, tree: Query) -> None:
    assert parser.parse(text).where == tree


@pytest.mark.parametrize(
    "text",
    [
        "/api/v1/x",
        "10.0.0.1:5432",
        "http://h/p",
        "C:\\Windows",
        "error: no space left",
        "[x]",
        "user_id=5",
        "a -> b",
        "--flag",
        "std::vector",
        "main(String[] args)",
        "f(x) g()",
        "foo ()",
        "12:30:45,123 ok",
        "a | b",
        "it's 5 o'clock",
        ":) fine",
        "a)",
    ],
)
def test_a_pasted_thing_is_text(text: str) -> None:
    assert parser.parse(text).where == words(*text.split())


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('say "hi', 4),
        ('level:"err', 6),
        ("(a b", 0),
        ("a OR", 4),
        ("AND a", 0),
        ("a AND OR b", 6),
        ("NOT", 3),
        ("status:>=500", 7),
        ("host:web*", 8),
        ("x conn*", 2),
        ("x | stats count()", 2),
        ('path=~"^/api"', 0),
        ("(" * 60 + "a" + ")" * 60, 51),
    ],
)
def test_what_cannot_be_read_says_where(text: str, position: int) -> None:
    with pytest.raises(BadQuery) as error:
        parser.parse(text)
    assert error.value.position == position


def test_a_search_text_is_bounded() -> None:
    for text in ("x" * 20_001, "a " * 501):
        with pytest.raises(BadQuery):
            parser.parse(text)


any_text = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.one_of(st.from_regex(r"[A-Za-z_@][\w.@]*", fullmatch=True), any_text.filter(bool))
leaves = st.one_of(st.builds(Text, any_text), st.builds(Field, names, any_text))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(conjunction),
        st.lists(inner, min_size=2, max_size=3).map(disjunction),
    ),
    max_leaves=8,
)


@given(trees)
def test_the_canonical_text_is_the_same_tree(tree: Query) -> None:
    assert parser.parse(to_text(tree)).where == tree


@given(st.one_of(st.text(), st.text(alphabet=string.punctuation + " aORNDT")))
def test_any_text_is_read_or_refused_and_reads_the_same_again(text: str) -> None:
    try:
        tree = parser.parse(text).where
    except BadQuery:
        return
    assert parser.parse(to_text(tree)).where == tree


@given(any_text, st.integers(0, 2**53))
def test_ids_come_back(node: str, seq: int) -> None:
    assert ids.decode(ids.encode(node, seq)) == (node, seq)


# -- tree to SQL to rows -----------------------------------------------------------------------------------------------

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


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(BadQuery):
        sql.condition(parser.parse("timestamp:yesterday").where)


hostile = st.one_of(
    st.sampled_from(
        ["') OR 1=1 --", "{p1:String}", "\\", "\\N", "%' --", "\x00", "\t\n\r", "`; DROP TABLE logs", "1e999"]
    ),
    any_text,
)


@given(hostile, hostile.filter(bool))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_values_and_names_are_data(find: Find, value: str, name: str) -> None:
    assert find(Field("resourceId", value)) == []
    assert find(Field("service", value)) == []
    assert find(Field(name, "no such value")) == []
    everything = sorted(find(Text(value)) + find(Not(Text(value))))
    assert everything == list(MESSAGES)


@given(st.text(alphabet="aZ 5é=_%\\日.", min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_the_index_changes_no_answer(engine: Session, text: str) -> None:
    made = sql.condition(Text(text))
    count = f"SELECT count() FROM logs WHERE {made.sql} SETTINGS use_query_condition_cache = 0, use_skip_indexes = "
    with_index, without = (engine.query(count + on, "TSV", params=made.params).bytes() for on in "10")
    assert with_index == without


@pytest.mark.parametrize("text", ["connect", '"failed to connect"', "日本", "ärger"])
def test_words_are_found_by_the_index(engine: Session, text: str) -> None:
    made = sql.condition(parser.parse(text).where)
    plan = engine.query(f"EXPLAIN indexes = 1 SELECT _seq FROM logs WHERE {made.sql}", "TSVRaw", params=made.params)
    assert b"Name: words" in plan.bytes()
