"""Promoted fields: a column of their own changes how fast an answer comes, never the answer."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import columns
from logriver.errors import SettingsError
from logriver.protocols import rows
from logriver.query import sql
from logriver.query.tree import Field
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from tests.conftest import RunningServer

MEMORY_BYTES = 600_000_000
SLICE_BYTES = 16_000_000

# Fields that hold anything, and one whose name could break out of a string.
NAMES = ("a", "a.b", "deep.er.path", "attributes.level", "it's \\ 日本\t{p0:String}\n'); --")
KEYS = [columns.attribute_key(name) for name in NAMES]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.sampled_from(
        ["5", "+5", "5.0", "1e2", "1e999", "nan", "true", "null", "", " 5", "[1]", "\\", "'", "\x00", "\n"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=4,
)
records = st.dictionaries(st.sampled_from([*KEYS, "deep", "other"]), values, max_size=4)


class Table:
    """A store that can be closed and opened with other fields promoted; records are inserted one block a call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.numbers = itertools.count(1)
        self.store = Embedded(directory, "n", MEMORY_BYTES, SLICE_BYTES)

    def promote(self, names: Sequence[str]) -> None:
        self.store.close()
        self.store = Embedded(self._directory, "n", MEMORY_BYTES, SLICE_BYTES, names)

    def insert(self, texts: Sequence[str]) -> None:
        first = next(self.numbers)
        lines = [f"{rows.row(0, '', '', attributes=text)}\ttest\t0" for text in texts]
        self.store.insert(Block(rows.encode(lines), first, len(texts), 1))
        for _ in texts[1:]:
            next(self.numbers)

    def find(self, name: str, value: str, promoted: frozenset[str] = frozenset()) -> list[object]:
        made = sql.condition(Field(name, value), promoted)
        answer = self.store.query(f"SELECT _seq FROM {columns.TABLE} WHERE {made.sql} ORDER BY _seq", made.params)
        return [row[0] for row in answer.rows]

    def columns(self) -> set[str]:
        answer = self.store.query(f"SELECT name FROM system.columns WHERE table = '{columns.TABLE}'")
        return {str(name) for (name,) in answer.rows} - {column.name for column in columns.COLUMNS}

    def merge(self) -> None:
        self.store.query_text(f"OPTIMIZE TABLE {columns.TABLE} FINAL")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    made = Table(tmp_path)
    yield made
    made.store.close()


def test_every_answer_is_the_same_before_and_after_a_field_is_promoted(table: Table) -> None:
    values: list[object] = [5, 5.0, "5", "+5", "5.0", 1e2, True, "true", None, "", "1e999", 15e299, "x", [1, "a"]]
    values += [{"b": 5}, {"b": {"c": 1}}, 2**64 - 1, -0.0, "日本", "'\\", 9007199254740993]
    texts = [json.dumps({name: value}) for value in values for name in ("a", "a.b", "level")] + ['{"a":{"b":7}}', "{}"]
    table.insert(texts)
    asked = [(name, _asked(value)) for value in values for name in ("a", "a.b", "attributes.level")]
    before = [table.find(*question) for question in asked]

    table.promote(["a", "a.b", "attributes.level"])
    promoted = table.store.promoted

    assert promoted == {"a", "a.b", "level"}
    assert any(before)
    assert [table.find(*question, promoted) for question in asked] == before, "the old part has no such column"
    table.insert(texts)
    twice = [table.find(*question) for question in asked]
    assert [len(found) for found in twice] == [2 * len(found) for found in before]
    assert [table.find(*question, promoted) for question in asked] == twice, "the new part has"
    table.merge()
    assert [table.find(*question, promoted) for question in asked] == twice, "merged"


