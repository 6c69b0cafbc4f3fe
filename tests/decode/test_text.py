"""Text lines: which time, level, host and program each shape gives, and that the line itself is never touched."""

import json
import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.formats import recognise, split_source
from logriver.record import Decoded
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS, decoded

NAMES = [column.name for column in DECODED_COLUMNS]


class Row(NamedTuple):
    time: str
    level: str
    sent_level: str
    host: str
    service: str
    message: str
    attributes: dict[str, str]
    offset: int


ESCAPED = {"t": "\t", "n": "\n", "\\": "\\"}


def rows_of(found: Decoded) -> list[Row]:
    rows = []
    for line in found.rows.decode().split("\n")[:-1]:
        values = [re.sub(r"\\(.)", lambda escape: ESCAPED[escape[1]], value) for value in line.split("\t")]
        row = dict(zip(NAMES, values, strict=True))
        time = clock.to_text(int(row["timestamp"]))
        attributes = json.loads(row["attributes"])
        rows.append(
            Row(
                time,
                row["level"],
                row["_level"],
                row["host"],
                row["service"],
                row["message"],
                attributes,
                int(row["_offset"]),
            )
        )
    assert len(rows) == found.count
    return rows


def decode(chunk: bytes, offset: int = 0, zone: str = "UTC") -> list[Row]:
    return rows_of(decoded("text", chunk, offset, zone=zone))


def one(line: str, zone: str = "UTC") -> Row:
    (row,) = decode(line.encode() + b"\n", zone=zone)
    assert row.message == line
    return row


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("2025-06-24 14:36:25 startup archives unpack", "2025-06-24T14:36:25Z"),
        ("2015-10-18T18:01:47.978123456789 x", "2015-10-18T18:01:47.978123456Z"),
        ("2015-10-18 18:01:47,5 x", "2015-10-18T18:01:47.5Z"),
        ("2015-10-18T18:01:47Z x", "2015-10-18T18:01:47Z"),
        ("2015-10-18T18:01:47+02:00 x", "2015-10-18T16:01:47Z"),
        ("2015-10-18 18:01:47 -0330 x", "2015-10-18T21:31:47Z"),
        ("2015-10-18 18:01:47 UTC x", "2015-10-18T18:01:47Z"),
        ("2015-10-18 18:01:47 -08 is not a zone", "2015-10-18T18:01:47Z"),
        ("[2015-10-18 18:01:47] production.ERROR: x", "2015-10-18T18:01:47Z"),
        ("Jun 14 15:16:01 combo sshd: x", "2025-06-14T15:16:01Z"),
        ("Mar  2 11:59:59 combo sshd: x", "2026-03-02T11:59:59Z"),
        ("Mar  2 12:01:00 combo sshd: x", "2025-03-02T12:01:00Z"),
        ("Feb 29 00:00:00 combo sshd: x", "2024-02-29T00:00:00Z"),
        ("[Sun Dec 04 04:47:44 2005] [notice] x", "2005-12-04T04:47:44Z"),
        ("[Wed Oct 11 14:32:52.123456 2000] [core:error] [pid 35708] x", "2000-10-11T14:32:52.123456Z"),
        ('127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326', "2000-10-10T20:55:36Z"),
        ("081109 203615 148 INFO dfs.DataNode: x", "2008-11-09T20:36:15Z"),
        ("991231 235960 leap", "2000-01-01T00:00:00Z"),
        ("081309 203615 is no date", "2026-03-01T12:00:00Z"),
        ("    at java.lang.Thread.run(Thread.java:745)", "2026-03-01T12:00:00Z"),
        ("x 2015-10-18 18:01:47 is not at the beginning", "2026-03-01T12:00:00Z"),
        ("1900-01-01 00:00:00 the first", "1900-01-01T00:00:00Z"),
        ("1970-01-01 00:00:00.5 the first that is counted", "1970-01-01T00:00:00.5Z"),
        ("2262-04-11 23:47:16 the last", "2262-04-11T23:47:16Z"),
    ],
)
def test_time(line: str, time: str) -> None:
    row = one(line)
    assert (row.time, row.attributes) == (time, {})


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("2262-04-11 23:47:17 too late", "2262-04-11 23:47:17"),
        ("9999-12-31T23:59:59.5Z INFO x", "9999-12-31T23:59:59.5Z"),
        ("1899-12-31 23:59:59 x", "1899-12-31 23:59:59"),
        ("2015-02-30 18:01:47,978 x", "2015-02-30 18:01:47,978"),
        ("2015-02-03 24:01:47 x", "2015-02-03 24:01:47"),
        ("Feb 30 18:01:47 combo app: x", "Feb 30 18:01:47"),
    ],
)
def test_time_that_cannot_be_is_the_time_of_reading(line: str, written: str) -> None:
    row = one(line)
    assert (row.time, row.attributes) == (clock.to_text(NOW_NS), {"time_text": written})


