"""RFC 3339 text to nanoseconds at the price of two dictionary look-ups.

Records of a batch share seconds and short endings (`Z`, `.250Z`), so those are parsed once and remembered as the digits
they stand for; a text is put together from its parts. What has no such parts, as with an offset, is parsed. The
dictionaries are bounded. `timestamps.time_of` is the reference.
"""

from logriver import clock
from logriver.clock import Zone
from logriver.decode.time.timestamps import time_of

_MAX_REMEMBERED = 50_000
_LONGEST_ENDING = len(".123Z")
_LONGEST_FRACTION = len(".123456789")


class TimeCache:
    """Remembers parts of times. A text without a zone is a time of `zone`, of UTC where that is None."""

    def __init__(self, zone: Zone | None = None) -> None:
        self._zone = zone
        self._seconds = _Seconds()
        self._endings = _Endings(zoneless=zone is None)
        # Whole texts that are not of UTC.
        self._others: dict[str, str] = {}

    def digits(self, texts: list[str], now_ns: int) -> list[str]:
        """Times, read at `now_ns`, to nanoseconds in decimal digits.

        Raises `ValueError` with the reason for the first that is none.
        """
        seconds, endings = self._seconds, self._endings
        try:
            return [seconds[text[:19]] + endings[text[19:]] for text in texts]
        except KeyError:
            return [self.digits_of(text, now_ns) for text in texts]

    def digits_of(self, text: str, now_ns: int) -> str:
        """The same for one time."""
        try:
            return self._seconds[text[:19]] + self._endings[text[19:]]
        except KeyError:
            pass
        digits = self._others.get(text)
        if digits is None:
            zone = self._zone or _utc
            try:
                digits = str(clock.from_text(text, zone))
            except ValueError:
                # Which year one without a year means depends on when it is read.
                return str(time_of(text, zone, now_ns))
            _remember(self._others, text, digits)
        return digits


def _utc(_time_ns: int) -> int:
    return 0


class _Seconds(dict[str, str]):
    """`2023-09-15T08:00:00` to the ten digits of its second in UTC. KeyError for what has not exactly those."""

    def __missing__(self, second: str) -> str:
        try:
            time_ns = clock.from_text(second)
        except ValueError:
            raise KeyError(second) from None
        # Before 2001-09-09 a second has other than ten digits; the last that the table holds has no fraction.
        if len(second) != 19 or second[16] != ":" or not 10**18 <= time_ns < clock.MAX_TIME_NS:
            raise KeyError(second)
        digits = str(time_ns // clock.SECOND_NS)
        _remember(self, second, digits)
        return digits


class _Endings(dict[str, str]):
    """`Z` or `.25Z` to the nine digits of its nanoseconds. KeyError for an ending that is not of UTC."""

    def __init__(self, *, zoneless: bool) -> None:
        self._zoneless = zoneless

    def __missing__(self, ending: str) -> str:
        fraction = ending.removesuffix("Z")
        if fraction == ending and not self._zoneless:
            raise KeyError(ending)
        is_fraction = fraction[:1] == "." and fraction[1:].isdecimal() and fraction.isascii()
        if fraction and not (is_fraction and len(fraction) <= _LONGEST_FRACTION):
            raise KeyError(ending)
        digits = fraction[1:].ljust(9, "0")
        # Longer fractions hardly ever come twice.
        if len(ending) <= _LONGEST_ENDING:
            _remember(self, ending, digits)
        return digits


def _remember(parts: dict[str, str], text: str, digits: str) -> None:
    if len(parts) >= _MAX_REMEMBERED:
        parts.clear()
    parts[text] = digits
