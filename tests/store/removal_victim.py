"""`python -m tests.store.removal_victim DIRECTORY POINT`: removes old partitions and kills itself at one point of it.

It prints how many records are stored and how many were removed, as a start finds them, before it goes on.
"""

import os
import signal
import sys
from pathlib import Path

from logriver.columns import TABLE
from logriver.decode import row_builder as rows
from logriver.queue.state import Snapshot, State
from logriver.store.base import Block
from logriver.store.disk import Disk
from logriver.store.embedded import Embedded
from logriver.store.retention import Retention

NODE = "abc123"
SLICES = 12
RECORDS = 10 * SLICES * (SLICES + 1) // 2
POINTS = ("before the intent", "after the intent", "amid the drop", "after the drop", "after the count")


class Store(Embedded):
    """The real one, which dies after a drop, or after half of one."""

    def __init__(self, directory: Path, point: str) -> None:
        super().__init__(directory, NODE, 600_000_000, 16_000_000)
        self.point = point

    def drop(self, partition: int) -> None:
        if self.point == "amid the drop":
            parts = f"SELECT name FROM system.parts WHERE table = '{TABLE}' AND active AND partition = '{partition}'"
            name = self.query(f"{parts} ORDER BY name LIMIT 1").rows[0][0]
            self.query_text(f"ALTER TABLE {TABLE} DROP PART '{name}'")
            die()
        super().drop(partition)
        if self.point == "after the drop":
            die()


class Memory(State):
    """The real one, which dies before or after it remembers."""

    point = ""

    def begin_removal(self, partition: int, rows: int) -> None:
        if self.point == "before the intent":
            die()
        super().begin_removal(partition, rows)
        if self.point == "after the intent":
            die()

    def finish_removal(self) -> None:
        pending = self.number("removing_rows")
        super().finish_removal()
        if self.point == "after the count" and pending:
            die()


class Writer:
    """Has closed every partition."""

    def first_open_partition(self) -> int:
        return SLICES + 1


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill(store: Embedded, memory: State) -> None:
    """Partitions of 10, 20, 30 .. records, two parts each; all are acknowledged."""
    seq = 1
    for partition_number in range(1, SLICES + 1):
        for _ in range(2):
            count = 5 * partition_number
            lines = [f"{rows.row(number, 'info', 'x')}\tsource\t7" for number in range(count)]
            store.insert(Block(rows.encode(lines), seq, count, partition_number))
            seq += count
    memory.save(Snapshot(seq - 1, seq - 1, {}, [], []), 0)


def main(directory: Path, point: str) -> None:
    """Start, say what is there, and remove one partition after the other as far as the point lets it."""
    store = Store(directory, "")
    memory = Memory(directory / "state.db", 1_000)
    if not memory.number("watermark"):
        fill(store, memory)
    disk = Disk(directory, lambda total: total, lambda: 0)
    retention = Retention(store, memory, disk, max_age_seconds=1)
    stored = store.query(f"SELECT count() FROM {TABLE}").rows[0][0]
    sys.stdout.write(f"{stored} {retention.removed}\n")
    sys.stdout.flush()
    store.point = memory.point = point
    retention.sweep(Writer())
    memory.close()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
