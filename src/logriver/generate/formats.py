"""The formats by name, and the one call that makes lines of them."""

from collections.abc import Callable, Iterator
from random import Random

from logriver.errors import BadRequest
from logriver.generate import api_requests, app, json_records, nginx

FORMATS: dict[str, Callable[[Random, int, int], Iterator[bytes]]] = {
    "api_requests": api_requests.lines,
    "json": json_records.lines,
    "nginx": nginx.lines,
    "app": app.lines,
}


def lines(format: str, seed: int, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines of `format`, each with its newline; the same arguments always give the same lines.

    The first line is from `start_ns` (since the epoch), each further one `step_ns` later. Raises `BadRequest` for a
    format that does not exist.
    """
    if format not in FORMATS:
        raise BadRequest(f"unknown format {format[:40]!r}, known are {', '.join(FORMATS)}")
    return FORMATS[format](Random(seed), start_ns, step_ns)
