"""However the same records are arranged in a body, they give the same rows."""

import json
import timeit
import tracemalloc
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver.decode.json import body as json_body
from logriver.decode.json.body import array_pieces, decode_body
from logriver.decode.json.lines import JsonLines
from logriver.errors import BadBody, TooLarge

NOW_NS = 10**18
RECORD = {
    "level": "error",
    "message": "Failed to connect to DB, the third of three attempts, giving up until the next round",
    "resourceId": "server-1234",
    "timestamp": "2023-09-15T08:00:00Z",
    "traceId": "abc-xyz-123",
    "spanId": "span-456",
    "commit": "5e5342f",
    "metadata": {"parentResourceId": "server-0987", "region": "eu-1", "zone": "b", "attempt": 3, "cached": False},
}

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(st.characters(codec="utf-8"))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)
records = st.dictionaries(
    st.sampled_from(["message", "msg", "a", "b", "service", "log"]), values, min_size=1, max_size=5
)


def decoded(body: bytes) -> tuple[list[Any], list[int]]:
    """The fields of the rows, attributes as values, and the numbers of what was refused."""
    found = decode_body(body, JsonLines(100_000), NOW_NS)
    rows = found.rows.decode().split("\n")[:-1]
    assert len(rows) == found.count
    read = msgspec.json.decode
    unescaped = [
        row.replace("\\\\", "\0").replace("\\t", "\t").replace("\\n", "\n").replace("\0", "\\") for row in rows
    ]
    assert all(row.count("\t") >= 9 for row in unescaped)
    attributes = [
        read(row.split("\t")[7].replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")) for row in rows
    ]
    return [[row.split("\t")[:7], fields] for row, fields in zip(rows, attributes, strict=True)], [
        refused.line for refused in found.refused
    ]


@given(st.lists(records, min_size=1, max_size=4))
def test_every_arrangement_of_the_same_records_gives_the_same_rows(sent: list[dict[str, Any]]) -> None:
    texts = [json.dumps(record) for record in sent]
    expected = decoded("\n".join(texts).encode())
    assert len(expected[0]) == len(sent)
    for body in (
        "\r\n".join(texts),
        "".join(texts),
        "\r".join(texts),
        json.dumps(sent),
        json.dumps(sent, indent="  ", ensure_ascii=False),
        "\n".join(json.dumps(record, indent=1) for record in sent),
        "\ufeff\n\n" + "\n\n".join(texts) + "\n ",
    ):
        assert decoded(body.encode()) == expected


@pytest.mark.parametrize(
    ("body", "count", "refused"),
    [
        (b"{}", 1, []),
        (b"[]", 0, []),
        (b"[{}, {}]", 2, []),
        (b'{"a":1}\nbad\n{"a":2}', 2, [2]),
        (b'{"a":1}\n\n\nbad', 1, [4]),
        (b'{"a":1} {"a":2} bad {"a":3}', 2, [3]),
        (b'{"a":1},{"a":2}', 1, [2]),
        (b'bad\n{"a":1}', 0, [1]),
        (b"5\n6", 0, [1, 2]),
        (b"[{}, 5, {}]", 2, [2]),
        (b'{"a":\n1}\n{"a":\n"\xff"}', 0, [1]),
    ],
)
def test_what_is_taken_and_what_refused(body: bytes, count: int, refused: list[int]) -> None:
    found = decode_body(body, JsonLines(1000), NOW_NS)
    assert (found.count, [refusal.line for refusal in found.refused]) == (count, refused)


@pytest.mark.parametrize("body", [b"", b"  \n", b"[", b"[1", b"[{}] {}", b"[{},]", b"[" * 100_000])
def test_what_is_no_body_at_all(body: bytes) -> None:
    with pytest.raises(BadBody):
        decode_body(body, JsonLines(1000), NOW_NS)


@given(
    st.lists(values, max_size=12),
    st.sampled_from([",", ", ", "\n,", " ,\n  "]),
    st.one_of(st.none(), st.tuples(st.integers(0, 200), st.sampled_from(["", ",", "]", "[", "}", " ", '"', "1"]))),
)
def test_an_array_in_pieces_is_that_array(elements: list[Any], separator: str, change: tuple[int, str] | None) -> None:
    text = "[" + separator.join(map(json.dumps, elements)) + "]"
    if change is not None:
        at, instead = change
        text = f"[{text[1:at]}{instead}{text[at + 1 :]}"
    body = text.encode()
    try:
        expected = [bytes(element) for element in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
        expected = None
    for size in (1, 8, 40):
        with mock.patch.object(json_body, "_PIECE_BYTES", size):
            if expected is None:
                with pytest.raises(BadBody):
                    list(array_pieces(body))
            else:
                assert [element for piece in array_pieces(body) for element in piece] == expected


def test_where_a_long_array_is_broken_is_told_by_its_bytes() -> None:
    elements = json.dumps([RECORD] * 2000)[:-1]
    with pytest.raises(BadBody, match=rf"\(byte {len(elements) + 2}\)"):
        list(array_pieces(f"{elements}, ?]".encode() + b" " * 10))


@pytest.mark.parametrize("arrangement", ["1\n", "{}\n", "[1,", "[{},", "[[1,1],", "{\n} ", '{"a":\n1}{}'])
def test_many_small_records_are_refused_before_they_take_memory(arrangement: str) -> None:
    """In memory a record of two bytes takes some hundred."""
    many = arrangement.removeprefix("[")
    body = many * (2_000_000 // len(many))
    body = f"[{body[:-1]}]" if arrangement.startswith("[") else body
    decoder, sent = JsonLines(1000), body.encode()
    tracemalloc.start()
    try:
        with mock.patch.object(json_body, "MAX_RECORDS", 20_000), pytest.raises(TooLarge, match="20000 records"):
            decode_body(sent, decoder, NOW_NS)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def test_records_with_long_lists_are_taken() -> None:
    """Each has more commas than a body may have records, and none of them is between two."""
    record = json.dumps({"vector": [0] * 600_000})
    assert decode_body(f"[{record}, {record}\n,{record}]".encode(), JsonLines(2_000_000), NOW_NS).count == 3


def test_only_what_is_more_is_too_many() -> None:
    with mock.patch.object(json_body, "MAX_RECORDS", 3):
        assert decode_body(b"{}\n{}\n{}\n\n", JsonLines(1000), NOW_NS).count == 3
        assert decode_body(b"[{},{},{}]", JsonLines(1000), NOW_NS).count == 3
        for body in (b"{}\n{}\n{}\n{}", b"[{},{},{},{}]"):
            with pytest.raises(TooLarge):
                decode_body(body, JsonLines(1000), NOW_NS)
    with mock.patch.object(json_body, "_MAX_COMMAS", 3), pytest.raises(TooLarge, match="more than 3 values"):
        decode_body(b"[[1,2,3,4,5]]", JsonLines(1000), NOW_NS)


def test_a_single_record_costs_little() -> None:
    """Against a bare parse of the same bytes in the same run."""
    body = json.dumps(RECORD).encode()
    decoder = JsonLines(100_000)

    def ratio() -> float:
        ours = timeit.timeit(lambda: decode_body(body, decoder, NOW_NS), number=2000)
        return ours / timeit.timeit(lambda: msgspec.json.decode(body), number=2000)

    assert min(ratio() for _ in range(15)) < 12
