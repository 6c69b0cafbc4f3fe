"""What the engine's row formats cost it, and what the size of a block costs: the measurements behind `columns.py`.

Parsing alone is `SELECT * FROM file(..) FORMAT Null` in one thread; inserting is the whole way into the table, one
thread, merges stopped. Run in a process of its own: `python -m bench.row_formats LOGS FOLDER`.
"""

import argparse
import json
import shutil
import struct
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec

from bench import client
from bench.engine import blocks, engine, parts, write_rows
from bench.figures import Figure, Measurement, Values, Workload
from logriver.columns import ROW_COLUMNS, TABLE
from logriver.store.ddl import carried_structure
from logriver.store.embedded import Embedded, MemoryFile

BLOCK_MB = (16, 32, 64)
_ROWS = 200_000
_ROUNDS = 3
_NUMBERS = {"Int64": "<q", "UInt64": "<Q"}

Row = list[int | str]
_encode = msgspec.json.Encoder().encode


def _json_objects(rows: list[Row]) -> bytes:
    names = [column.name for column in ROW_COLUMNS]
    return b"\n".join(_encode(dict(zip(names, row, strict=True))) for row in rows)


def _json_arrays(rows: list[Row]) -> bytes:
    return b"\n".join(map(_encode, rows))


def _tabs(rows: list[Row]) -> bytes:
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


def _binary(rows: list[Row]) -> bytes:
    pack = [_packer(column.carried) for column in ROW_COLUMNS]
    return b"".join(one(value) for row in rows for one, value in zip(pack, row, strict=True))


def _packer(carried: str) -> Callable[[int | str], bytes]:
    if carried in _NUMBERS:
        return struct.Struct(_NUMBERS[carried]).pack
    return lambda value: _with_length(str(value).encode())


def _with_length(value: bytes) -> bytes:
    """A string of RowBinary: its length as LEB128, then its bytes."""
    length, prefix = len(value), b""
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return prefix + bytes([length]) + value


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "TabSeparated": _tabs,
    "JSONEachRow": _json_objects,
    "JSONCompactEachRow": _json_arrays,
    "RowBinary": _binary,
}

FIGURES = {f"parse {name}": Figure(f"parse only, {name}", "us/log", 2) for name in FORMATS}
for _mb in BLOCK_MB:
    FIGURES[f"insert {_mb}"] = Figure(f"insert, blocks of {_mb} MB", "logs/s")
    FIGURES[f"insert cpu {_mb}"] = Figure(f"insert, blocks of {_mb} MB, CPU", "us/log", 2)
    FIGURES[f"parts {_mb}"] = Figure(f"insert, blocks of {_mb} MB, parts for each block", "", 2)


def measure(workload: Workload) -> Values:
    """One run."""
    folder = workload.folder / "formats"
    try:
        return client.run("row_formats", workload.logs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


MEASUREMENT = Measurement("formats", "Row formats and block sizes, one thread", FIGURES, measure)


def read_rows(path: Path, count: int) -> list[Row]:
    """The first rows of a TabSeparated file as values. The benchmark's own data have nothing escaped."""
    numbers = [column.carried in _NUMBERS for column in ROW_COLUMNS]
    with path.open(encoding="utf-8") as file:
        return [
            [int(value) if number else value for number, value in zip(numbers, line[:-1].split("\t"), strict=True)]
            for line in islice(file, count)
        ]


def parse_only(store: Embedded, format: str, content: bytes, count: int) -> float:
    """CPU microseconds a row that parsing takes, the least of some rounds."""
    settings = "max_threads = 1, input_format_parallel_parsing = 0, input_format_tsv_detect_header = 0"
    rounds = []
    with MemoryFile(content) as path:
        source = f"file('{path}', '{format}', '{carried_structure()}')"
        found = int(store.query_text(f"SELECT count() FROM {source} WHERE NOT ignore(*) SETTINGS {settings}"))
        if found != count:
            raise RuntimeError(f"{found} of {count} rows were read as {format}")
        for _ in range(_ROUNDS):
            before = time.process_time()
            store.query_text(f"SELECT * FROM {source} FORMAT Null SETTINGS {settings}")
            rounds.append(time.process_time() - before)
    return min(rounds) / count * 1e6


def insert_blocks(store: Embedded, rows: Path, block_mb: int) -> Values:
    """Insert all rows in blocks of a size into the emptied table."""
    store.query_text(f"TRUNCATE TABLE {TABLE}")
    content = list(blocks(rows, block_mb * 1_000_000))
    began, cpu_before = time.monotonic(), time.process_time()
    for block in content:
        store.insert(block)
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu_before
    part_count, count, _ = parts(store)
    return {
        f"insert {block_mb}": count / seconds,
        f"insert cpu {block_mb}": cpu_seconds / count * 1e6,
        f"parts {block_mb}": part_count / len(content),
    }


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    figures: Values = {}
    with engine(options.folder) as store:
        store.query_text(f"SYSTEM STOP MERGES {TABLE}")
        path = options.folder / "rows.tsv"
        write_rows(options.logs, path)
        rows = read_rows(path, _ROWS)
        for name, encode in FORMATS.items():
            figures[f"parse {name}"] = parse_only(store, name, encode(rows), len(rows))
        for block_mb in BLOCK_MB:
            figures |= insert_blocks(store, path, block_mb)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
