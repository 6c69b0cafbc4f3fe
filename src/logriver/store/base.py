"""What a store is: the engine behind the writer and the search, embedded now, a ClickHouse cluster later.

Called from threads; every method may block. The SQL above this interface is the same for both.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from logriver.store.stop import Stop

Param = str | int | float | list[str]
Chunks = Generator[bytes, None, None]


@dataclass(frozen=True, slots=True)
class Block:
    """A contiguous run of numbers for one partition: `rows` (see `columns.py`, `_source` and `_received` joined) in
    order.

    Row number i has `_seq` `first_seq` + i. One block becomes one part of the table.
    """

    rows: bytes
    first_seq: int
    count: int
    partition: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use, 0 is no limit. `stop` ends it from outside."""

    seconds: float = 30.0
    memory_bytes: int = 0
    result_rows: int = 0
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query and what it cost."""

    columns: tuple[str, ...]
    rows: list[list[object]]
    rows_read: int
    bytes_read: int
    elapsed_seconds: float
    types: tuple[str, ...] = ()
    """Of the columns, in the engine's words."""
    incomplete: tuple[str, ...] = ()
    """What it is without, in words: records that are there and cannot be read."""


@dataclass(frozen=True, slots=True)
class PartitionSize:
    """A partition of the table as it is on disk.

    `old_bytes` are of parts that were merged away or dropped and are not deleted yet; a partition of which only such
    parts are left has no rows.
    """

    partition: int
    rows: int
    bytes: int
    old_bytes: int = 0


class Store(Protocol):
    """Five methods; everything else is SQL. Whoever opened a store closes it."""

    def insert(self, block: Block) -> None:
        """Put a block into the table, durable on return. Some of it may be there after an exception.

        Raises `DataRefused` if the engine cannot parse the rows, `StoreError` for anything else (try again).
        """
        ...

    def query(self, sql: str, params: Mapping[str, Param] | None = None, limits: Limits = Limits()) -> QueryResult:
        """Run a SELECT with `{name:Type}` parameters.

        Raises `QueryTooExpensive` when a limit is met, `StoreError` otherwise.
        """
        ...

    def stream(self, sql: str, params: Mapping[str, Param] | None, format: str, limits: Limits) -> Chunks:
        """Run a SELECT and give its output, one file in `format`, piece by piece and in constant memory.

        What `query` raises is raised where the output ends too early. Closing the iterator ends the query.
        """
        ...

    def partitions(self) -> list[PartitionSize]:
        """The partitions that exist, oldest first."""
        ...

    def drop(self, partition: int) -> None:
        """Remove a partition that nobody inserts into, whatever its size; one that is not there is no error.

        Queries that run go on with what they see. Some of it may be there after an exception.
        """
        ...
