"""A segment of the log, by the invariants that `wal_segment.py` begins with, and against a simple model."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logriver.queue.record_header import RecordHeader, RefusedLine
from logriver.queue.segment_header import FILE_HEADER_BYTES, NO_END, SegmentHeader
from logriver.queue.wal_segment import (
    Extent,
    SegmentWriter,
    encode_record,
    read_segment,
    records,
)

FIRST_SEQ = 10


@dataclass
class Record:
    """What was written, and where its bytes are."""

    header: RecordHeader
    rows: bytes
    dead_letters: list[RefusedLine]
    start: int = 0
    end: int = 0

    @property
    def as_read(self) -> tuple[RecordHeader, bytes, list[RefusedLine]]:
        return self.header, self.rows, self.dead_letters


record_shapes = st.lists(
    st.tuples(
        st.lists(st.binary(max_size=20).map(lambda row: row.replace(b"\n", b"") + b"\n"), max_size=4),
        st.lists(st.builds(RefusedLine, st.text(max_size=5), st.binary(max_size=10)), max_size=2),
        st.integers(0, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def write(
    path: Path, shapes: list[tuple[list[bytes], list[RefusedLine], int, bool]], *, group: int = 3
) -> list[Record]:
    """Write a segment, a few records to one sync; a shape's third is what is skipped before it, the last a key."""
    writer = SegmentWriter(path, SegmentHeader("node", 1, FIRST_SEQ, NO_END))
    written: list[Record] = []
    next_seq = FIRST_SEQ
    for start in range(0, len(shapes), group):
        buffers: list[bytes] = []
        extents: list[Extent] = []
        at = writer.size
        batch = []
        for rows, dead_letters, skipped_range, has_key in shapes[start : start + group]:
            body = b"".join(rows)
            key = bytes([len(written)]) * 16 if has_key else b""
            header = RecordHeader(next_seq + skipped_range, len(rows), len(dead_letters), len(body), 5, "src", key, key)
            pieces = encode_record(header, body, dead_letters)
            record = Record(header, body, dead_letters, at, at + sum(map(len, pieces)))
            if header.last_seq >= header.first_seq:
                extents.append(Extent(path, record.start, record.end, header.first_seq, header.last_seq))
            at, next_seq = record.end, header.last_seq + 1
            buffers += pieces
            batch.append(record)
        written += batch
        writer.append(buffers, extents, [record.header for record in batch if record.header.remembered])
    writer_of[path] = writer
    return written


writer_of: dict[Path, SegmentWriter] = {}
"""The writer of each file that `write` made, to be sealed or abandoned."""


def read(path: Path, valid_end: int = NO_END) -> list[tuple[RecordHeader, bytes, list[RefusedLine]]]:
    contents = read_segment(path, valid_end)
    assert contents is not None
    data = path.read_bytes()
    return [record for extent in contents.extents for record in records(data[extent.start : extent.end])]


def fresh(directory: Path) -> Path:
    path = directory / "1.log"
    path.unlink(missing_ok=True)
    return path