def _asked(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@given(st.lists(st.lists(records, min_size=5, max_size=20), min_size=2, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=8)
def test_a_promoted_field_finds_what_reading_json_finds(table: Table, blocks: list[list[dict[str, object]]]) -> None:
    """Each example: the first block is written before the promotion (which goes when the next example begins)."""
    table.promote([])
    asked: set[tuple[str, str]] = set()
    for block in blocks:
        table.insert([json.dumps(record, ensure_ascii=False) for record in block])
        table.promote(NAMES)
        asked |= {(name, _asked(value)) for record in block for name, value in record.items()}
    paths = {("a.b", value) for key, value in asked if key == "a"}
    names = dict(zip(KEYS, NAMES, strict=True))
    for key, value in sorted(paths | asked)[:40]:
        name = names.get(key, key)
        promoted = table.find(name, value, table.store.promoted)
        assert promoted == table.find(name, value), (name, value)


def test_the_columns_hold_the_values_and_a_row_does_not_show_them(table: Table) -> None:
    table.promote(["n"])
    table.insert(['{"n":5}', '{"n":"5.50"}', '{"n":"x"}', '{"n":true}', "{}"])
    text, number = columns.promoted_columns("n")

    answer = table.store.query(f"SELECT {text}, {number} FROM logs ORDER BY _seq")
    assert answer.rows == [["5", 5], ["5.50", 5.5], ["x", None], ["true", None], [None, None]]
    parts = (
        f"SELECT DISTINCT column FROM system.parts_columns WHERE table = 'logs' AND column IN ('{text}', '{number}')"
    )
    assert len(table.store.query(parts).rows) == 2, "they are stored, not computed"
    shown = table.store.query("SELECT * FROM logs LIMIT 1").columns
    assert shown == tuple(column.name for column in columns.COLUMNS)


def test_fields_come_and_go_with_the_setting(table: Table) -> None:
    table.insert(['{"a":"x","b":"y","c":"z"}'])
    table.promote(["a", "b"])
    assert table.columns() == {*columns.promoted_columns("a"), *columns.promoted_columns("b")}
    table.promote(["c", "b"])
    assert table.columns() == {*columns.promoted_columns("b"), *columns.promoted_columns("c")}
    assert table.find("c", "z", table.store.promoted) == table.find("a", "x", table.store.promoted) != []
    table.promote([])
    assert table.columns() == set()
    assert table.find("a", "x") != []


def test_hostile_names_are_columns_too_and_live_through_a_restart(table: Table) -> None:
    names = ["'", "\\", "\x00", "a'); DROP TABLE logs; --", "日本", "p_", "x" * 300, "{p0:String}"]
    table.promote(names)
    table.insert([json.dumps({name: "here"}) for name in names])
    table.promote(names)
    for place, name in enumerate(names):
        found = table.find(name, "here", table.store.promoted)
        assert len(found) == 1, name
        assert found == table.find(name, "here"), (place, name)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([f"f{number}" for number in range(9)], "at most 8 fields, not 9"),
        (["message"], "'message' is no field"),
        (["traceId"], "'traceId' is no field"),
        ([""], "'' is no field"),
    ],
)
def test_what_cannot_be_promoted_is_said_before_anything_is_touched(
    tmp_path: Path, names: list[str], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        Embedded(tmp_path, "n", MEMORY_BYTES, SLICE_BYTES, names)
    assert list(tmp_path.iterdir()) == []


def test_a_server_promotes_by_its_setting(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    posted = [{"message": "old", "shop": {"id": 7}}, {"message": "old too", "shop.id": "7", "shop": {"id": 8}}]
    server.client.post("/api/v1/logs", params={"wait": "searchable"}, json=posted)
    before = {str(row["message"]) for row in server.search(q="shop.id:7")}
    assert server.stop() == 0

    promoting = new_server(data=server.data, LOGRIVER_PROMOTE='["shop.id"]')
    posted = [{"message": "new", "shop": {"id": 7}}, {"message": "new other", "shop": {"id": "seven"}}]
    promoting.client.post("/api/v1/logs", params={"wait": "searchable"}, json=posted)

    assert before == {"old", "old too"}
    assert {str(row["message"]) for row in promoting.search(q="shop.id:7")} == {"old", "old too", "new"}
    [row] = promoting.search(q="shop.id:seven")
    assert set(row) == {"timestamp", "message", "_source", "_received", "_id", "shop"}
