"""The embedded engine: ClickHouse inside of this process, through chdb.

Sessions of one process share one engine, run in parallel and release the interpreter lock; each call borrows one. Rows
reach the engine through an anonymous file in memory, which costs two thirds of giving them inline.

A write that fails because the disk is full is passed over by the engine: the insert answers OK and the part's files end
early. Where space is short no merge begins (`set_disk_pressure`), and what such a write did to parts is found
(`parts.py`).
"""

import contextlib
import itertools
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from logriver import clock
from logriver.columns import TABLE, Column
from logriver.errors import DataRefused, QueryTooExpensive, StoreError, Unavailable
from logriver.store import ddl, materialized_columns
from logriver.store.base import Block, Chunks, Limits, Param, PartitionSize, QueryResult
from logriver.store.damage import Damage, Found
from logriver.store.engine import ChdbError
from logriver.store.engine_errors import NARROW, NO_SPACE, translated
from logriver.store.part_checks import PartChecks
from logriver.store.parts import Parts
from logriver.store.pipe import OutputPipe
from logriver.store.refused_rows import first_refused, reason
from logriver.store.sessions import Sessions

# One thread, so that rows keep their order and one block becomes one part.
_INSERT_SETTINGS = (
    "max_insert_threads = 1, max_threads = 1, input_format_parallel_parsing = 0, input_format_tsv_detect_header = 0"
)

# Small blocks and row groups: what is on its way to a slow reader waits in memory.
_STREAM_SETTINGS = (
    "engine_file_truncate_on_insert = 1, max_block_size = 8192, max_insert_threads = 1, "
    "min_insert_block_size_rows = 8192, min_insert_block_size_bytes = 4000000, date_time_output_format = 'iso', "
    "format_csv_null_representation = '', "
    "output_format_parquet_row_group_size = 65536, output_format_parquet_row_group_size_bytes = 16000000, "
    "output_format_parquet_parallel_encoding = 0"
)

# New parts are written with LZ4, which costs inserts a tenth less; ZSTD, which halves random hexadecimal ids that LZ4
# leaves as they are, compresses what merges make larger than `min_part_size`.
_CONFIG = """<clickhouse>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <mark_cache_size>{cache_bytes}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <index_uncompressed_cache_size>{cache_bytes}</index_uncompressed_cache_size>
  <mmap_cache_size>16</mmap_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <max_partition_size_to_drop>0</max_partition_size_to_drop>
  <compression>
    <case>
      <min_part_size>8000000</min_part_size>
      <min_part_size_ratio>0</min_part_size_ratio>
      <method>zstd</method>
      <level>1</level>
    </case>
  </compression>
</clickhouse>
"""
_CACHE_BYTES = 64_000_000
# What a query may have on the disk of what does not fit into its memory, and what must stay free beside it, in
# partitions.
_TEMPORARY_PARTITIONS = 2
# With less than this free before or after an insert, others may have filled the disk during it.
_TIGHT_BYTES = 1_000_000_000
_DAMAGE_SECONDS = 3.0
_DAMAGE_PAUSE_SECONDS = 0.1

log = logging.getLogger(__name__)


