"""The time that a line begins with, as decoders read it; of a JSON object its time field."""

import re

import msgspec

from logriver import clock
from logriver.clock import Zone
from logriver.decode.json import document
from logriver.decode.record_mapping import names_of
from logriver.decode.time.timestamps import Stamps, time_of

HEAD_BYTES = 1_024
"""So much of a line is looked at for the time that it begins with."""
OBJECT_BYTES = 65_536
"""So long may an object be whose time is found."""

_NAMES = names_of("timestamp")
_COLOUR = re.compile(r"\x1b\[[\d;]*m", re.ASCII)
_decode_text_or_number = msgspec.json.Decoder(str | int | float).decode


class LineTimes:
    """Reads the times of lines, read at `now_ns`; one that names no zone is of `zone`, by default this machine's."""

    def __init__(self, now_ns: int, zone: Zone = clock.local_offset_seconds) -> None:
        self._zone = zone
        self._stamps = Stamps(zone, now_ns)

    def of(self, line: bytes) -> int | None:
        """Nanoseconds since the epoch; None for a line that has no time of its own. The first 64 kB are enough."""
        return self._of_object(line) if line[:1] == b"{" else self._of_text(line[:HEAD_BYTES])

    def _of_text(self, line: bytes) -> int | None:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        text = _COLOUR.sub("", text) if "\x1b" in text else text
        beginning = self._stamps.find(text) if text else None
        if not beginning:
            return None
        shape, found = beginning
        try:
            return self._stamps.time_ns(shape, *shape.parts(found.groups(""))[:4])
        except ValueError:
            return None

    def _of_object(self, line: bytes) -> int | None:
        try:
            fields = document.fields_of(line)
            given = next((fields[name] for name in _NAMES if name in fields), None)
            time = None if given is None else _decode_text_or_number(given)
            if time is None or isinstance(time, str):
                return None if time is None else time_of(time, self._zone, self._stamps.now_ns)
            return clock.from_number(time)
        except (ValueError, msgspec.MsgspecError):
            return None
