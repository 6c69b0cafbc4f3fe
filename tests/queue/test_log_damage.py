"""A log that the disk damaged: what is intact is stored, what is lost is said and never numbered again."""

import os
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from logriver.queue.segment_header import FILE_HEADER_BYTES
from logriver.queue.wal_segment import records
from tests.conftest import RunningServer
from tests.crash.test_crash import HELD, SMALL, NewServer
from tests.crash_clients import body, found, stored, wait_until_stored

BATCHES = 58
RECORDS = 20
_PREFIX_BYTES = 16


@dataclass(frozen=True)
class Place:
    """A record of the log: its segment, its bytes there, and the numbers it took."""

    segment: Path
    start: int
    end: int
    numbers: range


def places(segment: Path) -> list[Place]:
    """The records of a segment that nothing has happened to yet."""
    data = segment.read_bytes()
    at, places = FILE_HEADER_BYTES, []
    while at < len(data):
        _, head_length, length, _ = struct.unpack_from("<IIII", data, at)
        end = at + _PREFIX_BYTES + head_length + length
        for header, _, _ in records(data[at:end]):
            places.append(Place(segment, at, end, range(header.first_seq, header.last_seq + 1)))
        at = end if places and places[-1].end == end else len(data)
    return places


def flip(path: Path, at: int) -> None:
    """Turn a byte of a file over."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a server that was killed with all of its records in the log: record n has the number n + 1."""
    data = tmp_path_factory.mktemp("killed") / "data"
    server = RunningServer(data, environment=SMALL | HELD)
    for batch in range(BATCHES):
        content = body("before", RECORDS * batch, RECORDS)
        key = {"Idempotency-Key": f"before-{batch}"}
        assert server.client.post("/api/v1/logs", content=content, headers=key).status_code == 200
    server.kill()
    return data


@pytest.fixture
def data(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed, tmp_path / "data", symlinks=True))


def segments(data: Path) -> list[Path]:
    return sorted((data / "log").glob("*.log"))


def cut_the_last_record(data: Path) -> list[Place]:
    last = places(segments(data)[-1])[-1]
    os.truncate(last.segment, last.end - 7)
    return [last]


def cut_inside_of_the_last_records_header(data: Path) -> list[Place]:
    last = places(segments(data)[-1])[-1]
    os.truncate(last.segment, last.start + _PREFIX_BYTES + 5)
    return [last]


def flip_in_the_rows_of_the_last_record(data: Path) -> list[Place]:
    last = places(segments(data)[-1])[-1]
    flip(last.segment, last.end - 30)
    return [last]


def flip_in_the_rows_of_an_unsealed_segment(data: Path) -> list[Place]:
    first, *_ = places(segments(data)[-1])
    flip(first.segment, first.end - 30)
    return [first]


def flip_in_the_length_of_a_record(data: Path) -> list[Place]:
    first, *_ = places(segments(data)[-1])
    flip(first.segment, first.start + 9)
    return [first]


def flip_in_two_records_of_a_sealed_segment(data: Path) -> list[Place]:
    _, second, third, *_ = places(segments(data)[1])
    flip(second.segment, second.end - 30)
    flip(third.segment, third.start + _PREFIX_BYTES + 1)
    return [second, third]


def flip_in_the_header_of_the_newest_segment(data: Path) -> list[Place]:
    flip(segments(data)[-1], 30)
    return []


def flip_in_the_header_of_a_sealed_segment(data: Path) -> list[Place]:
    flip(segments(data)[1], 3)
    return []


def flip_in_an_index(data: Path) -> list[Place]:
    segment = segments(data)[1]
    flip(segment, places(segment)[-1].end + 40)
    return []


def zero_a_sealed_segment(data: Path) -> list[Place]:
    lost = places(segments(data)[1])
    size = lost[0].segment.stat().st_size
    lost[0].segment.write_bytes(bytes(size))
    return lost


def empty_a_sealed_segment(data: Path) -> list[Place]:
    lost = places(segments(data)[1])
    os.truncate(lost[0].segment, 0)
    return lost


def remove_a_sealed_segment(data: Path) -> list[Place]:
    lost = places(segments(data)[1])
    lost[0].segment.unlink()
    return lost


DAMAGES = [
    cut_the_last_record,
    cut_inside_of_the_last_records_header,
    flip_in_the_rows_of_the_last_record,
    flip_in_the_rows_of_an_unsealed_segment,
    flip_in_the_length_of_a_record,
    flip_in_two_records_of_a_sealed_segment,
    flip_in_the_header_of_the_newest_segment,
    flip_in_the_header_of_a_sealed_segment,
    flip_in_an_index,
    zero_a_sealed_segment,
    empty_a_sealed_segment,
    remove_a_sealed_segment,
]


@pytest.fixture
def serve(new_server: NewServer, data: Path) -> Callable[[], RunningServer]:
    return lambda: new_server(data=data, **SMALL)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_intact_is_stored_and_what_is_lost_is_said(
    serve: Callable[[], RunningServer], data: Path, damage: Callable[[Path], list[Place]]
) -> None:
    assert len(segments(data)) > 3
    assert len(places(segments(data)[-1])) > 1
    lost = {number for place in damage(data) for number in place.numbers}
    server = serve()
    status = wait_until_stored(server)
    assert status["problems"], "nothing is said"
    assert status["stored"] == BATCHES * RECORDS - len(lost)
    sent = {("before", n) for n in range(BATCHES * RECORDS)}
    assert found(server, "client") == Counter(sent - {("before", number - 1) for number in lost})
    # New records come behind: their numbers are new, and they are visible, so the watermark has passed what was lost.
    answer = server.client.post("/api/v1/logs?wait=searchable", content=body("after", 0, 5))
    assert answer.json()["searchable"] is True
    assert server.stop() == 0
    after = stored(data, "SELECT min(_seq), count() FROM logs WHERE message LIKE '%of after'")
    ((first_after, count),) = after
    assert count == 5
    assert int(str(first_after)) > BATCHES * RECORDS
    assert lost <= skipped_ranges(data)


def skipped_ranges(data: Path) -> set[int]:
    """Every number that is recorded as a skipped range."""
    with closing(sqlite3.connect(data / "state.db")) as state:
        rows = state.execute("SELECT first_seq, last_seq FROM skipped_ranges").fetchall()
    return {number for first, last in rows for number in range(first, last + 1)}


def test_what_was_cut_off_can_be_sent_again(serve: Callable[[], RunningServer], data: Path) -> None:
    cut_the_last_record(data)
    server = serve()
    answer = resend(server, BATCHES - 1)
    assert answer.json() == {"accepted": RECORDS, "rejected": 0, "errors": [], "duplicate": False}
    wait_until_stored(server)
    assert found(server, "client") == Counter(("before", n) for n in range(BATCHES * RECORDS))


def test_without_damage_nothing_is_said_and_keys_are_known(serve: Callable[[], RunningServer]) -> None:
    server = serve()
    assert wait_until_stored(server)["problems"] == []
    for batch in range(BATCHES):
        answer = resend(server, batch)
        assert answer.json()["duplicate"] is True
    assert found(server, "client") == Counter(("before", n) for n in range(BATCHES * RECORDS))


def resend(server: RunningServer, batch: int) -> httpx.Response:
    content, key = body("before", RECORDS * batch, RECORDS), {"Idempotency-Key": f"before-{batch}"}
    return server.client.post("/api/v1/logs", content=content, headers=key)
