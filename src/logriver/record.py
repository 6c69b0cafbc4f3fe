"""What the steps of a log line's way hand to each other: batches, refusals, ranges of files, receipts, and the sink.

A decoder makes `Decoded`, the receiving side makes a `Batch` of it, a `Sink` (the queue here, another server for an
agent) takes the batch and answers with a `Receipt` when it is on disk.
"""

from dataclasses import dataclass, field
from typing import Protocol

from logriver.columns import RESERVED

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
    """What a decoder made of some bytes: `rows` as described in `columns.py`, `count` of them, and the refusals."""

    rows: list[bytes] = field(default_factory=list)
    count: int = 0
    refused: list[Refused] = field(default_factory=list)

    def add(self, other: "Decoded") -> None:
        """Append what came after."""
        self.rows += other.rows
        self.count += other.count
        self.refused += other.refused


@dataclass(frozen=True, slots=True)
class Generation:
    """One life of one file, as a follower knows it: name of the follower, device, inode, hash of the first bytes.

    `head_length` (at most 1 kB) is how many first bytes `head_hash` covers; both are fixed when the file is first seen.
    """

    follower: str
    device: int
    inode: int
    head_length: int
    head_hash: str

    @property
    def id(self) -> str:
        """The generation as one string, the ledger's key."""
        return f"{self.follower}:{self.device}:{self.inode}:{self.head_length}:{self.head_hash}"


@dataclass(frozen=True, slots=True)
class FileRange:
    """The bytes `start` to `end` (exclusive) of a generation that a batch covers, refused lines included.

    `crc` is the CRC32C of the bytes 0 to `end`, `tail` the last bytes (at most 256) before `end`.
    """

    generation: Generation
    path: str
    start: int
    end: int
    crc: int
    tail: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger knows of a generation: every byte before `end` is on disk."""

    generation: Generation
    path: str
    end: int
    crc: int
    tail: bytes


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
    this batch replays.
    """

    decoded: Decoded
    source: str = ""
    key: BatchKey | None = None
    range: FileRange | None = None
    dead: list[Refused] = field(default_factory=list)
    rejected: int = 0
    replays: int | None = None


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
    """Where batches go. Implemented by the queue and, on an agent, by the client of a server."""

    async def put(self, batch: Batch) -> Receipt:
        """Make `batch` durable and return; what is returned is fsynced.

        Raises `Overloaded` (try later), `Unavailable` (disk), `RangeConflict` (go on elsewhere), `KeyReused`.
        """
        ...

    async def known(self, follower: str, device: int, inode: int) -> list[Held]:
        """What is on disk of the generations that a follower has seen in that place, newest first."""
        ...

    async def wait_searchable(self, seq: int, timeout_seconds: float) -> bool:
        """Wait until every record up to `seq` can be found; False if that took longer."""
        ...


def given_name(name: str) -> str:
    """The name under which a left-over field is given back and searched: its own, unless an answer needs that."""
    return f"attributes.{name}" if name in RESERVED else name
