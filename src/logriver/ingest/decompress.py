"""Content-Encoding: gzip and zstd, never more than a limit, whatever the bytes claim.

A few bytes may stand for many, and many bytes for nothing. So memory is asked for step by step before it is taken, and
the parts that an encoding is made of are bounded too: each costs time, also those that hold nothing.
"""

import zlib
from collections.abc import Callable

import zstandard

from logriver.errors import BadBody, TooLarge, UnknownEncoding

_STEP_BYTES = 1_000_000
_INPUT_BYTES = 65_536
_MAX_WINDOW_BYTES = 128 * 1024 * 1024
_GZIP = 31
_SKIPPABLE = b"\x2a\x4d\x18"
_LONGEST_FRAME_HEADER = 18
_RUN_BLOCK = 1
# Members of gzip, frames of zstd. Tools that cut a file into such make them of 64 kB or more.
_MOST_PARTS = 10_000
# A block of zstd has 128 kB at most; a sender that flushes each record makes one a record.
_MOST_BLOCKS = 1_000_000
# Where the size is not known, `get_frame_parameters` says this.
_UNKNOWN_SIZE = zstandard.CONTENTSIZE_UNKNOWN

PLAIN = ("", "identity")
"""Encodings that change nothing."""

Reserve = Callable[[int], None]


def decompress(body: bytes, encoding: str, max_bytes: int, reserve: Reserve) -> bytes:
    """The body as it was before `encoding`. `reserve(size)` is asked for each step's memory and may refuse.

    Raises `UnknownEncoding`, `TooLarge` beyond `max_bytes`, `BadBody` for broken or cut bytes.
    """
    if encoding in PLAIN:
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
    """What was inflated. `window` is what the decoder keeps of it beside."""

    def __init__(self, max_bytes: int, reserve: Reserve) -> None:
        self._max_bytes = max_bytes
        self._reserve = reserve
        self._pieces: list[bytes] = []
        self._size = 0
        self.window = 0

    def check(self, size: int) -> None:
        """Raises `TooLarge` for a size that is over the limit."""
        if size > self._max_bytes:
            raise TooLarge(f"the body inflates to more than {self._max_bytes} bytes", hint="send smaller batches")

    def add(self, piece: bytes) -> None:
        """Raises `TooLarge`, or what `reserve` raises."""
        self._size += len(piece)
        self.check(self._size)
        self._reserve(self._size + min(self._size, self.window))
        self._pieces.append(piece)

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


def _gunzip(body: bytes, steps: _Steps) -> None:
    """The members one after the other. Input is given in small pieces: what is left of one is copied."""
    view = memoryview(body)
    at, parts = 0, 0
    try:
        while at < len(body):
            parts += 1
            _check_parts(parts, "members")
            member = zlib.decompressobj(_GZIP)
            at = _read_member(member, view, at, steps)
    except zlib.error as error:
        raise BadBody(f"the body is not gzip: {error}") from None


def _read_member(member: "zlib._Decompress", view: memoryview, at: int, steps: _Steps) -> int:
    """Where the member ends."""
    while not member.eof:
        if at >= len(view):
            raise BadBody("the gzip body is cut off")
        data: bytes | memoryview = view[at : at + _INPUT_BYTES]
        at += len(data)
        while data and not member.eof:
            if piece := member.decompress(data, _STEP_BYTES):
                steps.add(piece)
            data = member.unconsumed_tail
    return at - len(member.unused_data)


def _unzstd(body: bytes, steps: _Steps) -> None:
    try:
        _check_frames(body, steps)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(_STEP_BYTES):
                steps.add(piece)
    except zstandard.ZstdError as error:
        raise BadBody(f"the body is not zstd: {error}") from None


def _check_frames(body: bytes, steps: _Steps) -> None:
    """Raise `BadBody` unless the last frame is whole: the reader takes the end of its input for the end of the data.

    Raises `TooLarge` for a frame that says of itself that it is.
    """
    at, frames, blocks = 0, 0, 0
    while at < len(body):
        frames += 1
        _check_parts(frames, "frames")
        if body[at + 1 : at + 4] == _SKIPPABLE and body[at] & 0xF0 == 0x50:
            at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
        else:
            at, blocks = _frame_end(body, at, blocks, steps)
    if at > len(body):
        raise BadBody("the zstd body is cut off")


def _frame_end(body: bytes, at: int, blocks: int, steps: _Steps) -> tuple[int, int]:
    """Where the frame at `at` ends by its block headers (RFC 8878, section 3.1), and how many blocks there were so far.

    Raises `zstandard.ZstdError`, `BadBody`, `TooLarge`.
    """
    head = body[at : at + _LONGEST_FRAME_HEADER]
    parameters = zstandard.get_frame_parameters(head)
    if parameters.content_size != _UNKNOWN_SIZE:
        steps.check(parameters.content_size)
    steps.window = max(steps.window, parameters.window_size)
    at += zstandard.frame_header_size(head)
    is_last = False
    while not is_last and at < len(body):
        block = int.from_bytes(body[at : at + 3], "little")
        is_last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == _RUN_BLOCK else size)
        blocks += 1
        if blocks > _MOST_BLOCKS:
            raise BadBody(f"the zstd body has more than {_MOST_BLOCKS} blocks")
    return (at + (4 if parameters.has_checksum else 0) if is_last else len(body) + 1), blocks


def _check_parts(number: int, name: str) -> None:
    if number > _MOST_PARTS:
        raise BadBody(f"the body has more than {_MOST_PARTS} {name}", hint="compress it as a whole")
