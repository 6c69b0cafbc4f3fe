"""What levels mean, and the numbers that protocols have for them."""

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")

_LEVEL_WORDS = {
    "warning": "warn",
    "err": "error",
    "crit": "fatal",
    "critical": "fatal",
    "alert": "fatal",
    "emerg": "fatal",
    "panic": "fatal",
    "notice": "info",
    "information": "info",
}
_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}


def level_of(sent: str) -> str:
    """The meaning of a level's spelling: one of `LEVELS`, or the spelling in lower case where it has none."""
    word = sent.strip().lower()
    if word in _LEVEL_WORDS:
        return _LEVEL_WORDS[word]
    if len(word) == 2 and word.isdigit():
        return _PINO.get(int(word), word)
    return word


def level_of_number(number: int | float) -> str:
    """The meaning of a number sent as level where the protocol says nothing: pino's tens, else its digits."""
    return _PINO[int(number)] if number in _PINO else str(number)


OTEL_LEVELS = dict(zip(range(1, 25), (level for level in LEVELS for _ in range(4)), strict=True))
"""OpenTelemetry's severity numbers: four to a level."""
SYSLOG_LEVELS = dict(enumerate(("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")))
"""Syslog's severities, RFC 5424 section 6.2.1."""
