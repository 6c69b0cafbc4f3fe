"""Access logs: the fields of common and combined lines, and what becomes of the others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.formats import recognise
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS, decoded

NAMES = [column.name for column in DECODED_COLUMNS]
COMMON = '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/1.0"


def unescape(value: str) -> str:
    return "\\".join(part.replace("\\t", "\t").replace("\\n", "\n") for part in value.split("\\\\"))


def rows_of(chunk: bytes) -> list[dict[str, str]]:
    found = decoded("access", chunk, 100, zone="+01:00")
    lines = found.rows.decode().split("\n")[:-1]
    assert len(lines) == found.count
    assert found.refused == []
    return [dict(zip(NAMES, map(unescape, line.split("\t")), strict=True)) for line in lines]


def fields_of(line: str) -> dict[str, Any]:
    (row,) = rows_of(line.encode() + b"\n")
    assert (row["message"], row["level"], row["_offset"]) == (line, "", "100")
    assert clock.to_text(int(row["timestamp"])) == "2000-10-10T20:55:36Z"
    fields: dict[str, Any] = json.loads(row["attributes"])
    return fields


BASE = {
    "client": "127.0.0.1",
    "user": "frank",
    "method": "GET",
    "path": "/apache_pb.gif",
    "protocol": "HTTP/1.0",
    "status": 200,
    "bytes": 2326,
}


def test_common() -> None:
    assert fields_of(COMMON) == BASE


@pytest.mark.parametrize("rest", ["", ' "10.0.0.9"', " 0.012 pool-1", ' "-" rt=0.1'])
def test_combined_and_what_follows(rest: str) -> None:
    line = f'{COMMON} "https://example.org/?q=\\"a\\"" "{AGENT}"{rest}'
    assert fields_of(line) == BASE | {"referer": 'https://example.org/?q="a"', "user_agent": AGENT}


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        (COMMON.replace("frank", "-").replace("2326", "-"), {"user": None, "bytes": None}),
        (COMMON + ' "-" "-"', {}),
        (COMMON.replace("127.0.0.1", "2001:db8::7"), {"client": "2001:db8::7"}),
        ("example.org:443 " + COMMON, {}),
        (COMMON.replace("frank", "anna b"), {"user": "anna b"}),
        (COMMON.replace("/apache_pb.gif", "/a b"), {"path": "/a b"}),
        (COMMON.replace("GET /apache_pb.gif HTTP/1.0", "GET /"), {"path": "/", "protocol": None}),
        (COMMON.replace("GET /apache_pb.gif HTTP/1.0", "-"), {"method": None, "path": None, "protocol": None}),
        (
            COMMON.replace("GET /apache_pb.gif HTTP/1.0", "\\x16\\x03\\x01"),
            {"method": None, "path": "\\x16\\x03\\x01", "protocol": None},
        ),
        (COMMON.replace("/apache_pb.gif", "/größe\t"), {"path": "/größe\t"}),
    ],
)
def test_fields_that_differ(line: str, changed: dict[str, str | None]) -> None:
    assert fields_of(line) == {name: value for name, value in (BASE | changed).items() if value is not None}


def test_other_lines_are_text() -> None:
    chunk = f"{COMMON}\n2024/01/02 03:04:05 [error] 7#7: x\n{COMMON.replace('Oct', 'Okt')}\n".encode()
    rows = rows_of(chunk)
    assert [clock.to_text(int(row["timestamp"])) for row in rows] == [
        "2000-10-10T20:55:36Z",
        "2024-01-02T02:04:05Z",
        clock.to_text(NOW_NS),
    ]
    assert [row["level"] for row in rows] == ["", "error", ""]


def test_a_day_that_is_none() -> None:
    (row,) = rows_of(COMMON.replace("10/Oct", "31/Feb").encode() + b"\n")
    assert int(row["timestamp"]) == NOW_NS
    assert json.loads(row["attributes"])["time_text"] == "31/Feb/2000:13:55:36 -0700"


@pytest.mark.parametrize("line", [COMMON, f'{COMMON} "-" "{AGENT}"', "vhost " + COMMON])
def test_recognised(line: str) -> None:
    assert recognise(f"{line}\nrubbish\n{line}\n".encode()) == "access"


@given(st.lists(st.text(st.sampled_from('1a- []":/\\\t\r'), max_size=40).map(str.encode), max_size=20))
@within_cpu_time
def test_every_line_is_a_row(lines: list[bytes]) -> None:
    rows = rows_of(b"".join(line + b"\n" + COMMON.encode() + b"\n" for line in lines))
    assert len(rows) == len(lines) + sum(line not in (b"", b"\r") for line in lines)


@pytest.mark.parametrize("part", ["1 ", '"', "\\", "[", "1"])
def test_hostile_lines_take_no_time(part: str) -> None:
    begin = clock.monotonic()
    for start in ("", "a - b ", COMMON[:51], COMMON[:60]):
        (row,) = rows_of((start + part * (500_000 // len(part)) + "x\n").encode())
        assert row["level"] == ""
    assert clock.monotonic() - begin < 2
