"""The tables of patterns: in the syntax that RE2 has too, and meaning the same to it as to Python's `re`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.decode.lines import levels
from logriver.decode.lines.multiline import ByIndentation
from logriver.decode.tables.read import table
from logriver.decode.time.shapes import minute_pattern, written_shape
from logriver.decode.time.timestamps import Stamps
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import decoded

NOW_NS = clock.from_text("2026-03-01T12:00:00Z")
TIMES, LEVELS, FORMATS, MULTILINE = (table(name) for name in ("times", "levels", "formats", "multiline"))
SHAPE_FILES = sorted((Path(__file__).parent / "shapes").glob("*.txt"))
LINES = [line.split("\t", 2)[2] for path in SHAPE_FILES for line in path.read_text().split("\n")[:-1]]
LINES += [
    '10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a\\"b HTTP/1.1" 200 2326 "http://r" "agent"',
    'shop:80 ::1 - - [10/Oct/2000:13:55:36 +0000] "-" 408 -',
    'time=2024-01-02T03:04:05Z level=info msg="started \\"up\\"" port=80 ok',
    "2024-01-02T03:04:05.6Z stdout P a line",
    "2024-09-14 16:15:35 cust_5 /api/v1/resource4 200 0.772",
    '[a@1 x="1" y="q\\]"][b@1] the text',
]
PIECES = [
    *["[", "]", "|", ":", "-", "<", ">", "(", ")", "=", "*", ".", "/"],
    *('"', "\\", " ", "  ", "\t", "é", "Z", "INFO", "LOG:", "Error: ", "[x:warn]", "level=warn", "V/tag( 12):", "host"),
    *("prog[1]: ", "2024-01-02 03:04:05", "Jan  2 03:04:05", "<34>", "20240102-03:04:05", ".123", "+02:00", " UTC"),
    *("app.log:", "web | ", "1704164645", "x" * 100, "%ASA-3-", "1234:M 02 Jan 2024 15:04:05", "[I 240102 03:04:05"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.sampled_from(LINES), max_size=8).map("".join)


def patterns() -> Iterator[tuple[str, str]]:
    for name in ("after_time", "first_word"):
        yield name, LEVELS.pattern(LEVELS.data[name])
    yield "level_word", LEVELS.pattern("{level_word}")
    yield "access", written_shape(TIMES.data["access"])
    for place, entry in enumerate(TIMES.data["shapes"]):
        yield f"shape {place}", written_shape(entry)
        yield f"next of shape {place}", entry.get("next", "")
    for directive, text in TIMES.data["directives"].items():
        yield directive, text
    for name, text in FORMATS.data.items():
        if isinstance(text, str):
            yield name, FORMATS.pattern(text)
    yield "record", MULTILINE.pattern(MULTILINE.data["record"])


PATTERNS = dict(patterns())
RE2 = {name: re2.compile(text) for name, text in PATTERNS.items()}


@pytest.mark.parametrize("name", PATTERNS)
def test_each_pattern_is_in_the_shared_syntax(name: str) -> None:
    assert not re.search(r"\(\?[=!<>](?!\w+>)|[*+?}]\+|\\[1-9]", PATTERNS[name].replace("\\+", ""))


def found_by_re2(text: str) -> tuple[str, tuple[str, ...], int] | None:
    """The first shape that the line has: how its minute is read, its groups, its end, as the table's comment says."""
    for place, entry in enumerate(TIMES.data["shapes"]):
        found = RE2[f"shape {place}"].match(text) if re.match(f"[{entry['begins']}]", text) else None
        if found is None:
            continue
        groups, end = {name: value or "" for name, value in found.groupdict().items()}, found.end()
        if "level_as_host" in entry and RE2["level_word"].match(groups["host"]):
            if entry["level_as_host"] == "other":
                continue
            end, groups["host"], groups["service"] = found.start("host"), "", ""
        if entry.get("next") and not RE2[f"next of shape {place}"].match(text[end:]):
            continue
        return minute_pattern(entry), stamp(groups), end
    return None


