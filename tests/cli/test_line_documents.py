"""What `logriver send` makes of lines: the record is the one that a followed file with the same lines would give."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.cli.line_documents import LineDocuments
from logriver.columns import ALIASES, DECODED_COLUMNS
from logriver.decode.formats import SAMPLE_LINES, recognise
from logriver.decode.json.lines import JsonLines
from logriver.decode.row_builder import values
from logriver.record import Decoded
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import decoded

NOW_NS = clock.from_text("2026-03-01T12:00:00Z")
NAMES = [column.name for column in DECODED_COLUMNS]
MAX_RECORD_BYTES = 20_000_000
SHAPES = [
    text.split("\t", 2)[2]
    for file in sorted((Path(__file__).parents[1] / "decode" / "shapes").glob("*.txt"))
    for text in file.read_text().split("\n")[:-1]
]
ACCESS = [
    '10.0.0.1 - - [14/Sep/2024:16:15:35 +0200] "GET /a?b=1 HTTP/1.1" 500 12 "-" "curl/8"',
    '10.0.0.2 - ann [14/Sep/2024:16:15:36 +0200] "POST / HTTP/2" 204 -',
]
PAIRS = [
    'time=2024-01-02T03:04:05Z level=info msg="started up" port=80',
    "ts=yesterday level=E msg=x message=y traceId=4bf92f3577b34da6a3ce929d0e0e4736 log.level=warn a",
    'at=warning method=GET path=/ host=h hostname=i service=s service.name=t timestamp=x body="a\\tb" _id=1',
]
CALLS = ["2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772", "2024-09-14 16:15:36 cust_6 /x 404 1e-3 more"]

pairs = st.lists(
    st.tuples(
        st.sampled_from([*ALIASES, "a", "b.c", "trace", "service.name.x", "_id", "_source", "attributes"]),
        st.sampled_from(
            ["", "x", "2024-01-02T03:04:05Z", "30", "1e400", "WARN", '"a b"', '"\\u00e9\\t"', "null", "{}"]
        ),
    ),
    min_size=2,
    max_size=8,
).map(lambda given: " ".join(f"{name}={value}" for name, value in given))
texts = pairs | st.sampled_from([*SHAPES, *ACCESS, *PAIRS, *CALLS]) | st.text(max_size=40)
lines = st.lists(
    (texts.map(str.encode) | st.binary(max_size=40))
    .map(lambda line: line.replace(b"\n", b"").rstrip(b"\r"))
    .filter(lambda line: line != b"" and not line.lstrip().startswith(b"{")),
    min_size=1,
    max_size=12,
)


@pytest.fixture(autouse=True, scope="module")
def one_moment() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now_ns", lambda: NOW_NS)
        yield


def rows_of(found: Decoded) -> list[dict[str, object]]:
    """Without what only a file has, and without the spelling of the level."""
    rows = []
    for line in found.rows.decode().split("\n")[:-1]:
        row: dict[str, object] = dict(zip(NAMES, values(line), strict=True))
        attributes = json.loads(str(row["attributes"]))
        # A time that is none keeps its name in a file, where a server refuses it.
        if "timestamp" in attributes:
            attributes["time_text"] = attributes.pop("timestamp")
        row["attributes"] = attributes
        rows.append({name: value for name, value in row.items() if name not in ("_offset", "_level")})
    return rows


def sent(documents: list[bytes]) -> list[dict[str, object]]:
    found = JsonLines(MAX_RECORD_BYTES).decode(b"".join(documents), NOW_NS)
    assert found.refused == []
    return rows_of(found)


def followed(lines: list[bytes]) -> list[dict[str, object]]:
    chunk = b"".join(line + b"\n" for line in lines)
    name = recognise(chunk)
    return rows_of(decoded("text" if name in ("json", "cri", "docker") else name, chunk, now_ns=NOW_NS))


@settings(max_examples=300)
@given(lines)
@within_cpu_time
def test_a_line_becomes_what_it_does_in_a_followed_file(lines: list[bytes]) -> None:
    as_followed = followed(lines)
    as_sent = sent(LineDocuments("", "UTC").of(lines))
    if len(as_followed) == len(lines):
        assert as_sent == as_followed
    else:
        # A format that refuses lines has them as text here: none is lost.
        assert len(as_sent) == len(lines)
        assert all(row in as_sent for row in as_followed)


@pytest.mark.parametrize("examples", [ACCESS, PAIRS, CALLS], ids=["access", "logfmt", "api_requests"])
def test_formats_are_recognised(examples: list[str]) -> None:
    rows = sent(LineDocuments("", "UTC").of([line.encode() for line in examples * 3]))
    assert rows == followed([line.encode() for line in examples * 3])
    assert all(row["attributes"] for row in rows)


def test_the_format_is_certain_after_enough_lines() -> None:
    documents = LineDocuments("", "UTC")
    pair, text = b"level=info msg=a n=1", b"2024-01-02 03:04:05 ERROR x"
    assert json.loads(documents.of([text])[0])["message"] == text.decode()
    assert json.loads(documents.of([pair] * SAMPLE_LINES)[0])["message"] == "a"
    assert json.loads(documents.of([text] * 1000)[0])["level"] == "ERROR"
    assert json.loads(documents.of([pair])[0])["message"] == "a"


def test_times_without_a_zone_are_in_the_given_one() -> None:
    (document,) = LineDocuments("", "+02:00").of([b"2024-09-14 16:15:35 WARN disk full"])
    assert json.loads(document) == {
        "timestamp": "2024-09-14T14:15:35Z",
        "level": "WARN",
        "message": "2024-09-14 16:15:35 WARN disk full",
    }


def test_objects_and_text_stay_in_their_order() -> None:
    documents = LineDocuments("web", "UTC").of([b'{"a":1}', b"ERROR b", b'{"a":NaN}', b' {"service":"own"}'])
    assert documents[0] == b'{"service":"web","a":1}\n'
    assert documents[3] == b' {"service":"own"}\n'
    assert [json.loads(document)["message"] for document in documents[1:3]] == ["ERROR b", '{"a":NaN}']
    assert json.loads(documents[1])["level"] == "ERROR"
    assert json.loads(documents[1])["service"] == "web"


@given(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False))
)
@within_cpu_time
def test_an_object_gets_a_service_and_stays_as_it_was(record: dict[str, object]) -> None:
    line = json.dumps(record).encode()
    expected = record if {"service", "service.name"} & set(record) else {"service": "web", **record}
    assert json.loads(LineDocuments("web").of([line])[0]) == expected
    assert LineDocuments("").of([line]) == [line + b"\n"]


@given(st.lists(st.binary(min_size=1).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r")), max_size=5))
@within_cpu_time
def test_any_line_becomes_one_line_of_json(lines: list[bytes]) -> None:
    lines = [line for line in lines if line]
    documents = LineDocuments("web").of(lines)
    assert len(documents) == len(lines)
    assert all(document.count(b"\n") == 1 and isinstance(json.loads(document), dict) for document in documents)
