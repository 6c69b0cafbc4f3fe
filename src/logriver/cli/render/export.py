"""Exports: everything that matches as the server streams it, in memory that does not grow with it."""

import sys
from collections.abc import Iterator, Mapping

import httpx
import msgspec

from logriver.cli.client import ErrorDetail, stream, whole_lines
from logriver.cli.filter import write_bytes
from logriver.cli.render.progress import Progress
from logriver.errors import BadRequest, Unavailable

_NDJSON = "application/x-ndjson"
FILES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
"""Formats that are the server's alone, with their media types."""
# A search that sorts everything gives its first record late.
_IDLE_SECONDS = 600.0


class _LastWords(msgspec.Struct, forbid_unknown_fields=True):
    error: ErrorDetail


def check_place(format: str) -> None:
    """Raises `BadRequest` where the format is nothing to look at."""
    if format == "parquet" and sys.stdout.isatty():
        raise BadRequest("parquet is not for a terminal", hint="write it to a file: -o parquet > logs.parquet")


def copy_file(client: httpx.Client, ask: Mapping[str, str], format: str) -> None:
    """Print the file of one of `FILES` as it comes."""
    headers = {"Accept": FILES[format]}
    with Progress() as progress, stream(client, "/api/v1/search", ask, headers, _IDLE_SECONDS) as answer:
        for chunk in progress.of(answer.iter_bytes()):
            write_bytes(chunk)


def documents(client: httpx.Client, ask: Mapping[str, str]) -> Iterator[bytes]:
    """The documents as JSON texts, as they come. Raises what `stream` does, also midway."""
    headers = {"Accept": _NDJSON}
    # A server that has to break off says why in its last line, so each line waits for the one after it.
    waiting = b""
    with Progress() as progress:
        try:
            with stream(client, "/api/v1/search", ask, headers, _IDLE_SECONDS) as answer:
                for line in whole_lines(progress.of(answer.iter_bytes())):
                    if waiting:
                        progress.rows += 1
                        yield waiting
                    waiting = line
        except Unavailable as error:
            raise _last_words(waiting) or error from None
        if waiting:
            progress.rows += 1
            yield waiting


def _last_words(line: bytes) -> Unavailable | None:
    try:
        error = msgspec.json.decode(line, type=_LastWords).error
    except msgspec.DecodeError:
        return None
    return Unavailable(error.message, hint=error.hint) if error.code else None
