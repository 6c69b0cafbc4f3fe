"""RFC 3339 text to nanoseconds at the price of two dictionary look-ups.

Records of a batch share seconds and endings (`Z`, `.250Z`), so each part of the text is parsed once and remembered as
the digits it stands for. The dictionaries are bounded. `clock.from_text` stays the definition: it parses whatever is
not remembered.
"""

from logriver import clock

_MAX_REMEMBERED = 50_000


class TimeCache:
    """Remembers parts of times as digits of nanoseconds: `2023-09-15T08:00:00` as ten, what follows it as nine."""

    def __init__(self) -> None:
        self._seconds: dict[str, str] = {}
        self._endings: dict[str, str] = {}

    def digits(self, texts: list[str]) -> list[str]:
        """Times to nanoseconds in decimal digits. Raises `ValueError` with the reason for the first that is none."""
        seconds, endings = self._seconds, self._endings
        try:
            return [seconds[text[:19]] + endings[text[19:]] for text in texts]
        except KeyError:
            return [str(self._parse(text)) for text in texts]

    def time_ns(self, text: str) -> int:
        """One time to nanoseconds. Raises `ValueError` with the reason."""
        try:
            return int(self._seconds[text[:19]] + self._endings[text[19:]])
        except KeyError:
            return self._parse(text)

    def _parse(self, text: str) -> int:
        time_ns = clock.from_text(text)
        second, ending = text[:19], text[19:]
        # Only whole seconds of ten digits in UTC can be put together from parts (from 2001-09-09 on).
        if time_ns < 10**18 or second[16:17] != ":":
            return time_ns
        at_utc = clock.from_text(second)
        if 0 <= time_ns - at_utc < clock.SECOND_NS and at_utc < clock.MAX_TIME_NS:
            self._remember(self._seconds, second, str(at_utc // clock.SECOND_NS))
            self._remember(self._endings, ending, f"{time_ns - at_utc:09}")
        return time_ns

    def _remember(self, parts: dict[str, str], text: str, digits: str) -> None:
        if len(parts) >= _MAX_REMEMBERED:
            parts.clear()
        parts[text] = digits
