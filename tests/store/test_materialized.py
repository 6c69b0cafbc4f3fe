"""Materialized fields: a column of their own changes how fast an answer comes, never the answer."""

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import columns
from logriver.decode import row_builder as rows
from logriver.errors import DataDirectoryError, SettingsError
from logriver.query.language.tree import Anywhere, Compare, Exists, Field, Part, Query, Range, Regex
from logriver.query.sql import conditions as sql
from logriver.store import materialized_columns
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from logriver.store.field_uses import FieldUses
from logriver.store.materialized import USES, Materialization
from logriver.store.materialized_file import FILE
from tests.conftest import RunningServer

MEMORY_BYTES = 600_000_000
PARTITION_BYTES = 16_000_000

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
    """A store whose promoted fields can be changed, while it runs and by a restart; each call inserts one block."""

    promoted: frozenset[str] = frozenset()

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.numbers = itertools.count(1)
        self.store = Embedded(directory, "n", MEMORY_BYTES, PARTITION_BYTES)

    def promote(self, names: Sequence[str]) -> None:
        self.promoted = materialized_columns.chosen(names)
        self.store.close()
        self.store = Embedded(self._directory, "n", MEMORY_BYTES, PARTITION_BYTES, self.promoted)

    def promote_running(self, names: Sequence[str]) -> None:
        self.promoted = materialized_columns.chosen(names)
        self.store.set_materialized(self.promoted)

    def insert(self, texts: Sequence[str]) -> None:
        first = next(self.numbers)
        lines = [f"{rows.row(0, '', '', attributes=text)}\ttest\t0" for text in texts]
        self.store.insert(Block(rows.encode(lines), first, len(texts), 1))
        for _ in texts[1:]:
            next(self.numbers)

    def find(self, name: str, value: str, promoted: frozenset[str] = frozenset()) -> list[object]:
        return self.find_all(Field(name, value), promoted)

    def find_all(self, query: Query, promoted: frozenset[str] = frozenset()) -> list[object]:
        made = sql.condition(query, promoted)
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
    promoted = table.promoted

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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=4)
def test_a_promoted_field_finds_what_reading_json_finds(table: Table, blocks: list[list[dict[str, object]]]) -> None:
    """Each example: the first block is written before the promotion (which goes when the next example begins)."""
    table.promote([])
    asked: set[tuple[str, str]] = set()
    for block in blocks:
        table.insert([json.dumps(record, ensure_ascii=False) for record in block])
        table.promote_running(NAMES)
        asked |= {(name, _asked(value)) for record in block for name, value in record.items()}
    paths = {("a.b", value) for key, value in asked if key == "a"}
    names = dict(zip(KEYS, NAMES, strict=True))
    for key, value in sorted(paths | asked)[:8]:
        for query in queries(names.get(key, key), value):
            assert table.find_all(query, table.promoted) == table.find_all(query), query


def queries(name: str, value: str) -> list[Query]:
    """Every kind of question about a field."""
    return [
        Field(name, value),
        Exists(name),
        Part(name, (value[:2], "")),
        Part(name, ("", value[1:3], "")),
        Compare(name, ">=", value),
        Range(name, "0", value, with_low=True, with_high=False),
        Regex(name, "^" + re.escape(value[:3])),
        Anywhere(value),
    ]


def test_the_columns_hold_the_values_and_a_row_does_not_show_them(table: Table) -> None:
    table.promote(["n"])
    table.insert(['{"n":5}', '{"n":"5.50"}', '{"n":"x"}', '{"n":true}', "{}"])
    text, number = columns.materialized_columns("n")

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
    assert table.columns() == {*columns.materialized_columns("a"), *columns.materialized_columns("b")}
    table.promote(["c", "b"])
    assert table.columns() == {*columns.materialized_columns("b"), *columns.materialized_columns("c")}
    assert table.find("c", "z", table.promoted) == table.find("a", "x", table.promoted) != []
    table.promote([])
    assert table.columns() == set()
    assert table.find("a", "x") != []