@pytest.mark.parametrize(
    ("line", "level", "sent_level"),
    [
        ("2015-10-18 18:01:47,978 INFO [main] org.App: x", "info", "INFO"),
        ("2015-07-29 17:41:44,747 - WARN  [Worker:1@774] - x", "warn", "WARN"),
        ("2015-07-29 17:41:44,747 [http nio 1] ERROR org.App - x", "error", "ERROR"),
        ("2015-07-29 17:41:44,747 - my.logger - CRITICAL - x", "fatal", "CRITICAL"),
        ("2015-07-29 17:41:44 production.ERROR: x", "error", "ERROR"),
        ("2024-01-01T10:00:00.000+01:00  INFO 1 --- [main] x", "info", "INFO"),
        ("081109 203615 148 INFO dfs.DataNode: x", "info", "INFO"),
        ("[Sun Dec 04 04:47:44 2005] [notice] x", "info", "notice"),
        ("[Sun Dec 04 04:47:44 2005] [core:error] [pid 1] x", "error", ""),
        ("Dec 10 06:55:46 LabSZ sshd[24200]: error: x", "error", ""),
        ("Dec 10 06:55:46 LabSZ app: Warning: x", "warn", "Warning"),
        ("2025-06-24 14:36:25 startup info here", "", ""),
        ("2025-06-24 14:36:25 INFORMAL", "", ""),
        ("2025-06-24 14:36:25 one two three four ERROR is prose", "", ""),
        ("ERROR without a time", "error", "ERROR"),
        ("an ERROR without a time", "", ""),
    ],
)
def test_level(line: str, level: str, sent_level: str) -> None:
    row = one(line)
    assert (row.level, row.sent_level) == (level, sent_level)


@pytest.mark.parametrize(
    ("line", "host", "service"),
    [
        ("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: x", "combo", "sshd(pam_unix)"),
        ("Jun 14 15:16:01 combo kernel: x", "combo", "kernel"),
        ("Jun 14 15:16:01 combo (systemd)[1]: x", "combo", "(systemd)"),
        ("Jun 14 15:16:01 combo  -- root[2421]: x", "combo", ""),
        ("Jun 14 15:16:01 combo http://x", "combo", ""),
        ("2024-09-14T16:15:35.123456+02:00 box cron[7]: x", "box", "cron"),
        ("2024-09-14 16:15:35 box cron[7]: x", "", ""),
    ],
)
def test_host_and_service(line: str, host: str, service: str) -> None:
    row = one(line)
    assert (row.host, row.service) == (host, service)


def test_time_without_zone_is_in_the_given_zone() -> None:
    two_hours = "+02:00"
    assert one("2015-10-18 18:01:47 x", two_hours).time == "2015-10-18T16:01:47Z"
    assert one("2015-10-18 18:01:47Z x", two_hours).time == "2015-10-18T18:01:47Z"
    assert one("Jun 14 15:16:01 combo app: x", two_hours).time == "2025-06-14T13:16:01Z"


def test_zone_is_the_one_at_that_time() -> None:
    chunk = b"2026-03-29 01:59:59 winter\n2026-03-29 03:00:00 summer\n"
    rows = decode(chunk, zone="Europe/Paris")
    assert [row.time for row in rows] == ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]


def test_shapes_may_be_mixed() -> None:
    lines = [
        ("2015-10-18 18:01:47 x", "2015-10-18T18:01:47Z"),
        ("\tat frame", clock.to_text(NOW_NS)),
        ("Jun 14 15:16:01 combo app: x", "2025-06-14T15:16:01Z"),
        ("2015-10-18T18:01:47.123456+00:00 box app: x", "2015-10-18T18:01:47.123456Z"),
        ("2015-10-18 18:01:48 x", "2015-10-18T18:01:48Z"),
        ("2015-10-18T18:01:49.123456+00:00 box app: x", "2015-10-18T18:01:49.123456Z"),
    ]
    rows = decode("".join(f"{line}\n" for line, _ in lines * 2).encode())
    assert [(row.message, row.time) for row in rows] == lines * 2
    assert [row.host for row in rows] == ["", "", "combo", "box", "", "box"] * 2


