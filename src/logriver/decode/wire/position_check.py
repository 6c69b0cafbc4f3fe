"""Whether a position, as an agent sends it, can be one: lengths and numbers. A server believes nothing else of it."""

from logriver import clock
from logriver.decode.lines.whole_lines import MAX_REFUSED_BYTES
from logriver.file_position import FileIdentity, FileRange, Gap
from logriver.record import Position, Refused, StreamRange

_MAX_PATH_LENGTH = 5_000
_MAX_NAME_LENGTH = 255
_MAX_REASON_LENGTH = 2_000
_MAX_HEAD_BYTES = 1024
_MAX_TAIL_BYTES = 256
_INT64, _UINT64, _UINT32 = 2**63, 2**64, 2**32


def source_problem(source: str) -> str | None:
    """What cannot be so of a source's name."""
    if not 0 < len(source) <= _MAX_PATH_LENGTH:
        return f"the source has {len(source)} characters"
    return None


def position_problem(position: Position, records: int) -> str | None:
    """What cannot be so of the position of a batch with so many records."""
    problem = _stream_problem(position) if isinstance(position, StreamRange) else _range_problem(position)
    if problem is None and records and position.start == position.end:
        return "a range without bytes has records"
    return problem


def _stream_problem(range: StreamRange) -> str | None:
    stream = range.stream
    if not 0 <= range.start <= range.end < _INT64:
        return f"the range from offset {range.start} to {range.end} has a number that cannot be"
    if not all(0 < len(name) <= _MAX_NAME_LENGTH for name in (stream.follower, stream.name, stream.epoch)):
        return "the follower, the name or the epoch of the stream is too long, or there is none"
    return None


def _range_problem(range: FileRange) -> str | None:
    """What cannot be so of a range."""
    file_key = range.file_key or (0, 0)
    numbers_fit = (
        0 <= range.start <= range.end < _INT64
        and 0 <= range.crc < _UINT32
        and all(0 <= number < _UINT64 for number in file_key)
        and 0 <= range.gone_ns <= clock.MAX_TIME_NS
    )
    if not numbers_fit:
        return f"the range from byte {range.start} to {range.end} has a number that cannot be"
    if not 0 < len(range.path) <= _MAX_PATH_LENGTH or len(range.tail) > _MAX_TAIL_BYTES:
        return "the path or the tail of the range is too long, or there is none"
    return _identity_problem(range.identity) or (_gap_problem(range.gap) if range.gap else None)


def _identity_problem(identity: FileIdentity) -> str | None:
    numbers = (identity.device, identity.inode, identity.incarnation)
    if not all(0 <= number < _UINT64 for number in numbers) or not 0 <= identity.head_length <= _MAX_HEAD_BYTES:
        return "the incarnation has a number that cannot be"
    if not 0 < len(identity.follower) <= _MAX_NAME_LENGTH or len(identity.head_hash) > _MAX_NAME_LENGTH:
        return "the follower's name or the hash of the incarnation is too long, or there is none"
    return None


def _gap_problem(gap: Gap) -> str | None:
    if not (0 <= gap.offset < _INT64 and 0 <= gap.bytes < _INT64 and 0 <= gap.noticed_ns <= clock.MAX_TIME_NS):
        return "the gap has a number that cannot be"
    return "the gap's reason is too long" if len(gap.reason) > _MAX_REASON_LENGTH else None


def dead_problem(dead: list[Refused]) -> str | None:
    """What cannot be so of refused lines."""
    for refused in dead:
        if len(refused.raw) > MAX_REFUSED_BYTES or len(refused.reason) > _MAX_REASON_LENGTH:
            return f"refused line {refused.line}: more than is kept of one"
        if not (0 <= refused.line < _INT64 and 0 <= refused.offset < _INT64):
            return "a refused line has a number that cannot be"
    return None
