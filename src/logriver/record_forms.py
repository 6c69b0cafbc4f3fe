"""How positions and what is known of sources are written down: in the log and its files, between agent and server.

Fields are distinguished by their place in an array, never by a name, so that names in the code may change. A form only
ever gets new fields at its end, with a default; anything else is a new version of whatever contains it. The forms of
version 1 were maps by the names of their time; they are read, and written for agents that know nothing else.
"""

import msgspec

from logriver.file_position import Committed, FileIdentity, FileRange, Gap
from logriver.record import CommittedStream, Stream, StreamRange


class FileForm(msgspec.Struct, array_like=True, frozen=True):
    """One incarnation of a file."""

    follower: str
    device: int
    inode: int
    head_length: int
    head_hash: str
    incarnation: int = 0


class GapForm(msgspec.Struct, array_like=True, frozen=True):
    """Bytes that are not on disk."""

    offset: int
    bytes: int
    exact: bool
    reason: str
    noticed_ns: int
    lost: bool = True


class FileRangeForm(msgspec.Struct, array_like=True, frozen=True):
    """`FileRange`."""

    file: FileForm
    path: str
    start: int
    end: int
    crc: int
    tail: bytes
    file_key: tuple[int, int] | None = None
    over: bool = False
    gone_ns: int = 0
    gap: GapForm | None = None


class CommittedFileForm(msgspec.Struct, array_like=True, frozen=True):
    """`Committed`."""

    file: FileForm
    path: str
    end: int
    crc: int
    tail: bytes
    moved_to: tuple[int, int] | None = None
    over: bool = False
    gone_ns: int = 0
    gaps: tuple[GapForm, ...] = ()
    last_event_ns: int = 0


class StreamRangeForm(msgspec.Struct, array_like=True, frozen=True):
    """`StreamRange`."""

    follower: str
    name: str
    epoch: str
    start: int
    end: int


class CommittedStreamForm(msgspec.Struct, array_like=True, frozen=True):
    """`CommittedStream`."""

    follower: str
    name: str
    epoch: str
    end: int
    last_event_ns: int = 0


def of_range(range: FileRange) -> FileRangeForm:
    """The form of a range of a file."""
    gap = None if range.gap is None else _of_gap(range.gap)
    return FileRangeForm(
        _of_file(range.identity),
        range.path,
        range.start,
        range.end,
        range.crc,
        range.tail,
        range.file_key,
        range.over,
        range.gone_ns,
        gap,
    )


def to_range(form: FileRangeForm) -> FileRange:
    """The range of a file that has this form."""
    gap = None if form.gap is None else _to_gap(form.gap)
    return FileRange(
        _to_file(form.file),
        form.path,
        form.start,
        form.end,
        form.crc,
        form.tail,
        form.file_key,
        form.over,
        form.gone_ns,
        gap,
    )


def of_committed(committed: Committed) -> CommittedFileForm:
    """The form of what is known of a file."""
    gaps = tuple(_of_gap(gap) for gap in committed.gaps)
    return CommittedFileForm(
        _of_file(committed.identity),
        committed.path,
        committed.end,
        committed.crc,
        committed.tail,
        committed.moved_to,
        committed.over,
        committed.gone_ns,
        gaps,
        committed.last_event_ns,
    )


def to_committed(form: CommittedFileForm) -> Committed:
    """What is known of the file that has this form."""
    gaps = tuple(_to_gap(gap) for gap in form.gaps)
    return Committed(
        _to_file(form.file),
        form.path,
        form.end,
        form.crc,
        form.tail,
        form.moved_to,
        form.over,
        form.gone_ns,
        gaps,
        form.last_event_ns,
    )


def of_stream_range(range: StreamRange) -> StreamRangeForm:
    """The form of a range of a stream."""
    stream = range.stream
    return StreamRangeForm(stream.follower, stream.name, stream.epoch, range.start, range.end)


def to_stream_range(form: StreamRangeForm) -> StreamRange:
    """The range of a stream that has this form."""
    return StreamRange(Stream(form.follower, form.name, form.epoch), form.start, form.end)


def of_stream(committed: CommittedStream) -> CommittedStreamForm:
    """The form of what is known of a stream."""
    stream = committed.stream
    return CommittedStreamForm(stream.follower, stream.name, stream.epoch, committed.end, committed.last_event_ns)


def to_stream(form: CommittedStreamForm) -> CommittedStream:
    """What is known of the stream that has this form."""
    return CommittedStream(Stream(form.follower, form.name, form.epoch), form.end, form.last_event_ns)


def _of_file(file: FileIdentity) -> FileForm:
    return FileForm(file.follower, file.device, file.inode, file.head_length, file.head_hash, file.incarnation)


def _to_file(form: FileForm) -> FileIdentity:
    return FileIdentity(form.follower, form.device, form.inode, form.head_length, form.head_hash, form.incarnation)


def _of_gap(gap: Gap) -> GapForm:
    return GapForm(gap.offset, gap.bytes, gap.exact, gap.reason, gap.noticed_ns, gap.lost)


def _to_gap(form: GapForm) -> Gap:
    return Gap(form.offset, form.bytes, form.exact, form.reason, form.noticed_ns, form.lost)