def stamp(groups: dict[str, str]) -> tuple[str, ...]:
    names = ("minute", "second", "fraction", "ending", "host", "service", "level", "extra")
    return tuple(groups.get(name, "") for name in names)


def found_by_python(text: str) -> tuple[str, tuple[str, ...], int] | None:
    found = Stamps(lambda _: 0, NOW_NS).find(text)
    return (found[0].minute.pattern, found[0].parts(found[1].groups("")), found[1].end()) if found else None


def same_time_and_level(text: str) -> None:
    found, expected = found_by_python(text), found_by_re2(text)
    if found and expected:
        # A space after the host that is none may be a part of the match or not: both skip it.
        assert (found[:2], text[found[2] :].lstrip(" :")) == (expected[:2], text[expected[2] :].lstrip(" :"))
    else:
        assert found == expected
    rest = text[found[2] :] if found else text
    for name, level in (("after_time", levels.after_time(rest, 0)), ("first_word", levels.first_word(rest))):
        expected_level = RE2[name].match(rest)
        assert level == (next(filter(None, expected_level.groups()), "") if expected_level else "")


def test_a_line_has_the_same_time_and_level() -> None:
    for line in LINES:
        same_time_and_level(line)


@given(TEXTS.filter(bool))
@within_cpu_time
def test_any_text_has_the_same_time_and_level(text: str) -> None:
    same_time_and_level(text)


FORMAT_PATTERNS = {name: FORMATS.compiled(name) for name, text in FORMATS.data.items() if isinstance(text, str)}


def same_formats(text: str) -> None:
    for name, compiled in FORMAT_PATTERNS.items():
        ours, theirs = compiled.match(text), RE2[name].match(text)
        assert (ours and (ours.groups(""), ours.end())) == (
            theirs and (tuple(group or "" for group in theirs.groups()), theirs.end())
        ), name
        assert bool(compiled.fullmatch(text)) == bool(RE2[name].fullmatch(text)), name


def test_a_line_is_of_the_same_format() -> None:
    for line in LINES:
        same_formats(line)


@given(TEXTS)
@within_cpu_time
def test_any_text_is_of_the_same_format(text: str) -> None:
    same_formats(text)


STACK = [
    "2024-01-02 03:04:05 ERROR x\n",
    "Traceback (most recent call last):\n",
    "  File x\n",
    "\n",
    "ValueError: x\n",
    "a.b.Exception: q\n",
    "a.bError\r\n",
    "\r\n",
    "Caused by: z\n",
    "During handling of the above exception, another\n",
    "The above exception was\n",
    "}\n",
    "\tat y\n",
    "a.b.c\n",
    "x.Throwable\n",
    "a.\n",
    "Traceback\n",
    "...\n",
    "1\n",
]


@given(st.lists(st.sampled_from(STACK), min_size=1, max_size=20).map("".join))
@within_cpu_time
def test_records_of_several_lines_begin_at_the_same_places(lines: str) -> None:
    expected = [found.start() for found in RE2["record"].finditer(lines)]
    assert ByIndentation().all(lines.encode()) == expected


HOSTILE = [
    "a ",
    "a",
    "[",
    "[a ",
    "a=",
    'a="',
    "\\",
    '"',
    " ",
    "a:",
    "1",
    "1 ",
    "a.b",
    "a.b.",
    "- ",
    "| ",
    ".log",
    "é ",
    "=1 ",
]
STARTS = [
    "",
    "2024-01-02 03:04:05 ",
    "Jan  2 03:04:05 ",
    "<34>",
    '1 - - [10/Oct/2000:13:55:36 -0700] "',
    "a=1 ",
    "1 1 ",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_a_hostile_line_takes_no_time(part: str) -> None:
    begin = clock.monotonic()
    for start in STARTS:
        line = (start + part * (200_000 // len(part)) + "x\n").encode()
        for name in ("text", "logfmt", "access", "api_requests", "cri"):
            decoded(name, line)
        ByIndentation().all(line)
        ByIndentation().all(b"Traceback (most recent call last):\n" + line)
    assert clock.monotonic() - begin < 4
