"""NDJSON to rows: whole partitions give the rows that single records give, and the engine reads all that fits."""

import contextlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import ALIASES
from logriver.decode.json.document import fields_of
from logriver.decode.json.lines import JsonLines
from logriver.decode.row_builder import encode
from logriver.decode.validator import MAX_KEYS, MAX_NESTING, JsonValidator

NOW_NS = clock.from_text("2023-09-15T12:00:00Z")
MAX_RECORD_BYTES = 100_000
# Partitions are taken as a whole only from a few kilobytes on.
FILLER = "x" * 5000

odd_text = st.text(st.sampled_from('aé日\\"\t\n\r/ \x00\x7f\u2028😀.:{'), max_size=12)
times = st.one_of(
    st.integers(clock.MIN_TIME_NS, clock.MAX_TIME_NS).map(clock.to_text),
    st.sampled_from(["2023-09-15T08:00:00Z", "2023-09-15 08:00:00,5", "2023-09-15T08:00:00+02:00", "9999-01-01", "x"]),
    st.integers(0, 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
)
levels = st.one_of(st.sampled_from(["error", "WARN", "Notice", "x\ty", "", "50"]), st.integers(-5, 70), st.just(30.0))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(-1e300, 1e300), odd_text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(odd_text, inner, max_size=3)),
    max_leaves=5,
)
names = st.one_of(
    st.sampled_from([*ALIASES, "log", "trace", "span", "service", "host"]),
    st.sampled_from(["a", "b", "_seq", "_id", "attributes", "a.b", "", "other_0", "timestamp "]),
    odd_text,
)
nested = st.dictionaries(st.sampled_from(["level", "id", "name", "x"]), st.one_of(odd_text, levels), max_size=3)


def field(name: str) -> st.SearchStrategy[tuple[str, Any]]:
    column = ALIASES.get(name)
    own = times if column == "timestamp" else levels if column == "level" else odd_text
    return st.tuples(st.just(name), st.one_of(own, own, anything, nested))


