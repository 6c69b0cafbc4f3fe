"""Compressed files: what they hold, in a temporary file, because they can only be read forwards.

The temporary file has no name, so that nothing is left of it whatever happens. What inflates to more than
`MAX_INFLATED_BYTES` is refused, and so is what the disk has no space for, what inflates as no log does, and what needs
time or memory and gives nothing.
"""

import bz2
import gzip
import lzma
import os
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, cast

import zstandard

from logriver.errors import Unavailable, Unprocessable
from logriver.files.opened import Opened

MAX_INFLATED_BYTES = 4 * 1024**3
"""Of one file, and of all temporary files at one time."""

_MB = 1024 * 1024
# The most regular logs reach a hundred or two. Below the size given it does not matter.
_MOST_RATIO = 500
_RATIO_MATTERS_BYTES = 64 * _MB
# Blocks, members and frames may be empty, any number of them.
_MOST_FOR_NOTHING_BYTES = 4 * _MB
# What `xz -9` and `zstd --long` need.
_MOST_DECODER_BYTES = 128 * _MB
_LEFT_FREE_BYTES = 1024**3
_LARGE_FILES = "/var/tmp"
_PIECE_BYTES = 262_144
# So little, because a few bytes can stand for many: these may be 32 MB.
_ZSTD_BYTES = 1_024
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def inflater(file: Opened) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    """What inflates a file that begins like this one; None for one that is not compressed."""
    return inflater_of(file.read(0, min(file.size, 10)))


def inflater_of(head: bytes) -> Callable[[BinaryIO], Iterator[bytes]] | None:
    """The same of what begins with `head`."""
    return next((inflate for magic, inflate in _BY_MAGIC.items() if head.startswith(magic)), None)


def inflated(source: BinaryIO, inflate: Callable[[BinaryIO], Iterator[bytes]], target: BinaryIO) -> Iterator[None]:
    """Write to `target` what `source` holds; a step is one piece.

    Raises `Unprocessable` for what is damaged or too long, `Unavailable` where the disk has no space.
    """
    length = 0
    counted = _Counted(source)
    pieces = inflate(cast(BinaryIO, counted))
    while True:
        try:
            piece = next(pieces, b"")
        except _DAMAGED as error:
            raise Unprocessable(f"the file cannot be decompressed: {str(error)[:100]}") from None
        if not piece:
            break
        length += len(piece)
        counted.since_piece = 0
        if length > MAX_INFLATED_BYTES:
            raise Unprocessable(f"the file inflates to more than {MAX_INFLATED_BYTES} bytes", hint="use zcat and grep")
        if length > max(_RATIO_MATTERS_BYTES, _MOST_RATIO * counted.bytes):
            raise Unprocessable(
                f"the file inflates to more than {_MOST_RATIO} times its size", hint="use zcat and grep"
            )
        _write(target, piece)
        yield
    target.flush()


def temporary_file() -> BinaryIO:
    """An empty file without a name: in `TMPDIR`, else in /var/tmp, which is seldom memory, else where Python puts such.

    Raises `Unavailable` where none of them takes one.
    """
    for directory in (os.environ.get("TMPDIR", _LARGE_FILES), None):
        with suppress(OSError):
            return _noted(tempfile.TemporaryFile(prefix="logriver-files-", dir=directory))
    raise Unavailable("no directory takes a temporary file, which compressed files need", retry_after_seconds=60)


class _Counted:
    """A source that counts what is read of it, in all and since the last piece came of that."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.bytes = 0
        self.since_piece = 0

    def read(self, size: int = -1) -> bytes:
        """Raises `Unprocessable` where much was read for nothing."""
        data = self._source.read(size)
        self.bytes += len(data)
        self.since_piece += len(data)
        if self.since_piece > _MOST_FOR_NOTHING_BYTES:
            raise Unprocessable(f"more than {_MOST_FOR_NOTHING_BYTES} bytes of the file stand for nothing")
        return data


_temporary: "weakref.WeakSet[BinaryIO]" = weakref.WeakSet()
_temporary_lock = threading.Lock()


def _noted(file: BinaryIO) -> BinaryIO:
    with _temporary_lock:
        _temporary.add(file)
    return file


def _temporary_bytes() -> int:
    """What all temporary files have together."""
    with _temporary_lock:
        files = list(_temporary)
    return sum(os.fstat(file.fileno()).st_size for file in files if not file.closed)


def _write(target: BinaryIO, piece: bytes) -> None:
    try:
        space = os.fstatvfs(target.fileno())
        if space.f_bavail * space.f_frsize < _LEFT_FREE_BYTES:
            raise Unavailable("the disk has no space for what the file inflates to", retry_after_seconds=60)
        if _temporary_bytes() + len(piece) > MAX_INFLATED_BYTES:
            raise Unavailable("too many compressed files are being read", retry_after_seconds=60)
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
    """The streams one after the other, with zeros between them. Raises `EOFError` if the last one is not whole."""
    stream = _xz_stream()
    data = source.read(_PIECE_BYTES)
    while True:
        if piece := stream.decompress(data, _PIECE_BYTES):
            yield piece
        data = b""
        if stream.eof:
            data = stream.unused_data.lstrip(b"\0")
            while not data:
                data = source.read(_PIECE_BYTES)
                if not data:
                    return
                data = data.lstrip(b"\0")
            stream = _xz_stream()
        elif stream.needs_input:
            data = source.read(_PIECE_BYTES)
            if not data:
                raise EOFError("it is cut off")


def _xz_stream() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_DECODER_BYTES)


def _unzstd(source: BinaryIO) -> Iterator[bytes]:
    """The frames one after the other; never an empty piece. Raises `EOFError` if the last one is not whole."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_DECODER_BYTES)
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
