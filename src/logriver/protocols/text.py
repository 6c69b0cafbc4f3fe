"""Text lines to rows: the time and the level are recognised, the message is always the whole line.

A line whose beginning has none of the shapes of `timestamp_shapes.py` gets the time of reading and no level.
"""

from functools import lru_cache

import msgspec

from logriver.clock import Zone
from logriver.columns import level_of
from logriver.protocols.lines import split
from logriver.protocols.rows import encode, row
from logriver.protocols.timestamp_shapes import Stamps, written
from logriver.record import Decoded


class TextLines:
    """The decoder of text files. `zone` is that of the machine which wrote them, for times that name none."""

    def __init__(self, max_record_bytes: int, zone: Zone) -> None:
        self._max_record_bytes = max_record_bytes
        self._zone = zone

    def decode(self, chunk: bytes, offset: int, now_ns: int) -> Decoded:
        """Rows of whole lines that begin at byte `offset` of their file; only lines that are too long are refused."""
        lines, refused = split(chunk, offset, self._max_record_bytes)
        stamps = Stamps(self._zone, now_ns)
        rows = [_row(text, at, stamps, now_ns) for _, at, text in lines]
        return Decoded([encode(rows)] if rows else [], len(rows), refused)


def _row(text: str, offset: int, stamps: Stamps, now_ns: int) -> str:
    found = stamps.find(text)
    if not found:
        return row(now_ns, "", text, offset=offset)
    minute, second, fraction, ending, host, service, marked_level, capital_level = found.groups("")
    attributes = "{}"
    try:
        time_ns = stamps.time_ns(minute, second, fraction, ending)
    except ValueError:
        time_ns = now_ns
        attributes = msgspec.json.encode({"time_text": written(found)}).decode()
    level, sent_level = _meaning(marked_level or capital_level)
    return row(
        time_ns,
        level,
        text,
        service=service,
        host=host,
        attributes=attributes,
        sent_level=sent_level,
        offset=offset,
    )


@lru_cache
def _meaning(sent: str) -> tuple[str, str]:
    """The columns `level` and `_level` for a level as it is spelled in a line."""
    level = level_of(sent)
    return level, "" if level == sent else sent
