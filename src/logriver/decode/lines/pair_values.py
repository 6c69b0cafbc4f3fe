"""Names with texts, as logfmt lines and the formats of users have them, to the values of a row.

Names, levels and times mean what they mean in JSON records (`record_mapping.py`); a time may also have a shape of text
lines.
"""

import re

import msgspec

from logriver import clock
from logriver.clock import Zone
from logriver.columns import ALIASES, NUMBER
from logriver.decode.lines.text import Values
from logriver.decode.record_mapping import levels, mapped
from logriver.decode.time.cache import TimeCache
from logriver.decode.time.timestamps import Stamps, of_shape

Pairs = dict[str, str | bool]

_LONGEST_NUMBER = 64
_NUMBER = re.compile(NUMBER)

_to_json = msgspec.json.Encoder().encode


class PairValues:
    """For the lines of one file, written on a machine of `zone`."""

    def __init__(self, zone: Zone) -> None:
        self._times = TimeCache(zone)

    def of(self, pairs: Pairs, text: str, offset: int, stamps: Stamps) -> Values:
        """The values of a row, as `document.row_of` has it; those of columns are taken out of `pairs`.

        The message of pairs without one is `text`.
        """
        columns: dict[str, str] = {}
        for alias in mapped(pairs):
            column, value = ALIASES[alias], pairs[alias]
            if isinstance(value, str) and column not in columns:
                columns[column] = self._digits(value, stamps) if column == "timestamp" else value
                # A time that cannot be read stays a field.
                if columns[column] or column != "timestamp":
                    del pairs[alias]
        take = columns.get
        level, sent_level = levels(columns["level"]) if "level" in columns else ("", "")
        time, message = take("timestamp") or str(stamps.now_ns), take("message", text)
        service, host, trace_id, span_id = (
            take("service", ""),
            take("host", ""),
            take("trace_id", ""),
            take("span_id", ""),
        )
        attributes = _to_json(pairs).decode()
        return time, level, message, service, host, trace_id, span_id, attributes, sent_level, str(offset)

    def _digits(self, value: str, stamps: Stamps) -> str:
        """The nanoseconds of a time in the form of JSON records, or in one of the shapes of text lines."""
        try:
            return self._times.digits_of(value, stamps.now_ns)
        except ValueError:
            return _digits_of_shape(value, stamps)


def _digits_of_shape(value: str, stamps: Stamps) -> str:
    """The nanoseconds of a time as text lines have it, or of a number; empty for another."""
    time_ns = of_shape(value, stamps)
    if time_ns is not None:
        return str(time_ns)
    try:
        if len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(value):
            return str(clock.from_number(float(value)))
    except ValueError:
        pass
    return ""
