"""RFC 3339 text to nanoseconds at the price of two dictionary look-ups.

Records of a batch share seconds and endings (`Z`, `.250Z`), so each part of the text is parsed once and remembered as
the digits it stands for. The dictionaries are bounded. `clock.from_text` stays the definition: it parses whatever is
not remembered.
"""

from logriver import clock

_MAX_REMEMBERED = 50_000
# `.123Z`: there are a thousand of these; longer fractions hardly ever come twice.
_MAX_ENDING = 5


class TimeCache:
    """Remembers whole seconds as digits, by their text with its zone, and the short endings of times in UTC."""

    def __init__(self) -> None:
        self._seconds: dict[str, str] = {}
        self._seconds_utc: dict[str, str] = {}
        self._endings: dict[str, str] = {}

    def digits(self, texts: list[str]) -> list[str]:
        """Times to nanoseconds in decimal digits. Raises `ValueError` with the reason for the first that is none."""
        seconds, endings = self._seconds_utc, self._endings
        try:
            return [seconds[text[:19]] + endings[text[19:]] for text in texts]
        except KeyError:
            return [self._digits(text) for text in texts]

    def time_ns(self, text: str) -> int:
        """One time to nanoseconds. Raises `ValueError` with the reason."""
        return int(self._digits(text))

    def _digits(self, text: str) -> str:
        zone = text[-1:] if text.endswith("Z") else text[-6:] if text[-6:-5] in ("+", "-") else ""
        fraction = text[19 : len(text) - len(zone)]
        if fraction and not (fraction[0] == "." and fraction[1:10].isdecimal() and fraction.isascii()):
            return str(clock.from_text(text))
        seconds = self._seconds.get(text[:19] + zone)
        if seconds is None or len(fraction) > 10:
            return str(self._parse(text, zone))
        nanos = fraction[1:].ljust(9, "0")
        if zone == "Z" and len(fraction) < _MAX_ENDING:
            self._remember(self._endings, fraction + zone, nanos)
        return seconds + nanos

    def _parse(self, text: str, zone: str) -> int:
        time_ns = clock.from_text(text)
        seconds = time_ns // clock.SECOND_NS
        # Only whole seconds of ten digits can be put together from parts (from 2001-09-09 on); the last second that
        # the table holds has no parts.
        if time_ns >= 10**18 and seconds * clock.SECOND_NS < clock.MAX_TIME_NS and len(text) >= 19 + len(zone):
            self._remember(self._seconds, text[:19] + zone, str(seconds))
            if zone == "Z":
                self._remember(self._seconds_utc, text[:19], str(seconds))
        return time_ns

    def _remember(self, parts: dict[str, str], text: str, digits: str) -> None:
        if len(parts) >= _MAX_REMEMBERED:
            parts.clear()
        parts[text] = digits
