"""Records of several lines: joined the same however the file grows, bounded, held back no longer than they may be."""

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.decode.decoder import Options, State
from logriver.decode.reference import ReferenceDecoder
from logriver.decode.source_options import options_of
from logriver.errors import SettingsError
from logriver.follow import reader as reading
from logriver.follow.growing_file import Chunk, GrowingFile
from logriver.record import Decoded
from logriver.settings import SourceTable
from tests.conftest import RunningServer
from tests.decode.decoding import decoded
from tests.follow.test_follow import MESSAGE, OFFSET, Ledger, append, following, until

Record = tuple[str, int]


def records_in(found: Decoded) -> list[Record]:
    rows = [row.split("\t") for row in found.rows.decode().splitlines()]
    return [(row[MESSAGE].replace("\\n", "\n").replace("\\t", "\t"), int(row[OFFSET])) for row in rows]


def followed(pieces: list[bytes], options: Options) -> list[Record]:
    """The records of a file that grows by `pieces`, and then is quiet for long."""
    found: list[Record] = []
    decoder, state = ReferenceDecoder(), State(0, 0)
    whole = partial(decoder.whole, options=options, state=state)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "app.log")
        path.touch()
        file = GrowingFile(path, options.max_record_bytes)
        for piece in [*pieces, b""]:
            append(path, piece)
            while chunk := file.next_chunk(whole) or (None if piece else file.next_chunk() or file.rest()):
                if chunk.too_long:
                    found.append(("too long", chunk.start))
                else:
                    some, state = decoder.decode(chunk.lines, options, state._replace(offset=chunk.start))
                    found += [("too long", refused.offset) for refused in some.refused]
                    found += records_in(some)
                file.move_to(chunk.after)
        file.close()
    return sorted(found, key=lambda record: record[1])


JAVA = """\
2026-01-02 03:04:05 ERROR checkout failed
java.lang.IllegalStateException: no stock
\tat shop.Stock.take(Stock.java:17)
\t... 3 more
Caused by: java.io.IOException: closed
\tat shop.Db.read(Db.java:5)
"""
PYTHON = """\
2026-01-02 03:04:06 ERROR cannot pay
Traceback (most recent call last):
  File "pay.py", line 3, in pay
    take(card)
shop.Declined: card 4711

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "pay.py", line 9, in <module>
    pay()
KeyError: 'card'
"""
JSON = '2026-01-02 03:04:07 INFO sent {\n  "id": 7\n}\n'
NODE = "TypeError: x is not a function\n    at a (b.js:1:2)\n"


@pytest.mark.parametrize("before", ["", "2026-01-02 03:04:04 INFO started\n"])
@pytest.mark.parametrize("record", [JAVA, PYTHON, JSON, NODE])
def test_a_stack_trace_is_one_record_by_its_indentation(before: str, record: str) -> None:
    after = "2026-01-02 03:04:08 INFO goes on\n"
    found = records_in(decoded("text", (before + record + after).encode(), 100, multiline="indent"))
    expected = [text for text in (before, record, after) if text]
    assert [message for message, _ in found] == [text.rstrip("\n") for text in expected]
    assert [offset for _, offset in found] == [100 + len("".join(expected[:place])) for place in range(len(expected))]


def test_the_time_and_level_of_a_record_are_those_of_its_first_line() -> None:
    text = b"2026-01-02 03:04:05 shop\n  ERROR: inner\nFATAL: own\n"
    (first, second) = decoded("text", text, now_ns=5, multiline="indent").rows.decode().splitlines()
    assert first.split("\t")[:2] == [str(clock.from_text("2026-01-02T03:04:05Z")), ""]
    assert second.split("\t")[:2] == ["5", "fatal"]


def test_records_begin_where_the_pattern_matches() -> None:
    text = b"went before\r\n2026-01 one\r\ntwo\r\n\r\nthree\r\nBEGIN four\n"
    found = records_in(decoded("text", text, multiline_start=r"^\d{4}-|^BEGIN"))
    assert found == [("went before", 0), ("2026-01 one\ntwo\n\nthree", 13), ("BEGIN four", 40)]


def test_a_record_has_a_thousand_lines_at_most() -> None:
    found = records_in(decoded("text", b"begin\n" + b" and on\n" * 2500, multiline="indent"))
    assert [message.count("\n") + 1 for message, _ in found] == [1000, 1000, 501]


def test_a_record_has_the_bytes_of_a_record_at_most() -> None:
    text = b"begin\n" + b" and on\n" * 40 + b" " + b"x" * 150 + b"\n end\n"
    result = decoded("text", text, max_record_bytes=100, multiline="indent")
    found = records_in(result)
    assert max(len(message) for message, _ in found) <= 100
    assert [refused.reason for refused in result.refused] == ["line of 151 bytes, the limit is 100"]
    assert sum(len(message) + 1 for message, _ in found) + 152 == len(text)