@given(record_shapes, st.integers(1, 4), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(
    tmp_path: Path, shapes: list[tuple[list[bytes], list[RefusedLine], int, bool]], group: int, sealed: bool
) -> None:
    path = fresh(tmp_path)
    written = write(path, shapes, group=group)
    if sealed:
        writer_of[path].seal()
    else:
        writer_of[path].abandon()
    contents = read_segment(path)

    assert contents is not None
    assert contents.sealed == sealed
    assert contents.lost == []
    assert (contents.number, contents.first_seq, contents.previous_end) == (1, FIRST_SEQ, NO_END)
    assert contents.headers == [record.header for record in written if record.header.remembered]
    with_numbers = [record.as_read for record in written if record.rows or record.dead_letters]
    found = [record for record in read(path) if record[0].rows + record[0].dead]
    assert found == with_numbers


@given(record_shapes, st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_grow_without_overlap_and_a_gap_is_a_hole(
    tmp_path: Path, shapes: list[tuple[list[bytes], list[RefusedLine], int, bool]], sealed: bool
) -> None:
    path = fresh(tmp_path)
    written = write(path, shapes)
    writer_of[path].seal() if sealed else writer_of[path].abandon()
    contents = read_segment(path)
    assert contents is not None
    numbers = [number for extent in contents.extents for number in range(extent.first_seq, extent.last_seq + 1)]
    expected = [number for record in written for number in range(record.header.first_seq, record.header.last_seq + 1)]
    assert numbers == expected
    assert numbers == sorted(set(numbers))


@given(record_shapes, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_torn_tail_is_reported_and_all_before_it_is_read(
    tmp_path: Path, shapes: list[tuple[list[bytes], list[RefusedLine], int, bool]], data: st.DataObject
) -> None:
    path = fresh(tmp_path)
    written = write(path, shapes)
    writer_of[path].abandon()
    size = path.stat().st_size
    cut = data.draw(st.integers(FILE_HEADER_BYTES, size))
    path.write_bytes(path.read_bytes()[:cut])

    contents = read_segment(path)

    assert contents is not None
    whole = [record for record in written if record.end <= cut]
    valid_end = whole[-1].end if whole else FILE_HEADER_BYTES
    assert contents.lost == ([(valid_end, cut)] if cut > valid_end else [])
    assert [found for found in read(path) if found[0].rows + found[0].dead] == [
        record.as_read for record in whole if record.rows or record.dead_letters
    ]


@given(record_shapes, st.booleans(), st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_a_flipped_bit_costs_its_record_and_is_reported(
    tmp_path: Path,
    shapes: list[tuple[list[bytes], list[RefusedLine], int, bool]],
    sealed: bool,
    data: st.DataObject,
) -> None:
    path = fresh(tmp_path)
    written = write(path, shapes)
    writer_of[path].seal() if sealed else writer_of[path].abandon()
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(FILE_HEADER_BYTES, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)

    hit = [record for record in written if record.start <= at < record.end]
    others = [record.as_read for record in written if record not in hit and (record.rows or record.dead_letters)]
    assert [found for found in read(path) if found[0].rows + found[0].dead] == others
    contents = read_segment(path)
    assert contents is not None
    if hit and not contents.sealed:
        # An index points at records and says nothing of their bytes; the reader of the payload finds this one.
        assert any(start <= at < end for start, end in contents.lost)


@pytest.mark.parametrize("length", [0, 1, FILE_HEADER_BYTES - 1])
def test_a_file_without_its_header_was_never_answered_for(tmp_path: Path, length: int) -> None:
    path = fresh(tmp_path)
    write(path, [([b"a\n"], [], 0, False)])
    writer_of[path].abandon()
    path.write_bytes(path.read_bytes()[:length])
    assert read_segment(path) is None


@pytest.mark.parametrize("at", range(0, FILE_HEADER_BYTES, 5))
def test_a_damaged_header_is_reported_and_the_records_say_their_own_numbers(tmp_path: Path, at: int) -> None:
    path = fresh(tmp_path)
    written = write(path, [([b"a\n"], [], 0, False)])
    writer_of[path].abandon()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    contents = read_segment(path)
    assert contents is not None
    assert contents.lost == [(0, FILE_HEADER_BYTES)]
    assert read(path) == [record.as_read for record in written]


@pytest.mark.parametrize("sealed", [True, False])
def test_nothing_behind_the_valid_end_comes_back(tmp_path: Path, sealed: bool) -> None:
    """After a failed sync the next segment says up to where this one counts, whatever reached the disk behind."""
    path = fresh(tmp_path)
    written = write(path, [([b"a\n"], [], 0, True), ([b"b\n"], [], 0, True), ([b"c\n"], [], 0, True)], group=1)
    writer_of[path].seal() if sealed else writer_of[path].abandon()

    contents = read_segment(path, written[0].end)

    assert contents is not None
    assert contents.headers == [written[0].header]
    assert contents.lost == []
    assert read(path, written[0].end) == [written[0].as_read]


def test_a_row_that_looks_like_a_record_is_a_row(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    inner = RecordHeader(99, 1, 0, 2, 5)
    fake = b"".join(encode_record(inner, b"x\n", [])) + b"\n"
    written = write(path, [([fake], [], 0, False), ([b"b\n"], [], 0, False)])
    writer_of[path].abandon()
    assert read(path) == [record.as_read for record in written]


def test_an_abandoned_segment_is_cut_at_its_last_good_sync(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    [record] = write(path, [([b"a\n"], [], 0, False)])
    with path.open("ab") as file:
        file.write(b"half a record")
    writer_of[path].abandon()
    assert path.stat().st_size == record.end
