"""The formats by name, and the one call that makes lines of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from logriver.errors import BadRequest
from logriver.generate import api_requests, app, json_records, nginx


def _as_it_is(line: bytes) -> bytes:
    return line


@dataclass(frozen=True, slots=True)
class Format:
    """How to make lines, and how a line becomes the JSON record that a server takes (both with their newline)."""

    lines: Callable[[Random, int, int], Iterator[bytes]]
    document: Callable[[bytes], bytes]


FORMATS = {
    "api_requests": Format(api_requests.lines, api_requests.document),
    "json": Format(json_records.lines, _as_it_is),
    "nginx": Format(nginx.lines, nginx.document),
    "app": Format(app.lines, _as_it_is),
}


def lines(format: str, seed: int, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines of `format`, each with its newline; the same arguments always give the same lines.

    The first line is from `start_ns` (since the epoch), each further one `step_ns` later. Raises `BadRequest` for a
    format that does not exist.
    """
    if format not in FORMATS:
        raise BadRequest(f"unknown format {format[:40]!r}, known are {', '.join(FORMATS)}")
    return FORMATS[format].lines(Random(seed), start_ns, step_ns)
