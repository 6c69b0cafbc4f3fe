"""Agents' messages by version: an older agent is served, a newer one is told; streams have a ledger of their own."""

from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from logriver.decode.row_builder import row
from logriver.decode.wire import ranges
from logriver.record import Batch, CommittedStream, Decoded, Known, Stream, StreamRange
from tests.conftest import RunningServer

PATH = "/api/v1/ranges"


def rows(*messages: str) -> Decoded:
    return Decoded("".join(f"{row(0, 'info', message)}\n" for message in messages).encode(), len(messages))


def post(server: RunningServer, body: bytes) -> httpx.Response:
    return server.client.post(PATH, content=body, headers={"Content-Type": ranges.CONTENT_TYPE})


def known(server: RunningServer, follower: str, **parameters: str) -> httpx.Response:
    return server.client.get(PATH, params={"follower": follower, **parameters})


def first_format(follower: str, start: int, end: int) -> bytes:
    """What the first agents send, by the names of their time."""
    file = {"follower": follower, "device": 1, "inode": 2, "head_length": 3, "head_hash": "ab", "life": 1}
    gap = {"offset": 0, "bytes": 5, "exact": True, "reason": "gone", "noticed_ns": 7, "lost": False}
    covers: dict[str, Any] = {"generation": file, "path": "/x.log", "start": start, "end": end, "crc": 7, "tail": b"t"}
    covers |= {"place": [3, 4], "over": True, "gone_ns": 9, "gap": gap}
    dead = [{"line": 2, "reason": "bad", "raw": b"raw", "offset": 5}]
    return msgspec.msgpack.encode([1, "/x.log", covers, rows("one").rows, 1, dead])


def test_an_agent_of_the_first_format_is_served(server: RunningServer) -> None:
    follower = uuid4().hex
    assert post(server, first_format(follower, 0, 10)).json()["accepted"] == 1
    again = post(server, first_format(follower, 0, 10))
    assert (again.status_code, again.json()["error"]["held_end"]) == (409, 10)
    number, [held] = msgspec.msgpack.decode(known(server, follower).content)
    assert (number, held.pop("last_event_ns") > 0) == (1, True)
    assert held == {
        "generation": {"follower": follower, "device": 1, "inode": 2, "head_length": 3, "head_hash": "ab", "life": 1},
        "path": "/x.log",
        "end": 10,
        "crc": 7,
        "tail": b"t",
        "moved_to": [3, 4],
        "over": True,
        "gone_ns": 9,
        "gaps": [{"offset": 0, "bytes": 5, "exact": True, "reason": "gone", "noticed_ns": 7, "lost": False}],
    }
    [file] = ranges.decode_known(known(server, follower, format="2").content).files
    assert (file.identity.incarnation, file.file_key, file.gaps[0].lost) == (1, (3, 4), False)


def test_a_newer_agent_is_told_what_to_do(server: RunningServer) -> None:
    message = msgspec.msgpack.decode(ranges.encode_batch(stream_batch(uuid4().hex, 0, 5)))
    newer = post(server, msgspec.msgpack.encode([ranges.FORMAT + 1, *message[1:], "something new"]))
    assert newer.status_code == 400
    assert f"format {ranges.FORMAT + 1} of agents' messages is not known here" in newer.json()["error"]["message"]
    assert "update the older one" in newer.json()["error"]["hint"]
    # What it asks for it gets in a format that it knows too.
    assert msgspec.msgpack.decode(known(server, "x", format=str(ranges.FORMAT + 1)).content)[0] == ranges.FORMAT
    assert [known(server, "x", format=wrong).status_code for wrong in ("0", "-1", "x", "9" * 20)] == [400] * 4


def stream_batch(follower: str, start: int, end: int, *messages: str, epoch: str = "a") -> Batch:
    covers = StreamRange(Stream(follower, "topic/0", epoch), start, end)
    return Batch(rows(*messages), "kafka:topic/0", stream=covers)


def test_a_stream_is_taken_only_where_it_ended_and_may_skip_offsets(server: RunningServer) -> None:
    follower = uuid4().hex

    def put(start: int, end: int, *messages: str, epoch: str = "a") -> httpx.Response:
        return post(server, ranges.encode_batch(stream_batch(follower, start, end, *messages, epoch=epoch)))

    # Two records somewhere in 0 to 900, then one far behind.
    assert put(0, 900, f"{follower} one", f"{follower} two").json()["accepted"] == 2
    assert put(900, 5_000, f"{follower} three").json()["accepted"] == 1
    for start, end in ((0, 900), (900, 5_000), (4_999, 5_001), (5_001, 6_000)):
        conflict = put(start, end, "never")
        assert (conflict.status_code, conflict.json()["error"]["held_end"]) == (409, 5_000)
    assert put(0, 10, f"{follower} four", epoch="b").status_code == 200
    found = ranges.decode_known(known(server, follower, format="2").content)
    assert [(entry.stream.epoch, entry.end) for entry in found.streams] == [("a", 5_000), ("b", 10)]
    assert server.client.post("/api/v1/logs?wait=searchable", content=b"{}").json()["searchable"] is True
    assert len(server.search(q=follower, limit=10)) == 4


@pytest.mark.parametrize(
    ("at", "to", "reason"),
    [
        (4, None, "a batch of an agent covers a part of a file or of a stream"),
        (4, ["f", "topic", "a", 7, 6], "the range from offset 7 to 6"),
        (4, ["f", "topic", "a", 0, 2**63], "the range from offset 0"),
        (4, ["f", "topic", "", 0, 5], "the follower, the name or the epoch"),
        (4, ["f", "x" * 256, "a", 0, 5], "the follower, the name or the epoch"),
        (4, ["f", "topic", "a", 5, 5], "a range without bytes has records"),
        (3, [["f", 1, 2, 3, "ab"], "/x", 0, 5, 0, b""], "a batch of an agent covers a part of a file or of a stream"),
    ],
)
def test_a_position_that_cannot_be_is_refused(server: RunningServer, at: int, to: object, reason: str) -> None:
    message = msgspec.msgpack.decode(ranges.encode_batch(stream_batch("f", 0, 5, "x")))
    message[at] = to
    answer = post(server, msgspec.msgpack.encode(message))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(reason)


def test_what_is_known_of_streams_survives_a_message() -> None:
    streams = Known(streams=[CommittedStream(Stream("me", "s", "e"), 2**62, 3)])
    assert ranges.decode_known(ranges.encode_known(streams)) == streams
