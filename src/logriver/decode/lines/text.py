"""Text lines to rows: the time and the level are recognised, the message is always the whole line.

A line whose beginning has none of the shapes of `tables/times.toml` gets the time of reading.
"""

import re

import msgspec

from logriver.decode.lines.levels import after_time, first_word, meaning
from logriver.decode.lines.whole_lines import Line
from logriver.decode.row_builder import encode, encode_unescaped, line
from logriver.decode.time.timestamps import Beginning, Stamps, written
from logriver.decode.wire import syslog

Values = tuple[str, ...]
"""A row's values in the order of `DECODED_COLUMNS`, not escaped."""

_COLOUR = re.compile(r"\x1b\[[\d;]*m", re.ASCII)


def values_of(lines: list[Line], stamps: Stamps) -> list[Values]:
    """The values of the rows of text `lines`, one row a line."""
    now = str(stamps.now_ns)
    beginning: Beginning | None = None
    rows: list[Values] = []
    for _, at, text in lines:
        row = None
        if beginning and (found := beginning.match(text)) and "\n" not in text and "\x1b" not in text:
            row = _values_alike(text, str(at), stamps, beginning, found)
        if row is None:
            row = _values(text, str(at), stamps, now)
            beginning = stamps.beginning()
        rows.append(row)
    return rows


def encoded(rows: list[Values]) -> bytes:
    """Rows as those of a `Decoded`."""
    if not rows:
        return b""
    return encode_unescaped(list(map("\t".join, rows))) or encode(list(map(line, rows)))


def _values_alike(
    message: str, offset: str, stamps: Stamps, beginning: Beginning, found: re.Match[str]
) -> Values | None:
    """What `_values` gives for a line that begins like the one before, at half the price; None where it cannot tell."""
    groups = found.groups("")
    minute, second, fraction, ending, host, service, mark, extra = beginning.shape.parts(groups)
    try:
        time = stamps.digits(beginning.shape, minute, second, fraction, ending)
    except ValueError:
        return None
    last = found.lastindex or 0
    level, sent_level = meaning(mark or (groups[last - 1] if last > beginning.own_groups else ""))
    attributes = _to_json(syslog.fields(extra)) if extra else "{}"
    return time, level, message, service, host, "", "", attributes, sent_level, offset


def _values(message: str, offset: str, stamps: Stamps, now: str) -> Values:
    # What stands further down in a record of several lines says nothing about its time and level.
    text = message.partition("\n")[0] if "\n" in message else message
    # Colours are for terminals; they hide times and levels.
    text = _COLOUR.sub("", text) or text if "\x1b" in text else text
    beginning = stamps.find(text)
    if not beginning:
        level, sent_level = meaning(first_word(text))
        return now, level, message, "", "", "", "", "{}", sent_level, offset
    shape, found = beginning
    minute, second, fraction, ending, host, service, mark, extra = shape.parts(found.groups(""))
    fields = syslog.fields(extra) if extra else {}
    try:
        time = str(stamps.time_ns(shape, minute, second, fraction, ending))
    except ValueError:
        time = now
        fields["time_text"] = written(found)
    level, sent_level = meaning(mark or after_time(text, found.end()))
    attributes = _to_json(fields) if fields else "{}"
    return time, level, message, service, host, "", "", attributes, sent_level, offset


def _to_json(fields: syslog.Fields) -> str:
    return msgspec.json.encode(fields).decode()
