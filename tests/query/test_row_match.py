"""The search language on lines that were never stored: the same answers as the model that holds the engine to it."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings

from logriver.decode.json.lines import JsonLines
from logriver.decode.lines.api_requests import ApiRequests
from logriver.errors import BadQuery
from logriver.files.found_row import rows_of
from logriver.query.language.parser import parse
from logriver.query.match.needed_words import needed_words
from logriver.query.match.row import Row, text_of
from logriver.query.match.row_match import holds
from tests.query import language_records
from tests.query.language_cases import CASES
from tests.query.language_model import Holds, Record
from tests.query.test_language_http import combined

LIMIT = 1_000_000


def rows() -> list[tuple[bytes, Row, Record]]:
    """Each line with its record, as a decoder and as the model reads it."""
    sent = language_records.sent_records()
    lines = [json.dumps(record, ensure_ascii=False).encode() for record in sent]
    decoded = rows_of(JsonLines(LIMIT).decode(b"\n".join(lines) + b"\n", 0, offset=0), "/var/log/app.log")
    requests = language_records.request_lines()
    text = "".join(f"{line}\n" for line in requests).encode()
    decoded += rows_of(ApiRequests(LIMIT).decode(text, 0), "/var/log/api.log")
    lines += [line.encode() for line in requests]
    records = [*sent, *map(language_records.request_record, requests)]
    assert len(decoded) == len(lines)
    return [(line, row, Record(record)) for line, (row, _), record in zip(lines, decoded, records, strict=True)]


ROWS = rows()


def check(q: str, model: Holds) -> None:
    query = parse(q).where
    found = holds(query)
    assert [line for line, row, record in ROWS if found(row) != model(record)] == []
    for words in needed_words(query):
        pattern = re.compile("|".join(words).encode(), re.IGNORECASE)
        assert [line for line, row, _ in ROWS if found(row) and not pattern.search(line)] == []


@pytest.mark.parametrize(("q", "model"), CASES, ids=[q for q, _ in CASES])
def test_a_text_finds_what_the_model_finds(q: str, model: Holds) -> None:
    assert any(model(record) for _, _, record in ROWS)
    check(q, model)


@given(combined())
@settings(max_examples=60)
def test_any_combination_means_what_it_says(made: tuple[str, Holds, int]) -> None:
    q, model, _ = made
    check(q, model)


def test_of_equal_keys_the_first_counts_as_in_the_engine() -> None:
    line = b'{"message":"m","a":{"b":1,"c":{"d":5},"c":{"d":6},"b":2}}\n'
    ((row, _),) = rows_of(JsonLines(LIMIT).decode(line, 0, offset=0), "/x")
    for q, is_found in (("a.b:1", True), ("a.b:2", False), ("*:1", True), ("*:6", False), ("a.c.d:5", True)):
        assert holds(parse(q).where)(row) is is_found, q


@pytest.mark.parametrize("q", ["", "*", "*:*", "timestamp:*", "_source:/var*", "NOT _id:x", "-_received:>2020-01-01"])
def test_everything(q: str) -> None:
    found = holds(parse(q).where)
    assert all(found(row) for _, row, _ in ROWS)


@pytest.mark.parametrize("q", ["_id:*", "_received:>2020-01-01", "_seq:>0", "_node:*"])
def test_a_line_of_a_file_has_nothing_that_only_stored_records_have(q: str) -> None:
    found = holds(parse(q).where)
    assert not any(found(row) for _, row, _ in ROWS)


@pytest.mark.parametrize("q", ['=~"("', "timestamp:>yesterday", '=~"(a{400}){2}"', "_seq:>many"])
def test_what_the_engine_refuses_is_refused(q: str) -> None:
    with pytest.raises(BadQuery):
        holds(parse(q).where)


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ("failed connect", [{"connect"}, {"failed"}]),
        ("a OR bcd", [{"a", "bcd"}]),
        ("level:error", []),
        ("failed OR level:error", []),
        ("failed level:error", [{"failed"}]),
        ("(a bcd OR ef) ghij", [{"ghij"}, {"bcd", "ef"}]),
        ('=~"user_id=[0-9]+ gone at"', [{"gone"}, {"id"}]),
        ("traceId:ab-xyz1", [{"xyz1"}, {"ab"}]),
        ("NOT failed", []),
        ("café", [{"caf"}]),
    ],
)
def test_the_words_that_a_line_needs(q: str, words: list[set[str]]) -> None:
    assert needed_words(parse(q).where) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e-5, "0.00001"),
        (1e-7, "1e-7"),
        (1e20, "1" + 20 * "0"),
        (1e21, "1e21"),
        (True, "true"),
    ],
)
def test_numbers_as_the_engine_writes_them(value: Any, text: str) -> None:
    assert text_of(value) == text