def test_hostile_names_are_columns_too_and_live_through_a_restart(table: Table) -> None:
    names = ["'", "\\", "\x00", "a'); DROP TABLE logs; --", "日本", "p_", "x" * 300, "{p0:String}"]
    table.promote(names)
    table.insert([json.dumps({name: "here"}) for name in names])
    table.promote(names)
    for place, name in enumerate(names):
        found = table.find(name, "here", table.promoted)
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
        Materialization(tmp_path, names, 0)
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


def test_blocks_are_inserted_and_found_while_fields_come_and_go(table: Table) -> None:
    failed: list[Exception] = []

    def insert() -> None:
        try:
            for number in range(40):
                table.insert([json.dumps({"a": number, "b": {"c": str(number)}})])
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    inserting = threading.Thread(target=insert)
    inserting.start()
    while inserting.is_alive():
        for names in (["a"], ["a", "b.c"], []):
            table.promote_running(names)
    inserting.join()
    table.promote_running(["a", "b.c"])

    assert failed == []
    for number in range(40):
        query = Compare("a", ">=", str(number))
        assert len(table.find_all(query, table.promoted)) == 40 - number
        assert table.find("b.c", str(number), table.promoted) == table.find("b.c", str(number)) == [number + 1]


def test_fields_come_and_go_while_merges_are_stopped(table: Table) -> None:
    """As on a full disk: whatever waits for merges is never waited for."""
    table.insert(['{"a":"x","b":"y"}'])
    table.promote_running(["a"])
    table.store.set_disk_pressure(short=True)
    for names in ([], ["a"], ["b"], ["a", "b"], []):
        table.promote_running(names)
        assert table.find("a", "x", table.promoted) == table.find("b", "y", table.promoted) == [1]
    table.promote_running(["a"])
    table.promote(["b"])
    assert table.find("a", "x", table.promoted) == table.find("b", "y", table.promoted) == [1]


def test_a_small_table_is_filled_with_the_column_at_once(table: Table) -> None:
    table.insert([json.dumps({"a": number}) for number in range(100)])
    table.promote_running(["a"])
    text, _ = columns.materialized_columns("a")
    stored = f"SELECT count() FROM system.parts_columns WHERE active AND table = 'logs' AND column = '{text}'"
    until(lambda: table.store.query(stored).rows == [[1]])


# -- which fields ------------------------------------------------------------------------------------------------------


class Columns:
    """A table that only says which fields have columns, and which are sent: all but those called `no..`."""

    def __init__(self) -> None:
        self.promoted: frozenset[str] = frozenset()
        self.most = 0

    def set_materialized(self, promoted: frozenset[str]) -> None:
        self.promoted = promoted
        self.most = max(self.most, len(promoted))

    def is_sent(self, key: str) -> bool:
        return not key.startswith("no")


def read(promotion: Materialization, key: str, times: int) -> None:
    for _ in range(times):
        promotion.uses.note(key)


def test_fields_that_keep_being_queried_are_promoted_while_there_is_space(tmp_path: Path) -> None:
    promotion, table = Materialization(tmp_path, ["set"], 0), Columns()
    promotion.start(table)
    try:
        for number in range(9):
            read(promotion, f"f{number}", USES + number)
        read(promotion, "rare", USES - 1)
        read(promotion, "no such", 10 * USES)
        promotion.look()
        assert promotion.keys == {"set", *(f"f{number}" for number in range(2, 9))}, "the most used"
        assert {promotion.by(key) for key in promotion.keys} == {"setting", "use"}
        read(promotion, "f1", USES)
        promotion.look()
        assert "f1" not in promotion.keys, "not twice as often"
        read(promotion, "f1", 2 * USES)
        promotion.look()
        assert promotion.keys - {"set"} == {"f1", *(f"f{number}" for number in range(3, 9))}, "the least used went"
        assert promotion.promote("call") == "call"
        assert "f3" not in promotion.keys
        promotion.look()
        assert table.promoted == promotion.keys, "the columns of what left are gone"
    finally:
        promotion.stop()


