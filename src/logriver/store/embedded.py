"""The embedded engine: ClickHouse inside of this process, through chdb.

Sessions of one process share one engine, run in parallel and release the interpreter lock; each call borrows one. Rows
reach the engine through an anonymous file in memory, which costs two thirds of giving them inline.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from logriver.columns import ROW_COLUMNS, TABLE
from logriver.errors import DataRefused, QueryTooExpensive, StoreError
from logriver.store import ddl, promote
from logriver.store.base import Answer, Block, Limits, Param, SliceSize
from logriver.store.engine import ChdbError
from logriver.store.sessions import Sessions

# Codes that are the data's fault: parsing, types, wrong data. All others (disk full, memory, too many parts, read-only)
# look like refusals and are not. The numbers are those of ClickHouse's ErrorCodes.cpp.
_DATA_CODES = frozenset({6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 349, 407})
_LIMIT_CODES = {159: "time", 160: "time", 241: "memory", 307: "bytes read", 396: "result size", 158: "rows read"}
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")

# One thread, so that rows keep their order and one block becomes one part.
_INSERT_SETTINGS = (
    "max_insert_threads = 1, max_threads = 1, input_format_parallel_parsing = 0, input_format_tsv_detect_header = 0"
)

_CONFIG = """<clickhouse>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <mark_cache_size>{cache_bytes}</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>16</mmap_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <max_partition_size_to_drop>0</max_partition_size_to_drop>
</clickhouse>
"""
_CACHE_BYTES = 64_000_000


class Embedded:
    """A `Store` on the embedded engine. One a process; the data directory is locked before it is made.

    `promoted` are the fields that have columns of their own.
    """

    def __init__(
        self, directory: Path, node: str, memory_bytes: int, slice_bytes: int, promoted: Sequence[str] = ()
    ) -> None:
        """Open or make it. Raises `SettingsError` for fields that cannot be promoted, before anything is touched."""
        self.promoted = promote.chosen(promoted)
        config = directory / "engine.xml"
        content = _CONFIG.format(memory_bytes=memory_bytes, cache_bytes=_CACHE_BYTES)
        # Written only if it is another one: on a full disk it could not be written again.
        if not config.exists() or config.read_text() != content:
            config.write_text(content)
        try:
            self._sessions = Sessions(f"{directory / 'store'}?config-file={config}")
        except (ChdbError, RuntimeError) as error:
            raise _translated(error) from None
        self._node = node
        self.query_text(ddl.create_table(slice_bytes))
        self._promote()

    def _promote(self) -> None:
        """Make the promoted columns those of `promoted`."""
        sql = f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{TABLE}'"
        there = [str(name) for (name,) in self.query(sql).rows]
        change = promote.change(there, self.promoted)
        if change:
            self.query_text(change)

    def insert(self, block: Block) -> None:
        """See `Store.insert`."""
        try:
            self._insert(block)
        except QueryTooExpensive as error:
            # No memory or time for it just now says nothing about the data, and it is no query that could ask for less.
            raise StoreError(error.message) from None

    def _insert(self, block: Block) -> None:
        with MemoryFile(block.rows) as path:
            source = f"file('{path}', 'TabSeparated', '{ddl.carried_structure()}')"
            insert = ddl.insert_select(source, self._node, f"{block.first_seq} + _row_number", block.slice)
            try:
                self.query_text(f"{insert} SETTINGS {_INSERT_SETTINGS}")
            except DataRefused as error:
                row = self._refused_row(block.rows)
                if row is None:
                    raise StoreError(error.message, engine_code=error.engine_code) from None
                raise DataRefused(error.message, engine_code=error.engine_code, row=row) from None

    def _refused_row(self, rows: bytes) -> int | None:
        """The first row that the engine cannot read, found by reading halves without storing them; None if it can."""
        lines = [line + b"\n" for line in rows.split(b"\n")[:-1]]
        good, bad = 0, len(lines)
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._readable(b"".join(lines[good:middle])):
                good = middle
            else:
                bad = middle
        return None if self._readable(lines[good]) else good

    def _readable(self, rows: bytes) -> bool:
        read = ", ".join(column.read or column.name for column in ROW_COLUMNS)
        with MemoryFile(rows) as path:
            source = f"file('{path}', 'TabSeparated', '{ddl.carried_structure()}')"
            try:
                self.query_text(f"SELECT {read} FROM {source} SETTINGS {_INSERT_SETTINGS}", "Null")
            except DataRefused:
                return False
        return True

    def query(self, sql: str, params: Mapping[str, Param] | None = None, limits: Limits = Limits()) -> Answer:
        """See `Store.query`."""
        answer = msgspec.json.decode(self.query_text(f"{sql} {_limit_clause(limits)}", "JSONCompact", params))
        statistics = answer["statistics"]
        return Answer(
            tuple(column["name"] for column in answer["meta"]),
            answer["data"],
            statistics["rows_read"],
            statistics["bytes_read"],
            statistics["elapsed"],
        )

    def stream(self, sql: str, params: Mapping[str, Param] | None, format: str, limits: Limits) -> Iterator[bytes]:
        """See `Store.stream`."""
        try:
            with (
                self._sessions.lend() as session,
                session.send_query(f"{sql} {_limit_clause(limits)}", format, params=params) as pieces,
            ):
                for piece in pieces:
                    yield bytes(piece.bytes())
        except (ChdbError, RuntimeError) as error:
            raise _translated(error) from None

    def slices(self) -> list[SliceSize]:
        """See `Store.slices`."""
        sql = (
            f"SELECT toUInt32(partition), sumIf(rows, active), sumIf(bytes_on_disk, active), "
            f"sumIf(bytes_on_disk, NOT active) FROM system.parts "
            f"WHERE database = currentDatabase() AND table = '{TABLE}' GROUP BY 1 ORDER BY 1"
        )
        return [SliceSize(*map(_int, row)) for row in self.query(sql).rows]

    def drop(self, slice: int) -> None:
        """See `Store.drop`."""
        self.query_text(ddl.drop_slice(slice))

    def give_back_memory(self) -> None:
        """Return what the engine's allocator keeps for later to the machine."""
        self.query_text("SYSTEM JEMALLOC PURGE")

    def close(self) -> None:
        """Finish what is running and let the directory go."""
        self._sessions.close()

    def query_text(self, sql: str, format: str = "TabSeparated", params: Mapping[str, Param] | None = None) -> bytes:
        """Run any statement and give its output. Only this class and the bench use more than the five methods."""
        try:
            with self._sessions.lend() as session:
                answer: bytes = session.query(sql, format, params=params or {}).bytes()
        except (ChdbError, RuntimeError) as error:
            raise _translated(error) from None
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


def _translated(error: Exception) -> Exception:
    text = str(error)
    found = _CODE.search(text)
    code = int(found[1]) if found else 0
    message = text[found.end() :] if found else text
    if code in _LIMIT_CODES:
        hint = "narrow the time range or the words"
        return QueryTooExpensive(f"the query met its limit of {_LIMIT_CODES[code]}: {message[:200]}", hint=hint)
    if code in _DATA_CODES:
        return DataRefused(message[:500], engine_code=code)
    return StoreError(message[:500], engine_code=code)


def _int(value: object) -> int:
    return int(str(value))
