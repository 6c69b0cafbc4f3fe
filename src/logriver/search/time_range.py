"""The times that a request covers, and how they are written.

RFC 3339, epoch numbers, `now`, `now-15m`, `15m` (that long ago).
"""

import re
from dataclasses import dataclass

from logriver import clock
from logriver.errors import BadQuery

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = r"(?:\d{1,9}(?:\.\d{1,9})?[smhdw]){1,5}"
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_AGO = re.compile(_SPAN, re.ASCII)
_NOW = re.compile(rf"now(?:([+-])({_SPAN}))?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,19}\.\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `from_ns` up to, and without, `to_ns`; None is open."""

    from_ns: int | None = None
    to_ns: int | None = None


ANY_TIME = TimeRange()


def parse(name: str, text: str, now_ns: int) -> int:
    """The time that the parameter `name` gives, clipped to what the table can hold.

    Raises `BadQuery` for what is no time.
    """
    text = text.strip()
    now = _NOW.fullmatch(text)
    try:
        if now:
            sign, span = now.groups()
            return _clipped(now_ns + _span_ns(span or "") * (-1 if sign == "-" else 1))
        if _AGO.fullmatch(text):
            return _clipped(now_ns - _span_ns(text))
        day_ns = clock.from_day(text)
        if day_ns is not None:
            return day_ns
        if _INTEGER.fullmatch(text):
            return clock.from_number(int(text))
        if _DECIMAL.fullmatch(text):
            return clock.from_number(float(text))
        return clock.from_text(text)
    except ValueError as error:
        raise BadQuery(
            f"parameter {name!r}: {error}",
            hint="times are like 2023-09-15T08:00:00Z, 1694764800, now, now-15m or 15m (ago)",
        ) from None


def _span_ns(span: str) -> int:
    return round(sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(span)) * clock.SECOND_NS)


def _clipped(time_ns: int) -> int:
    return max(clock.MIN_TIME_NS, min(time_ns, clock.MAX_TIME_NS))
