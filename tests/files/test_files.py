"""Lines of files from the end backwards, compared with what a few lines of Python make of the whole content."""

import bz2
import gzip
import lzma
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver import clock
from logriver.errors import BadQuery, LogriverError, Unavailable, Unprocessable
from logriver.files import backwards, compressed, lines_within, matcher, reading
from logriver.files.request import LogRequest, decode, encode
from logriver.files.roots import Roots
from tests.cpu_time import within_cpu_time

SECOND = clock.SECOND_NS
START_NS = clock.from_text("2026-01-02T03:04:05Z")
SMALL = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Few different bytes, so that keywords are often there, often nearly, and often across the border of two pieces.
CONTENT = st.lists(
    st.sampled_from([b"a", b"b", b"ab", b"\n", b"\n\n", b"\r\n", b"\xff", "ä".encode(), b"."]), max_size=60
)
PIECES = st.integers(1, 40)


def answer(folder: Path, **asked: object) -> bytes:
    request = LogRequest("f.log", **asked)  # type: ignore[arg-type]
    return b"".join(reading.lines(Roots([str(folder)]), request))


def cut_in(monkeypatch: pytest.MonkeyPatch, size: int, reach: int) -> None:
    """Let files be read in such pieces."""
    monkeypatch.setattr(backwards, "_FIRST_BYTES", size)
    monkeypatch.setattr(backwards, "PIECE_BYTES", 2 * size)
    monkeypatch.setattr(backwards, "_SENT_BYTES", size)
    for module in (backwards, matcher):
        monkeypatch.setattr(module, "REACH_BYTES", reach)


def lines_of(content: bytes) -> list[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def newest_first(lines: list[bytes], n: int | None) -> bytes:
    return b"".join(line + b"\n" for line in lines[::-1][:n])


@SMALL
@given(CONTENT, PIECES, st.text("ab.ä\r", max_size=3), st.none() | st.integers(0, 5), st.booleans())
@within_cpu_time
def test_lines_with_a_keyword(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: list[bytes],
    size: int,
    keyword: str,
    n: int | None,
    ignore_case: bool,
) -> None:
    content = b"".join(parts)
    (tmp_path / "f.log").write_bytes(content)
    cut_in(monkeypatch, size, reach=8)
    asked = keyword.upper() if ignore_case else keyword

    wanted = [line for line in lines_of(content) if keyword.encode() in line]
    assert answer(tmp_path, keyword=asked, n=n, ignore_case=ignore_case) == newest_first(wanted, n)


@SMALL
@given(CONTENT, PIECES, st.sampled_from(["^a", "b$", "a.b", "^$", "$", "", r"a\sb", "[^a]b", "x*", r"ab?\b", "a|^b"]))
@within_cpu_time
def test_lines_with_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], size: int, pattern: str
) -> None:
    content = b"".join(part for part in parts if part.isascii())
    (tmp_path / "f.log").write_bytes(content)
    cut_in(monkeypatch, size, reach=8)

    # Python's own `$` is also before a last line feed, of which a line has none.
    wanted = [line for line in lines_of(content) if re.search(pattern.encode(), line)]
    assert answer(tmp_path, keyword=pattern, regex=True) == newest_first(wanted, None)


@SMALL
@given(
    st.lists(st.text("abc", max_size=7), max_size=25),
    st.integers(9, 40),
    st.integers(1, 12),
    st.sampled_from(["a\nb", "b[^c]*c", "a(?s:.)b", "a[^b]*b", "c\n", "\n\n", "ab", "^b", "(?s)a.*"]),
    st.none() | st.integers(0, 3),
)
@within_cpu_time
def test_matches_that_span_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    size: int,
    reach: int,
    pattern: str,
    n: int | None,
) -> None:
    content = "\n".join(lines).encode()
    (tmp_path / "f.log").write_bytes(content)
    cut_in(monkeypatch, size, reach)

    blocks = blocks_of(content, re.compile(pattern.encode(), re.MULTILINE), reach)
    wanted = [content[start:end].removesuffix(b"\n") for start, end in blocks]
    assert answer(tmp_path, keyword=pattern, regex=True, multiline=True, n=n) == newest_first(wanted, n)


def blocks_of(content: bytes, pattern: re.Pattern[bytes], reach: int) -> list[tuple[int, int]]:
    """The lines of the first match that starts in each line; those that overlap as one."""
    blocks: list[tuple[int, int]] = []
    start = 0
    for line in content.splitlines(keepends=True):
        end = start + len(line)
        found = pattern.search(content, start, max(end, start + reach))
        if found and (found.start() < end or not line.endswith(b"\n")):
            last = content.find(b"\n", max(found.start(), found.end() - 1)) + 1 or len(content)
            if blocks and start < blocks[-1][1]:
                blocks[-1] = blocks[-1][0], max(last, blocks[-1][1])
            else:
                blocks.append((start, last))
        start = end
    return blocks


