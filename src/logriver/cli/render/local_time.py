"""Times on the command line: without a zone they are this machine's, as the times that are printed."""

import re
from datetime import UTC, datetime, timedelta

from logriver import clock

_DAYS_AGO = {"today": 0, "yesterday": 1}
_AGO = re.compile(r"^-(?=[0-9.]+[a-z])")


def as_asked(text: str, utc: bool = False) -> str:
    """A time of the command line as the server takes it; besides its own, `today`, `yesterday` and `-1h`.

    Without a zone it is this machine's, or `utc`.
    """
    days = _DAYS_AGO.get(text)
    if days is not None:
        today = datetime.now(UTC if utc else None).date()
        text = (today - timedelta(days=days)).isoformat()
    text = _AGO.sub("", text)
    return text if utc else _with_zone(text)


def _with_zone(text: str) -> str:
    """`text` for the same moment on a server elsewhere; what names a zone, or is no date, as it is."""
    if clock.has_zone(text):
        return text
    if clock.from_day(text) is not None:
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        return clock.to_text(clock.from_text(text, clock.local_offset_seconds))
    except ValueError:
        return text
