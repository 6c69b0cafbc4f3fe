"""Buckets of time: an interval that reads well, and where its buckets begin.

Hours and less are counted in UTC. Days begin at midnight in the zone that is asked for, weeks on Monday, other runs of
days are counted from 1970; the engine rounds times down in the same way.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from logriver import clock

DAY = 86_400
_WEEK = 7 * DAY
_EPOCH = date(1970, 1, 1)
_NICE_SECONDS = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3_600 * hours for hours in (1, 2, 3, 6, 12)),
    *(DAY * days for days in (1, 7, 30, 90, 365, 3_650)),
)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets `seconds` apart (days may have an hour more or less); `starts` are epoch seconds, in order."""

    seconds: int
    starts: list[int]

    def index(self, start: int) -> int:
        """Which bucket the engine means by `start`, which may differ where a zone's clocks jump at midnight."""
        return max(0, bisect_right(self.starts, start + self.seconds // 2) - 1)


def buckets(from_ns: int, to_ns: int, most: int, tz: ZoneInfo) -> Buckets:
    """The buckets that cover `from_ns` up to `to_ns`, of the shortest nice interval of which `most` cover that span."""
    span = max(1, to_ns - from_ns)
    fits = (seconds for seconds in _NICE_SECONDS if seconds * clock.SECOND_NS * most >= span)
    seconds = next(fits, _NICE_SECONDS[-1])
    first, last = from_ns // clock.SECOND_NS, max(from_ns, to_ns - 1) // clock.SECOND_NS
    if seconds < DAY:
        return Buckets(seconds, list(range(first - first % seconds, last + 1, seconds)))
    return Buckets(seconds, _midnights(first, last, seconds, tz))


def _midnights(first: int, last: int, seconds: int, tz: ZoneInfo) -> list[int]:
    days = (datetime.fromtimestamp(first, UTC).astimezone(tz).date() - _EPOCH).days
    # 1970 began on a Thursday.
    days -= (days + 3) % 7 if seconds == _WEEK else days % (seconds // DAY)
    day = _EPOCH + timedelta(days)
    starts: list[int] = []
    while not starts or starts[-1] <= last:
        starts.append(int(datetime.combine(day, time(), tz).timestamp()))
        day += timedelta(seconds // DAY)
    return starts[:-1]
