"""The formats of followed files: their names, how a file's is recognised, and the decoder of each."""

from collections.abc import Callable

from logriver.clock import Zone
from logriver.errors import SettingsError
from logriver.protocols.api_requests import ApiRequests, is_api_request
from logriver.protocols.document import fields_of
from logriver.protocols.json_lines import JsonLines
from logriver.protocols.lines import split
from logriver.protocols.text import TextLines
from logriver.record import Decoded

FORMATS = ("json", "api_requests", "text")
SAMPLE_LINES = 64
"""By so many first lines a format is recognised."""

Decode = Callable[[bytes, int, int], Decoded]
"""Whole lines, the offset of the first in the file, the time of reading in nanoseconds, to rows."""


def split_format(source: str) -> tuple[str | None, str]:
    """`[FORMAT=]PATH` to format and path. Raises `SettingsError` for an unknown format or an empty path."""
    name, equals, path = source.partition("=")
    if not equals or not name.isidentifier():
        name, path = "", source
    elif name not in FORMATS:
        raise SettingsError(
            f"unknown format {name[:60]!r}",
            hint=f"formats are {', '.join(FORMATS)}; a path with a '=' in its first part is written ./{source}",
        )
    if not path:
        raise SettingsError(f"no path to follow in {source[:60]!r}")
    return name or None, path


def recognise(head: bytes) -> str:
    """The format of a file that begins with the lines `head`: what most of the first 64 are, else text."""
    texts = [text for _, _, text in split(head, 0, len(head))[0][:SAMPLE_LINES]]
    if sum(map(_is_json_object, texts)) * 2 > len(texts):
        return "json"
    if sum(map(is_api_request, texts)) * 2 > len(texts):
        return "api_requests"
    return "text"


def decoder(name: str, max_record_bytes: int, zone: Zone) -> Decode:
    """A decoder of the format called `name`, for one file; not for two threads at once."""
    if name == "json":
        json_lines = JsonLines(max_record_bytes, zone)
        return lambda chunk, offset, now_ns: json_lines.decode(chunk, now_ns, offset=offset)
    if name == "api_requests":
        return ApiRequests(max_record_bytes).decode
    return TextLines(max_record_bytes, zone).decode


def _is_json_object(text: str) -> bool:
    try:
        fields_of(text.encode())
    except ValueError:
        return False
    return True