class Embedded:
    """A `Store` on the embedded engine. One a process; the data directory is locked before it is made.

    `materialized` are the fields that get columns of their own, see `materialized.py`. `is_there` says whether the
    directory can be read: while it cannot, no part is taken for damaged.
    """

    def __init__(
        self,
        directory: Path,
        node: str,
        memory_bytes: int,
        partition_bytes: int,
        materialized: frozenset[str] = frozenset(),
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._directory = directory
        self._is_there = is_there
        self._numbers = itertools.count(1)
        self._pipes: set[OutputPipe] = set()
        config = directory / "engine.xml"
        content = _CONFIG.format(memory_bytes=memory_bytes, cache_bytes=_CACHE_BYTES)
        # The limit of a query is heeded for groups alone, the other one for what is sorted too.
        self._temporary = (
            f"max_temporary_data_on_disk_size_for_query = {_TEMPORARY_PARTITIONS * partition_bytes}, "
            f"min_free_disk_space_for_temporary_data = {max(_TIGHT_BYTES, _TEMPORARY_PARTITIONS * partition_bytes)}"
        )
        # Written only if it is another one: on a full disk it could not be written again.
        if not config.exists() or config.read_bytes() != content.encode():
            config.write_text(content)
        try:
            self._sessions = Sessions(f"{directory / 'store'}?config-file={config}")
        except (ChdbError, RuntimeError) as error:
            raise translated(error) from None
        self._node = node
        self.query_text(ddl.create_table(partition_bytes))
        self._parts = Parts(self.query_text, self._alone, is_there)
        self._checks = PartChecks(self.query_text, self._parts.damage, self._is_calm)
        self.set_materialized(materialized)

    def set_materialized(self, materialized: frozenset[str]) -> None:
        """See `materialized.Table`. Columns of a small table are filled soon, in the background; else merges do it."""
        sql = f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{TABLE}'"
        with self._parts.writing():
            there = [str(name) for (name,) in self.query(sql).rows]
            change, added = materialized_columns.change(there, materialized)
            if change:
                self.query_text(ddl.stop_changing_parts())
                self.query_text(change)
            small = sum(size.bytes for size in self.partitions()) <= materialized_columns.SMALL_BYTES
            # Filling writes files, as merges do.
            if added and small and not self._parts.merges_held and not self._is_tight():
                self.query_text(ddl.materialize(added))

    def is_sent(self, key: str) -> bool:
        """See `materialized.Table`."""
        return int(str(self.query(materialized_columns.is_sent(key)).rows[0][0])) > 0

    def insert(self, block: Block) -> None:
        """See `Store.insert`."""
        if not self._is_there():
            raise _away()
        tight = self._is_tight()
        with self._parts.writing():
            try:
                self._insert(block)
            except QueryTooExpensive as error:
                # No memory or time just now says nothing about the data, and it is no query that could ask for less.
                raise StoreError(error.message) from None
            finally:
                if tight or self._is_tight():
                    self._parts.check_inserted(block.partition)

    def _insert(self, block: Block) -> None:
        with MemoryFile(block.rows) as path:
            source = f"file('{path}', 'TabSeparated', '{ddl.carried_structure()}')"
            insert = ddl.insert_select(source, self._node, f"{block.first_seq} + _row_number", block.partition)
            try:
                self.query_text(f"{insert} SETTINGS {_INSERT_SETTINGS}")
            except DataRefused as error:
                row = first_refused(block.rows, self._reads)
                code, detail = error.engine_code, error.detail
                if row is None:
                    raise StoreError("the store cannot do this now", engine_code=code, detail=detail) from None
                why = reason(block.rows.split(b"\n")[row], self._reads)
                raise DataRefused(why, engine_code=code, row=row, detail=detail) from None

    def _is_calm(self) -> bool:
        return not self._parts.merges_held and not self._is_tight()

    def check_part(self) -> float:
        """See `PartChecks.turn`."""
        return self._checks.turn()

    @property
    def damage(self) -> Damage:
        """Parts that cannot be read, and what becomes of them."""
        return self._parts.damage

    @property
    def problems(self) -> list[str]:
        """What is damaged, or may be, in words."""
        return [*self._parts.damage.problems, *self._checks.problems]

    @property
    def incomplete(self) -> tuple[str, ...]:
        """What answers are without now; see `QueryResult.incomplete`."""
        return self._parts.damage.incomplete

    def _is_tight(self) -> bool:
        return shutil.disk_usage(self._directory).free < _TIGHT_BYTES

    def _alone(self) -> AbstractContextManager[None]:
        return self._sessions.alone(self._end_queries)

    def _end_queries(self) -> None:
        for pipe in self._pipes.copy():
            pipe.cut()
        self.query_text("KILL QUERY WHERE 1 ASYNC")

    def repair_parts(self) -> None:
        """See `WatchedStore.repair_parts`."""
        self._parts.repair()

    def set_disk_pressure(self, short: bool) -> None:
        """See `WatchedStore.set_disk_pressure`. While space is short no merge begins or goes on."""
        self._parts.hold_merges(short)

    def refusal(self, rows: bytes) -> str | None:
        """Why the engine cannot read these carried rows, which are not stored; None if it can."""
        row = first_refused(rows, self._reads)
        return None if row is None else reason(rows.split(b"\n")[row], self._reads)

    def _reads(self, columns: Sequence[Column], rows: bytes) -> bool:
        """See `refused_rows.Reads`."""
        read = ", ".join(column.read or column.name for column in columns)
        with MemoryFile(rows) as path:
            source = f"file('{path}', 'TabSeparated', '{ddl.carried_structure(columns)}')"
            try:
                self.query_text(f"SELECT {read} FROM {source} SETTINGS {_INSERT_SETTINGS}", "Null")
            except DataRefused:
                return False
        return True

    def query(self, sql: str, params: Mapping[str, Param] | None = None, limits: Limits = Limits()) -> QueryResult:
        """See `Store.query`."""
        with self._stoppable(limits) as name:
            text = self._answered(
                lambda: self.query_text(f"{sql} {self._settings(limits, name)}", "JSONCompact", params)
            )
        answer = msgspec.json.decode(text)
        statistics = answer["statistics"]
        return QueryResult(
            tuple(column["name"] for column in answer["meta"]),
            answer["data"],
            statistics["rows_read"],
            statistics["bytes_read"],
            statistics["elapsed"],
            tuple(column["type"] for column in answer["meta"]),
            self.incomplete,
        )

    @contextlib.contextmanager
    def _stoppable(self, limits: Limits) -> Iterator[str]:
        """A name for one query, under which `limits.stop` can end it inside of the block."""
        name = f"query-{next(self._numbers)}"
        with limits.stop.by(lambda: self._kill(name)) if limits.stop else contextlib.nullcontext():
            yield name

    def _kill(self, name: str) -> None:
        # It is tried again until the query has ended: a failure (no memory just now) is only a delay.
        with contextlib.suppress(StoreError, QueryTooExpensive):
            self.query_text(f"KILL QUERY WHERE Settings['log_comment'] = '{name}' ASYNC")

    def _settings(self, limits: Limits, name: str) -> str:
        clause = f"{_limit_clause(limits)}, log_comment = '{name}', {self._temporary}"
        damage = self._parts.damage
        if damage.without_indexes:
            clause += ", use_skip_indexes = 0, optimize_use_projections = 0"
        left_out = ", ".join(f"\\'{part}\\'" for part in [*self._parts.damaged.copy(), *damage.unreadable])
        # The condition keeps the engine from opening those parts at all.
        return (
            f"{clause}, additional_table_filters = {{'{TABLE}': '_part NOT IN ({left_out})'}}" if left_out else clause
        )

    def _answered(self, ask: Callable[[], bytes]) -> bytes:
        """What `ask` gives; asked again where it met a damaged part, without that part once it is known.

        Raises `Unavailable` if that is not known soon.
        """
        deadline = clock.monotonic() + _DAMAGE_SECONDS
        while True:
            try:
                return ask()
            except StoreError as error:
                self._go_on_after(error, deadline)

    def _go_on_after(self, error: StoreError, deadline: float) -> None:
        """Return when it makes sense to ask again; else raise what the caller should hear."""
        if not self._is_there():
            raise _away() from None
        if error.engine_code == NO_SPACE:
            message = "the query needs more of the disk than is free for queries"
            raise QueryTooExpensive(message, hint=NARROW) from None
        found = self._parts.damage.explain(error)
        if found is Found.NOTHING:
            raise error
        if found is Found.DAMAGE:
            return
        if clock.monotonic() > deadline:
            log.error("a query failed over damage", extra={"fields": {"error": error.detail or error.message}})
            raise _unreadable() from None
        time.sleep(_DAMAGE_PAUSE_SECONDS)

    def stream(self, sql: str, params: Mapping[str, Param] | None, format: str, limits: Limits) -> Chunks:
        """See `Store.stream`."""
        deadline = clock.monotonic() + _DAMAGE_SECONDS
        with self._stoppable(limits) as name:
            while True:
                begun = False
                try:
                    with contextlib.closing(self._written(sql, params, format, limits, name)) as pieces:
                        for piece in pieces:
                            begun = True
                            yield piece
                    return
                except StoreError as error:
                    self._go_on_after(error, deadline)
                    if begun:
                        # What is out cannot be taken back; whoever asks again gets an answer without that part.
                        raise _unreadable() from None

    def _written(self, sql: str, params: Mapping[str, Param] | None, format: str, limits: Limits, name: str) -> Chunks:
        settings = f"{self._settings(limits, name)}, {_STREAM_SETTINGS}"

        def write(path: str) -> None:
            self.query_text(f"INSERT INTO FUNCTION file('{path}', '{format}') {sql} {settings}", params=params)

        pipe = OutputPipe(write, lambda: self._kill(name))
        self._pipes.add(pipe)
        try:
            yield from pipe.pieces()
        finally:
            self._pipes.discard(pipe)

    def partitions(self) -> list[PartitionSize]:
        """See `Store.partitions`."""
        sql = (
            f"SELECT toUInt32(partition), sumIf(rows, active), sumIf(bytes_on_disk, active), "
            f"sumIf(bytes_on_disk, NOT active) FROM system.parts "
            f"WHERE database = currentDatabase() AND table = '{TABLE}' GROUP BY 1 ORDER BY 1"
        )
        aside = self._parts.damage.aside_bytes()
        sizes = {size.partition: size for size in (PartitionSize(*map(_int, row)) for row in self.query(sql).rows)}
        for number, size in aside.items():
            held = sizes.get(number, PartitionSize(number, 0, 0))
            sizes[number] = replace(held, old_bytes=held.old_bytes + size)
        return [sizes[number] for number in sorted(sizes)]

    def drop(self, partition: int) -> None:
        """See `Store.drop`."""
        self._parts.drop_partition(partition)

    def give_back_memory(self) -> None:
        """Return what the engine's allocator keeps for later to the machine."""
        self.query_text("SYSTEM JEMALLOC PURGE")

    def close(self) -> bool:
        """Finish what is running and let the directory go. Whether everything has ended, else only the process can."""
        return self._sessions.close()

    def query_text(self, sql: str, format: str = "TabSeparated", params: Mapping[str, Param] | None = None) -> bytes:
        """Run any statement and give its output. Only this class and the bench use more than the five methods."""
        try:
            with self._sessions.lend() as session:
                answer: bytes = session.query(sql, format, params=params or {}).bytes()
        except (ChdbError, RuntimeError) as error:
            raise translated(error) from None
        except UnicodeDecodeError as error:
            # The engine's words, with bytes of the statement's values in them.
            raise translated(RuntimeError(bytes(error.object).decode(errors="replace"))) from None
        return answer


class MemoryFile:
    """`with MemoryFile(content) as path`: a file in memory that the engine can open under `path`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._file: Any = None

    def __enter__(self) -> str:
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("block"), "wb")
        else:
            self._file = tempfile.TemporaryFile()
        self._file.write(self._content)
        self._file.flush()
        return f"/dev/fd/{self._file.fileno()}"

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _limit_clause(limits: Limits) -> str:
    clause = f"SETTINGS max_execution_time = {limits.seconds}"
    if limits.memory_bytes:
        clause += f", max_memory_usage = {limits.memory_bytes}"
    if limits.result_rows:
        clause += f", max_result_rows = {limits.result_rows}"
    return clause


def _unreadable() -> Unavailable:
    message = "some stored records cannot be read, the damaged part is being looked for"
    return Unavailable(message, retry_after_seconds=5, hint="ask again in a moment")


def _away() -> Unavailable:
    return Unavailable("the data directory is not there", retry_after_seconds=5, hint="it goes on when it is back")


def _int(value: object) -> int:
    return int(str(value))
