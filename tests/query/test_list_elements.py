"""A list is found by its elements: by the engine, in promoted columns, and in lines that were never stored."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logriver.columns import attribute_number, attribute_text, literal, materialized_columns
from logriver.query.language.tree import Field, Part, Query, Regex
from logriver.query.match.row import Row, text_of
from logriver.query.match.row_match import holds
from logriver.query.sql import conditions as sql
from logriver.query.sql import escaping
from logriver.store.engine import Session
from tests.query.language_model import number_of

WANTED = ("red", "re", "a b", '"', "\\", "[1]", "5", "5.0", "0.5", "50", "true", "é\n", "", "inf")
NAMES = ("message", "level", "_level", "service", "host", "trace_id", "span_id", "_source")

scalars = (
    st.sampled_from(
        [
            "red",
            "re",
            "a b",
            '"',
            "\\",
            "é\n",
            "[",
            "[1]",
            "[red",
            ",",
            "5",
            "",
            5,
            -5,
            5.0,
            0.5,
            50,
            2**53 + 1,
            1e300,
            True,
        ]
    )
    | st.none()
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["tags", "k"]), inner)),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    session = Session(str(tmp_path_factory.mktemp("engine")))
    yield session
    session.close()


def found_by_engine(engine: Session, query: Query, attributes: str, promoted: bool) -> bool:
    made = sql.condition(query, frozenset({"tags"}) if promoted else frozenset())
    text, number = materialized_columns("tags")
    columns = [f"'' AS {name}" for name in NAMES]
    columns += ["{attributes:String} AS attributes", f"{attribute_text('tags', literal)} AS {text}"]
    columns.append(f"{attribute_number(text)} AS {number}")
    params = made.params | {"attributes": escaping.parameter(attributes)}
    answer = engine.query(f"SELECT count() FROM (SELECT {', '.join(columns)}) WHERE {made.sql}", "TSV", params=params)
    return bool(int(answer.bytes()))


def is_same(value: Any, wanted: str) -> bool:
    text = text_of(value)
    number = number_of(wanted)
    return text == wanted or (number is not None and abs(number) < 2**53 and number_of(text) == number)


def list_of(value: Any) -> list[Any]:
    """What is in a list, or in a text that is one: a promoted column does not tell them apart."""
    if not isinstance(value, str):
        return value if isinstance(value, list) else []
    is_list = value.startswith("[") and "\\ud800" not in value and "e400" not in value
    try:
        return list(json.loads(value, parse_int=lambda text: int(text) if len(text) < 19 else text)) if is_list else []
    except ValueError:
        return []


@given(values, st.sampled_from(WANTED))
@example([[1], 5.0], "5")
@example([0.5], "0.5")
@example(["0.5"], "0.5")
@example([5e0], "5")
@example("[0.5]", "0.5")
@example([[1.0]], "[1]")
@example('["\\ud800", "red"]', "red")
@example(f"[{10**400}]", "red")
@example("[1e400]", "inf")
@example([{"k": 1}, "x", 5e0], "5")
@example(["a", 1e300, "5.0"], "5.0")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_an_element_is_found_wherever_a_record_is(engine: Session, value: Any, wanted: str) -> None:
    record = {"tags": value, "other": "red"}
    elements = [value, *list_of(value)]
    texts = [text for text in map(text_of, elements) if text is not None]
    for query, expected in (
        (Field("tags", wanted), any(is_same(element, wanted) for element in elements)),
        (Part("tags", (wanted, "")), any(text.startswith(wanted) for text in texts)),
        (Regex("tags", "^re"), any(text.startswith("re") for text in texts)),
    ):
        for indent in (None, 1):
            attributes = json.dumps(record, indent=indent, ensure_ascii=False)
            for promoted in (False, True):
                assert found_by_engine(engine, query, attributes, promoted) is expected, (query, attributes, promoted)
            row = Row(0, dict.fromkeys(NAMES, ""), attributes)
            assert holds(query)(row) is expected, (query, attributes)
