"""What the writer needs of a queue; what senders need is `record.Sink`. The log in `wal.py` is both.

Readers see only what is fsynced. Numbers are handed out once; the queue keeps which of them are done.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was taken and cannot be stored, under the number it took.

    `raw` is what came, or a row where `row_format` says in which format (`row_formats.py`).
    """

    seq: int
    reason: str
    raw: bytes
    source: str
    received_ns: int
    row_format: int = 0


@dataclass(frozen=True, slots=True)
class RowRange:
    """Contiguous numbers: the row i of `rows` (complete, see `columns.py`) has the number `first_seq` + i."""

    first_seq: int
    count: int
    rows: bytes


@dataclass(slots=True)
class ClaimedBatch:
    """A range of numbers handed to one writer: `row_ranges` to store, dead letters to keep, and what was lost.

    `damaged` are ranges (file, first, last) that the log has but cannot read any more. `in_doubt` says that some
    of it may be stored already (a restart came between).
    """

    first_seq: int
    last_seq: int
    bytes: int
    in_doubt: bool
    row_ranges: list[RowRange] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    damaged: list[tuple[str, int, int]] = field(default_factory=list)


class Queue(Protocol):
    """The writer's side. Called from the writer's threads."""

    def poll(self, max_records: int, max_bytes: int, linger_seconds: float) -> ClaimedBatch | None:
        """The next batch, in order; waits until so much is there or the oldest is `linger_seconds` old.

        Where little comes, waiting would not fill much of a block: batches are a quarter of that time apart, up to a
        half where storing one takes long, and what comes after a pause is claimed at once. None once the queue is
        closed and empty.
        """
        ...

    def ack(self, claimed: ClaimedBatch) -> None:
        """Every number of the batch is stored, a dead letter on disk, or in a recorded skipped range."""
        ...

    def dead_letter(self, dead_letters: list[DeadLetter]) -> None:
        """Put dead letters on disk; on return they are durable. Doing that for one again changes nothing."""
        ...

    def dead_lettered(self, first_seq: int, last_seq: int) -> set[int]:
        """The numbers in the range that are dead letters on disk."""
        ...
