"""Time zones by name: of a source (`text@Europe/Paris=PATH`), and as lines write them after a time.

A line's zone is an offset, a name of the zone database (PHP writes those), or an abbreviation that means one thing, of
those in `tables/times.toml`. `IST`, `BST` and the like mean several and are not read.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from logriver import clock
from logriver.clock import Zone
from logriver.decode.tables.read import table

_HOURS_EAST: dict[str, int] = table("times").data["zones"]
_OFFSET = re.compile(r"[+-]\d\d(?::?\d\d)?", re.ASCII)


def zone(name: str) -> Zone:
    """The zone called `name`: an offset, an abbreviation or a name of the zone database; `ValueError` for others.

    This machine's where the name is empty.
    """
    if not name:
        return clock.local_offset_seconds
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