def test_what_is_promoted_by_calls_and_use_is_remembered(tmp_path: Path) -> None:
    first = Materialization(tmp_path, [], 0)
    first.start(Columns())
    for number in range(6):
        first.promote(f"c{number}")
    read(first, "used", USES)
    first.look()
    first.demote("c0")
    first.stop()

    second = Materialization(tmp_path, ["c1", "s1", "s2"], 0)
    assert second.keys == {"s1", "s2", "c1", "c2", "c3", "c4", "c5", "used"}
    assert [second.by(key) for key in ("c1", "c2", "used", "c0")] == ["setting", "call", "use", None]
    full = Materialization(tmp_path, ["c1", "s1", "s2", "s3"], 0)
    assert full.keys == {"s1", "s2", "s3", "c1", "c2", "c3", "c4", "c5"}, "what came by use frees space"
    (tmp_path / FILE).write_text("[{")
    with pytest.raises(DataDirectoryError, match="cannot be read"):
        Materialization(tmp_path, [], 0)


def test_a_column_stays_until_queries_that_know_it_had_their_turn(tmp_path: Path) -> None:
    promotion, table = Materialization(tmp_path, [], 3600), Columns()
    promotion.start(table)
    promotion.promote("a")
    promotion.demote("a")
    promotion.look()
    assert promotion.keys == frozenset()
    assert table.promoted == {"a"}
    promotion.promote("a")
    assert promotion.keys == table.promoted == {"a"}
    promotion.stop()


def test_uses_are_forgotten_after_an_hour_and_names_are_bounded() -> None:
    now = [0.0]
    uses = FieldUses(lambda: now[0])
    for _ in range(5):
        now[0] += 700
        uses.note("a")
    assert uses.counts()["a"] == 5
    now[0] += 1500
    assert uses.counts()["a"] == 3
    now[0] += 3600
    assert uses.counts() == {}
    for number in range(5_000):
        uses.note(f"n{number}")
    uses.note("x" * 10_000)
    assert len(uses.counts()) == 1_000


# -- by HTTP -----------------------------------------------------------------------------------------------------------


def test_a_field_is_promoted_by_a_call_and_that_is_undone(new_server: Callable[..., RunningServer]) -> None:
    server = new_server(LOGRIVER_PROMOTE='["set"]')
    client = server.client
    client.post(
        "/api/v1/logs", params={"wait": "searchable"}, json={"message": "m", "a/b": {"ü": 7}}
    ).raise_for_status()
    call = "/api/v1/fields/a%2Fb.ü/promotion"
    promoted = {"field": "a/b.ü", "promoted": True, "by": "call"}
    assert [client.post(call).json() for _ in range(2)] == [promoted] * 2
    assert [row["message"] for row in server.search(q="`a/b.ü`:>6")] == ["m"]
    assert client.post("/api/v1/fields/set/promotion").json()["by"] == "setting"
    server.kill()
    server.start()
    client = server.client
    until(lambda: [row["message"] for row in server.search(q="`a/b.ü`:7")] == ["m"])
    for number in range(6):
        assert client.post(f"/api/v1/fields/f{number}/promotion").status_code == 200
    refused = client.post("/api/v1/fields/more/promotion")
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unprocessable")
    assert "a/b.ü, f0, f1" in refused.json()["error"]["hint"]
    assert client.delete(call).json() == {"field": "a/b.ü", "promoted": False, "by": None}
    assert client.post("/api/v1/fields/more/promotion").status_code == 200
    assert [row["message"] for row in server.search(q="`a/b.ü`:7")] == ["m"]
    for method, name, status in (("DELETE", "set", 422), ("POST", "msg", 400), ("DELETE", "message", 400)):
        assert client.request(method, f"/api/v1/fields/{name}/promotion").status_code == status
    assert client.delete("/api/v1/fields/never/promotion").status_code == 200
    assert server.stop() == 0


def test_a_field_that_keeps_being_queried_is_promoted(new_server: Callable[..., RunningServer]) -> None:
    server = new_server()
    server.client.post("/api/v1/logs", params={"wait": "searchable"}, json={"message": "m", "user": "u1"})
    for number in range(USES):
        assert len(server.search(q=f"user:u{number} nowhere:x")) == 0
    until(lambda: promoted_fields(server) == {"user"})
    assert [row["user"] for row in server.search(q="user:u1")] == ["u1"]
    assert server.stop() == 0
    server.start()
    assert promoted_fields(server) == {"user"}


def promoted_fields(server: RunningServer) -> set[str]:
    fields = server.client.get("/api/v1/fields").json()["fields"]
    return {field["name"] for field in fields if field["promoted"]}


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
