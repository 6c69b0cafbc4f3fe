"""Time zones by name: of a source (`text@Europe/Paris=PATH`), and as lines write them after a time.

A line's zone is an offset, a name of the zone database (PHP writes those), or an abbreviation that means one thing:
those of RFC 822 and of Europe, Moscow and Japan. `IST`, `BST` and the like mean several and are not read.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from logriver import clock
from logriver.clock import Zone

_HOURS_EAST = {
    **dict.fromkeys(("Z", "UTC", "UT", "GMT", "WET"), 0),
    **dict.fromkeys(("CET", "WEST"), 1),
    **dict.fromkeys(("CEST", "EET"), 2),
    **dict.fromkeys(("EEST", "MSK"), 3),
    "JST": 9,
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
# Longer names first: a pattern takes the first that fits.
ABBREVIATIONS = "|".join(sorted(_HOURS_EAST, key=len, reverse=True))
"""The abbreviations that are read, as alternatives of a pattern."""

_OFFSET = re.compile(r"[+-]\d\d(?::?\d\d)?", re.ASCII)


def zone(name: str) -> Zone:
    """The zone called `name`: an offset, an abbreviation or a name of the zone database; `ValueError` for others."""
    if _OFFSET.fullmatch(name):
        seconds = clock.zone_seconds(name)
        return lambda _time_ns: seconds
    hours = _HOURS_EAST.get(name.upper())
    if hours is not None:
        return lambda _time_ns: hours * 3600
    return _database_zone(name)


@lru_cache(256)
def _database_zone(name: str) -> Zone:
    try:
        rules = ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"unknown time zone {name[:60]!r}") from None

    def seconds_east(time_ns: int) -> int:
        offset = datetime.fromtimestamp(time_ns // clock.SECOND_NS, UTC).astimezone(rules).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    return seconds_east
