"""Content-Encoding: gzip and zstd, never more than a limit, whatever the bytes claim."""

import zlib
from collections.abc import Callable

import zstandard

from logriver.errors import BadBody, TooLarge, UnknownEncoding

_STEP_BYTES = 1_000_000
_MAX_WINDOW_BYTES = 128 * 1024 * 1024
_GZIP = 31
_SKIPPABLE = b"\x2a\x4d\x18"
_LONGEST_FRAME_HEADER = 18
_RUN_BLOCK = 1

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
        _check_frames(body)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(_STEP_BYTES):
                steps.add(piece)
    except zstandard.ZstdError as error:
        raise BadBody(f"the body is not zstd: {error}") from None


def _check_frames(body: bytes) -> None:
    """Raise `BadBody` unless the last frame is whole: the reader takes the end of its input for the end of the data."""
    at = 0
    while at < len(body):
        at = _frame_end(body, at)
    if at > len(body):
        raise BadBody("the zstd body is cut off")


def _frame_end(body: bytes, at: int) -> int:
    """Where the frame at `at` ends by its block headers (RFC 8878, section 3.1). Raises `zstandard.ZstdError`."""
    if body[at + 1 : at + 4] == _SKIPPABLE and body[at] & 0xF0 == 0x50:
        return at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")
    head = body[at : at + _LONGEST_FRAME_HEADER]
    checksum_bytes = 4 if zstandard.get_frame_parameters(head).has_checksum else 0
    at += zstandard.frame_header_size(head)
    is_last = False
    while not is_last and at < len(body):
        block = int.from_bytes(body[at : at + 3], "little")
        is_last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == _RUN_BLOCK else size)
    return at + checksum_bytes if is_last else len(body) + 1
