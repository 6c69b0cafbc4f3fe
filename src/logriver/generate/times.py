"""Times as text for generated lines."""

import time
from functools import lru_cache


@lru_cache(maxsize=4096)
def utc(second: int, pattern: str) -> str:
    """Seconds since the epoch by `strftime`'s `pattern`, in UTC; remembered, because most lines share their second."""
    return time.strftime(pattern, time.gmtime(second))


_MILLISECONDS = tuple(f".{milliseconds:03d}Z" for milliseconds in range(1000))


def rfc_3339_ms(time_ns: int) -> str:
    """Nanoseconds since the epoch as `2023-09-15T08:00:00.123Z`."""
    milliseconds = time_ns // 1_000_000
    return utc(milliseconds // 1000, "%Y-%m-%dT%H:%M:%S") + _MILLISECONDS[milliseconds % 1000]
