"""The shapes in which log lines begin with a time, and what else each beginning says about the line.

Every pattern has the same eight groups: the text up to the minute, the second, the fraction, the zone or the year where
it is written after them, host, program, and the level in one of two places. The text up to the minute is what lines
have in common, so its time is worked out once a chunk (`Stamps`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from logriver import clock
from logriver.clock import Zone, in_zone

_DAY_NS = 86_400 * clock.SECOND_NS
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
# 29 February is at most so many years back.
_YEARS_BACK = 8

_SECOND_NS = {f"{second:02}": second * clock.SECOND_NS for second in range(61)}
_DIGIT_NS = [10 ** (9 - digits) for digits in range(10)]

_SECOND = r"([0-5]\d|60)"
_FRACTION = r"(?:[.,](\d{1,9})\d*+)?"
_STAMP_GROUPS = 6
_WORDS = "trace|debug|information|info|notice|warning|warn|error|err|critical|crit|fatal|alert|emerg|panic"
# The level stands soon after the time: in brackets (`[error]`, Apache's `[core:error]`) or before a colon in any
# spelling, or in capitals as one of the first three words (a thread or a logger's name may come before it).
_LEVEL = (
    r"[\s\]|:-]*+"
    rf"(?:\[?(?:\w{{1,99}}+:)?({_WORDS}|{_WORDS.title()})[\]:]"
    r"|(?:(?:\[[^\]]{0,99}+\]|[^\s\[]\S{0,99}+)\s++(?:[|:-]\s++)?+){0,2}?"
    rf"[\[(<]?(?:\w{{1,99}}+[.:])?({_WORDS.upper()})(?=[\s\]):>|,]|$))"
)
_MONTH = "(?:" + "|".join(_MONTH_NAMES) + ")"
_PROGRAM = r"([\w/(][\w/.()@+-]*+)(?:\[[^\]\s]*+\])?+:(?=\s|$)"


def _minute_ns(year: int, month: int, day: int, hour: str, minute: str) -> int:
    return clock.days_ns(year, month, day) + clock.clock_seconds(int(hour), int(minute), 0) * clock.SECOND_NS


def _iso(text: str, ending: str, zone: Zone, _now_ns: int) -> int:
    """`2015-10-18 18:01`, ending is the zone."""
    local_ns = _minute_ns(int(text[:4]), int(text[5:7]), int(text[8:10]), text[11:13], text[14:16])
    if ending:
        return local_ns - clock.zone_seconds(ending) * clock.SECOND_NS
    return in_zone(local_ns, zone)


def _compact(text: str, _ending: str, zone: Zone, _now_ns: int) -> int:
    """`081109 2036`; as POSIX has it, 69 to 99 are the last century."""
    year = int(text[:2])
    year += 1900 if year >= 69 else 2000
    return in_zone(_minute_ns(year, int(text[2:4]), int(text[4:6]), text[7:9], text[9:11]), zone)


def _month_first(text: str, ending: str, zone: Zone, now_ns: int) -> int:
    """`Jun 14 15:16`, ending is the year; without one it is the latest not more than a day (and a minute) ahead."""
    month, day = _MONTHS[text[:3]], int(text[4:6])
    if ending:
        return in_zone(_minute_ns(int(ending), month, day, text[7:9], text[10:12]), zone)
    latest_ns = now_ns + _DAY_NS
    year = int(clock.to_text(latest_ns + _DAY_NS)[:4])
    for candidate in range(year, year - _YEARS_BACK - 1, -1):
        try:
            time_ns = in_zone(_minute_ns(candidate, month, day, text[7:9], text[10:12]), zone)
        except ValueError:
            continue
        if time_ns <= latest_ns:
            return time_ns
    raise ValueError(f"no such day: {text!r}")


def _day_first(text: str, ending: str, zone: Zone, now_ns: int) -> int:
    """`10/Oct/2000:13:55`, ending is the zone."""
    return _iso(f"{text[7:11]}-{_MONTHS[text[3:6]]:02}-{text[:2]} {text[12:]}", ending, zone, now_ns)


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to begin a line: how to recognise it, and how to read its text up to the minute and its ending."""

    pattern: re.Pattern[str]
    minute_ns: Callable[[str, str, Zone, int], int]


def _shape(stamp: str, minute_ns: Callable[[str, str, Zone, int], int]) -> Shape:
    rest = "()" * (_STAMP_GROUPS - re.compile(stamp).groups)
    return Shape(re.compile(f"{stamp}{rest}(?:{_LEVEL})?+", re.ASCII), minute_ns)


_ISO_MINUTE = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)"

# The first that fits is taken.
SHAPES = (
    # rsyslog's own format of files: always six digits and an offset, so that the next word can only be the host.
    _shape(rf"{_ISO_MINUTE}:{_SECOND}\.(\d{{6}})([+-]\d\d:\d\d) ([^\s\[:]++) +{_PROGRAM}", _iso),
    # ISO 8601, log4j, dpkg. A zone after a blank needs its minutes: ` -08` may be anything.
    _shape(
        rf"\[?{_ISO_MINUTE}:{_SECOND}{_FRACTION}(Z\b|[+-]\d\d(?::?\d\d)?\b| [+-]\d\d:?\d\d\b| (?:Z|UTC)\b)?+",
        _iso,
    ),
    # Syslog, RFC 3164.
    _shape(rf"({_MONTH} [ \d]\d \d\d:\d\d):{_SECOND}{_FRACTION}() (\S++) *+(?:{_PROGRAM})?", _month_first),
    # Apache's error log.
    _shape(rf"\[[A-Z][a-z]{{2}} ({_MONTH} [ \d]\d \d\d:\d\d):{_SECOND}{_FRACTION} (\d{{4}})\]", _month_first),
    # Access logs of Apache and nginx.
    _shape(
        rf"\S{{1,255}} \S{{1,255}} [^\[]{{1,255}}\[(\d\d/{_MONTH}/\d{{4}}:\d\d:\d\d):{_SECOND}() ([+-]\d{{4}})\]",
        _day_first,
    ),
    # `081109 203615`: only what can be a date, six digits are soon something else.
    _shape(
        rf"(\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3])[0-5]\d){_SECOND}{_FRACTION}()(?=\s)",
        _compact,
    ),
)


class Stamps:
    """Finds and reads the times of one chunk's lines; remembers the shape of the last and the minutes it has seen."""

    def __init__(self, zone: Zone, now_ns: int) -> None:
        self._zone = zone
        self._now_ns = now_ns
        self._shape = SHAPES[0]
        self._minutes: dict[tuple[str, str], int] = {}

    def find(self, text: str) -> re.Match[str] | None:
        """The stamp that the line begins with, or None."""
        if found := self._shape.pattern.match(text):
            return found
        for shape in SHAPES:
            if found := shape.pattern.match(text):
                self._shape = shape
                self._minutes.clear()
                return found
        return None

    def time_ns(self, minute: str, second: str, fraction: str, ending: str) -> int:
        """The time that the first four groups of the stamp found last say.

        Raises `ValueError` if there is no such time or it cannot be stored.
        """
        time_ns = self._minutes.get((minute, ending))
        if time_ns is None:
            time_ns = self._shape.minute_ns(minute, ending.strip(), self._zone, self._now_ns)
            self._minutes[minute, ending] = time_ns
        time_ns += _SECOND_NS[second]
        if fraction:
            time_ns += int(fraction) * _DIGIT_NS[len(fraction)]
        return clock.check_range(time_ns)


def written(found: re.Match[str]) -> str:
    """The time as the line has it."""
    return found.string[found.start(1) : max(found.end(group) for group in (2, 3, 4))]
