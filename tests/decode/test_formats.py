"""Formats: ten lines of every shape in `shapes/` with the time and level that they say, recognition, and sources.

A file there has lines of three parts, separated by tabs: the time in UTC (`-`: it has none), the level, and the line.
Times without a year are read as of `NOW_NS`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.columns import DECODED_COLUMNS
from logriver.decode.formats import FORMATS, SAMPLE_LINES, recognise, split_source
from logriver.decode.time import zones
from logriver.decode.time.shapes import SHAPES
from logriver.errors import SettingsError
from tests.conftest import RunningServer
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import NOW_NS, decoded

NAMES = [column.name for column in DECODED_COLUMNS]
FILES = sorted((Path(__file__).parent / "shapes").glob("*.txt"))


def samples(path: Path) -> Iterator[tuple[str, str, str]]:
    for text in path.read_text().split("\n")[:-1]:
        time, level, line = text.split("\t", 2)
        yield clock.to_text(NOW_NS) if time == "-" else time, "" if level == "-" else level, line


def rows_of(name: str, chunk: bytes, zone: str = "UTC") -> list[dict[str, str]]:
    lines = decoded(name, chunk, zone=zone).rows.decode().split("\n")[:-1]
    return [dict(zip(NAMES, line.split("\t"), strict=True)) for line in lines]


def time_of(line: str, zone: str = "UTC") -> str:
    (row,) = rows_of("text", line.encode() + b"\n", zone)
    return clock.to_text(int(row["timestamp"]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ten_lines_of_every_shape(path: Path) -> None:
    expected = list(samples(path))
    rows = rows_of("text", "".join(f"{line}\n" for _, _, line in expected).encode())
    found = [(clock.to_text(int(row["timestamp"])), row["level"]) for row in rows]
    assert found == [(time, level) for time, level, _ in expected]
    assert len(found) == 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_recognised_as_text(path: Path) -> None:
    # What Kubernetes puts before a line is a format of its own; read as text its lines have time and level too.
    expected = "cri" if path.stem == "cri" else "text"
    assert recognise("".join(f"{line}\n" for _, _, line in samples(path)).encode()) == expected


def test_a_line_says_the_same_whatever_is_around_it() -> None:
    expected = [sample for path in FILES for sample in samples(path)]
    mixed = [expected[(place * 389) % len(expected)] for place in range(len(expected))]
    rows = rows_of("text", "".join(f"{line}\n" for _, _, line in mixed).encode())
    assert [(clock.to_text(int(row["timestamp"])), row["level"]) for row in rows] == [
        (time, level) for time, level, _ in mixed
    ]


def test_a_line_has_shapes_of_one_family() -> None:
    # The text decoder tries the family of the line before first.
    families = {id(family): family for choices in SHAPES.values() for family in choices}.values()
    for path in FILES:
        for _, _, line in samples(path):
            fitting = [family for family in families if any(shape.pattern.match(line) for shape in family)]
            assert len(fitting) <= 1, line


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("15:04:05.678 [info] x", "2026-02-28T15:04:05.678Z"),
        ("[12:59:59 INF] x", "2026-03-01T12:59:59Z"),
        ("[13:01:00 INF] x", "2026-02-28T13:01:00Z"),
        ("2024-01-02 03:04 x", "2024-01-02T03:04:00Z"),
        ("31/12/2024 23:59:59 x", "2024-12-31T23:59:59Z"),
        ("31-12-2024 23:59:59 x", "2024-12-31T23:59:59Z"),
        ("2024-1-2 3:04:05 x", "2024-01-02T03:04:05Z"),
        ("1/2/2024 12:00:00 AM x", "2024-01-02T00:00:00Z"),
        ("1/2/2024 12:00:00 PM x", "2024-01-02T12:00:00Z"),
        ("2024-01-02 03:04:05.5 EST x", "2024-01-02T08:04:05.5Z"),
        ("[02-Jan-2024 03:04:05 Europe/Berlin] PHP Warning:  x", "2024-01-02T02:04:05Z"),
        ("[02-Jul-2024 03:04:05 Europe/Berlin] PHP Warning:  x", "2024-07-02T01:04:05Z"),
        ("*Mar  1 11:46:11.123: %SYS-5-CONFIG_I: x", "2026-03-01T11:46:11.123Z"),
        ("app.log:17:2024-01-02 03:04:05 x", "2024-01-02T03:04:05Z"),
        ("1704164645.5 x", "2024-01-02T03:04:05.5Z"),
        ("[1704164645] x", "2024-01-02T03:04:05Z"),
        ("0704164645 is a number", "2026-03-01T12:00:00Z"),
        ("[    0.123456] seconds since the start", "2026-03-01T12:00:00Z"),
        ("192.168.0.1 is an address", "2026-03-01T12:00:00Z"),
    ],
)
def test_time(line: str, time: str) -> None:
    assert time_of(line) == time


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO starting", "info"),
        ("[WARNING] some problem", "warn"),
        ("ERRO[0012] request failed", "error"),
        ("I/ActivityManager(  585): x", "info"),
        ("<11>app: x", "error"),
        ("level=warn x", "warn"),
        ("<27>Oct 11 22:14:15 host su: INFO x", "error"),
        ("2024-01-02T03:04:05Z stdout F level=error msg=x", "error"),
        ("*Mar  1 18:46:11: %SYS-3-CPUHOG: x", "error"),
        ("2024-01-02 03:04:05 I am no level", ""),
        ("02.01.2024 03:04:05 *ERROR* x", "error"),
        ("2024-01-02 03:04:05 <error> x", "error"),
        ("Jan 02 03:04:05.678 INFO my_app: x", "info"),
        ("In prose: INFO", ""),
        ("WARNINGS are no level", ""),
    ],
)
def test_level(line: str, level: str) -> None:
    (row,) = rows_of("text", line.encode() + b"\n")
    assert row["level"] == level


def test_rfc_5424() -> None:
    line = r'<165>1 2003-10-11T22:14:15.003Z host.example.org app 8710 ID47 [a@1 x="1" y="q \"\]\\"][b@1] the text'
    row = decoded("text", line.encode() + b"\n").rows.decode().removesuffix("\n").replace("\\\\", "\\").split("\t")
    named = dict(zip(NAMES, row, strict=True))
    assert clock.to_text(int(named["timestamp"])) == "2003-10-11T22:14:15.003Z"
    assert (named["level"], named["_level"]) == ("info", "notice")
    assert (named["host"], named["service"], named["message"]) == ("host.example.org", "app", line)
    assert named["attributes"] == r'{"procid":"8710","msgid":"ID47","a@1":{"x":"1","y":"q \"]\\"},"b@1":{}}'


@pytest.mark.parametrize("data", ["[a@1", '[a x="', "[[[[", "[]", '[a x="1"', "-"])
def test_rfc_5424_with_broken_data(data: str) -> None:
    (row,) = rows_of("text", f"<14>1 2003-10-11T22:14:15Z h a - - {data} x\n".encode())
    assert (row["level"], row["host"], row["attributes"]) == ("info", "h", "{}")


@pytest.mark.parametrize(
    ("source", "format", "winter", "summer", "path"),
    [
        ("text@UTC=/var/log/x.log", "text", 0, 0, "/var/log/x.log"),
        ("json@Europe/Paris=a=b", "json", 3600, 7200, "a=b"),
        ("@+05:30=x.log", "", 19800, 19800, "x.log"),
        ("@-0800=x.log", "", -28800, -28800, "x.log"),
        ("text@America/New_York=/x", "text", -18000, -14400, "/x"),
    ],
)
def test_source_with_a_zone(source: str, format: str, winter: int, summer: int, path: str) -> None:
    found = split_source(source)
    assert (found.format, found.path) == (format, path)
    zone = zones.zone(found.zone)
    assert zone(clock.from_text("2026-01-15")) == winter
    assert zone(clock.from_text("2026-07-15")) == summer


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("xml=/x", "unknown format 'xml'"),
        ("text@Mars/Olympus=/x", "unknown time zone 'Mars/Olympus'"),
        ("text@../../etc/passwd=/x", "no path to follow"),
        ("text@/etc/passwd=/x", "unknown time zone '/etc/passwd'"),
        ("text@+99:00=/x", "not a time zone: '+99:00'"),
        ("text=", "no path to follow in 'text='"),
        ("", "no path to follow in ''"),
    ],
)
def test_source_that_cannot_be(source: str, reason: str) -> None:
    if reason == "no path to follow":
        assert split_source(source) == ("", "", source)
        return
    with pytest.raises(SettingsError, match=reason.replace("+", r"\+")):
        split_source(source)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("json", '{"time":"2026-07-01 12:00:00","message":"x"}'),
        ("logfmt", 'time="2026-07-01 12:00:00" msg=x'),
        ("text", "2026-07-01 12:00:00 x"),
        ("access", "2026-07-01 12:00:00 not an access line"),
    ],
)
def test_a_time_without_zone_is_in_the_zone_of_the_source(name: str, line: str) -> None:
    (row,) = rows_of(name, line.encode() + b"\n", "Europe/Paris")
    assert clock.to_text(int(row["timestamp"])) == "2026-07-01T10:00:00Z"


def test_followed_with_its_zone(new_server: Callable[..., RunningServer], tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("2026-07-01 12:00:00 ERROR zoned\n")
    server = new_server("--follow", f"text@Europe/Paris={path}")
    deadline = clock.monotonic() + 20
    rows: list[dict[str, object]] = []
    while not rows and clock.monotonic() < deadline:
        rows = server.search(q="zoned")
    assert [(row["timestamp"], row["level"]) for row in rows] == [("2026-07-01T10:00:00Z", "error")]


LINES = st.one_of(
    st.binary(max_size=80),
    st.text(st.sampled_from('0123456789-:/., []<>TZ"=\\aIWE%'), max_size=60).map(str.encode),
    st.sampled_from([line.encode() for path in FILES for _, _, line in list(samples(path))[:2]]),
)


@given(st.lists(LINES.map(lambda line: line.replace(b"\n", b"")), max_size=12), st.sampled_from(FORMATS))
@within_cpu_time
def test_no_line_is_lost_whatever_its_bytes(lines: list[bytes], name: str) -> None:
    chunk = b"".join(line + b"\n" for line in lines)
    found = decoded(name, chunk, 7)
    there = [line for line in lines if (line.strip() if name == "json" else line.removesuffix(b"\r"))]
    assert found.count + len(found.refused) == len(there)
    assert found.rows.count(b"\n") == found.count
    if name not in ("json", "api_requests"):
        assert found.refused == []


@given(st.lists(LINES.map(lambda line: line.replace(b"\n", b"") or b"x"), max_size=SAMPLE_LINES + 5), st.binary())
@within_cpu_time
def test_the_format_is_that_of_the_first_lines(lines: list[bytes], later: bytes) -> None:
    first = b"".join(line + b"\n" for line in lines)
    sample = b"".join(line + b"\n" for line in [line for line in lines if line != b"\r"][:SAMPLE_LINES])
    assert recognise(first) in FORMATS
    assert recognise(first) == recognise(sample)
    if sample.count(b"\n") == SAMPLE_LINES:
        assert recognise(first + later) == recognise(sample)
