"""Finds the times of one chunk's lines and reads them.

The text up to the minute is what lines have in common, so its time is worked out once a chunk.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from logriver import clock
from logriver.clock import Zone, in_zone
from logriver.decode.lines.levels import AFTER_TIME
from logriver.decode.time.shapes import MONTHS, SHAPES, Family, Shape
from logriver.decode.time.zones import zone as zone_called

_MINUTE_NS = 60 * clock.SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_DAY_NS = 24 * _HOUR_NS
# 29 February is at most so many years back.
_YEARS_BACK = 8

_SECOND_NS = {"": 0} | {
    digits: second * clock.SECOND_NS for second in range(61) for digits in (f"{second:02}", str(second))
}
_DIGIT_NS = [10 ** (9 - digits) for digits in range(10)]

_ENDING = re.compile(
    r"(?::(?P<milliseconds>\d+))?(?: ?(?P<half>[AaPp])[Mm]\b)? ?(?P<zone>[^\s\d]\S*)? ?(?P<year>\d{4})?", re.ASCII
)
_DAY_AND_MONTH = re.compile(r"(\d\d?)\D(\d\d?)\D\d{4}", re.ASCII)

_LONGEST_VALUE = 64


def time_of(text: str, zone: Zone, now_ns: int) -> int:
    """The time that a field's whole value is, in the form of JSON records or with its day as lines begin with one.

    One without a zone is of `zone`, which year one without a year means depends on `now_ns`. Raises `ValueError` with
    the reason.
    """
    try:
        return clock.from_text(text, zone)
    except ValueError:
        # A time of day alone may as well be how long something took.
        time_ns = of_shape(text, Stamps(zone, now_ns), day_needed=True)
        if time_ns is None:
            raise
    return time_ns


def of_shape(text: str, stamps: "Stamps", *, day_needed: bool = False) -> int | None:
    """The time that the whole of a short text is, as lines begin with one; None if it is none."""
    beginning = stamps.find(text) if 0 < len(text) <= _LONGEST_VALUE else None
    if not beginning or beginning[1].end() != len(text) or text.endswith((" ", "]")):
        return None
    shape, found = beginning
    minute, *others = shape.parts(found.groups(""))[:4]
    if day_needed and _numbers(shape, minute).keys().isdisjoint(("d", "s")):
        return None
    try:
        return stamps.time_ns(shape, minute, *others)
    except ValueError:
        return None


class Beginning(NamedTuple):
    """How lines begin: `match` recognises a line whose time has the `shape`, and the level after it, at once.

    The first `own_groups` of its groups are the shape's, the others those of `AFTER_TIME`.
    """

    match: Callable[[str], re.Match[str] | None]
    shape: Shape
    own_groups: int


class Stamps:
    """The times of one chunk, read at `now_ns`; a time that names no zone is one of `zone`.

    `day_first` is the order of day and month that the first time has shown which could only be read in one.
    """

    def __init__(self, zone: Zone, now_ns: int, day_first: bool | None = None) -> None:
        self.now_ns = now_ns
        self.day_first = day_first
        self._zone = zone
        self._family: Family = ()
        self._shape: Shape | None = None
        self._minutes: dict[tuple[Shape, str, str], int] = {}
        # The digits of seconds that were read, without those of their fraction.
        self._seconds: dict[tuple[Shape, str, str, str], str] = {}

    def find(self, text: str) -> tuple[Shape, re.Match[str]] | None:
        """The shape that the line, which is not empty, begins with, and where; None if there is none."""
        for family in (self._family, *SHAPES.get(text[0], ())):
            for shape in family:
                if found := shape.pattern.match(text):
                    self._family, self._shape = family, shape
                    return shape, found
        return None

    def beginning(self) -> Beginning | None:
        """How the last line began that had a time."""
        return _beginning(self._family, self._shape) if self._shape else None

    def digits(self, shape: Shape, minute: str, second: str, fraction: str, ending: str) -> str:
        """`time_ns` as decimal digits."""
        whole = self._seconds.get((shape, minute, second, ending))
        if whole is not None:
            return whole + fraction.ljust(9, "0")
        time_ns = self.time_ns(shape, minute, second, fraction, ending)
        seconds, nanos = divmod(time_ns, clock.SECOND_NS)
        # An ending may have milliseconds of its own, where there is no fraction.
        if 0 < seconds < clock.MAX_TIME_NS // clock.SECOND_NS and (fraction or not nanos):
            self._seconds[shape, minute, second, ending] = str(seconds)
        return str(time_ns)

    def time_ns(self, shape: Shape, minute: str, second: str, fraction: str, ending: str) -> int:
        """The time that these parts of a line's stamp say; `ValueError` if it is none or cannot be stored."""
        time_ns = self._minutes.get((shape, minute, ending))
        if time_ns is None:
            time_ns = self._minute_ns(shape, minute, ending)
            self._minutes[shape, minute, ending] = time_ns
        time_ns += _SECOND_NS[second]
        if fraction:
            time_ns += int(fraction) * _DIGIT_NS[len(fraction)]
        return time_ns if clock.MIN_TIME_NS <= time_ns <= clock.MAX_TIME_NS else clock.check_range(time_ns)

    def _minute_ns(self, shape: Shape, minute: str, ending: str) -> int:
        numbers = _numbers(shape, minute)
        if "s" in numbers:
            return clock.from_number(numbers["s"])
        found = _ENDING.fullmatch(ending.strip(" ]"))
        milliseconds, half, zone, year = found.groups("") if found else ("", "", "", "")
        hour = _full_hour(numbers["H"], half)
        of_day_ns = clock.clock_seconds(hour, numbers["M"], 0) * clock.SECOND_NS + int(milliseconds or 0) * 1_000_000
        where = zone_called(zone) if zone else self._zone
        if year:
            numbers["Y"] = int(year)
        if "d" not in numbers:
            return self._latest_day_ns(of_day_ns, where)
        month, day = numbers["m"], numbers["d"]
        if "Y" in numbers:
            if self.day_first is None:
                self.day_first = _is_day_first(minute, day)
            return in_zone(clock.days_ns(numbers["Y"], month, day) + of_day_ns, where)
        return self._latest_year_ns(month, day, of_day_ns, where)

    def _latest_year_ns(self, month: int, day: int, of_day_ns: int, zone: Zone) -> int:
        """Without a year it is the latest not more than a day (and a minute) ahead."""
        latest_ns = self.now_ns + _DAY_NS
        year = int(clock.to_text(latest_ns + _DAY_NS)[:4])
        for candidate in range(year, year - _YEARS_BACK - 1, -1):
            try:
                time_ns = in_zone(clock.days_ns(candidate, month, day) + of_day_ns, zone)
            except ValueError:
                continue
            if time_ns <= latest_ns:
                return time_ns
        raise ValueError(f"no such day: month {month}, day {day}")

    def _latest_day_ns(self, of_day_ns: int, zone: Zone) -> int:
        """Without a day it is the latest not more than an hour ahead: such lines are read soon."""
        local_now_ns = self.now_ns + zone(self.now_ns) * clock.SECOND_NS
        midnight_ns = local_now_ns - local_now_ns % _DAY_NS + _DAY_NS
        for days_back in range(3):
            time_ns = in_zone(midnight_ns - days_back * _DAY_NS + of_day_ns, zone)
            if time_ns <= self.now_ns + _HOUR_NS:
                return time_ns
        return time_ns


