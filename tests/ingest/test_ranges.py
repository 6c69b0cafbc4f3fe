"""`/api/v1/ranges`: what an agent sends is stored as its follower's; what is not good is refused and harmless."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from logriver import clock
from logriver.decode.formats import FORMATS
from logriver.decode.row_builder import row
from logriver.decode.row_check import RowCheck
from logriver.decode.wire import ranges
from logriver.errors import BadBody
from logriver.file_position import Committed, FileIdentity, FileRange, Gap
from logriver.record import Batch, CommittedStream, Decoded, Known, Refused, Stream
from tests.conftest import RunningServer
from tests.cpu_time import within_cpu_time
from tests.decode.decoding import decoded

PATH = "/api/v1/ranges"
MAX_RECORD_BYTES = 2_000_000
GOOD = row(0, "info", "a message", attributes='{"a":1}').encode() + b"\n"
Change = Callable[[list[Any]], object]


def batch(rows: bytes = GOOD, count: int = 1, *, start: int = 0, end: int = 100, follower: str = "") -> Batch:
    identity = FileIdentity(follower or uuid4().hex, 1, 2, 3, "ab" * 16)
    covers = FileRange(identity, "/var/log/x.log", start, end, 7, b"tail")
    return Batch(Decoded(rows, count), "/var/log/x.log", range=covers)


def send(server: RunningServer, body: bytes, encoding: str = "zstd") -> httpx.Response:
    content = zstandard.compress(body) if encoding == "zstd" else body
    return server.client.post(PATH, content=content, headers={"Content-Encoding": encoding})


def ledger(server: RunningServer, follower: str) -> Known:
    answer = server.client.get(PATH, params={"follower": follower, "format": str(ranges.FORMAT)})
    return ranges.decode_known(answer.content)


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def test_a_range_is_taken_only_where_the_ledger_ends(server: RunningServer) -> None:
    first = batch()
    assert first.range
    again = send(server, ranges.encode_batch(first)), send(server, ranges.encode_batch(first))
    assert [answer.status_code for answer in again] == [200, 409]
    assert again[0].json()["accepted"] == 1
    assert again[1].json()["error"]["held_end"] == 100
    held = ledger(server, first.range.identity.follower).files
    assert [(entry.path, entry.end, entry.crc, entry.tail) for entry in held] == [("/var/log/x.log", 100, 7, b"tail")]


def test_refused_lines_become_dead_letters(server: RunningServer) -> None:
    before = int(str(server.status()["dead_letters"]))
    sent = replace(batch(b"", 0), dead=[Refused(1, "why not", b"as it came", 5)])
    assert send(server, ranges.encode_batch(sent)).status_code == 200
    deadline = time.monotonic() + 30
    while int(str(server.status()["dead_letters"])) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def at(*path: int | str, to: object) -> Change:
    """A change of a message (format, row format, source, range, stream, rows, count, dead) in one of its parts."""

    def change(message: list[Any]) -> object:
        inner: Any = message
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to
        return message

    return change


WRONG: dict[str, Change] = {
    "format 3 of agents' messages is not known": at(0, to=3),
    "format 2 of rows is not known here": at(1, to=2),
    "not a message of a logriver": lambda message: {"format": 1},
    "not a message of a logriver: ": at(0, to="1"),
    "not a batch": lambda message: message[:3],
    "not a batch: Expected `str`": at(2, to=7),
    "not a batch: Expected `int`": at(6, to="1"),
    "the source has 0 characters": at(2, to=""),
    "the source has 5001 characters": at(2, to="x" * 5001),
    "the range from byte 7 to 6": lambda message: at(3, 2, to=7)(at(3, 3, to=6)(message)),  # type: ignore[arg-type]
    "the range from byte -1": at(3, 2, to=-1),
    "the range from byte 0 to 9223372036854775808": at(3, 3, to=2**63),
    "the range from byte 0 to 100 has a number": at(3, 4, to=2**32),
    "the path or the tail": at(3, 5, to=b"x" * 257),
    "the path or the tail of": at(3, 1, to=""),
    "the incarnation has a number": at(3, 0, 2, to=-1),
    "the incarnation has a number that": at(3, 0, 3, to=1025),
    "the follower's name": at(3, 0, 0, to="x" * 256),
    "the follower's name or": at(3, 0, 4, to="x" * 256),
    "the gap has a number": at(3, 9, to=[0, -1, True, "", 0]),
    "the gap's reason": at(3, 9, to=[0, 1, True, "x" * 2001, 0]),
    "a range without bytes has records": at(3, 3, to=0),
    "1 whole rows, where 2 were announced": at(6, to=2),
    "1 whole rows, where 0 were announced": at(6, to=0),
    "0 whole rows": at(5, to=GOOD[:-1]),
    "row 2: 1 columns": lambda message: at(5, to=GOOD + b"\n")(at(6, to=2)(message)),  # type: ignore[arg-type]
    "row 1: 11 columns": at(5, to=b"\t" + GOOD),
    "row 1: not valid UTF-8": at(5, to=GOOD.replace(b"message", b"\xff")),
    "row 1: a backslash": at(5, to=GOOD.replace(b"a message", b"\\N")),
    "row 1: a backslash that": at(5, to=GOOD.replace(b"a message", b"\\\\\\")),
    "row 1: b'1_0' is not a time": at(5, to=GOOD.replace(b"0", b"1_0", 1)),
    "row 1: b'-' is not a time": at(5, to=GOOD.replace(b"0", b"-", 1)),
    "row 1: b'' is not a time": at(5, to=GOOD.replace(b"0", b"", 1)),
    "row 1: b'9999999999999999999' is not a time": at(5, to=GOOD.replace(b"0", b"9" * 19, 1)),
    "row 1: b'-2208988800000000001' is not a time": at(5, to=GOOD.replace(b"0", b"-2208988800000000001", 1)),
    "row 1: b'-1' is not an offset": at(5, to=GOOD.replace(b"\t0\n", b"\t-1\n")),
    "row 1: b'99999999999999999999' is not an offset": at(5, to=GOOD.replace(b"\t0\n", b"\t" + b"9" * 20 + b"\n")),
    "row 1: its attributes are not a JSON object": at(5, to=GOOD.replace(b'{"a":1}', b"[]")),
    "row 1: its attributes: not JSON": at(5, to=GOOD.replace(b'{"a":1}', b"")),
    "row 1: its attributes: a number": at(5, to=GOOD.replace(b'{"a":1}', b'{"a":1e999}')),
    "row 1: its attributes: nested": at(5, to=GOOD.replace(b'{"a":1}', b'{"a":' + b"[" * 500 + b"]" * 500 + b"}")),
    "row 1: its attributes: nested deeper than 128": at(
        5, to=GOOD.replace(b'{"a":1}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
    ),
    "row 1: its attributes: 10001 keys": at(
        5, to=GOOD.replace(b'{"a":1}', b"{" + b",".join(b'"%d":1' % n for n in range(10_001)) + b"}")
    ),
    "row 1: 21000000 bytes": at(5, to=GOOD.replace(b"a message", b"x" * 21_000_000)[-21_000_001:]),
    "refused line 3": at(7, to=[[3, "", b"x" * 65_537]]),
    "refused line 4": at(7, to=[[4, "x" * 2001]]),
    "a refused line has a number": at(7, to=[[-1, ""]]),
}


@pytest.mark.parametrize("expected", WRONG)
def test_what_is_wrong_is_named_and_refused(server: RunningServer, expected: str) -> None:
    follower = uuid4().hex
    message = msgspec.msgpack.decode(ranges.encode_batch(batch(follower=follower)))
    answer = send(server, msgspec.msgpack.encode(WRONG[expected](message)))
    assert answer.status_code == 400, answer.text
    assert reason(answer).startswith(expected.rstrip())
    assert ledger(server, follower) == Known()


def test_bodies_that_are_no_message_are_refused(server: RunningServer) -> None:
    good = zstandard.compress(ranges.encode_batch(batch()))
    post = partial(server.client.post, PATH)
    cut = post(content=good[:-5], headers={"Content-Encoding": "zstd"})
    bomb = post(content=zstandard.compress(b"\0" * 100_000_000), headers={"Content-Encoding": "zstd"})
    announced = post(content=b"\x96\x01\xdb\xff\xff\xff\xff")
    deep = post(content=b"\x91" * 500_000)
    assert [answer.status_code for answer in (cut, bomb, announced, deep)] == [400, 413, 400, 400]
    assert post(content=b"", headers={"Content-Encoding": "br"}).status_code == 415
    assert post(content=b"").status_code == 400
    assert server.client.get(PATH).status_code == 400
    assert server.client.get(PATH, params={"follower": ["a", "b"]}).status_code == 400
    assert server.client.delete(PATH).status_code in (404, 405)
    assert server.client.get("/ready").status_code == 200


def test_two_that_send_the_same_range_at_once_are_told_apart(server: RunningServer) -> None:
    body, statuses = ranges.encode_batch(batch()), list[int]()
    threads = [threading.Thread(target=lambda: statuses.append(send(server, body).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [409] * 7


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=300), text=st.text(max_size=100))
@within_cpu_time
def test_what_our_decoders_write_is_good(name: str, data: bytes, text: str) -> None:
    lines = b"\n".join(
        (data, text.encode(), b'{"a":"' + text.encode() + b'"}', b'2024-09-14 16:15:35 k="\\t\\\\n" a=1')
    )
    chunk = lines.replace(b"\r", b"") + b"\n"
    found = decoded(name, chunk, now_ns=clock.now_ns(), zone="")
    sent = replace(batch(), decoded=found, dead=found.refused)
    taken = ranges.decode_batch(ranges.encode_batch(sent), RowCheck(MAX_RECORD_BYTES))
    assert taken.decoded.rows == found.rows
    assert (taken.decoded.count, taken.range, taken.dead) == (found.count, sent.range, found.refused)


NUMBERS = [b"0", b"-5", b"1_0", b" 1", b"", b"-", b"x", b"1" * 19, b"1" * 20]
OBJECTS = [b"{}", b"[]", b'{"a":[1', b"2]}", b'{"a":1},{}', b'{"a":"\\\\n"}', b'{"a":\\n1}']
TEXTS = [b"\\", b"\\\\", b"\\\\\\n", b"\xff", "é".encode(), b"\0", b"\r"]
VALUES = st.sampled_from([*NUMBERS, *OBJECTS, *TEXTS])


@given(st.lists(st.lists(VALUES, min_size=9, max_size=11), min_size=1, max_size=4), st.integers(0, 3))
@within_cpu_time
def test_a_slice_is_good_if_each_of_its_rows_is(columns: list[list[bytes]], good_rows: int) -> None:
    columns = [[b"1", *values[1:7], b"{}", b"", b"2"] if len(values) == 9 else values for values in columns]
    rows = [b"\t".join(values) for values in columns] + [GOOD[:-1]] * good_rows
    check = RowCheck(MAX_RECORD_BYTES)
    problems = [number for number, text in enumerate(rows, 1) if check.problem(text)]
    together = b"".join(text + b"\n" for text in rows)
    if not problems:
        check.check(together, len(rows))
    else:
        with pytest.raises(BadBody, match=f"^row {problems[0]}: "):
            check.check(together, len(rows))


def test_a_ledger_comes_back_as_it_was() -> None:
    identity = FileIdentity("me", 2**64 - 1, 2**63, 1024, "ab" * 16, 3)
    held = [Committed(identity, "/x", 5, 2**32 - 1, b"\xff", (1, 2), True, 7, (Gap(1, 2, False, "why", 3),))]
    streams = [CommittedStream(Stream("me", "topic/0", "a1"), 7, 9)]
    assert ranges.decode_known(ranges.encode_known(Known(held, streams))) == Known(held, streams)
    assert ranges.decode_known(ranges.encode_known(Known(held, streams), 1)) == Known(held)
    for wrong in (b"", b"\x92\x03\x90", b"\x92\x01\x05", b"<html>"):
        with pytest.raises(BadBody):
            ranges.decode_known(wrong)
