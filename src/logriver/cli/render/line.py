"""A record as a line on the terminal: time, level, service or file, message, then the other fields."""

import re
from datetime import UTC, datetime

import msgspec

from logriver import clock
from logriver.cli.render.output import one_line, visible

# Attributes of ECMA-48's "select graphic rendition".
_LEVEL_STYLES = {"trace": "2", "debug": "36", "info": "32", "warn": "33", "error": "1;31", "fatal": "1;37;41"}
_DIM = "2"
_MAGENTA = "35"
_MARK = "30;43"
_SHOWN_FIRST = ("timestamp", "level", "service", "message")
_LEFT_OUT = ("_id", "_source", "_received", "_host")
# A message with several lines cannot look like several records.
_NEXT_LINE = "\n    "

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Lines:
    """Makes lines of records, with colours where `colored`, and with `highlight` in the message.

    Of records whose fields were `chosen` nothing is left out.
    """

    def __init__(self, utc: bool, colored: bool, highlight: re.Pattern[str] | None, chosen: bool) -> None:
        self._plain = Lines(utc, False, None, chosen) if colored else self
        self._zone = UTC if utc else None
        self._colored = colored
        self._highlight = highlight if colored else None
        self._not_shown = _SHOWN_FIRST if chosen else _SHOWN_FIRST + _LEFT_OUT

    def line(self, row: bytes) -> str:
        """One record, given as the JSON text of its document."""
        document = _decode(row)
        time, level, service, message = (_text(document.get(name)) for name in _SHOWN_FIRST)
        parts = [self._styled(self._time(time), _DIM)] if time else []
        if level or time:
            parts.append(self._styled(f"{one_line(level.upper()):5}", _LEVEL_STYLES.get(level, "")))
        if "_host" in document:
            parts.append(self._styled(one_line(_origin(document)), _DIM))
        elif not service and "_source" in self._not_shown:
            service = _file_name(_text(document.get("_source")))
        if service:
            parts.append(self._styled(one_line(service), _MAGENTA))
        if message:
            parts.append(self._marked(message))
        for name, value in document.items():
            if name not in self._not_shown:
                parts.append(self._styled(f"{one_line(name)}={one_line(_text(value))}", _DIM))
        return " ".join(parts) + "\n"

    def quiet(self, row: bytes) -> str:
        """One record that stands beside what was asked for."""
        return self._styled(self._plain.line(row).removesuffix("\n"), _DIM) + "\n"

    def _marked(self, message: str) -> str:
        """The message with what was searched for marked."""
        text, shown = "", 0
        for found in self._highlight.finditer(message) if self._highlight else ():
            text += visible(message[shown : found.start()]) + self._styled(visible(found[0]), _MARK)
            shown = found.end()
        return (text + visible(message[shown:])).replace("\n", _NEXT_LINE)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colored and style and text else text

    def _time(self, text: str) -> str:
        """`2024-09-14 16:15:35.123`, with `Z` where it is UTC."""
        try:
            time_ns = clock.from_text(text)
        except ValueError:
            return one_line(text)
        moment = datetime.fromtimestamp(time_ns // clock.SECOND_NS, UTC).astimezone(self._zone)
        milliseconds = time_ns // 1_000_000 % 1000
        return f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds:03d}{'Z' if self._zone else ''}"


def _origin(document: dict[str, msgspec.Raw]) -> str:
    """Where the record of a file is: machine and path."""
    return ":".join(filter(None, (_text(document["_host"]), _text(document.get("_source")))))


def _file_name(source: str) -> str:
    """The last part of a path; nothing for a protocol, which has no slash."""
    return source.rpartition("/")[2] if "/" in source else ""


def _text(value: msgspec.Raw | None) -> str:
    """A text as it is, anything else as the JSON it came as, nothing for what is not there."""
    if value is None:
        return ""
    json = bytes(value)
    return msgspec.json.decode(json, type=str) if json.startswith(b'"') else json.decode()
