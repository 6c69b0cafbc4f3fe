"""Content-Encoding of bodies that stream: gzip and zstd, piece by piece, with a bound for what each step makes.

`decompress.py` is for bodies that are there as a whole. Here nobody knows how long a body gets, so it is not its size
that is bounded, but what is in memory of it at one time, and how many parts in a row may hold nothing.
"""

import zlib
from typing import Protocol

import zstandard

from logriver.errors import BadBody, UnknownEncoding

_GZIP = 31
_GZIP_WINDOW_BYTES = 64 * 1024
_GZIP_STEP_BYTES = 128 * 1024
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""What RFC 8878 asks of every decoder; an encoder takes more only if it is told to."""
# A block makes 128 kB at most and has 4 bytes at least; the one before may still be due.
_ZSTD_SLICE_BYTES = 64
_ZSTD_STEP_BYTES = (_ZSTD_SLICE_BYTES // 4 + 1) * 128 * 1024
_MOST_EMPTY_PARTS = 10_000


class Inflater(Protocol):
    """One body. `kept_bytes` are those that it needs all the time, `step_bytes` those that a step makes at most."""

    kept_bytes: int
    step_bytes: int

    def feed(self, data: bytes) -> None:
        """More of the body, once all that was fed before is inflated."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether there is something to inflate."""
        ...

    def step(self) -> bytes:
        """The next bytes of what was fed. For any thread. Raises `BadBody`."""
        ...

    def end(self) -> None:
        """The body ends. Raises `BadBody` where that is too early."""
        ...


def inflater(encoding: str) -> Inflater:
    """For a body in this encoding. Raises `UnknownEncoding`."""
    if encoding in ("gzip", "x-gzip"):
        return _Gzip()
    if encoding == "zstd":
        return _Zstd()
    raise UnknownEncoding(f"content-encoding {encoding[:40]!r} is not known", hint="use gzip, zstd or none")


class _Parts:
    """What both have in common: a body is made of parts, one after the other."""

    name = ""

    def __init__(self) -> None:
        self._data: bytes | memoryview = b""
        self._is_within = False
        self._empty_parts = 0

    def feed(self, data: bytes) -> None:
        """See `Inflater`."""
        self._data = memoryview(data)

    @property
    def has_more(self) -> bool:
        """See `Inflater`."""
        return len(self._data) > 0

    def end(self) -> None:
        """See `Inflater`."""
        if self._is_within:
            raise BadBody(f"the {self.name} body is cut off")

    def _begins(self) -> None:
        self._is_within = True
        self._empty_parts += 1
        if self._empty_parts > _MOST_EMPTY_PARTS:
            raise BadBody(f"the {self.name} body has more than {_MOST_EMPTY_PARTS} parts that hold nothing")

    def _made(self, piece: bytes) -> bytes:
        if piece:
            self._empty_parts = 0
        return piece


class _Gzip(_Parts):
    name = "gzip"
    kept_bytes = _GZIP_WINDOW_BYTES
    step_bytes = _GZIP_STEP_BYTES

    def step(self) -> bytes:
        """See `Inflater`."""
        try:
            while self.has_more:
                if not self._is_within:
                    self._begins()
                    self._member = zlib.decompressobj(_GZIP)
                piece = self._member.decompress(self._data, _GZIP_STEP_BYTES)
                self._data = self._member.unconsumed_tail or self._member.unused_data
                self._is_within = not self._member.eof
                if self._made(piece):
                    return piece
        except zlib.error as error:
            raise BadBody(f"the body is not gzip: {error}") from None
        return b""


class _Zstd(_Parts):
    name = "zstd"
    kept_bytes = _ZSTD_WINDOW_BYTES
    step_bytes = _ZSTD_STEP_BYTES

    def __init__(self) -> None:
        super().__init__()
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)

    def step(self) -> bytes:
        """See `Inflater`."""
        try:
            while self.has_more:
                if not self._is_within:
                    self._begins()
                    self._frame = self._decompressor.decompressobj()
                given, rest = self._data[:_ZSTD_SLICE_BYTES], self._data[_ZSTD_SLICE_BYTES:]
                piece = self._frame.decompress(given)
                self._is_within = not self._frame.eof
                self._data = self._data[len(given) - len(self._frame.unused_data) :] if self._frame.eof else rest
                if self._made(piece):
                    return piece
        except zstandard.ZstdError as error:
            raise BadBody(f"the body is not zstd: {error}") from None
        return b""