# Pairs, not dictionaries: a record may have a name twice.
records = st.lists(names.flatmap(field), max_size=8)
plain = st.fixed_dictionaries(
    {"timestamp": times, "level": levels, "message": odd_text}, optional={"service": odd_text, "a": anything}
).map(lambda record: list(record.items()))
spaces = st.sampled_from(["", " ", "\t", "\r", " \t "])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A record as text: raw or escaped letters, spaces where JSON allows them."""
    space = draw(spaces)
    ascii_only = draw(st.booleans())

    def text(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, separators=(f"{space},{space}", f"{space}:{space}"))

    pairs = [f"{text(name)}:{text(value)}" for name, value in draw(st.one_of(plain, records))]
    return f"{space}{{{space}{','.join(pairs)}{space}}}{space}".encode()


def one_by_one(decode: JsonLines, slice_lines: list[bytes]) -> tuple[bytes, list[tuple[int, str]]]:
    rows, refused = [], []
    for number, line in enumerate(slice_lines, 1):
        try:
            rows.append(decode.row(line, NOW_NS))
        except ValueError as error:
            refused.append((number, str(error)))
    return encode(rows) if rows else b"", refused


def in_one_order(rows: bytes) -> list[list[bytes]]:
    """Rows whose attributes, the third value from the end, have their fields in an order of their own."""
    values = [row.split(b"\t") for row in rows.split(b"\n")[:-1]]
    return [[*row[:-3], b",".join(sorted(row[-3][1:-1].split(b","))), *row[-2:]] for row in values]


@given(st.lists(lines(), min_size=1, max_size=6), st.integers(1, 6))
@example([b'{"b":""}', b'{"message":""}', b'{"a":"","b":""}'], 1)
@example([b'{"message":"x","a":{\t"b":1}}'], 2)
@example([b'{"message":null,"msg":"x"}', b'{"message":"y"}'], 1)
@example([b'{"message":"m","log":{"level":"error"},"trace":{"id":"t"}}'], 1)
@example([b'{"timestamp":null,"level":null,"a":1}', b'{"level":"info"}'], 2)
@example([b'{"message":"a\\u0009b"}', b'{"message":"a\\nb"}'], 1)
@example([b'{"message":"a\\\\tb","x":"\\\\"}'], 1)
@settings(max_examples=300)
def test_a_slice_gives_the_rows_of_its_records(sent: list[bytes], times_over: int) -> None:
    decode = JsonLines(MAX_RECORD_BYTES)
    filler = json.dumps({"message": FILLER}).encode()
    slice_lines = [*sent * times_over, filler]
    expected = one_by_one(JsonLines(MAX_RECORD_BYTES), slice_lines)
    # The first time the schema is learnt, the second it is known.
    for _ in range(3):
        decoded = decode.decode(b"\n".join(slice_lines), NOW_NS)
        assert in_one_order(decoded.rows) == in_one_order(expected[0])
        assert [(refused.line, refused.reason) for refused in decoded.refused] == expected[1]
        assert decoded.count == expected[0].count(b"\n")


@given(st.lists(lines(), min_size=1, max_size=6))
@settings(max_examples=100)
def test_a_followed_slice_has_offsets_and_takes_any_time(sent: list[bytes]) -> None:
    decode = JsonLines(MAX_RECORD_BYTES)
    slice_lines = [*sent, json.dumps({"message": FILLER}).encode()]
    expected, at = [], 77
    for line in slice_lines:
        with contextlib.suppress(ValueError):
            expected.append(JsonLines(MAX_RECORD_BYTES).row(line, NOW_NS, at, followed=True))
        at += len(line) + 1
    for _ in range(3):
        decoded = decode.decode(b"\n".join(slice_lines) + b"\n", NOW_NS, offset=77)
        assert in_one_order(decoded.rows) == in_one_order(encode(expected))
    for refused in decoded.refused:
        assert refused.raw == slice_lines[refused.line - 1]


def test_slices_that_fit_the_schema_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = JsonLines(MAX_RECORD_BYTES)
    body = b'{"timestamp":"2023-09-15T08:00:00Z","level":"info","message":"hello \\"you\\"","n":{"a":1}}\n' * 100
    first = decode.decode(body, NOW_NS)
    monkeypatch.setattr(decode, "row", None)
    assert decode.decode(body, NOW_NS) == first
    assert first.count == 100


# -- times without a zone ----------------------------------------------------------------------------------------------


def berlin(time_ns: int) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // clock.SECOND_NS)
    return int((moment.astimezone(ZoneInfo("Europe/Berlin")).utcoffset() or timedelta()).total_seconds())


@pytest.mark.parametrize("copies", [1, 300])
def test_a_followed_time_without_a_zone_is_one_of_the_machine(copies: int) -> None:
    zoneless = b'{"timestamp":"2023-07-01T08:00:00.5","message":"a"}\n'
    zoned = b'{"timestamp":"2023-07-01T08:00:00.5Z","message":"a"}\n'
    winter = b'{"timestamp":"2023-12-01 08:00:00","message":"a"}\n'
    expected = ["2023-07-01T06:00:00.5Z", "2023-07-01T08:00:00.5Z", "2023-12-01T07:00:00Z"]
    decode = JsonLines(MAX_RECORD_BYTES, berlin).decode
    for _ in range(3):
        rows = decode((zoneless + zoned + winter) * copies, NOW_NS, offset=0).rows.splitlines()
        assert [clock.to_text(int(row.split(b"\t")[0])) for row in rows] == expected * copies
    utc = JsonLines(MAX_RECORD_BYTES).decode(zoneless * copies, NOW_NS).rows
    assert clock.to_text(int(utc.split(b"\t")[0])) == "2023-07-01T08:00:00.5Z"


# -- what fits is read by the engine -----------------------------------------------------------------------------------

# One engine path a process: the engine is asked in a process of its own.
ENGINE = """
import json, sys
from chdb.session import Session
from logriver.store.embedded import MemoryFile
session = Session()
for line in sys.stdin:
    documents, keys = json.loads(line)
    rows = "".join(json.dumps({"d": d, "k": k}) + "\\n" for d, k in zip(documents, keys))
    with MemoryFile(rows.encode()) as path:
        source = f"file('{path}', 'JSONEachRow', 'd String, k String')"
        sql = f"SELECT JSONHas(d, k), JSONExtractRaw(d, k) FROM {source}"
        print(session.query(sql, "JSONCompact").bytes().decode().replace("\\n", " "), flush=True)