@SMALL
@given(
    st.lists(st.none() | st.integers(0, 10_000), max_size=30),
    PIECES,
    st.integers(1, 200),
    st.none() | st.integers(0, 10_000),
    st.none() | st.integers(0, 10_000),
    st.booleans(),
)
@within_cpu_time
def test_lines_of_a_lines_within(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seconds: list[int | None],
    size: int,
    near: int,
    begin: int | None,
    end: int | None,
    multiline: bool,
) -> None:
    cut_in(monkeypatch, size, reach=8)
    monkeypatch.setattr(lines_within, "_LOOK_BYTES", size)
    monkeypatch.setattr(lines_within, "_NEAR_BYTES", near)
    times = iter(sorted(second for second in seconds if second is not None))
    lines, wanted, last = [], [], None
    for second in seconds:
        last = last if second is None else next(times)
        lines.append(b"  at x" if second is None else clock.to_text(START_NS + (last or 0) * SECOND).encode() + b" m")
        if last is not None and (begin is None or begin <= last) and (end is None or last < end):
            wanted.append(lines[-1])
    (tmp_path / "f.log").write_bytes(b"".join(line + b"\n" for line in lines))
    times_asked = {name: START_NS + at * SECOND for name, at in (("from_ns", begin), ("to_ns", end)) if at is not None}
    every_line = {"keyword": "^.", "regex": True, "multiline": True} if multiline else {}

    if times_asked and lines and last is None:
        with pytest.raises(Unprocessable):
            answer(tmp_path, **times_asked)
    else:
        expected = wanted if times_asked else lines
        assert answer(tmp_path, **times_asked, **every_line) == newest_first(expected, None)


@pytest.mark.parametrize(
    "line",
    [
        b"2026-01-02 03:04:05.5 INFO x",
        b"\x1b[32m2026-01-02T03:04:05.5Z\x1b[0m x",
        b'{"@timestamp":"2026-01-02T03:04:05.5Z","message":"x"}',
        b'{"message":"x","time":1767323045.5}',
        b'{"message":"' + b"x" * 30_000 + b'","ts":1767323045500}',
    ],
)
def test_times_are_read_as_the_decoders_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(clock.local_offset_seconds, "__defaults__", None)
    (tmp_path / "f.log").write_bytes(line + b"\n")
    at = START_NS + SECOND // 2
    zone_slack = 24 * 3600 * SECOND if line.startswith(b"2026") else 0

    assert answer(tmp_path, from_ns=at - zone_slack, to_ns=at + zone_slack + 1) == line + b"\n"
    assert answer(tmp_path, from_ns=at + zone_slack + 1) == b""
    assert answer(tmp_path, to_ns=at - zone_slack) == b""


def test_lines_out_of_order_by_less_than_an_hour_are_found(tmp_path: Path) -> None:
    """Newer and older lines change places within the hour, over more than one piece."""
    seconds = [at + (3_000 if at % 2 else 0) for at in range(40_000)]
    lines = [clock.to_text(START_NS + second * SECOND).encode() + b" " + b"." * 60 for second in seconds]
    (tmp_path / "f.log").write_bytes(b"".join(line + b"\n" for line in lines))

    wanted = [line for line, second in zip(lines, seconds, strict=True) if 10_000 <= second < 10_100]
    found = answer(tmp_path, from_ns=START_NS + 10_000 * SECOND, to_ns=START_NS + 10_100 * SECOND)
    assert found == newest_first(wanted, None)


def test_reading_ends_soon_behind_what_is_older_than_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = b"%s x\n" % clock.to_text(START_NS).encode()
    with (tmp_path / "f.log").open("wb") as file:
        file.write(line * 100_000)
        file.write(b"%s y\n" % clock.to_text(START_NS + 9_000 * SECOND).encode())
    read = 0
    read_once = backwards.Backwards._read

    def counted(way: backwards.Backwards, size: int) -> int:
        nonlocal read
        read += 1
        return read_once(way, size)

    monkeypatch.setattr(backwards.Backwards, "_read", counted)
    assert answer(tmp_path, from_ns=START_NS + 8_000 * SECOND).endswith(b" y\n")
    assert read == 2


def zstd_frames(content: bytes) -> bytes:
    half = len(content) // 2
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    return compressor.compress(content[:half]) + compressor.compress(content[half:])


@pytest.mark.parametrize("compress", [gzip.compress, zstd_frames, bz2.compress, lzma.compress])
def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path, compress: object) -> None:
    content = b"".join(b"line %d\n" % number for number in range(100_000))
    (tmp_path / "f.log").write_bytes(compress(content))  # type: ignore[operator]

    assert answer(tmp_path, keyword="8999", n=2) == b"line 98999\nline 89999\n"
    assert answer(tmp_path) == newest_first(lines_of(content), None)


@pytest.mark.parametrize("compress", [gzip.compress, zstd_frames, bz2.compress, lzma.compress])
@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_compressed_file_is_an_error(tmp_path: Path, compress: object, damage: str) -> None:
    whole = bytearray(compress(b"".join(b"line %d\n" % (7**number) for number in range(1_000))))  # type: ignore[operator]
    damaged = whole[:-10]
    if damage == "overwritten":
        damaged = whole
        damaged[100:140] = bytes(40)
    (tmp_path / "f.log").write_bytes(damaged)

    with pytest.raises(Unprocessable, match="cannot be decompressed"):
        answer(tmp_path)


