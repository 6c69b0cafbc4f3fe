"""The formats of followed files: their names, how a file's is recognised, and the decoder of each."""

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from logriver.clock import Zone
from logriver.decode.json.document import fields_of
from logriver.decode.json.lines import JsonLines
from logriver.decode.lines.access_log import AccessLog, is_access_line
from logriver.decode.lines.api_requests import ApiRequests, is_api_request
from logriver.decode.lines.container_lines import cri_piece, docker_piece
from logriver.decode.lines.containers import ContainerLines
from logriver.decode.lines.logfmt import LogFmt, is_logfmt
from logriver.decode.lines.text import TextLines
from logriver.decode.lines.whole_lines import split, without_mark
from logriver.decode.time import zones
from logriver.errors import SettingsError
from logriver.record import Decoded

FORMATS = ("docker", "cri", "json", "api_requests", "access", "logfmt", "text")
SAMPLE_LINES = 64
"""By so many first lines a format is recognised."""

CONTAINERS = {"docker": docker_piece, "cri": cri_piece}
"""The formats of container runtimes, each with what reads a line of it."""

Decode = Callable[[bytes, int, int], Decoded]
"""Whole lines, the offset of the first in the file, the time of reading in nanoseconds, to rows."""

# What stands before the `=` of a path that has one in its name looks otherwise: it has a `/` or a `.`.
_WITH_FORMAT = re.compile(r"([^\W\d]\w*)?(?:@([\w+:/-]+))?=(.*)", re.DOTALL)


class SourceText(NamedTuple):
    """What `[FORMAT][@ZONE]=PATH` says; a `format` of None is to be recognised, a `zone` of None is the machine's."""

    format: str | None
    zone: Zone | None
    path: str


def split_source(source: str, formats: Collection[str] = FORMATS) -> SourceText:
    """Read `[[FORMAT][@ZONE]=]PATH`. Raises `SettingsError` for an unknown format or zone and for an empty path."""
    found = _WITH_FORMAT.fullmatch(source)
    if found is None or not (found[1] or found[2]):
        name, zone_name, path = None, None, source
    else:
        name, zone_name, path = found.groups()
    hint = f"a path with a '=' in its first part is written ./{source[:60]}"
    if name and name not in formats:
        raise SettingsError(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(formats)}; {hint}")
    if not path:
        raise SettingsError(f"no path to follow in {source[:60]!r}")
    try:
        zone = zones.zone(zone_name) if zone_name else None
    except ValueError as error:
        raise SettingsError(str(error), hint=f"a zone is UTC, +02:00 or like Europe/Paris; {hint}") from None
    return SourceText(name, zone, path)


def recognise(head: bytes) -> str:
    """The format of a file that begins with the lines `head`: what most of the first 64 are, else text."""
    texts = [text for _, _, text in split(without_mark(head), 0, len(head))[0][:SAMPLE_LINES]]
    for name, is_one in _TESTS.items():
        if sum(1 for text in texts if is_one(text)) * 2 > len(texts):
            return name
    return "text"


def decoder(name: str, max_record_bytes: int, zone: Zone) -> Decode:
    """A decoder of the format called `name`, for one file; not for two threads at once."""
    if name == "json":
        json_lines = JsonLines(max_record_bytes, zone)
        return lambda chunk, offset, now_ns: json_lines.decode(chunk, now_ns, offset=offset)
    if name == "api_requests":
        return ApiRequests(max_record_bytes).decode
    if name == "access":
        return AccessLog(max_record_bytes, zone).decode
    if name == "logfmt":
        return LogFmt(max_record_bytes, zone).decode
    if name in CONTAINERS:
        return ContainerLines(CONTAINERS[name], max_record_bytes, zone).decode
    return TextLines(max_record_bytes, zone).decode


def _is_json_object(text: str) -> bool:
    try:
        fields_of(text.encode())
    except ValueError:
        return False
    return True


_TESTS: dict[str, Callable[[str], object]] = {
    **CONTAINERS,
    "json": _is_json_object,
    "api_requests": is_api_request,
    "access": is_access_line,
    "logfmt": is_logfmt,
}