"""


@pytest.fixture(scope="module")
def engine() -> Any:
    process = subprocess.Popen([sys.executable, "-c", ENGINE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout

    def read(documents: list[str], keys: list[str]) -> list[str | None]:
        """The engine's JSON text of each document's field, None where it finds none."""
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps([documents, keys]) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return [raw if has else None for has, raw in answer["data"]]

    yield read
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def top_level(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


@given(st.lists(st.dictionaries(odd_text, anything, min_size=1, max_size=4), min_size=1, max_size=20))
@settings(max_examples=60)
def test_the_engine_reads_every_field_of_what_fits(engine: Any, sent: list[dict[str, Any]]) -> None:
    validator = JsonValidator()
    documents, keys, values = [], [], []
    for record in sent:
        text = top_level(record)
        assert validator.refusal(text) is None
        fields = fields_of(text)
        kept = msgspec.json.encode(fields).decode()
        for key in fields:
            documents.append(kept)
            keys.append(key)
            values.append(record[key])
    found = engine(documents, keys)
    assert None not in found
    assert [comparable(json.loads(raw)) for raw in found] == [comparable(value) for value in values]


def comparable(value: Any) -> Any:
    """A large whole float is written without a point by the engine: as floats they are the same again."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return float(value)
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    return value


UNREADABLE = [
    '"a":1e999',
    '"a":-1e400',
    '"a":18446744073709551616',
    '"a":"\\ud800"',
    '"a":"\\udc00x"',
    '"a":NaN',
    '"a":' + "[" * 1100 + "1" + "]" * 1100,
]


@pytest.mark.parametrize("field_text", UNREADABLE, ids=[text[:24] for text in UNREADABLE])
def test_what_the_engine_cannot_read_does_not_enter(field_text: str) -> None:
    decode = JsonLines(MAX_RECORD_BYTES)
    bad = f'{{"message":"m",{field_text}}}'.encode()
    good = json.dumps({"message": FILLER, "a": 1}).encode()
    for _ in range(3):
        decoded = decode.decode(b"\n".join([good, bad, good]), NOW_NS)
        assert (decoded.count, [refused.line for refused in decoded.refused]) == (2, [2])


@pytest.mark.parametrize("kind", ["[]", "{}"])
def test_nesting_and_keys_have_a_limit(kind: str) -> None:
    validator = JsonValidator()
    opening, closing = ("[", "]") if kind == "[]" else ('{"k":', "}")

    def nested_text(depth: int) -> bytes:
        return ('{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()

    def wide(keys: int) -> bytes:
        return ("{" + ",".join(f'"{number}":0' for number in range(keys)) + "}").encode()

    assert validator.refusal(nested_text(MAX_NESTING)) is None
    assert validator.refusal(nested_text(MAX_NESTING + 1)) == f"nested deeper than {MAX_NESTING}"
    assert validator.fits(nested_text(MAX_NESTING))
    assert not validator.fits(nested_text(MAX_NESTING + 1))
    assert validator.refusal(wide(MAX_KEYS)) is None
    assert validator.refusal(wide(MAX_KEYS + 1)) == f"{MAX_KEYS + 1} keys, more than {MAX_KEYS}"
