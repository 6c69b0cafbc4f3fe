"""Reading a segment from a disk that may be failing: what cannot be read is left out and said, the rest is there."""

import errno
import os
import stat
import time
from pathlib import Path

_PIECE_BYTES = 1_000_000
_PAGE_BYTES = 4096
_TRIES = 3
_PAUSE_SECONDS = 0.2
_GONE = frozenset((errno.ENOENT, errno.EISDIR, errno.ENOTDIR))
"""Errors that say that there is no such file, and that no other try will find one."""


def is_gone(error: OSError) -> bool:
    """Whether the error says that the file is not there (any more), or is something else."""
    return error.errno in _GONE


def is_regular(path: Path) -> bool:
    """Whether a file is there, and not a directory or a pipe in its place."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def read_range(path: Path, start: int, end: int) -> bytes:
    """The bytes `start` to `end` of a file, or up to where it ends. Raises `OSError`."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read(file, start, end)
    finally:
        os.close(file)


def read_around(path: Path, start: int, end: int) -> tuple[bytes, list[tuple[int, int]]]:
    """The same with zeros for what the disk cannot give, and where those are. Raises `OSError` for other reasons.

    The disk is asked several times before: what it gives in the end is not lost.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unreadable: list[tuple[int, int]] = []
        end = min(end, os.fstat(file).st_size)
        starts = range(start, end, _PIECE_BYTES)
        pieces = [_read_piece(file, at, min(at + _PIECE_BYTES, end), unreadable) for at in starts]
        return b"".join(pieces), unreadable
    finally:
        os.close(file)


def _read_piece(file: int, start: int, end: int, unreadable: list[tuple[int, int]]) -> bytes:
    # Only the first trouble is waited for: a large file on a dead disk would take minutes.
    for _ in range(1 if unreadable else _TRIES):
        try:
            return _read(file, start, end)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            time.sleep(_PAUSE_SECONDS)
    pages = []
    for at in range(start, end, _PAGE_BYTES):
        page_end = min(at + _PAGE_BYTES, end)
        try:
            pages.append(_read(file, at, page_end))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            pages.append(bytes(page_end - at))
            unreadable.append((at, page_end))
    return b"".join(pages)


def _read(file: int, start: int, end: int) -> bytes:
    pieces, at = [], start
    while at < end and (piece := os.pread(file, end - at, at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)
