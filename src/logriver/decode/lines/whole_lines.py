"""Whole lines of a followed file, with where each begins.

Used by the decoders of text formats. Offsets count the raw bytes of the file: line ends, carriage returns and bytes
that are not UTF-8 included.
"""

import codecs
from collections.abc import Callable
from itertools import count

from logriver.record import Refused

MAX_REFUSED_BYTES = 64 * 1024
"""So much of a refused line is kept to be shown."""


Line = tuple[int, int, str]
"""A line that is not empty: its number in the chunk (from 1), its offset in the file, its text."""

Split = Callable[[bytes, int, int], tuple[list[Line], list[Refused]]]
"""As `split` below; what else is so may give several lines as one."""


def split(chunk: bytes, offset: int, max_record_bytes: int) -> tuple[list[Line], list[Refused]]:
    """The lines of `chunk`, which begins at byte `offset` of its file, and those that are too long.

    Empty lines are left out. One carriage return at the end of a line is dropped; what is not UTF-8 becomes U+FFFD.
    """
    # Decoding all at once gives the same number of lines: no byte of a broken character takes a newline with it.
    texts = chunk.decode("utf-8", "replace").split("\n")
    sizes = map(len, texts if chunk.isascii() else chunk.split(b"\n"))
    lines: list[Line] = []
    refused: list[Refused] = []
    start = offset
    for number, text, size in zip(count(1), texts, sizes, strict=False):
        if size > max_record_bytes:
            raw = chunk[offset - start : offset - start + min(size, MAX_REFUSED_BYTES)]
            refused.append(too_long(number, offset, size, max_record_bytes, raw))
        elif text and text != "\r":
            lines.append((number, offset, text[:-1] if text[-1] == "\r" else text))
        offset += size + 1
    return lines, refused


def raw_line(chunk: bytes, start: int) -> bytes:
    """What is kept of the line that begins at `start` of `chunk` when it is refused, without its end."""
    end = chunk.find(b"\n", start)
    line = chunk[start : len(chunk) if end < 0 else end]
    return line.removesuffix(b"\r")[:MAX_REFUSED_BYTES]


def without_mark(beginning: bytes) -> bytes:
    """The beginning of a file without the mark of UTF-8, in the place of which are empty lines: all offsets stay."""
    return beginning.replace(codecs.BOM_UTF8, b"\n\n\n", 1) if beginning.startswith(codecs.BOM_UTF8) else beginning


def too_long(number: int, offset: int, size: int, max_record_bytes: int, raw: bytes) -> Refused:
    """The refusal of a line of `size` bytes, of which `raw` is the beginning that is kept."""
    reason = f"line of {size} bytes, the limit is {max_record_bytes}"
    return Refused(number, reason, raw, offset)
