"""Formats that users name: groups become fields as names of JSON records do, and what does not match stays text."""

import codecs
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.source_options import checked_formats
from logriver.decode.time import zones
from logriver.errors import SettingsError
from logriver.follow.paths import path_patterns
from logriver.record import Decoded
from logriver.settings import FollowSettings
from tests.cpu_time import within_cpu_time
from tests.decode import decoding
from tests.decode.decoding import NOW_NS

NAMES = [column.name for column in DECODED_COLUMNS]
SHOP = r"(?P<timestamp>\S+ \S+) (?P<level>\w+) \[(?P<service>[^\]]+)\] (?P<message>.*)"


def decoded(pattern: str, text: bytes, max_record_bytes: int = 1000, **options: Any) -> Decoded:
    return decoding.decoded("shop", text, pattern=pattern, max_record_bytes=max_record_bytes, **options)


def rows(result: Decoded) -> list[dict[str, str]]:
    lines = result.rows.decode().splitlines()
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines]


def test_groups_are_the_fields_of_a_record() -> None:
    (row,) = rows(decoded(SHOP, b"2026-02-03 04:05:06,789 WARNING [shop] low on caf\xc3\xa9\n"))
    assert clock.to_text(int(row["timestamp"])) == "2026-02-03T04:05:06.789Z"
    assert (row["level"], row["_level"], row["service"], row["message"]) == ("warn", "WARNING", "shop", "low on café")
    assert row["attributes"] == "{}"


def test_other_groups_are_texts_and_aliases_are_read() -> None:
    pattern = r"^(?P<ts>\d+) (?P<severity>\w+) (?P<msg>.*?) took (?P<took_ms>\d+)(?: of (?P<budget>\d*))?$"
    first, second = rows(decoded(pattern, b"1770000000 err pay took 017 of 20\n1770000001 info x took 5 of \n"))
    assert (first["level"], first["message"], clock.to_text(int(first["timestamp"]))) == (
        "error",
        "pay",
        "2026-02-02T02:40:00Z",
    )
    assert json.loads(first["attributes"]) == {"took_ms": "017", "budget": "20"}
    assert json.loads(second["attributes"]) == {"took_ms": "5"}


def test_without_a_group_for_it_the_message_is_the_line() -> None:
    (row,) = rows(decoded(r"user=(?<user>\w+)", b"login user=anna from 10.0.0.1\n"))
    assert (row["message"], row["attributes"]) == ("login user=anna from 10.0.0.1", '{"user":"anna"}')


def test_a_line_that_does_not_match_is_text_and_counted() -> None:
    result = decoded(SHOP, b"2026-02-03 04:05:06 ERROR started\n\nnothing\n" + b"x" * 1001 + b"\n")
    assert [(row["message"], row["level"]) for row in rows(result)] == [
        ("2026-02-03 04:05:06 ERROR started", "error"),
        ("nothing", ""),
    ]
    assert (result.count, result.unmatched, len(result.refused)) == (2, 2, 1)


def test_a_time_that_cannot_be_stays_a_field() -> None:
    (row,) = rows(decoded(SHOP, b"2026-02-30 04:05:06 INFO [shop] x\n"))
    assert int(row["timestamp"]) == NOW_NS
    assert json.loads(row["attributes"]) == {"timestamp": "2026-02-30 04:05:06"}


def test_the_zone_of_the_source_is_that_of_its_times() -> None:
    (row,) = rows(decoded(SHOP, b"2026-07-01 12:00:00 INFO [shop] x\n", zone="Europe/Paris"))
    assert clock.to_text(int(row["timestamp"])) == "2026-07-01T10:00:00Z"
    assert zones.zone("Europe/Paris")(int(row["timestamp"])) == 7200


def test_of_several_lines_the_first_is_matched() -> None:
    text = b"2026-02-03 04:05:06 INFO [shop] one\n  two\n2026-02-03 04:05:07 INFO [shop] three\n"
    first, second = rows(decoded(SHOP, text, multiline="indent"))
    assert (first["message"], first["service"], second["message"]) == ("one\\n  two", "shop", "three")


@pytest.mark.parametrize(
    ("formats", "reason", "position"),
    [
        ({"shop": r"(?P<a>x)(y"}, r"the regular expression of format 'shop' is wrong at character 1: missing \)", 0),
        ({"shop": r"(?P<a>x)\Z"}, r"wrong at character 9: invalid escape sequence", 8),
        ({"shop": r"(?P<a>x)(?=y)"}, r"wrong at character 9: invalid perl operator", 8),
        ({"shop": r"x+"}, "format 'shop' names no field", None),
        ({"shop": r"(?P<a>x)|(?P<a>y)"}, "format 'shop' names 'a' twice", None),
        ({"json": r"(?P<a>x)"}, "a format cannot be called 'json'", None),
        ({"a b": r"(?P<a>x)"}, "a format cannot be called 'a b'", None),
    ],
)
def test_a_pattern_that_cannot_be(formats: Mapping[str, str], reason: str, position: int | None) -> None:
    with pytest.raises(SettingsError, match=reason) as raised:
        checked_formats(formats)
    assert raised.value.position == position


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"follow": ["shp=x.log"]}, "unknown format 'shp'"),
        ({"sources": [{"path": "x.log", "format": "shp"}]}, "unknown format 'shp'"),
        ({"sources": [{"path": "x.log", "zone": "Mars"}]}, "unknown time zone 'Mars'"),
        ({"sources": [{"path": "x.log", "labels": {"message": "x"}}]}, "'message' cannot be a label"),
    ],
)
def test_a_source_that_cannot_be(wanted: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as raised:
        path_patterns(FollowSettings.model_validate({"formats": {"shop": SHOP}, **wanted}))
    assert "shop" in (raised.value.hint or "") or "format" not in reason


@given(st.binary(max_size=200))
@example(codecs.BOM_UTF8)
@example(codecs.BOM_UTF8 + b"one\n" + codecs.BOM_UTF8)
@within_cpu_time
def test_no_line_is_lost_whatever_its_bytes(text: bytes) -> None:
    result = decoded(r"^(?P<a>[a-f\s]*)(?P<message>.)(?P<b>.*)$", text, 20)
    # The mark at the beginning of a file is no line.
    there = [line for line in text.removeprefix(codecs.BOM_UTF8).split(b"\n") if line.removesuffix(b"\r")]
    assert result.count + len(result.refused) == len(there)
    assert result.rows.count(b"\n") == result.count