def test_temporary_files_are_where_is_room_and_without_one_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place_of() -> Path:
        with compressed.temporary_file() as file:
            return Path(f"/proc/self/fd/{file.fileno()}").readlink().parent

    monkeypatch.delenv("TMPDIR", raising=False)
    assert place_of() == Path("/var/tmp")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert place_of() == tmp_path
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert place_of() == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(Unavailable, match="no directory takes a temporary file"):
        compressed.temporary_file()


def test_what_inflates_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "MAX_INFLATED_BYTES", 1_000_000)
    (tmp_path / "f.log").write_bytes(gzip.compress(bytes(1_000_000)))
    assert len(answer(tmp_path)) == 1_000_001

    (tmp_path / "f.log").write_bytes(gzip.compress(bytes(1_000_001)))
    with pytest.raises(Unprocessable, match="more than 1000000"):
        answer(tmp_path)


def test_a_keyword_in_a_line_of_many_pieces(tmp_path: Path) -> None:
    for at in (0, 1, 500_000, 524_280, 1_048_570, 1_999_990):
        line = b"x" * at + b"needle" + b"y" * (2_000_000 - at)
        (tmp_path / "f.log").write_bytes(b"first\n" + line + b"\nlast\n")

        for asked in ({"keyword": "needle"}, {"keyword": "nee[d]le", "regex": True}):
            assert answer(tmp_path, **asked) == line + b"\n"
        assert answer(tmp_path, keyword="x\nl|needle", regex=True, multiline=True) == line + b"\n"
        assert answer(tmp_path, keyword="^needle", regex=True) == (line + b"\n" if at == 0 else b"")
    assert answer(tmp_path, keyword="y$", regex=True) == line + b"\n"
    assert answer(tmp_path) == b"last\n" + line + b"\nfirst\n"


def test_a_file_that_is_truncated_while_it_is_read_breaks_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "f.log"
    path.write_bytes(b"some line\n" * 200_000)
    pieces = reading.lines(Roots([str(tmp_path)]), LogRequest("f.log"))
    assert next(pieces).endswith(b"some line\n")
    path.write_bytes(b"new\n")

    with pytest.raises(Unavailable, match="truncated"):
        list(pieces)


def test_lines_appended_meanwhile_are_not_part_of_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "f.log"
    path.write_bytes(b"a line\n" * 100_000)
    pieces = reading.lines(Roots([str(tmp_path)]), LogRequest("f.log"))
    first = next(pieces)
    with path.open("ab") as file:
        file.write(b"appended\n")

    assert first + b"".join(pieces) == b"a line\n" * 100_000


def test_the_file_is_closed_whatever_happens(tmp_path: Path) -> None:
    (tmp_path / "f.log").write_bytes(b"a line\n" * 100_000)
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"a line\n" * 100_000))
    before = open_files()
    for name in ("f.log", "f.gz"):
        pieces = reading.lines(Roots([str(tmp_path)]), LogRequest(name))
        next(pieces)
        assert open_files() > before
        pieces.close()
        assert open_files() == before
    with pytest.raises(BadQuery):
        list(reading.lines(Roots([str(tmp_path)]), LogRequest("f.log", "(", regex=True)))
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "pattern", ["(", "a**", "[", r"\Aa", r"a\z", "(?-m)^a", "(?s-m:^a)", "((a{100}){100}){100}", "x" * 4_001]
)
def test_a_pattern_that_is_none_is_refused(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "f.log").write_bytes(b"a\n")
    with pytest.raises(BadQuery) as refused:
        answer(tmp_path, keyword=pattern, regex=True)
    assert "(?m)" not in refused.value.message


def test_escaped_backslashes_are_no_anchors(tmp_path: Path) -> None:
    (tmp_path / "f.log").write_bytes(b"C:\\Aa\n")
    assert answer(tmp_path, keyword=r"\\Aa", regex=True) == b"C:\\Aa\n"


def test_upper_and_lower_case_of_other_alphabets(tmp_path: Path) -> None:
    (tmp_path / "f.log").write_text("Größe ÄÖ\n")
    assert answer(tmp_path, keyword="GRÖSSE") == answer(tmp_path, keyword="äö") == b""
    assert answer(tmp_path, keyword="äö", ignore_case=True) == "Größe ÄÖ\n".encode()


def test_a_request_travels_as_it_is() -> None:
    request = LogRequest("ä.log", "k\n", 3, regex=True, multiline=True, from_ns=-1)
    assert decode(encode(request), LogRequest) == request
    for broken in (b"", b"{}", b'{"filename":1}', b'{"filename":"a","n":"x"}', b"\xff"):
        with pytest.raises(LogriverError, match="not a request"):
            decode(broken, LogRequest)


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before
