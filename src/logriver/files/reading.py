"""One request for lines, from the name of the file to the bytes of the answer. Everything here blocks."""

import os
from collections.abc import Generator

from logriver.files import compressed
from logriver.files.backwards import Backwards
from logriver.files.lines_within import LinesWithin
from logriver.files.matcher import Matcher, matcher
from logriver.files.opened import Opened
from logriver.files.request import LogRequest
from logriver.files.roots import Roots

_NOTHING_YET = b""


def lines(roots: Roots, request: LogRequest) -> Generator[bytes, None, None]:
    """The lines that are asked for, newest first, in pieces; an empty piece is a step on the way to the next ones.

    Close it: that closes the file. Raises as `FileAnswers.logs` says.
    """
    descriptor, _ = roots.open(request.filename)
    file = Opened(descriptor, request.filename)
    try:
        wanted = matcher(request)
        if request.n == 0:
            return
        inflate = compressed.inflater(file)
        if inflate is None:
            yield from _lines_of(file, wanted, request)
            return
        with compressed.temporary_file() as content, os.fdopen(os.dup(descriptor), "rb") as source:
            for _ in compressed.inflated(source, inflate, content):
                yield _NOTHING_YET
            yield from _lines_of(Opened(content.fileno(), request.filename), wanted, request)
    finally:
        file.close()


def _lines_of(file: Opened, wanted: Matcher, request: LogRequest) -> Generator[bytes, None, None]:
    timed = request.from_ns is not None or request.to_ns is not None
    times = LinesWithin(file, request.from_ns, request.to_ns) if timed else None
    way = Backwards(file, wanted, times.end() if times else file.size)
    left = request.n
    for spans in way.spans():
        if times:
            spans = [span for span in spans if times.has(span[0])]
        spans = spans[:left]
        yield from way.text(spans)
        if left is not None:
            left -= len(spans)
            if left == 0:
                return
        yield _NOTHING_YET
        if times and times.is_past(*way.read_last):
            way.stop()
