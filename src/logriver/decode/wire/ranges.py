"""What agent and server say to each other at `/api/v1/ranges`: batches with their range of a file, and the ledger.

MessagePack of the types of `record.py`, each message an array that begins with the number of its format. Two releases
that do not know the same format say so; neither guesses. A server reads what it is sent with suspicion (`row_check.py`
for the rows, here for all else), an agent believes its server.
"""

import msgspec

from logriver import clock
from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES
from logriver.decode.row_check import RowCheck
from logriver.errors import BadBody
from logriver.record import Batch, Decoded, FileRange, Gap, Generation, Held, Refused

CONTENT_TYPE = "application/vnd.logriver.batch+msgpack"
FORMAT = 1

_MAX_PATH_LENGTH = 5_000
_MAX_NAME_LENGTH = 255
_MAX_REASON_LENGTH = 2_000
_MAX_HEAD_BYTES = 1024
_MAX_TAIL_BYTES = 256
_INT64, _UINT64, _UINT32 = 2**63, 2**64, 2**32


class _Message(msgspec.Struct, array_like=True):
    format: int


class _BatchMessage(msgspec.Struct, array_like=True):
    format: int
    source: str
    range: FileRange
    rows: bytes
    count: int
    dead: list[Refused]


class _LedgerMessage(msgspec.Struct, array_like=True):
    format: int
    held: list[Held]


_encode = msgspec.msgpack.Encoder().encode
_message = msgspec.msgpack.Decoder(_Message)
_batch_message = msgspec.msgpack.Decoder(_BatchMessage)
_ledger_message = msgspec.msgpack.Decoder(_LedgerMessage)


def encode_batch(batch: Batch) -> bytes:
    """A batch that has a range."""
    assert batch.range is not None, "an agent sends ranges of files"
    rows = b"".join(batch.decoded.rows)
    return _encode(_BatchMessage(FORMAT, batch.source, batch.range, rows, batch.decoded.count, batch.dead))


def decode_batch(body: bytes, rows: RowCheck) -> Batch:
    """The batch in `body`. Raises `BadBody` unless all of it could be one of ours."""
    _check_format(body)
    try:
        message = _batch_message.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"not a batch: {str(error)[:200]}") from None
    if problem := _source_problem(message.source) or _dead_problem(message.dead):
        raise BadBody(problem)
    _check_range(message.range, message.count + len(message.dead))
    rows.check(message.rows, message.count)
    decoded = Decoded([message.rows] if message.count else [], message.count)
    return Batch(decoded, message.source, range=message.range, dead=message.dead)


def encode_ledger(held: list[Held]) -> bytes:
    """What is known of a follower's files."""
    return _encode(_LedgerMessage(FORMAT, held))


def decode_ledger(body: bytes) -> list[Held]:
    """The same. Raises `BadBody`."""
    _check_format(body)
    try:
        return _ledger_message.decode(body).held
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"not a ledger: {str(error)[:200]}") from None


def _check_format(body: bytes) -> None:
    try:
        number = _message.decode(body).format
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"not a message of a logriver: {str(error)[:200]}") from None
    if number != FORMAT:
        hint = "agent and server must be of releases that know the same format: update the older one"
        raise BadBody(f"format {number} of agents' messages is not known here, {FORMAT} is", hint=hint)


def _source_problem(source: str) -> str | None:
    if not 0 < len(source) <= _MAX_PATH_LENGTH:
        return f"the source has {len(source)} characters"
    return None


def _check_range(range: FileRange, records: int) -> None:
    if problem := _range_problem(range):
        raise BadBody(problem)
    if records and range.start == range.end:
        raise BadBody("a range without bytes has records")


def _range_problem(range: FileRange) -> str | None:
    """What cannot be so of a range."""
    place = range.place or (0, 0)
    numbers_fit = (
        0 <= range.start <= range.end < _INT64
        and 0 <= range.crc < _UINT32
        and all(0 <= number < _UINT64 for number in place)
        and 0 <= range.gone_ns <= clock.MAX_TIME_NS
    )
    if not numbers_fit:
        return f"the range from byte {range.start} to {range.end} has a number that cannot be"
    if not 0 < len(range.path) <= _MAX_PATH_LENGTH or len(range.tail) > _MAX_TAIL_BYTES:
        return "the path or the tail of the range is too long, or there is none"
    return _generation_problem(range.generation) or (_gap_problem(range.gap) if range.gap else None)


def _generation_problem(generation: Generation) -> str | None:
    numbers = (generation.device, generation.inode, generation.life)
    if not all(0 <= number < _UINT64 for number in numbers) or not 0 <= generation.head_length <= _MAX_HEAD_BYTES:
        return "the generation has a number that cannot be"
    if not 0 < len(generation.follower) <= _MAX_NAME_LENGTH or len(generation.head_hash) > _MAX_NAME_LENGTH:
        return "the follower's name or the hash of the generation is too long, or there is none"
    return None


def _gap_problem(gap: Gap) -> str | None:
    if not (0 <= gap.offset < _INT64 and 0 <= gap.bytes < _INT64 and 0 <= gap.noticed_ns <= clock.MAX_TIME_NS):
        return "the gap has a number that cannot be"
    return "the gap's reason is too long" if len(gap.reason) > _MAX_REASON_LENGTH else None


def _dead_problem(dead: list[Refused]) -> str | None:
    for refused in dead:
        if len(refused.raw) > MAX_REFUSED_BYTES or len(refused.reason) > _MAX_REASON_LENGTH:
            return f"refused line {refused.line}: more than is kept of one"
        if not (0 <= refused.line < _INT64 and 0 <= refused.offset < _INT64):
            return "a refused line has a number that cannot be"
    return None