EXAMPLES = [
    example[0]
    for test in (test_time, test_time_that_cannot_be_is_the_time_of_reading, test_level, test_host_and_service)
    for example in test.pytestmark[0].args[1]  # type: ignore[union-attr]
]
EXAMPLES += [
    '<165>1 2003-10-11T22:14:15.003Z host.example.org app 8710 ID47 [a@1 x="1" y="q"][b@1] the text',
    "<34>1 2003-10-11T22:14:16.003000-07:00 - - - - -",
    "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579",
]


@pytest.mark.parametrize("line", EXAMPLES)
def test_a_line_means_the_same_again(line: str) -> None:
    first, *others = decode(f"{line}\n".encode() * 3)
    assert [row._replace(offset=0) for row in others] == [first, first]


@given(st.lists(st.sampled_from(EXAMPLES) | st.text(max_size=40), max_size=12), st.sampled_from([1, 3]))
@within_cpu_time
def test_a_line_means_the_same_alone_and_among_others(lines: list[str], times: int) -> None:
    lines = [line.replace("\n", "") for line in lines for _ in range(times)]
    rows = decode("".join(f"{line}\n" for line in lines).encode())
    alone = [row for line in lines for row in decode(f"{line}\n".encode())]
    assert [row._replace(offset=0) for row in rows] == alone


def test_offsets_count_raw_bytes() -> None:
    chunk = b"a\r\n\n\r\nb\xff\n\x00 nul\n" + "größe\tx\\y\n".encode() + b"last\r\r\n"
    rows = decode(chunk, offset=1000)
    assert [(row.message, row.offset) for row in rows] == [
        ("a", 1000),
        ("b\ufffd", 1006),
        ("\0 nul", 1009),
        ("größe\tx\\y", 1015),
        ("last\r", 1027),
    ]


def test_line_over_the_limit_is_refused_alone() -> None:
    found = decoded("text", b"short\n" + b"x" * 11 + b"\nafter\n", 5, max_record_bytes=10)
    assert [row.message for row in rows_of(found)] == ["short", "after"]
    (refused,) = found.refused
    assert (refused.line, refused.offset, refused.raw) == (2, 11, b"x" * 11)
    assert refused.reason == "line of 11 bytes, the limit is 10"


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=20))
@within_cpu_time
def test_any_bytes_are_kept_as_lines(lines: list[bytes]) -> None:
    rows = decode(b"".join(line + b"\n" for line in lines))
    expected = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]
    assert [row.message for row in rows] == [text for text in expected if text]


@pytest.mark.parametrize("line", ["[" * 1_000_000, "a " * 500_000, "[a " * 300_000, " " * 1_000_000, "a:" * 500_000])
def test_hostile_lines_take_no_time(line: str) -> None:
    begin = clock.monotonic()
    for start in ("", "2015-10-18 18:01:47 ", "Jun 14 15:16:01 ", "[Sun Dec 04 04:47:44 2005] ", "1 1 "):
        one(start + line)
    assert clock.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"a":1}\nrubbish\n{"b":2}\n', "json"),
        (b"[1]\n[2]\n", "text"),
        (b'{"a":1}\nrubbish\n', "text"),
        (
            b"2024-09-14 16:15:35 cust_5 /a 200 0.772\n2024-09-14 16:15:35 cust_5 /a 200 0.772 more\nbad\n",
            "api_requests",
        ),
        (b"2015-10-18 18:01:47,978 INFO [main] x\n", "text"),
        (b'{"a":1}\n' * 40 + b"text\n" * 100, "json"),
        (b"", "text"),
    ],
)
def test_format_is_what_most_lines_are(head: bytes, name: str) -> None:
    assert recognise(head) == name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("json=/var/log/a.log", ("json", "", "/var/log/a.log")),
        ("/var/log/a=b.log", ("", "", "/var/log/a=b.log")),
        ("./a=b.log", ("", "", "./a=b.log")),
        ("a.log", ("", "", "a.log")),
        ("text=a=b", ("text", "", "a=b")),
    ],
)
def test_source_with_and_without_format(source: str, expected: tuple[str, str, str]) -> None:
    assert split_source(source) == expected