@cache
def _beginning(family: Family, shape: Shape) -> Beginning:
    # What an earlier shape of the family takes is not this one's.
    earlier = "|".join(other.nameless for other in family[: family.index(shape)])
    pattern = f"(?!{earlier})" if earlier else ""
    pattern += f"{shape.pattern.pattern}(?:{AFTER_TIME.pattern})?+"
    return Beginning(re.compile(pattern, re.ASCII).match, shape, shape.pattern.groups)


def written(found: re.Match[str]) -> str:
    """The time as the line has it."""
    named = found.re.groupindex
    ends = (found.end(name) for name in ("second", "fraction", "ending") if name in named)
    return found.string[found.start("minute") : max(found.end("minute"), *ends)].removesuffix("]")


def _numbers(shape: Shape, minute: str) -> dict[str, int]:
    """What the parts of a time up to its minute say, under the letters of their directives."""
    found = shape.minute.fullmatch(minute)
    texts = {letter: text for letter, text in found.groupdict().items() if text} if found else {}
    month = texts.pop("b", None)
    numbers = {letter: int(text) for letter, text in texts.items()}
    if month:
        numbers["m"] = MONTHS[month]
    if "y" in numbers:
        # As POSIX has it, 69 to 99 are the last century.
        numbers["Y"] = numbers["y"] + (1900 if numbers["y"] >= 69 else 2000)
    if numbers.get("m", 0) > 12 and "Y" in numbers and not minute[:4].isdigit():
        numbers["m"], numbers["d"] = numbers["d"], numbers["m"]
    return numbers


def _is_day_first(minute: str, day: int) -> bool | None:
    """Whether a time with numbers for day and month has its `day` first; None where either could be the day."""
    found = _DAY_AND_MONTH.match(minute) if day > 12 else None
    return int(found[1]) == day if found else None


def _full_hour(hour: int, half: str) -> int:
    """The hour of 24 for one of a `half` of the day (`AM`, `PM`, or empty)."""
    if not half:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(f"not an hour of half a day: {hour}")
    return hour % 12 + (12 if half in "pP" else 0)
