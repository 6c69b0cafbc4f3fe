"""logfmt: `time=2024-01-02T03:04:05Z level=info msg="started up" port=80`, as Go programs and Heroku write it.

Each pair is a field, with the names, levels and times of JSON records; values are texts, a key alone is `true`. A line
that is not wholly of pairs is read as text, and one without a message has itself as the message.
"""

import math
import re

import msgspec

from logriver import clock
from logriver.clock import Zone
from logriver.columns import ALIASES, NUMBER
from logriver.protocols.document import row_of
from logriver.protocols.lines import split
from logriver.protocols.rows import encode, line
from logriver.protocols.text import values_of
from logriver.protocols.time_cache import TimeCache
from logriver.protocols.timestamps import Stamps
from logriver.record import Decoded

_MAX_FIELDS = 1_000
_LONGEST_TIME = 64
_PAIR = re.compile(r'[ \t]*+([^\s="]++)(?:=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s"]*+)))?+(?=[ \t]|$)')
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_NUMBER = re.compile(NUMBER)
_SPOKEN = ("message", "msg", "event", "level", "lvl", "severity")
_TIMES = tuple(alias for alias, column in ALIASES.items() if column == "timestamp")
_MESSAGES = tuple(alias for alias, column in ALIASES.items() if column == "message")

_to_json = msgspec.json.Encoder().encode


class LogFmt:
    """The decoder of such files. `zone` is that of the machine which wrote them, for times that name none."""

    def __init__(self, max_record_bytes: int, zone: Zone) -> None:
        self._max_record_bytes = max_record_bytes
        self._zone = zone
        self._times = TimeCache(zone)

    def decode(self, chunk: bytes, offset: int, now_ns: int) -> Decoded:
        """Rows of whole lines that begin at byte `offset` of their file; only lines that are too long are refused."""
        lines, refused = split(chunk, offset, self._max_record_bytes)
        stamps = Stamps(self._zone, now_ns)
        rows: list[str] = []
        for number, at, text in lines:
            pairs = pairs_of(text)
            if pairs and len(pairs) > 1:
                rows.append(self._row(pairs, text, at, stamps, now_ns))
            else:
                rows.append(line(values_of([(number, at, text)], self._zone, now_ns)[0]))
        return Decoded([encode(rows)] if rows else [], len(rows), refused)

    def _row(self, pairs: dict[str, str | bool], text: str, offset: int, stamps: Stamps, now_ns: int) -> str:
        fields = {key: msgspec.Raw(_to_json(value)) for key, value in pairs.items()}
        for alias in _TIMES:
            if alias in pairs:
                fields[alias] = msgspec.Raw(_to_json(_time(pairs[alias], stamps)))
        if not any(isinstance(pairs.get(alias), str) for alias in _MESSAGES):
            fields["message"] = msgspec.Raw(_to_json(text))
        return row_of(fields, self._times, now_ns, offset=offset, followed=True)


def is_logfmt(text: str) -> bool:
    """Whether `text` is a line of pairs that says when, how bad or what."""
    pairs = pairs_of(text)
    if not pairs or sum(isinstance(value, str) for value in pairs.values()) < 2:
        return False
    return any(isinstance(pairs.get(key), str) for key in (*_SPOKEN, *_TIMES)) and "audit(" not in text


def pairs_of(text: str) -> dict[str, str | bool] | None:
    """The pairs of a line, the last of equal keys; None if it is not of pairs, or of more than a thousand.

    The first has a value: a word alone there is the beginning of prose, or a time.
    """
    pairs: dict[str, str | bool] = {}
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _PAIR.match(text, position)
        if not found or len(pairs) >= _MAX_FIELDS:
            return None
        key, quoted, bare = found.groups()
        if not pairs and quoted is None and bare is None:
            return None
        pairs[key] = _unescaped(quoted) if quoted is not None else True if bare is None else bare
        position = found.end()
    return pairs


def _time(value: str | bool, stamps: Stamps) -> str | float | bool:
    """A time as text or number that JSON records have too, where `value` has one of the shapes of text lines."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TIME:
        return value
    beginning = stamps.find(value)
    if beginning and beginning[1].end() == len(value):
        shape, found = beginning
        try:
            return clock.to_text(stamps.time_ns(shape, *shape.parts(found.groups(""))[:4]))
        except ValueError:
            return value
    return float(value) if _NUMBER.fullmatch(value) and math.isfinite(float(value)) else value


def _unescaped(quoted: str) -> str:
    return _ESCAPE.sub(_character, quoted) if "\\" in quoted else quoted


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) == 1:
        return _ESCAPES.get(escape, escape)
    character = chr(int(escape[1:], 16))
    # Half a character cannot be stored: it stays as it was written.
    return found[0] if "\ud800" <= character <= "\udfff" else character
