"""Times on the command line: without a zone they are this machine's, as the times that are printed."""

from logriver import clock


def with_zone(text: str) -> str:
    """`text` as the server takes it for the same moment; what names a zone, or is no date, as it is."""
    if clock.has_zone(text):
        return text
    if clock.from_day(text) is not None:
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        return clock.to_text(clock.from_text(text, clock.local_offset_seconds))
    except ValueError:
        return text
