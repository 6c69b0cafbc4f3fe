"""The formats of followed files: their names, and how a file's is recognised."""

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from logriver.decode.json.document import fields_of
from logriver.decode.lines.access_log import is_access_line
from logriver.decode.lines.api_requests import is_api_request
from logriver.decode.lines.container_lines import cri_line, docker_line
from logriver.decode.lines.logfmt import is_logfmt
from logriver.decode.lines.whole_lines import split, without_mark
from logriver.decode.time import zones
from logriver.errors import SettingsError

FORMATS = ("docker", "cri", "json", "api_requests", "access", "logfmt", "text")
SAMPLE_LINES = 64
"""By so many first lines a format is recognised, of"""
SAMPLE_BYTES = 64 * 1024
"""the first so many bytes."""

CONTAINERS = {"docker": docker_line, "cri": cri_line}
"""The formats of container runtimes, each with what reads a line of it."""

# What stands before the `=` of a path that has one in its name looks otherwise: it has a `/` or a `.`.
_WITH_FORMAT = re.compile(r"([^\W\d]\w*)?(?:@([\w+:/-]+))?=(.*)", re.DOTALL)


class SourceText(NamedTuple):
    """What `[FORMAT][@ZONE]=PATH` says; an empty `format` is to be recognised, an empty `zone` is the machine's."""

    format: str
    zone: str
    path: str


def split_source(source: str, formats: Collection[str] = FORMATS) -> SourceText:
    """Read `[[FORMAT][@ZONE]=]PATH`. Raises `SettingsError` for an unknown format or zone and for an empty path."""
    found = _WITH_FORMAT.fullmatch(source)
    if found is None or not (found[1] or found[2]):
        name, zone, path = "", "", source
    else:
        name, zone, path = found.groups("")
    hint = f"a path with a '=' in its first part is written ./{source[:60]}"
    if name and name not in formats:
        raise SettingsError(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(formats)}; {hint}")
    if not path:
        raise SettingsError(f"no path to follow in {source[:60]!r}")
    try:
        zones.zone(zone)
    except ValueError as error:
        raise SettingsError(str(error), hint=f"a zone is UTC, +02:00 or like Europe/Paris; {hint}") from None
    return SourceText(name, zone, path)


def recognise(beginning: bytes) -> str:
    """The format of what begins so: what most of the first 64 lines are, of the first 64 kB, else text."""
    head = without_mark(beginning[:SAMPLE_BYTES])
    texts = [text for _, _, text in split(head[: head.rfind(b"\n") + 1] or head, 0, len(head))[0][:SAMPLE_LINES]]
    for name, is_one in _TESTS.items():
        if sum(1 for text in texts if is_one(text)) * 2 > len(texts):
            return name
    return "text"


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
