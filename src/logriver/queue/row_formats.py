"""What the rows in the log look like, by version. Each segment's header says which version its rows have.

A segment that an older release wrote may be read by this one, when it was stopped with a backlog. So a version that was
ever released keeps its decoder; a new one begins where `columns.py` changes what a row carries.
"""

from collections.abc import Callable


def row_end(source: str, received_ns: int) -> bytes:
    """The end of each row of a batch."""
    escaped = source.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    return f"\t{escaped}\t{received_ns}\n".encode()


def _complete_1(rows: bytes, source: str, received_ns: int) -> bytes:
    return rows.replace(b"\n", row_end(source, received_ns))


DECODERS: dict[int, Callable[[bytes, str, int], bytes]] = {1: _complete_1}
"""Rows as they stand in the log, with source and time of their batch, to complete rows (`columns.py`)."""
