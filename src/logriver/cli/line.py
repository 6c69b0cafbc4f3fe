"""A record as a line on the terminal: time, level, service, message, then the other fields."""

import re
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.text import Text

from logriver import clock

_LEVEL_STYLES = {
    "trace": "dim",
    "debug": "cyan",
    "info": "green",
    "warn": "yellow",
    "error": "bold red",
    "fatal": "bold white on red",
}
_SHOWN_FIRST = ("timestamp", "level", "service", "message")
_LEFT_OUT = ("_id", "_source", "_received")
# What a terminal would obey instead of showing; newlines and tabs are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Lines:
    """Prints records on stdout, in colour where that is a terminal."""

    def __init__(self, utc: bool) -> None:
        self._zone = UTC if utc else None
        self._console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)

    def show(self, row: bytes) -> None:
        """Print one record, given as the JSON text of its document."""
        self._console.print(self.line(msgspec.json.decode(row)))

    def line(self, document: dict[str, object]) -> Text:
        """One record as styled text."""
        level = str(document.get("level", ""))
        text = Text(self._time(str(document.get("timestamp", ""))), style="dim", end="")
        line = Text.assemble(text, f" {visible(level.upper()):5} ", style="")
        if level in _LEVEL_STYLES:
            line.stylize(_LEVEL_STYLES[level], len(text) + 1, len(line))
        if service := document.get("service"):
            line.append(f"{visible(str(service))} ", "magenta")
        line.append(visible(str(document.get("message", ""))))
        for name, value in document.items():
            if name not in _SHOWN_FIRST and name not in _LEFT_OUT:
                line.append(f" {visible(name)}={visible(_plain(value))}", "dim")
        return line

    def _time(self, text: str) -> str:
        """`2024-09-14 16:15:35.123`, with `Z` where it is UTC."""
        try:
            time_ns = clock.from_text(text)
        except ValueError:
            return text
        moment = datetime.fromtimestamp(time_ns // clock.SECOND_NS, UTC).astimezone(self._zone)
        milliseconds = time_ns // 1_000_000 % 1000
        return f"{moment:%Y-%m-%d %H:%M:%S}.{milliseconds:03d}{'Z' if self._zone else ''}"


def _plain(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def visible(text: str) -> str:
    """`text` with what a terminal would obey written out as an escape."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
