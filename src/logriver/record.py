"""What the steps of a log line's way hand to each other: batches, refusals, ranges of files, receipts, and the sink.

A decoder makes `Decoded`, the receiving side makes a `Batch` of it, a `Sink` (the queue here, another server for an
agent) takes the batch and answers with a `Receipt` when it is on disk.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from logriver.columns import RESERVED
from logriver.file_position import Committed, FileRange

MAX_SEQ = 2**53
"""Numbers stay below this, so that every JSON reader keeps them exact."""


@dataclass(slots=True)
class Refused:
    """A record that cannot be taken: its `line` in the body or chunk (from 1), why, and its bytes as they came.

    `offset` is where it begins in its file (0 elsewhere).
    """

    line: int
    reason: str
    raw: bytes = b""
    offset: int = 0


@dataclass(slots=True)
class Decoded:
    """What a decoder made of some bytes: `rows` as described in `columns.py`, `count` of them, and the refusals.

    Each row ends with the only newline in it. `unmatched` of the rows are lines that are not of the user's format that
    they should have.
    """

    rows: bytes = b""
    count: int = 0
    refused: list[Refused] = field(default_factory=list)
    unmatched: int = 0

    @staticmethod
    def joined(parts: Sequence["Decoded"]) -> "Decoded":
        """What a decoder made of bytes, part by part."""
        if len(parts) == 1:
            return parts[0]
        return Decoded(
            b"".join([part.rows for part in parts]),
            sum(part.count for part in parts),
            [refused for part in parts for refused in part.refused],
            sum(part.unmatched for part in parts),
        )


@dataclass(frozen=True, slots=True)
class Stream:
    """A source that numbers its records itself, such as a partition of Kafka or systemd's journal.

    `name` is the follower's name for it. In one `epoch` offsets only grow; where they begin anew it is another epoch.
    """

    follower: str
    name: str
    epoch: str


@dataclass(frozen=True, slots=True)
class StreamRange:
    """The offsets `start` to `end` (exclusive) of a stream that a batch covers.

    Records may have any of these offsets: streams skip some. So `start` is where the batch before ended (0 for the
    first one), not the offset of the first record, and a batch that is missing in between is noticed.
    """

    stream: Stream
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CommittedStream:
    """What the ledger knows of a stream: every record with an offset below `end` is on disk, since `last_event_ns`."""

    stream: Stream
    end: int
    last_event_ns: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """All that a sink knows of one follower's sources, each list with the last changed last."""

    files: list[Committed] = field(default_factory=list)
    streams: list[CommittedStream] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchKey:
    """An idempotency key: `scope` is a 16-byte hash of token and key, `content` a 16-byte hash of the inflated body."""

    scope: bytes
    content: bytes


@dataclass(slots=True)
class Batch:
    """Records that become durable together: one request, or one chunk of a file; one record of the log.

    `dead` are refused lines that nobody can be told about (files): they take numbers and become dead letters. What a
    request refused is in `rejected`, so that the answer to a repeated key is the same. `replays` is the dead letter
    this batch replays. Where the records are `apart`, each was a request of its own: it becomes a record of the log of
    its own.

    What makes a batch known when it is sent again is its key, or its position: a `range` of a file or of a `stream`.
    """

    decoded: Decoded
    source: str = ""
    key: BatchKey | None = None
    range: FileRange | None = None
    dead: list[Refused] = field(default_factory=list)
    rejected: int = 0
    replays: int | None = None
    apart: bool = False
    stream: StreamRange | None = None

    @property
    def position(self) -> "Position | None":
        """What of its source it covers."""
        return self.range or self.stream


Position = FileRange | StreamRange
"""What of a source a batch covers. A sink takes it only if it begins where what is on disk ends."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer of a sink: what is on disk now.

    No record of the batch has a number above `last_seq`, which is 0 where nothing was stored.
    """

    accepted: int
    rejected: int = 0
    last_seq: int = 0
    duplicate: bool = False


class Sink(Protocol):
    """Where batches go. Implemented by the queue and by the client of another server, which an agent has."""

    def put(self, batch: Batch) -> Awaitable[Receipt]:
        """Make `batch` durable; what is returned when awaited is fsynced.

        Raises `Overloaded` (try later), `Unavailable` (disk), `RangeConflict` (go on elsewhere), `KeyReused`.
        """
        ...

    async def known(self, follower: str) -> Known:
        """What is on disk of each incarnation and each stream that a follower has seen."""
        ...


class SearchedSink(Sink, Protocol):
    """A sink whose records can be waited for until they are found."""

    async def wait_searchable(self, seq: int, timeout_seconds: float) -> bool:
        """Wait until every record up to `seq` can be found; False if that took longer."""
        ...


def given_name(name: str) -> str:
    """The name under which a left-over field is given back and searched: its own, unless an answer needs that."""
    return f"attributes.{name}" if name in RESERVED else name