LINES = st.sampled_from(
    [
        b"2026-01-02 03:04:05 INFO one",
        b"",
        b"  indented",
        b"\tat x.y",
        b"Caused by: z",
        b"a.b.FooException: bar",
        b"Traceback (most recent call last):",
        b"ValueError: bad",
        b"}",
        b"\r",
        b"caf\xc3\xa9 \xff",
        b" " + b"long " * 30,
    ]
)
CRI_LINES = st.builds(
    lambda stream, tag, text: b"2026-01-02T03:04:05.678Z %b %b %b" % (stream, tag, text),
    st.sampled_from([b"stdout", b"stderr"]),
    st.sampled_from([b"F", b"F", b"P"]),
    LINES,
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted({place % (len(data) + 1) for place in cuts}), None])]


@settings(max_examples=150)
@given(st.data(), st.lists(LINES, max_size=30), st.lists(st.integers(0, 5000), max_size=12))
def test_records_are_the_same_however_the_file_grows(data: st.DataObject, lines: list[bytes], cuts: list[int]) -> None:
    text = b"\n".join(lines)
    max_record_bytes = data.draw(st.sampled_from([40, 120, 2_000_000]))
    name, value = data.draw(st.sampled_from([("multiline", "indent"), ("multiline_start", "^2026|^V")]))
    rule: dict[str, Any] = {name: value}
    options = Options("text", zone="UTC", max_record_bytes=max_record_bytes, **rule)
    assert followed(cut(text, cuts), options) == followed([text], options)


@settings(max_examples=100)
@given(st.booleans(), st.lists(CRI_LINES, max_size=25), st.lists(st.integers(0, 5000), max_size=12))
def test_streams_of_a_container_are_the_same_however_the_file_grows(
    several: bool, lines: list[bytes], cuts: list[int]
) -> None:
    text = b"".join(line + b"\n" for line in lines)
    options = Options("cri", zone="UTC", multiline="indent" if several else "")
    assert followed(cut(text, cuts), options) == followed([text], options)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"multiline": "indent", "multiline_start": "x"}, "both set"),
        ({"multiline_start": "a(b"}, "multiline_start is wrong at character 1: missing "),
        ({"multiline": "indent", "format": "json"}, "a record of format 'json' has one line"),
    ],
)
def test_settings_that_cannot_be(table: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        options_of(SourceTable.model_validate({"path": "x", **table}), {}, Options())


@pytest.mark.anyio
async def test_a_record_is_held_back_until_the_next_begins_or_the_file_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUIET_SECONDS", 2.5)
    path, sink = tmp_path / "app.log", Ledger()
    append(path, b"one\n  more\n")
    async with following(sink, SourceTable(path=str(path), format="text", multiline="indent")):
        append(path, b"  and more\n")
        await until(lambda: sink.messages() == ["one\\n  more\\n  and more"])
        append(path, b"two\n")
        append(path, b"  of two\nthree\n")
        await until(lambda: len(sink.messages()) > 1)
        assert sink.messages()[1:] == ["two\\n  of two"]
        await until(lambda: sink.messages()[2:] == ["three"])
    assert [(held.start, held.end) for held in sink.ranges()] == [(0, 22), (22, 35), (35, 41)]


@pytest.mark.anyio
async def test_what_comes_while_a_quiet_file_is_read_may_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "QUIET_SECONDS", 0.5)
    path, sink, read = tmp_path / "app.log", Ledger(), GrowingFile.next_chunk

    def next_chunk(file: GrowingFile, whole: Callable[[bytes], int] = len) -> Chunk | None:
        if whole is not len or file.size() > 4:
            return read(file, whole)
        append(path, b"two\n")
        chunk = read(file, whole)
        append(path, b"  of two\n")
        return chunk

    monkeypatch.setattr(GrowingFile, "next_chunk", next_chunk)
    append(path, b"one\n")
    async with following(sink, SourceTable(path=str(path), format="text", multiline="indent")):
        await until(lambda: len(sink.messages()) > 1)
        assert sink.messages() == ["one", "two\\n  of two"]


@pytest.mark.anyio
async def test_a_stream_that_is_quiet_does_not_hold_back_the_other_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "QUIET_SECONDS", 1.5)
    path, sink = tmp_path / "0.log", Ledger()
    append(path, b"2026-01-02T03:04:05Z stdout F quiet from now on\n")
    async with following(sink, SourceTable(path=str(path), format="cri", multiline="indent")):
        for number in range(8):
            append(path, b"2026-01-02T03:04:06Z stderr F number %d\n" % number)
            await asyncio.sleep(0.5)
        assert len(sink.messages()) > 4


def test_killed_at_any_time_records_are_neither_lost_nor_doubled(
    new_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    path, config = tmp_path / "app.log", tmp_path / "logriver.toml"
    config.write_text(f'[[sources]]\npath = "{path}"\nformat = "text"\nmultiline = "indent"\n')
    expected = [f"2026-01-02 03:04:05 ERROR number {number}\n  at a\n  at b" for number in range(60)]
    server = new_server("--config", str(config))
    for start in (0, 30):
        for record in expected[start : start + 30]:
            first, *others = record.encode().splitlines(keepends=True)
            append(path, first)
            append(path, b"".join(others))
            append(path, b"\n")
        server.kill()
        server.start()
    deadline = clock.monotonic() + 60
    found: list[object] = []
    while len(found) < len(expected) and clock.monotonic() < deadline:
        found = [row["message"] for row in server.search(q="number", limit=1000)]
    assert sorted(map(str, found)) == sorted(expected)
