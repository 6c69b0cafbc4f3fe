"""A compressed copy of a file, read as the file that it was: what a rotating tool leaves where it compresses.

Streamed, in little memory, however much it holds. What is compressed does not grow any more.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from logriver.follow.file_calls import answered, progressed
from logriver.follow.growing_file import CHUNK_BYTES, GrowingFile

# So little, because a few bytes can stand for many: 4 kB of empty blocks are 128 MB.
_ZSTD_BYTES = 4096


class Archive(GrowingFile):
    """Places are those of the content. It is read forwards; a step back behind what was read last begins anew."""

    def __init__(self, path: Path, max_line_bytes: int) -> None:
        """Open the file. Raises `OSError`, as everything here does where it is damaged or cut off."""
        super().__init__(path, max_line_bytes)
        self._pieces: Iterator[bytes] = iter(())
        self._window = b""
        self._window_start: int | None = None
        self._size: int | None = None

    def size(self) -> int:
        """How long the content is. Reads to its end the first time."""
        at = self._window_start or 0
        while self._size is None:
            at += len(self._read(at, CHUNK_BYTES))
        return self._size

    def _read(self, start: int, length: int) -> bytes:
        with self._in_use:
            try:
                progressed()
                data = self._from_window(start, length)
                answered()
                return data
            except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
                # Asked again it must fail again, and not go on behind the damage.
                self._window_start = None
                raise OSError(f"'{self.path}' cannot be decompressed: {error}") from None

    def _from_window(self, start: int, length: int) -> bytes:
        """The bytes wanted; they stay in the window, because what is wanted next begins somewhere in them."""
        window_start = self._window_start
        if window_start is None or start < window_start:
            self._file.seek(0)
            self._pieces = _unzstd(self._file) if self.path.suffix == ".zst" else _gunzip(self._file)
            self._window, window_start = b"", 0
        parts, end = [self._window[start - window_start :]], window_start + len(self._window)
        window_start = min(start, end)
        while end < start + length:
            piece = next(self._pieces, b"")
            if not piece:
                self._size = end
                break
            progressed()
            parts.append(piece[max(0, start - end) :])
            end += len(piece)
            window_start = min(start, end)
        self._window, self._window_start = b"".join(parts), window_start
        return self._window[:length]


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file, mode="rb") as content:
        while piece := content.read(CHUNK_BYTES):
            yield piece


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """The frames one after the other; never an empty piece. Raises `EOFError` if the last one is not whole."""
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    while data := file.read(_ZSTD_BYTES):
        while data:
            if frame.eof:
                frame = decompressor.decompressobj()
            if piece := frame.decompress(data):
                yield piece
            data = frame.unused_data
    if not frame.eof:
        raise EOFError("it is cut off")
