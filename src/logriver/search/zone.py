"""The time zone of a request: where its days begin."""

import re
from zoneinfo import ZoneInfo

from logriver.errors import BadQuery

_NAME = re.compile(r"[A-Z][A-Za-z0-9_+/-]{1,60}", re.ASCII)
UTC = ZoneInfo("UTC")


def checked(name: str) -> ZoneInfo:
    """The zone called `name` in the zone database, UTC for an empty name. Raises `BadQuery`."""
    if not name:
        return UTC
    try:
        if _NAME.fullmatch(name):
            return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        pass
    raise BadQuery(f"parameter 'tz' is no time zone: {name[:60]!r}", hint="zones are like UTC and Europe/Berlin")
