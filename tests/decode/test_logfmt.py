"""logfmt lines: pairs to fields, times in whatever shape, and lines that are something else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.formats import recognise
from logriver.decode.lines.logfmt import pairs_of
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS, decoded

NAMES = [column.name for column in DECODED_COLUMNS]


def unescape(value: str) -> str:
    return "\\".join(part.replace("\\t", "\t").replace("\\n", "\n") for part in value.split("\\\\"))


def rows_of(chunk: bytes, zone: str = "UTC") -> list[dict[str, str]]:
    found = decoded("logfmt", chunk, 100, zone=zone)
    lines = found.rows.decode().split("\n")[:-1]
    assert len(lines) == found.count
    assert found.refused == []
    return [dict(zip(NAMES, map(unescape, line.split("\t")), strict=True)) for line in lines]


def row_of(line: str, zone: str = "UTC") -> dict[str, str]:
    (row,) = rows_of(line.encode() + b"\n", zone)
    return row


def test_fields_have_the_names_of_json_records() -> None:
    line = (
        'time=2024-01-02T03:04:05.678Z level=warning msg="disk \\"a\\" full\\nnow" service=api host=web-1 used=97.5 dry'
    )
    row = row_of(line)
    assert clock.to_text(int(row["timestamp"])) == "2024-01-02T03:04:05.678Z"
    assert (row["level"], row["_level"]) == ("warn", "warning")
    assert row["message"] == 'disk "a" full\nnow'
    assert (row["service"], row["host"], row["_offset"]) == ("api", "web-1", "100")
    assert json.loads(row["attributes"]) == {"used": "97.5", "dry": True}


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("time=2024-01-02T03:04:05.123456789+02:00", "2024-01-02T01:04:05.123456789Z"),
        ('time="2024-01-02 03:04:05"', "2024-01-02T03:04:05Z"),
        ("ts=1704164645.678901", "2024-01-02T03:04:05.678901Z"),
        ("ts=1704164645678", "2024-01-02T03:04:05.678Z"),
        ("ts=86400", "1970-01-02T00:00:00Z"),
        ("ts=1.704164645e9", "2024-01-02T03:04:05Z"),
        ('ts="02/Jan/2024:03:04:05 +0100"', "2024-01-02T02:04:05Z"),
        ('t=1 time="Jan  2 03:04:05"', "2026-01-02T03:04:05Z"),
    ],
)
def test_time(written: str, time: str) -> None:
    row = row_of(f"{written} msg=x")
    assert clock.to_text(int(row["timestamp"])) == time


def test_time_without_zone_is_in_the_given_zone() -> None:
    hour = "+01:00"
    assert clock.to_text(int(row_of("time=2024-01-02T03:04:05 msg=x", hour)["timestamp"])) == "2024-01-02T02:04:05Z"
    assert clock.to_text(int(row_of("time=2024-01-02T03:04:05Z msg=x", hour)["timestamp"])) == "2024-01-02T03:04:05Z"


def test_time_that_is_none_stays_a_field() -> None:
    row = row_of("time=yesterday msg=x a=1")
    assert int(row["timestamp"]) == NOW_NS
    assert json.loads(row["attributes"]) == {"time": "yesterday", "a": "1"}


def test_a_line_without_a_message_is_its_own() -> None:
    line = "at=info method=GET path=/ host=example.org status=200"
    row = row_of(line)
    assert row["message"] == line
    assert json.loads(row["attributes"]) == {"at": "info", "method": "GET", "path": "/", "status": "200"}


def test_other_lines_are_text() -> None:
    chunk = b'level=info msg=a\npanic: runtime error: "x\n2024-01-02 03:04:05 ERROR x=1 "\n'
    rows = rows_of(chunk)
    assert [row["message"] for row in rows] == ["a", 'panic: runtime error: "x', '2024-01-02 03:04:05 ERROR x=1 "']
    assert [row["level"] for row in rows] == ["info", "fatal", "error"]
    assert clock.to_text(int(rows[2]["timestamp"])) == "2024-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("a=1 b= c", {"a": "1", "b": "", "c": True}),
        ('a="x y"  b="\\u00e9\\t\\\\" ', {"a": "x y", "b": "é\t\\"}),
        ('a="\\ud800"', {"a": "\\ud800"}),
        ("a=1 a=2", {"a": "2"}),
        ("größe=5\tb=x", {"größe": "5", "b": "x"}),
        ("a=x=y", {"a": "x=y"}),
        ('a="open', None),
        ('a=b"c', None),
        ("=x", None),
        ("", None),
    ],
)
def test_pairs(line: str, pairs: dict[str, str | bool] | None) -> None:
    assert pairs_of(line) == pairs


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("time=2024-01-02T03:04:05Z level=info msg=x", "logfmt"),
        ('level=info ts=2024-01-02T03:04:05Z caller=main.go:1 msg="x y"', "logfmt"),
        ("at=info method=GET path=/", "text"),
        ("a b c d=e f=g", "text"),
        ("type=SYSCALL msg=audit(1704164645.678:123): arch=c000003e", "text"),
        ("2024-01-02T03:04:05Z level=info msg=x", "text"),
    ],
)
def test_recognised(line: str, name: str) -> None:
    assert recognise(f"{line}\n".encode() * 3) == name


@given(st.lists(st.text(st.sampled_from('ab= "\\\t\r\x00é\ud7ffu0'), max_size=30).map(str.encode), max_size=20))
@within_cpu_time
def test_every_line_is_a_row(lines: list[bytes]) -> None:
    rows = rows_of(b"".join(line + b"\n" for line in lines))
    assert len(rows) == sum(line not in (b"", b"\r") for line in lines)


@pytest.mark.parametrize("line", ["a=" * 500_000, 'a="' + "\\" * 1_000_000, "a " * 500_000, "a=1 " * 250_000])
def test_hostile_lines_take_no_time(line: str) -> None:
    begin = clock.monotonic()
    row = row_of(line)
    assert len(row["message"]) == len(line)
    assert clock.monotonic() - begin < 2
