"""What agent and server say to each other at `/api/v1/ranges`: batches with their position, and what is known.

MessagePack, each message an array that begins with the number of its format. A server reads every format up to its own,
and answers in the one that it is asked for; it refuses a newer one and says so, and the agent waits with its files.
Nobody guesses. A server reads what it is sent with suspicion (`row_check.py`, `position_check.py`), an agent believes
its server.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from logriver.columns import ROW_FORMAT
from logriver.decode.row_check import RowCheck
from logriver.decode.wire.position_check import dead_problem, position_problem, source_problem
from logriver.errors import BadBody
from logriver.record import Batch, Decoded, Known, Position, Refused, StreamRange
from logriver.record_forms import (
    CommittedFileForm,
    CommittedStreamForm,
    FileRangeForm,
    StreamRangeForm,
    of_committed,
    of_range,
    of_stream,
    of_stream_range,
    to_committed,
    to_range,
    to_stream,
    to_stream_range,
)
from logriver.record_forms_v1 import FileRangeV1, HeldV1, held_v1

CONTENT_TYPE = "application/vnd.logriver.batch+msgpack"
FORMAT = 2
"""The format that is sent; older ones are read."""


class _Message(msgspec.Struct, array_like=True):
    format: int


class _RefusedForm(msgspec.Struct, array_like=True):
    line: int
    reason: str
    raw: bytes = b""
    offset: int = 0


class _BatchMessage(msgspec.Struct, array_like=True):
    format: int
    row_format: int
    source: str
    range: FileRangeForm | None
    stream: StreamRangeForm | None
    rows: bytes
    count: int
    dead: list[_RefusedForm]


class _KnownMessage(msgspec.Struct, array_like=True):
    format: int
    files: list[CommittedFileForm]
    streams: list[CommittedStreamForm]


class _RefusedV1(msgspec.Struct):
    line: int
    reason: str
    raw: bytes = b""
    offset: int = 0


class _BatchMessageV1(msgspec.Struct, array_like=True):
    format: int
    source: str
    range: FileRangeV1
    rows: bytes
    count: int
    dead: list[_RefusedV1]


class _KnownMessageV1(msgspec.Struct, array_like=True):
    format: int
    held: list[HeldV1]


_encode = msgspec.msgpack.Encoder().encode
_message = msgspec.msgpack.Decoder(_Message)
_batch_message = msgspec.msgpack.Decoder(_BatchMessage)
_batch_message_v1 = msgspec.msgpack.Decoder(_BatchMessageV1)
_known_message = msgspec.msgpack.Decoder(_KnownMessage)
_known_message_v1 = msgspec.msgpack.Decoder(_KnownMessageV1)
_Read = TypeVar("_Read")
_UPDATE = "update the older one of agent and server; until then the agent waits with its files"


def encode_batch(batch: Batch) -> bytes:
    """A batch that has a position."""
    position = batch.position
    assert position is not None, "an agent sends parts of files and of streams"
    return _encode(
        _BatchMessage(
            FORMAT,
            ROW_FORMAT,
            batch.source,
            None if isinstance(position, StreamRange) else of_range(position),
            of_stream_range(position) if isinstance(position, StreamRange) else None,
            batch.decoded.rows,
            batch.decoded.count,
            [_RefusedForm(refused.line, refused.reason, refused.raw, refused.offset) for refused in batch.dead],
        )
    )


def decode_batch(body: bytes, rows: RowCheck) -> Batch:
    """The batch in `body`. Raises `BadBody` unless all of it could be one of ours."""
    batch = _read(body, "batch", {1: _batch_v1, 2: _batch})
    if problem := source_problem(batch.source) or dead_problem(batch.dead):
        raise BadBody(problem)
    position = _only_position(batch)
    if problem := position_problem(position, batch.decoded.count + len(batch.dead)):
        raise BadBody(problem)
    rows.check(batch.decoded.rows, batch.decoded.count)
    return batch


def encode_known(known: Known, format: int = FORMAT) -> bytes:
    """What is known of a follower's sources, in a format that the agent knows; the first one had no streams."""
    files = [of_committed(held) for held in known.files]
    if format == 1:
        return _encode(_KnownMessageV1(1, [held_v1(form) for form in files]))
    return _encode(_KnownMessage(FORMAT, files, [of_stream(stream) for stream in known.streams]))


def decode_known(body: bytes) -> Known:
    """The same. Raises `BadBody`."""
    return _read(body, "ledger", {1: _known_v1, 2: _known})


def _batch(body: bytes) -> Batch:
    message = _batch_message.decode(body)
    if message.row_format != ROW_FORMAT:
        raise BadBody(f"format {message.row_format} of rows is not known here, {ROW_FORMAT} is", hint=_UPDATE)
    dead = [Refused(refused.line, refused.reason, refused.raw, refused.offset) for refused in message.dead]
    return Batch(
        Decoded(message.rows, message.count),
        message.source,
        range=None if message.range is None else to_range(message.range),
        stream=None if message.stream is None else to_stream_range(message.stream),
        dead=dead,
    )


def _batch_v1(body: bytes) -> Batch:
    message = _batch_message_v1.decode(body)
    dead = [Refused(refused.line, refused.reason, refused.raw, refused.offset) for refused in message.dead]
    covers = to_range(message.range.form())
    return Batch(Decoded(message.rows, message.count), message.source, range=covers, dead=dead)


def _only_position(batch: Batch) -> Position:
    position = batch.position
    if position is None or (batch.range is not None and batch.stream is not None):
        raise BadBody("a batch of an agent covers a part of a file or of a stream, one of them")
    return position


def _known(body: bytes) -> Known:
    message = _known_message.decode(body)
    return Known([to_committed(form) for form in message.files], [to_stream(form) for form in message.streams])


def _known_v1(body: bytes) -> Known:
    return Known([to_committed(held.form()) for held in _known_message_v1.decode(body).held])


def _read(body: bytes, what: str, readers: dict[int, Callable[[bytes], _Read]]) -> _Read:
    try:
        number = _message.decode(body).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"not a message of a logriver: {str(error)[:200]}") from None
    if number not in readers:
        raise BadBody(f"format {number} of agents' messages is not known here, 1 to {FORMAT} are", hint=_UPDATE)
    try:
        return readers[number](body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"not a {what}: {str(error)[:200]}") from None
