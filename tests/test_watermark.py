"""Watermarks and the cursors that hold them."""

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver.errors import BadRequest
from logriver.search import cursor as cursors
from logriver.watermark import Watermark

WATERMARKS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)).map(Watermark)


@given(WATERMARKS, WATERMARKS)
def test_the_higher_one_covers_what_either_covers(one: Watermark, other: Watermark) -> None:
    both = one.higher(other)
    for node in "abcd":
        for seq in range(1, 8):
            assert both.covers(node, seq) == (one.covers(node, seq) or other.covers(node, seq))
    assert not one.is_ahead_of(both)
    assert one.is_ahead_of(other) == any(seq > other.get(node, 0) for node, seq in one.items())


def test_it_does_not_change() -> None:
    first = Watermark({"b": 1, "a": 2})
    moved = first.moved("b", 3)
    assert dict(first) == {"a": 2, "b": 1}
    assert dict(moved) == {"a": 2, "b": 3}
    assert hash(Watermark({"a": 2, "b": 1})) == hash(first)
    with pytest.raises(TypeError):
        first["a"] = 5  # type: ignore[index]


def test_of_the_nodes_of_another_a_new_one_begins_at_nothing() -> None:
    assert Watermark({"a": 2, "gone": 9}).of_nodes(Watermark({"a": 7, "new": 4})) == {"a": 2, "new": 0}


@given(st.dictionaries(st.text(max_size=10), st.integers(0, 2**63 - 1), max_size=4).map(Watermark))
def test_a_cursor_gives_back_the_watermark(watermark: Watermark) -> None:
    page = cursors.Cursor(watermark, None, 5, "desc", 7, "n", 3)
    assert cursors.decode(cursors.encode(page)) == page
    tail = cursors.TailCursor(watermark)
    assert cursors.decode_tail(cursors.encode(tail)) == tail
    assert cursors.decode_tail(cursors.encode(page)) == tail


@pytest.mark.parametrize("earlier", [[1, 20, None, None, "desc", 7, "n", 3, 0, False, 0], [2, 20]])
def test_a_cursor_of_an_earlier_version_is_refused_as_such(earlier: list[object]) -> None:
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode(earlier)).decode().rstrip("=")
    for decode in (cursors.decode, cursors.decode_tail):
        with pytest.raises(BadRequest, match="earlier version"):
            decode(text)


@pytest.mark.parametrize("numbers", [{"n": -1}, {"n": "x"}, {"n": 2**64 - 1}, {1: 1}, [1], 5, None])
def test_a_cursor_with_no_watermark_is_none(numbers: object) -> None:
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode([4, numbers])).decode().rstrip("=")
    with pytest.raises(BadRequest, match="not a cursor"):
        cursors.decode_tail(text)
