"""SQL for times rounded down to bins: of `| stats .. by bin(5m)` and of histograms."""

from logriver.errors import BadQuery

_MAX_BIN_SECONDS = 3_660 * 86_400
_WEEK_SECONDS = 604_800
_UNITS = (("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60), ("SECOND", 1))


def rounded_down(time: str, seconds: int, zone: str) -> str:
    """SQL for the start of the bin of `seconds` that `time` lies in; `zone` is SQL too, days begin there at midnight.

    A week begins on Monday, other runs of days are counted from 1970. Raises `BadQuery` for spans nobody needs.
    """
    if not 1 <= seconds <= _MAX_BIN_SECONDS:
        raise BadQuery(f"'bin' takes from 1 s to 10 years, not {seconds} s")
    if seconds == _WEEK_SECONDS:
        interval = "1 WEEK"
    else:
        interval = next(f"{seconds // size} {unit}" for unit, size in _UNITS if seconds % size == 0)
    # Before 1970 the engine cuts fractions of seconds off, which rounds up.
    whole = f"if({time} < toDateTime64(0, 9), {time} - toIntervalNanosecond(999999999), {time})"
    return f"toStartOfInterval({whole}, INTERVAL {interval}, {zone})"


def as_time(rounded: str, zone: str) -> str:
    """SQL for what `rounded_down` gives, which is a date for some intervals, as a time."""
    return f"toDateTime64({rounded}, 9, {zone})"
