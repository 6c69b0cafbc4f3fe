"""What a search over files reports while it goes on, each event a line of JSON on the way from machine to server."""

from typing import Annotated

import msgspec
from msgspec import Meta

from logriver import clock

MAX_EVENT_BYTES = 16_000_000
"""Longer than an event can be of a line that is read."""

_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class FoundRow(msgspec.Struct, tag="row"):
    """A record, newest first within a file. `row` is the JSON of its document, without the machine's name."""

    row: msgspec.Raw
    time_ns: Annotated[int, Meta(ge=clock.MIN_TIME_NS, le=clock.MAX_TIME_NS)]


class Progress(msgspec.Struct, tag="progress"):
    """How many bytes were read, of how many at most, and the file that is being read."""

    file: str
    bytes: _Count
    of: _Count


class FileFailed(msgspec.Struct, tag="failed"):
    """A file that could not be read, or not to its beginning; the others are."""

    file: str
    code: str
    message: str


class End(msgspec.Struct, tag="end"):
    """The last event: what was read, and whether that was all that could have had a wanted record."""

    bytes: _Count
    files: _Count
    complete: bool


Event = FoundRow | Progress | FileFailed | End

_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Event).decode


def line(event: Event) -> bytes:
    """The event as it goes."""
    return _encode(event) + b"\n"
