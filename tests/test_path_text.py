"""The spelling of paths: one for each path, valid UTF-8, and read back to the same bytes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver.path_text import path_of, printable, spelled, text_of

_PIECES = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from(
        [b"\\", b"\\x", b"\\xe9", b"\\x5c", b"\\xE9", b"x5c", b"\xc3", b"\xa9", "é".encode(), b"\x1b[2J", b"\n"]
    ),
)
PATHS = st.lists(_PIECES, max_size=8).map(b"".join).map(os.fsdecode)


@given(PATHS)
def test_a_spelling_is_utf8_and_reads_back_to_the_path(path: str) -> None:
    text = text_of(path)
    text.encode("utf-8")
    assert path_of(text) == path
    assert path_of(printable(text)) == path
    assert spelled(text) == text


@given(PATHS, PATHS)
def test_two_paths_are_never_spelled_alike(one: str, other: str) -> None:
    assert (text_of(one) == text_of(other)) == (one == other)


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda path: "\\x" not in path))
def test_every_other_path_is_its_own_spelling(path: str) -> None:
    assert text_of(path) == path_of(path) == spelled(path) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/a/caf\xe9.log", r"/a/caf\xe9.log"),
        (rb"/a/caf\xe9.log", r"/a/caf\x5cxe9.log"),
        (rb"/a/my\x2ddisk.log", r"/a/my\x5cx2ddisk.log"),
        (rb"/a/my\disk\xg.log", r"/a/my\disk\xg.log"),
        ("/a/café\n.log".encode(), "/a/café\n.log"),
        (b"/a/\xff\xfe", r"/a/\xff\xfe"),
    ],
)
def test_spellings(path: bytes, text: str) -> None:
    assert text_of(os.fsdecode(path)) == text
    assert os.fsencode(path_of(text)) == path


def test_what_people_read_has_nothing_that_a_terminal_obeys() -> None:
    assert printable("a\x1b[2J\n\u202eb é") == r"a\x1b[2J\x0a\xe2\x80\xaeb é"


def test_what_somebody_typed_may_have_the_bytes_themselves() -> None:
    assert spelled(os.fsdecode(rb"caf\xe9 " + b"\xe9")) == r"caf\xe9 \xe9"
