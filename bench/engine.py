"""The embedded engine without a server around it, and the rows that the server would hand to it.

Measurements that use it run in a process of their own (`client.run`): one engine directory per process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data import Piece, cut
from logriver.clock import from_text
from logriver.columns import TABLE
from logriver.decode.json.lines import JsonLines
from logriver.settings import load
from logriver.store.base import Block
from logriver.store.embedded import Embedded
from logriver.store.memory import engine_memory_bytes

SLICE = 1
_PARTITION_BYTES = 2_000_000_000
_RECEIVED_NS = from_text("2023-09-15T08:00:00Z")
_DECODED_BYTES = 4_000_000


@contextmanager
def engine(folder: Path) -> Iterator[Embedded]:
    """An engine with an empty log table in `folder`, limited as the server limits it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = Embedded(folder, "bench", engine_memory_bytes(0), _PARTITION_BYTES)
    try:
        yield store
    finally:
        store.close()


def write_rows(logs: Path, rows: Path) -> None:
    """Decode an NDJSON file as the server does, and write whole rows, `_source` and `_received` joined."""
    decoder = JsonLines(load().max_record_bytes)
    end = f"\thttp\t{_RECEIVED_NS}\n".encode()
    with logs.open("rb") as source, rows.open("wb") as out:
        for piece in cut(logs, _DECODED_BYTES):
            decoded = decoder.decode(source.read(piece.length), _RECEIVED_NS)
            if decoded.refused:
                raise RuntimeError(f"a record of the benchmark is refused: {decoded.refused[0].reason}")
            out.write(decoded.rows.replace(b"\n", end))


def blocks(rows: Path, block_bytes: int) -> Iterator[Block]:
    """The rows of a file as blocks for the store, read when they are asked for."""
    first_seq = 1
    for piece in cut(rows, block_bytes):
        yield Block(read_piece(rows, piece), first_seq, piece.count, SLICE)
        first_seq += piece.count


def read_piece(path: Path, piece: Piece) -> bytes:
    """The bytes of a piece."""
    with path.open("rb") as file:
        file.seek(piece.offset)
        return file.read(piece.length)


def parts(store: Embedded) -> tuple[int, int, int]:
    """How many parts the table has, their rows and their bytes on disk."""
    sql = f"SELECT count(), sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = '{TABLE}' AND active"
    count, rows, bytes_on_disk = store.query_text(sql).split()
    return int(count), int(rows), int(bytes_on_disk)
