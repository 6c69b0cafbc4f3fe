"""Rows: how a decoder writes a record for the queue and the engine (the format is described in `columns.py`).

TabSeparated was measured against the engine's other row formats (`bench/row_formats.py`): it costs the engine half of
JSONCompactEachRow and no more to write. Escapes: `\\\\`, `\\t`, `\\n`; nothing else is special to the engine's reader.
"""

import re
from collections.abc import Sequence

from logriver.columns import DECODED_COLUMNS

_TABS = len(DECODED_COLUMNS) - 1
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def escape(value: str) -> str:
    """`value` as a TabSeparated field."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def row(
    time_ns: int,
    level: str,
    message: str,
    *,
    service: str = "",
    host: str = "",
    trace_id: str = "",
    span_id: str = "",
    attributes: str = "{}",
    sent_level: str = "",
    offset: int = 0,
) -> str:
    """One record as a row without line end, every value escaped.

    `attributes` is the JSON text of an object; `sent_level` the spelling that was sent, empty where it equals `level`.
    """
    return line((str(time_ns), level, message, service, host, trace_id, span_id, attributes, sent_level, str(offset)))


def line(values: Sequence[str]) -> str:
    """The same, of the values of `DECODED_COLUMNS` in their order."""
    text = "\t".join(values)
    if "\\" in text or "\n" in text or text.count("\t") != _TABS:
        return "\t".join(map(escape, values))
    return text


def values(row: str) -> list[str]:
    """The values of a row without its line end, as `line` was given them."""
    found = row.split("\t")
    return [_ESCAPE.sub(_meaning, value) for value in found] if "\\" in row else found


def _meaning(found: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n"}.get(found[1], found[1])


def encode(rows: list[str]) -> bytes:
    """Rows made by `row`, at least one, as bytes, each ended by a newline."""
    return ("\n".join(rows) + "\n").encode()


def encode_unescaped(rows: list[str], *, counted: bool = True) -> bytes | None:
    """Rows whose values were joined by tabs without escaping, as bytes; None if a value holds a tab or a newline.

    The hot path's way: one pass over the whole text instead of one over each value. Backslashes are escaped at once;
    tabs and newlines are `counted`, because one inside a value looks like a separator.
    """
    text = "\n".join([*rows, ""])
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if counted and (text.count("\t") != _TABS * len(rows) or text.count("\n") != len(rows)):
        return None
    return text.encode()
