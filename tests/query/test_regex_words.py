"""The words taken out of a regular expression stand in every text that it matches."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver.query.sql.regex_words import words_of


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("user 17 changed", ["17"]),
        (r"account 17 .*bus[a-z]+$", ["17"]),
        (r"at 10\.0\.0\.1:5432: (refused|lost) after [0-9]+ ms ", ["10", "0", "1", "5432", "after", "ms"]),
        ("connect", []),
        (" a b* c+ d? e{2} f ", ["a", "f"]),
        (" a|b ", []),
        (" (a|b) c ", ["c"]),
        (" (?i)a ", []),
        (r" a\b ", []),
        (r" a\x41 ", []),
        (r" a\pN ", []),
        (r" \Qa\E ", []),
        (" a é b ", ["a", "b"]),
        (" aé b ", ["b"]),
        (" [ a ] b ", ["b"]),
        (" []a ] b ", ["b"]),
        (r" [^\] a ] b ", ["b"]),
        ("  (a ( b ) c ) d ", ["d"]),
        ("*", []),
        ("(", []),
        ("", []),
    ],
)
def test_only_whole_words_that_must_be_there(pattern: str, words: list[str]) -> None:
    assert words_of(pattern) == words


PIECES = st.sampled_from(
    [*"ab1 -.é", r"\.", r"\d", r"\w", r"\s", r"\b", "[a-b ]", "[^a]", "(", ")", "|", "*", "+", "?", "{1,2}", "^", "$"]
)


@settings(max_examples=2_000)
@given(st.lists(PIECES, max_size=12).map("".join), st.text("ab1 -.é", max_size=20))
def test_a_text_that_matches_holds_the_words(pattern: str, text: str) -> None:
    try:
        matches = re.search(pattern, text)
    except re.error:
        return
    if matches:
        assert set(words_of(pattern)) <= set(re.findall(r"[0-9A-Za-z\x80-\U0010ffff]+", text))
