"""Content-Encoding: gzip and zstd, never more than a limit, whatever the bytes claim."""

import zlib
from collections.abc import Callable

import zstandard

from logriver.errors import BadBody, TooLarge, UnknownEncoding

_STEP_BYTES = 1_000_000
_MAX_WINDOW_BYTES = 128 * 1024 * 1024
_GZIP = 31

Reserve = Callable[[int], None]


def inflate(body: bytes, encoding: str, max_bytes: int, reserve: Reserve) -> bytes:
    """The body as it was before `encoding`. `reserve(size)` is asked for each step's memory and may refuse.

    Raises `UnknownEncoding`, `TooLarge` beyond `max_bytes`, `BadBody` for broken or cut bytes.
    """
    if encoding in ("", "identity"):
        return body
    if encoding in ("gzip", "x-gzip"):
        steps = _Steps(max_bytes, reserve)
        _gunzip(body, steps)
        return steps.joined()
    if encoding == "zstd":
        steps = _Steps(max_bytes, reserve)
        _unzstd(body, steps)
        return steps.joined()
    raise UnknownEncoding(f"content-encoding {encoding[:40]!r} is not known", hint="use gzip, zstd or none")


class _Steps:
    def __init__(self, max_bytes: int, reserve: Reserve) -> None:
        self._max_bytes = max_bytes
        self._reserve = reserve
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise TooLarge(f"the body inflates to more than {self._max_bytes} bytes", hint="send smaller batches")
        self._reserve(self._size)
        self._pieces.append(piece)

    def joined(self) -> bytes:
        return b"".join(self._pieces)


def _gunzip(body: bytes, steps: _Steps) -> None:
    try:
        while body:
            member = zlib.decompressobj(_GZIP)
            while not member.eof:
                piece = member.decompress(body, _STEP_BYTES)
                body = member.unconsumed_tail or member.unused_data
                if not piece and not member.eof and not body:
                    raise BadBody("the gzip body is cut off")
                steps.add(piece)
    except zlib.error as error:
        raise BadBody(f"the body is not gzip: {error}") from None


def _unzstd(body: bytes, steps: _Steps) -> None:
    try:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(_STEP_BYTES):
                steps.add(piece)
    except zstandard.ZstdError as error:
        raise BadBody(f"the body is not zstd: {error}") from None
