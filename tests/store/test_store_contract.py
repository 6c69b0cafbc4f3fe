"""What every `Store` does, whatever is behind it. A cluster joins by a parameter and an opener."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.columns import COLUMNS, TABLE
from logriver.decode import row_builder as rows
from logriver.errors import DataRefused, QueryTooExpensive, StoreError
from logriver.query.sql import escaping
from logriver.store.base import Block, Limits, PartitionSize, Store
from logriver.store.embedded import Embedded


class Opened(Store, Protocol):
    """A store and its owner's side."""

    def close(self) -> bool: ...


Open = Callable[[], Opened]
NODE = "abc123"

any_text = st.text(st.characters(codec="utf-8"), max_size=12)
awkward = st.one_of(
    any_text, st.sampled_from(["", "\\", "\\N", "\\n", "\t", "\n", "\r", "\r\n", "\x00", " ", '"', "'"])
)


def open_embedded(directory: Path) -> Opened:
    return Embedded(directory, NODE, 600_000_000, 16_000_000)


@pytest.fixture(params=["embedded"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store again and again; it is closed at the end."""
    opener = {"embedded": open_embedded}[request.param]
    opened: list[Opened] = []

    def again() -> Opened:
        opened.append(opener(tmp_path))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def block(messages: list[str], first_seq: int = 1, partition: int = 1, **values: str) -> Block:
    lines = [
        f"{rows.row(number, 'info', text, **values)}\tsource {number}\t7"  # type: ignore[arg-type]
        for number, text in enumerate(messages)
    ]
    return Block(rows.encode(lines), first_seq, len(messages), partition)


def messages(store: Store, where: str = "1") -> list[tuple[int, str]]:
    answer = store.query(f"SELECT _seq, message FROM {TABLE} WHERE {where} ORDER BY _seq")
    return [(int(str(seq)), str(text)) for seq, text in answer.rows]


# -- insert ------------------------------------------------------------------------------------------------------------


def test_every_column_of_a_row_arrives(store: Store) -> None:
    line = rows.row(
        -1_000_000_001,
        "warn",
        "hello",
        service="shop",
        host="web-1",
        trace_id="t",
        span_id="s",
        attributes='{"a":1}',
        sent_level="WARNING",
        offset=2**63,
    )
    store.insert(Block(rows.encode([f"{line}\tfile.log\t1700000000123456789"]), 2**53 - 1, 1, 20_000_001))

    answer = store.query(f"SELECT * FROM {TABLE}")

    assert answer.columns == tuple(column.name for column in COLUMNS)
    [row] = answer.rows
    held = dict(zip(answer.columns, row, strict=True))
    assert held.pop("timestamp") == "1969-12-31 23:59:58.999999999"
    assert held.pop("_received") == "2023-11-14 22:13:20.123456789"
    numbers = {name: int(str(held.pop(name))) for name in ("_offset", "_seq", "_slice")}
    assert numbers == {"_offset": 2**63, "_seq": 2**53 - 1, "_slice": 20_000_001}
    assert held == {
        "level": "warn",
        "message": "hello",
        "service": "shop",
        "host": "web-1",
        "trace_id": "t",
        "span_id": "s",
        "attributes": '{"a":1}',
        "_level": "WARNING",
        "_source": "file.log",
        "_node": NODE,
    }


@given(st.lists(awkward, min_size=1, max_size=30), st.integers(1, 2**40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_text_arrives_as_it_is_under_its_number(store: Store, texts: list[str], first_seq: int) -> None:
    (before,) = store.query(f"SELECT max(_seq) FROM {TABLE}").rows[0]
    first_seq += int(str(before))
    store.insert(block(texts, first_seq))
    assert messages(store, f"_seq >= {first_seq}") == list(enumerate(texts, first_seq))


def test_100_000_rows_keep_their_order_and_are_one_part(store: Store) -> None:
    texts = ["" if number % 7 == 0 else f"row {number} \\ {'x' * (number % 500)}" for number in range(100_000)]
    store.insert(block(texts, 1_000))

    order = f"SELECT count(), countIf(toUnixTimestamp64Nano(timestamp) = _seq - 1000) FROM {TABLE}"
    assert [int(str(count)) for count in store.query(order).rows[0]] == [100_000, 100_000]
    assert store.query(f"SELECT count() FROM {TABLE} WHERE _source = 'source ' || toString(_seq - 1000)").rows == [
        [100_000]
    ]
    assert parts(store) == 1
    assert messages(store, "_seq IN (1000, 50007, 100999)") == [
        (number, texts[number - 1_000]) for number in (1_000, 50_007, 100_999)
    ]


def test_a_block_of_many_days_is_one_part(store: Store) -> None:
    day_ns = 86_400 * 10**9
    times = [*range(0, 400 * day_ns, day_ns), -2_208_988_800 * 10**9, 9_223_372_036 * 10**9]
    lines = [f"{rows.row(time_ns, '', '')}\t\t0" for time_ns in times]
    store.insert(Block(rows.encode(lines), 1, len(lines), 1))
    assert parts(store) == 1
    answer = store.query(f"SELECT toUnixTimestamp64Nano(timestamp) FROM {TABLE} ORDER BY _seq")
    assert [int(str(time_ns)) for (time_ns,) in answer.rows] == times


def parts(store: Store) -> int:
    """Parts that inserts made; merges are told apart by their level."""
    sql = f"SELECT count() FROM system.parts WHERE table = '{TABLE}' AND active AND level = 0"
    return int(str(store.query(sql).rows[0][0]))


def test_two_threads_insert_at_one_time(store: Store) -> None:
    errors: list[BaseException] = []

    def insert(first_seq: int) -> None:
        try:
            for start in range(first_seq, first_seq + 10_000, 500):
                store.insert(block([str(number) for number in range(start, start + 500)], start))
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            errors.append(error)

    threads = [threading.Thread(target=insert, args=(first_seq,)) for first_seq in (1, 10_001)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert messages(store) == [(number, str(number)) for number in range(1, 20_001)]


GOOD = "good"


@pytest.mark.parametrize("place", [0, 1, 499, 999])
@pytest.mark.parametrize("wrong", [b"no time", b"1\tinfo"])
def test_wrong_data_are_refused_with_their_row(store: Store, place: int, wrong: bytes) -> None:
    lines = block([GOOD] * 1_000).rows.split(b"\n")[:-1]
    lines[place] = wrong if b"\t" in wrong else wrong + lines[place][lines[place].index(b"\t") :]
    with pytest.raises(DataRefused) as error:
        store.insert(Block(b"\n".join([*lines, b""]), 1, 1_000, 1))
    assert error.value.row == place
    assert error.value.engine_code > 0
    assert len(error.value.message) <= 500


# -- query -------------------------------------------------------------------------------------------------------------


@given(awkward)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_parameter_is_data(store: Store, text: str) -> None:
    answer = store.query("SELECT {text:String} AS given, {n:Int64}", {"text": escaping.parameter(text), "n": -5})
    assert answer.columns[0] == "given"
    assert answer.rows == [[text, -5]]


@pytest.mark.parametrize("text", ["' OR 1 = 1 --", "{p:String}", "\\'", "1) UNION ALL SELECT 2 --", "%", "\\"])
def test_hostile_parameters_find_nothing(store: Store, text: str) -> None:
    store.insert(block(["one", "two"]))
    params = {"text": escaping.parameter(text)}
    assert store.query(f"SELECT count() FROM {TABLE} WHERE message = {{text:String}}", params).rows == [[0]]


def test_an_answer_says_what_it_cost(store: Store) -> None:
    store.insert(block(["x"] * 1_000))
    answer = store.query(f"SELECT sum(length(message)) FROM {TABLE}")
    assert answer.rows == [[1_000]]
    assert answer.rows_read == 1_000
    assert answer.bytes_read > 0
    assert 0 < answer.elapsed_seconds < 10


@pytest.mark.parametrize(
    ("sql", "limits", "reason"),
    [
        ("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)", Limits(seconds=0.3), "time"),
        (
            "SELECT length(groupArray(toString(number))) FROM numbers(10000000)",
            Limits(memory_bytes=20_000_000),
            "memory",
        ),
        ("SELECT number FROM numbers(1000)", Limits(result_rows=100), "result size"),
    ],
)
def test_a_limit_that_is_met_is_said(store: Store, sql: str, limits: Limits, reason: str) -> None:
    with pytest.raises(QueryTooExpensive, match=f"limit of {reason}") as error:
        store.query(sql, limits=limits)
    assert error.value.hint
    assert [store.query("SELECT 1").rows for _ in range(3)] == [[[1]]] * 3, "nothing is left over"


def test_a_query_that_is_wrong_is_not_the_datas_fault(store: Store) -> None:
    with pytest.raises(StoreError) as error:
        store.query("SELECT no_such_column FROM logs")
    assert not isinstance(error.value, DataRefused)
    assert error.value.engine_code == 47


def test_the_output_of_a_broken_query_is_nobody_elses(store: Store) -> None:
    with pytest.raises(StoreError):
        store.query("SELECT throwIf(number = 500000, 'broken') FROM numbers(1000000)")
    for _ in range(5):
        assert store.query("SELECT 'mine' AS whose").rows == [["mine"]]


# -- stream ------------------------------------------------------------------------------------------------------------


def test_a_stream_comes_in_pieces(store: Store) -> None:
    store.insert(block(["some text"] * 50_000))
    sql = f"SELECT _seq + number AS n FROM {TABLE} CROSS JOIN numbers({{times:UInt64}}) AS times"
    pieces = list(store.stream(sql, {"times": 10}, "JSONEachRow", Limits()))
    assert len(pieces) > 1
    assert max(map(len, pieces)) < 2_000_000
    lines = b"".join(pieces).splitlines()
    assert sum(int(json.loads(line)["n"]) for line in lines) == 10 * sum(range(1, 50_001)) + 50_000 * sum(range(10))


def test_a_stream_may_be_left(store: Store) -> None:
    store.insert(block(["x" * 100] * 50_000))
    for _ in range(3):
        stream = store.stream(f"SELECT * FROM {TABLE}", {}, "TabSeparated", Limits())
        assert next(stream)
        stream.close()
        assert store.query("SELECT 1").rows == [[1]]


def test_a_stream_that_fails_says_so(store: Store) -> None:
    sql = "SELECT throwIf(number = 500000) FROM numbers(1000000)"
    with pytest.raises(StoreError):
        list(store.stream(sql, {}, "TabSeparated", Limits()))
    assert store.query("SELECT 1").rows == [[1]]


# -- partitions, drop, close
# -----------------------------------------------------------------------------------------------


def test_partitions_are_told_oldest_first(store: Store) -> None:
    assert store.partitions() == []
    store.insert(block(["b"] * 10, 11, partition=20_000_001))
    store.insert(block(["a"] * 10, 1, partition=9_000))
    store.insert(block(["b"] * 5, 21, partition=20_000_001))
    sizes = store.partitions()
    assert [(size.partition, size.rows) for size in sizes] == [(9_000, 10), (20_000_001, 15)]
    assert all(isinstance(size, PartitionSize) and size.bytes > 0 for size in sizes)


def test_a_dropped_partition_is_gone_as_a_whole(open_store: Open) -> None:
    store = open_store()
    for first_seq, number in ((1, 4_000_000_001), (11, 4_000_000_001), (21, 4_000_000_002)):
        store.insert(block(["x"] * 10, first_seq, partition=number))
    store.drop(4_000_000_001)
    store.drop(4_000_000_001)
    assert [seq for seq, _ in messages(store)] == list(range(21, 31))
    assert [(size.partition, size.rows) for size in store.partitions() if size.rows] == [(4_000_000_002, 10)]
    store.close()
    assert [seq for seq, _ in messages(open_store())] == list(range(21, 31))


def test_a_query_goes_on_while_its_partition_is_dropped(store: Store) -> None:
    store.insert(block(["x" * 100] * 100_000))
    stream = store.stream(f"SELECT message FROM {TABLE}", {}, "TabSeparated", Limits())
    size = len(next(stream))
    store.drop(1)
    assert store.query(f"SELECT count() FROM {TABLE}").rows == [[0]]
    assert size + sum(map(len, stream)) == 101 * 100_000


def test_everything_is_there_after_closing_and_opening_again(open_store: Open) -> None:
    store = open_store()
    store.insert(block(["kept"], 1))
    store.close()
    store = open_store()
    assert messages(store) == [(1, "kept")]
    store.insert(block(["more"], 2))
    store.close()
    assert messages(open_store()) == [(1, "kept"), (2, "more")]


def test_closing_waits_for_what_is_running(open_store: Open) -> None:
    store = open_store()
    started = threading.Event()
    found: list[object] = []

    def ask() -> None:
        started.set()
        found.append(store.query("SELECT count() FROM numbers(100) WHERE sleepEachRow(0.01) = 0").rows)

    thread = threading.Thread(target=ask)
    thread.start()
    started.wait()
    while not running(store):
        pass
    store.close()
    thread.join()

    assert found == [[[100]]]
    with pytest.raises(StoreError, match="closed"):
        store.query("SELECT 1")


def running(store: Store) -> bool:
    return store.query("SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.01)%'").rows != [[1]]
