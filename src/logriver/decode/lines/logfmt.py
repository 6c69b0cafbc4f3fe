"""logfmt: `time=2024-01-02T03:04:05Z level=info msg="started up" port=80`, as Go programs and Heroku write it.

Each pair is a field, with the names, levels and times of JSON records; values are texts, a key alone is `true`. A line
that is not wholly of pairs is read as text, and one without a message has itself as the message.
"""

import re

from logriver.clock import Zone
from logriver.decode.lines.pair_values import Pairs, PairValues
from logriver.decode.lines.text import Values
from logriver.decode.lines.whole_lines import Line
from logriver.decode.record_mapping import names_of
from logriver.decode.tables.read import table
from logriver.decode.time.timestamps import Stamps

_MAX_FIELDS = 1_000
_FORMATS = table("formats")
_PAIR = _FORMATS.compiled("logfmt_pair")
_LINE = _FORMATS.compiled("logfmt_line")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_SPOKEN = ("message", "msg", "event", "level", "lvl", "severity")
_TIMES = names_of("timestamp")


class LogFmt:
    """Reads such lines. `zone` is that of the machine which wrote them, for times that name none."""

    def __init__(self, zone: Zone) -> None:
        self._pair_values = PairValues(zone)

    def values_of(self, line: Line, stamps: Stamps) -> Values | None:
        """The values of a line's row; None for another."""
        _, at, text = line
        pairs = pairs_of(text)
        if not pairs or len(pairs) < 2:
            return None
        return self._pair_values.of(pairs, text, at, stamps)


def is_logfmt(text: str) -> bool:
    """Whether `text` is a line of pairs that says when, how bad or what."""
    pairs = pairs_of(text)
    if not pairs or sum(isinstance(value, str) for value in pairs.values()) < 2:
        return False
    return any(isinstance(pairs.get(key), str) for key in (*_SPOKEN, *_TIMES)) and "audit(" not in text


def pairs_of(text: str) -> Pairs | None:
    """The pairs of a line, the last of equal keys; None if it is not of pairs, or of more than a thousand.

    The first has a value: a word alone there is the beginning of prose, or a time.
    """
    text = text.rstrip()
    first = _PAIR.match(text, len(text) - len(text.lstrip(" \t")))
    if not first or not first[2] or not _LINE.fullmatch(text):
        return None
    # What is not printable may be a space to Python that is none between pairs.
    pairs = _plain_pairs(text) if "\\" not in text and text.isprintable() else _escaped_pairs(text)
    return pairs if len(pairs) <= _MAX_FIELDS else None


def _escaped_pairs(text: str) -> Pairs:
    found = _PAIR.findall(text)
    return {key: _unescaped(quoted) or bare if equals else True for key, equals, quoted, bare in found}


def _plain_pairs(text: str) -> Pairs:
    """The same where nothing is escaped and all is printable, by cutting, which costs half."""
    pairs: Pairs = {}
    # What stands outside of quotes and inside, by turns; a quoted value belongs to the key that stands last before it.
    parts = text.split('"')
    for place in range(0, len(parts), 2):
        key = ""
        for word in parts[place].split():
            key, equals, value = word.partition("=")
            pairs[key] = value if equals else True
        if place + 1 < len(parts):
            pairs[key] = parts[place + 1]
    return pairs


def _unescaped(quoted: str) -> str:
    return _ESCAPE.sub(_character, quoted) if "\\" in quoted else quoted


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) == 1:
        return _ESCAPES.get(escape, escape)
    character = chr(int(escape[1:], 16))
    # Half a character cannot be stored: it stays as it was written.
    return found[0] if "\ud800" <= character <= "\udfff" else character
