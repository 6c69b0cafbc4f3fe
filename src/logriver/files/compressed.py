"""Compressed files: what they hold, in a temporary file, because they can only be read forwards.

The temporary file has no name, so that nothing is left of it whatever happens. What inflates to more than
`MAX_INFLATED_BYTES` is refused, and so is what the disk has no room for.
"""

import bz2
import gzip
import lzma
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

import zstandard

from logriver.errors import Unavailable, Unprocessable
from logriver.files.opened import Opened

MAX_INFLATED_BYTES = 4 * 1024**3
_LEFT_FREE_BYTES = 1024**3
_LARGE_FILES = "/var/tmp"
_PIECE_BYTES = 262_144
# So little, because a few bytes can stand for many: 4 kB of empty blocks are 128 MB.
_ZSTD_BYTES = 4_096
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def inflater(file: Opened) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    """What inflates a file that begins like this one; None for one that is not compressed."""
    return inflater_of(file.read(0, min(file.size, 10)))


def inflater_of(head: bytes) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    """The same of what begins with `head`."""
    return next((inflate for magic, inflate in _BY_MAGIC.items() if head.startswith(magic)), None)


def inflated(source: BinaryIO, inflate: Callable[[BinaryIO], Iterator[bytes]], target: BinaryIO) -> Iterator[None]:
    """Write to `target` what `source` holds; a step is one piece.

    Raises `Unprocessable` for what is damaged or too long, `Unavailable` where the disk has no room.
    """
    length = 0
    pieces = inflate(source)
    while True:
        try:
            piece = next(pieces, b"")
        except _DAMAGED as error:
            raise Unprocessable(f"the file cannot be decompressed: {str(error)[:100]}") from None
        if not piece:
            break
        length += len(piece)
        if length > MAX_INFLATED_BYTES:
            raise Unprocessable(f"the file inflates to more than {MAX_INFLATED_BYTES} bytes", hint="use zcat and grep")
        _write(target, piece)
        yield
    target.flush()


def temporary_file() -> BinaryIO:
    """An empty file without a name: in `TMPDIR`, else in /var/tmp, which is seldom memory, else where Python puts such.

    Raises `Unavailable` where none of them takes one.
    """
    for directory in (os.environ.get("TMPDIR", _LARGE_FILES), None):
        with suppress(OSError):
            return tempfile.TemporaryFile(prefix="logriver-files-", dir=directory)
    raise Unavailable("no directory takes a temporary file, which compressed files need", retry_after_seconds=60)


def _write(target: BinaryIO, piece: bytes) -> None:
    try:
        room = os.fstatvfs(target.fileno())
        if room.f_bavail * room.f_frsize < _LEFT_FREE_BYTES:
            raise Unavailable("the disk has no room for what the file inflates to", retry_after_seconds=60)
        target.write(piece)
    except OSError as error:
        raise Unavailable(f"the file cannot be inflated: {error.strerror}", retry_after_seconds=60) from None


def _gunzip(source: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=source, mode="rb") as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _bunzip2(source: BinaryIO) -> Iterator[bytes]:
    with bz2.BZ2File(source) as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _unxz(source: BinaryIO) -> Iterator[bytes]:
    with lzma.LZMAFile(source) as content:
        while piece := content.read(_PIECE_BYTES):
            yield piece


def _unzstd(source: BinaryIO) -> Iterator[bytes]:
    """The frames one after the other; never an empty piece. Raises `EOFError` if the last one is not whole."""
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    while data := source.read(_ZSTD_BYTES):
        while data:
            if frame.eof:
                frame = decompressor.decompressobj()
            if piece := frame.decompress(data):
                yield piece
            data = frame.unused_data
    if not frame.eof:
        raise EOFError("it is cut off")


_BY_MAGIC: dict[bytes, Callable[[BinaryIO], Iterator[bytes]]] = {
    b"\x1f\x8b": _gunzip,
    b"\x28\xb5\x2f\xfd": _unzstd,
    b"BZh": _bunzip2,
    b"\xfd7zXZ\x00": _unxz,
}
