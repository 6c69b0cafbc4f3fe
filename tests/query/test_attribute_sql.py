"""Fields read off the bytes of `attributes`: the engine gives what it gives where it parses each document."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.columns import attribute_number, attribute_text, literal
from logriver.query.sql import attribute_sql
from logriver.store.engine import Session

KEYS = (
    "a",
    "b",
    "c",
    "a.b",
    "b.a",
    "a.a",
    "b.c",
    "a.b.c",
    "a.b.c.a.b",
    "a.b.c.a.b.c.a",
    "ab.b",
    "a b",
    "é",
    'q"',
    "x\\y",
    "",
    "{",
    "}.a",
    ":",
    ",",
    "a.:",
    "a.,",
)

MISLEADING = [
    "{}",
    '{"a":1}',
    '{"a":"x"}',
    '{"a":"12"}',
    '{"a":" 12"}',
    '{"a": ""}',
    '{"a":"" }',
    '{"c":1,"a":{"b": ""}}',
    '{"a":{"b":\t"" ,"c":5}}',
    '{"a":{"b":""}}',
    '{"a":{"b": "\'"}}',
    '{"a":":","t":77,"}":1}',
    '{"a":",","b":1}',
    '{"a":"12 "}',
    '{"a":1.50,"b":-0}',
    '{"a":true,"b":null,"c":false}',
    '{"a":{"b.c":1}}',
    '{"a":{"b.c":null,"b":{"c":2}}}',
    '{"a.b":{"c":1},"a":{"b":{"c":2}}}',
    '{"a.b":{"c":1},"a":{"b.c":2}}',
    '{"b.c":1,"a":{"x":1}}',
    '{"a":{"b\\u002ec":1}}',
    '{"a":{"b":{"c":{"a.b":1}}}}',
    '{"a":{"b":{"c":{"a.b.c.a":1}}}}',
    '{"a":{"b.c.a":{"b":1}}}',
    '{"a":{"b":1}}',
    '{"b":{"a":1}}',
    '{"":{"b":1}}',
    '{"ab":{"b":1}}',
    '{"c":{"a":{"b":1}}}',
    '{"a":[{"b":1}]}',
    '{"c":[{"a":1}],"a":2}',
    '{"b":1,"a":{"b":2}}',
    '{"a":{},"b":2}',
    '{"a":{"c":1},"b":2}',
    '{"a":{"c":{"b":1}}}',
    '{"a":{"c":{"c":0},"b":1}}',
    '{"a":{"c":"}","b":1}}',
    '{"a":{"c":"{","b":1}}',
    '{"c":"{","a":1}',
    '{"c":{"a":"x"},"a":{"b":"y"}}',
    '{"c":{"d":"x"},"a":{"b":"y"}}',
    '{"c":{"d":"x"},"a":{"b":"}"}}',
    '{"c":{"d":"x"},"a":{"b":"y"},"b":{}}',
    '{"c":{"a":{"b":"y"}},"d":1}',
    '{"d":{},"c":{"a":{"b":"y"}}}',
    '{"c":{"d":"x"},"a":"y","b":"}"}',
    '{"c":{"d":"x","a":"y"},"b":"z"}',
    '{"c":{"d":{"a":1}}}',
    '{"c":{},"d":[{"a":1}],"b":2}',
    '{"a":{"b" : 1}}',
    '{"a":{"b": 1}}',
    '{"a":{"b":1 }}',
    '{"a":{"b":"12" ,"c":1}}',
    '{"a":{"b":[1, 2]}}',
    '{"a":{"b":{}}}',
    '{"a":{"a":1}}',
    '{"a.b":1,"a":{"b":2}}',
    '{"a":{"b":2},"a.b":1}',
    '{"a":{"a.b":1}}',
    '{"a":{"a.b":1,"b":2}}',
    '{"a.b":{"c":1}}',
    '{"a.b.c":1}',
    '{"a":{"b":{"c":"x"}}}',
    '{"c":"\\"a\\":1"}',
    '{"a":"x\\"y"}',
    '{"a":18446744073709551616,"b":9223372036854775807,"c":-9223372036854775808}',
    '{"a":0,"b":-5,"c":1e300}',
    '{"a":""}',
]

_names = st.sampled_from(
    ["a", "b", "c", "a.b", "b.c", "a.b.c", "ab.b", "a b", "é", 'q"', "x\\y", "", "{", "}", "}.a", ":", ","]
)
_numbers = st.one_of(
    st.integers(-5, 1000),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
).map(json.dumps)
_spellings = st.sampled_from(["1.50", "1e5", "-0", "-0.0", "1E-3", "0", "true", "false", "null", "12e0", "1e300"])
_strings = st.one_of(
    st.sampled_from(
        ["", "x", "12", " 12", "12 ", "1.50", "+5", "007", "-3", "1e5", "nan", "true", "null", "{", "}", "{}"]
    ),
    st.sampled_from(['"a":1', '"b":"x"', "a", "b", "c", "\\", "a\nb", "é", "[1]", '{"a":{"b":2}}', ",", ":"]),
    st.text(st.characters(codec="utf-8"), max_size=8),
).map(lambda text: json.dumps(text, ensure_ascii=False))


@st.composite
def _inner(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """An object or an array as somebody sent it, with spaces or without."""
    spaces = st.sampled_from(["", "", "", " ", "\n\t"])
    between = draw(st.booleans())

    def space() -> str:
        return draw(spaces) if between else ""

    if draw(st.integers(0, 3)) == 0:
        return "[" + ",".join(space() + value + space() for value in draw(st.lists(values, max_size=3))) + "]"
    fields = draw(st.dictionaries(_names, values, max_size=3))
    written = (
        f"{space()}{json.dumps(name, ensure_ascii=False)}{space()}:{space()}{value}{space()}"
        for name, value in fields.items()
    )
    return "{" + ",".join(written) + "}"


_values = st.recursive(st.one_of(_numbers, _spellings, _strings, _strings, st.just('""')), _inner, max_leaves=6)
_documents = st.dictionaries(_names, _values, max_size=4).map(
    lambda fields: "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{v}" for k, v in fields.items()) + "}"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(str(tmp_path_factory.mktemp("engine")))
    yield session
    session.close()


def _read(engine: Session, documents: list[str], wanted: dict[str, str]) -> list[dict[str, Any]]:
    columns = ", ".join(f"{sql} AS {name}" for name, sql in wanted.items())
    listed = ", ".join(map(literal, documents))
    answer = engine.query(f"SELECT {columns} FROM (SELECT arrayJoin([{listed}]) AS attributes)", "JSONEachRow")
    return [json.loads(line) for line in answer.bytes().decode().split("\n") if line]


def _holds(check: str, content: str) -> str:
    return attribute_sql.once(attribute_sql.once(check, "text", content), "attributes", "attributes")


def _assert_same(engine: Session, key: str, documents: list[str]) -> None:
    parsed = attribute_text(key, literal)
    rows = _read(
        engine,
        documents,
        {
            "parsed": parsed,
            "text": attribute_sql.text(key, literal),
            "parsed_number": attribute_number(parsed),
            "number": attribute_sql.number(key, literal),
            "is_value": _holds("ifNull(text = 'x', 0)", attribute_sql.text(key, literal)),
            "is_positive": _holds(
                f"ifNull({attribute_number('text')} > 0, 0)", attribute_sql.number_text(key, literal)
            ),
            "parsed_is_value": f"ifNull({parsed} = 'x', 0)",
            "parsed_is_positive": f"ifNull({attribute_number(parsed)} > 0, 0)",
        },
    )
    for document, row in zip(documents, rows, strict=True):
        for name in ("text", "number", "is_value", "is_positive"):
            other = row["parsed" if name == "text" else f"parsed_{name}"]
            assert row[name] == other, (document, key, name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(KEYS), documents=st.lists(_documents, min_size=20, max_size=60))
def test_what_is_read_off_the_bytes_is_what_is_parsed(engine: Session, key: str, documents: list[str]) -> None:
    _assert_same(engine, key, documents)


@pytest.mark.parametrize("key", KEYS)
def test_documents_that_mislead(engine: Session, key: str) -> None:
    _assert_same(engine, key, MISLEADING)
