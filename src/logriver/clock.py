"""Reading the clock, and times as text and numbers to nanoseconds and back.

A time is an `int`: nanoseconds since 1970-01-01T00:00:00Z, between `MIN_TIME_NS` and `MAX_TIME_NS` (what the column
`timestamp DateTime64(9)` can hold).
"""

import math
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

SECOND_NS = 1_000_000_000
MIN_TIME_NS = -2_208_988_800 * SECOND_NS
"""1900-01-01T00:00:00Z, the first time that DateTime64 holds."""
MAX_TIME_NS = 9_223_372_036 * SECOND_NS
"""2262-04-11T23:47:16Z, the last whole second of a signed 64-bit count of nanoseconds."""

Zone = Callable[[int], int]
"""Seconds east of UTC at a time (nanoseconds since the epoch), of the machine that wrote a time without a zone."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)?)? ?([Zz]|UTC|[+-]\d\d:?\d\d|[+-]\d\d)?",
    re.ASCII,
)
_DAY = re.compile(r"(?:19|20)\d{6}", re.ASCII)
# What shippers that know only texts send: seconds with or without a fraction, ms, us, ns, distinguished by their
# digits.
_EPOCH = re.compile(r"(\d{10})(?:\.(\d{1,9})\d{0,9})?|\d{13}|\d{16}|\d{19}", re.ASCII)


def now_ns() -> int:
    """The wall clock, in nanoseconds since the epoch."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds of a clock that never jumps, for measuring how long something takes."""
    return time.monotonic()


def check_range(time_ns: int) -> int:
    """Give `time_ns` back if the table can hold it, else raise `ValueError` with the reason."""
    if not MIN_TIME_NS <= time_ns <= MAX_TIME_NS:
        raise ValueError("time is outside 1900-01-01 to 2262-04-11T23:47:16Z")
    return time_ns


def from_number(number: int | float) -> int:
    """Epoch number to nanoseconds: below 1e11 seconds, below 1e14 ms, below 1e17 us, else ns (by magnitude).

    Raises `ValueError` outside of the accepted times.
    """
    size = abs(number)
    if size < 1e11:
        scale = SECOND_NS
    elif size < 1e14:
        scale = 1_000_000
    elif size < 1e17:
        scale = 1_000
    else:
        scale = 1
    if isinstance(number, int):
        return check_range(number * scale)
    if not math.isfinite(number):
        return check_range(MAX_TIME_NS + 1)
    # What was written is the shortest text that reads as this float; the float itself is some nanoseconds beside it.
    return check_range(round(Decimal(repr(number)) * scale))


def days_ns(year: int, month: int, day: int) -> int:
    """Nanoseconds from the epoch to the start of that day in UTC; `ValueError` where there is no such day."""
    return (date(year, month, day).toordinal() - _EPOCH_DAY) * 86_400 * SECOND_NS


def from_text(text: str, zone: Zone | None = None) -> int:
    """RFC 3339 (a space instead of `T`, a comma, a missing time or zone allowed), or an epoch number, to nanoseconds.

    A text without a zone is a time of `zone`, of UTC where that is None. Digits after the ninth are cut off. A leap
    second (`:60`) is the second after it. Raises `ValueError` with the reason.
    """
    found = _RFC_3339.fullmatch(text)
    if not found:
        return _from_digits(text)
    year, month, day, hour, minute, second, fraction, written_zone = found.groups()
    seconds = clock_seconds(int(hour or 0), int(minute or 0), int(second or 0))
    nanos = int((fraction or "0").ljust(9, "0")[:9])
    try:
        time_ns = days_ns(int(year), int(month), int(day)) + seconds * SECOND_NS + nanos
    except ValueError:
        raise ValueError(f"no such day: {text[:10]!r}") from None
    if written_zone is not None:
        time_ns -= zone_seconds(written_zone) * SECOND_NS
    elif zone is not None:
        time_ns = in_zone(check_range(time_ns), zone)
    return check_range(time_ns)


def from_day(text: str) -> int | None:
    """`20230915` to nanoseconds, in UTC; None for what is no day of 1900 to 2099 so. As a number it is one of 1970."""
    if not _DAY.fullmatch(text):
        return None
    try:
        return days_ns(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _from_digits(text: str) -> int:
    found = _EPOCH.fullmatch(text)
    if not found:
        raise ValueError(f"not a time: {text[:60]!r}")
    seconds, fraction = found.groups()
    if fraction is None:
        return from_number(int(text))
    return int(seconds) * SECOND_NS + int(fraction.ljust(9, "0"))


def has_zone(text: str) -> bool:
    """Whether a text that `from_text` takes names its zone."""
    found = _RFC_3339.fullmatch(text)
    return found is not None and found[8] is not None


def in_zone(local_ns: int, zone: Zone) -> int:
    """A time as the clocks of `zone` show it, in UTC; where they show it twice, either."""
    guess = local_ns - zone(local_ns) * SECOND_NS
    return local_ns - zone(guess) * SECOND_NS


def clock_seconds(hour: int, minute: int, second: int) -> int:
    """Seconds since midnight; `ValueError` where no clock shows that."""
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"not a time of day: {hour:02}:{minute:02}:{second:02}")
    return hour * 3600 + minute * 60 + second


def zone_seconds(zone: str) -> int:
    """`Z`, `UTC`, `+02:00`, `+0200` or `+02` to seconds east of UTC; `ValueError` beyond 24 hours."""
    if zone[0] not in "+-":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(f"not a time zone: {zone!r}")
    seconds = hours * 3600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def to_text(time_ns: int) -> str:
    """Nanoseconds to RFC 3339 with `Z`, with as many digits after the point as needed."""
    seconds, nanos = divmod(time_ns, SECOND_NS)
    text = _second_text(seconds)
    return f"{text}.{nanos:09}".rstrip("0") + "Z" if nanos else text + "Z"


@lru_cache(1024)
def _second_text(seconds: int) -> str:
    # The records of an answer share seconds.
    days, rest = divmod(seconds, 86_400)
    day = date.fromordinal(days + _EPOCH_DAY)
    return f"{day.isoformat()}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def local_offset_seconds(time_ns: int) -> int:
    """How far east of UTC this machine's zone was at that time, in seconds."""
    offset = datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone().utcoffset()
    return int(offset.total_seconds()) if offset else 0
