"""Stored records and those of files that were never taken in, as one result, the newest of both together."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace

import httpx
import msgspec
import typer

from logriver import clock
from logriver.cli.client import ErrorDetail, ask, stream, whole_lines
from logriver.cli.filter import ERROR, NOTHING_FOUND
from logriver.cli.pipes import BACKTICKED, pipes_of
from logriver.cli.render import output, records, table
from logriver.cli.render.document_table import table_of
from logriver.cli.render.progress import size
from logriver.cli.render.records import DEFAULT_COUNT, Page, SearchOptions
from logriver.errors import BadRequest, Unavailable

MOST = 10_000
"""So many records come at most."""
# A machine says something all the time; but one that looks for the first file may be slow.
_IDLE_SECONDS = 600.0
_SIZE = re.compile(r"([0-9]{1,13}) ?(B|kB|MB|GB)?")
_CHOSEN = re.compile(r"\bfields\b([^|]*)\Z")
_NAME = re.compile(rf"{BACKTICKED}|[^\s,`]+")
_UNITS = {None: 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class _Progress(msgspec.Struct):
    host: str
    file: str
    bytes: int
    of: int


class _Failure(ErrorDetail):
    host: str = ""
    file: str = ""


class _End(msgspec.Struct):
    bytes: int
    files: int
    complete: bool


class _Event(msgspec.Struct):
    row: dict[str, msgspec.Raw] | None = None
    time: str = ""
    progress: _Progress | None = None
    error: _Failure | None = None
    end: _End | None = None


class _Timed(msgspec.Struct):
    timestamp: str


_decode_event = msgspec.json.Decoder(_Event).decode

_Record = tuple[int, bytes]
"""A time, and the document of that time."""


def size_bytes(text: str) -> int:
    """`500MB`, `1GB`, or a number of bytes. Ends the command with a usage error otherwise."""
    found = _SIZE.fullmatch(text.strip())
    if not found or int(found[1]) == 0:
        raise typer.BadParameter(f"not a size: {text[:40]!r}, write 500MB or 1GB")
    return int(found[1]) * _UNITS[found[2]]


def show(client: httpx.Client, options: SearchOptions, max_bytes: int) -> None:
    """Print what is found. Ends the command with 1 for nothing, and with 2 where files could not be read."""
    if any(pipe != "fields" for pipe in pipes_of(options.query)):
        raise BadRequest("--include-files takes no pipe but 'fields'", hint="-n says how many")
    if options.format == "parquet":
        # Only the server's engine writes it, and that has never seen the records of the files.
        raise BadRequest("--include-files gives no parquet", hint="-o csv and -o ndjson have the same records")
    count = DEFAULT_COUNT if options.count is None else options.count
    if count > MOST:
        raise BadRequest(f"--include-files gives at most {MOST} records", hint="say from when on with --since")
    search = _FileSearch()
    found = [*search.records(client, options, count, max_bytes), *_stored(client, options, count)]
    # In the order of their times alone: of equal ones those of files stay in the order in which they came.
    found.sort(key=lambda record: -record[0])
    documents = [document for _, document in found[:count]]
    if options.format == "csv":
        table.show(table_of(documents, _chosen(options.query)), "csv", options.color)
    else:
        records.show_documents(documents if options.reverse else documents[::-1], options)
    sys.stdout.flush()
    if search.say_what_is_missing():
        raise typer.Exit(ERROR)
    if not documents:
        raise typer.Exit(NOTHING_FOUND)


def _stored(client: httpx.Client, options: SearchOptions, count: int) -> Iterator[_Record]:
    asked, is_added = _with_timestamp(options)
    for row in ask(client, "/api/v1/search", Page, params=asked.params(count)).rows:
        document = bytes(row)
        time_ns = clock.from_text(msgspec.json.decode(document, type=_Timed).timestamp)
        yield time_ns, _without_timestamp(document) if is_added else document


def _with_timestamp(options: SearchOptions) -> tuple[SearchOptions, bool]:
    """The same with the time among the fields that a last pipe chooses; whether it had to be added."""
    chosen = _chosen(options.query)
    if not chosen or "timestamp" in chosen:
        return options, False
    return replace(options, query=f"{options.query}, timestamp"), True


def _chosen(query: str) -> list[str]:
    """The fields that a last pipe chooses; none where there is no such pipe."""
    found = _CHOSEN.search(query) if pipes_of(query)[-1:] == ["fields"] else None
    names = _NAME.findall(found[1]) if found else []
    return [name[1:-1].replace("``", "`") if name.startswith("`") else name for name in names]


def _without_timestamp(document: bytes) -> bytes:
    fields = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    fields.pop("timestamp", None)
    return msgspec.json.encode(fields)


class _FileSearch:
    """One search over the files of all machines; shows how far it is where stderr is a terminal."""

    def __init__(self) -> None:
        self._progress: dict[str, _Progress] = {}
        self._failures: list[_Failure] = []
        self._end: _End | None = None

    def records(self, client: httpx.Client, options: SearchOptions, count: int, max_bytes: int) -> Iterator[_Record]:
        """What is found, as it comes. Raises as `stream` does, `Unavailable` also for an answer without an end."""
        asked = {**options.params(count), "max_bytes": str(max_bytes)}
        try:
            with stream(client, "/api/v1/files/search", asked, {}, _IDLE_SECONDS) as answer:
                for event in map(_decode_event, whole_lines(answer.iter_bytes())):
                    if event.row is not None:
                        yield clock.from_text(event.time), msgspec.json.encode(event.row)
                    self._note(event)
        finally:
            self._show("")
        if self._end is None:
            raise Unavailable("the answer has no end", hint="what came before that is not all")

    def say_what_is_missing(self) -> bool:
        """Say on stderr why there may be more; whether something failed."""
        for failure in self._failures:
            place = ":".join(filter(None, (failure.host, failure.file)))
            output.note(f"{place}: {failure.message}")
        if self._end is not None and not self._end.complete and not self._failures:
            output.note(f"{size(self._end.bytes)} were read, there are more files: --max-bytes reads more of them")
        return bool(self._failures)

    def _note(self, event: _Event) -> None:
        if event.progress is not None:
            self._progress[event.progress.host] = event.progress
            read = sum(progress.bytes for progress in self._progress.values())
            of = sum(progress.of for progress in self._progress.values())
            place = f"{event.progress.host}:{event.progress.file}"
            self._show(f"{size(read)} of {size(of)}, {output.one_line(place)[-60:]}")
        if event.error is not None:
            self._failures.append(event.error)
        self._end = event.end or self._end

    def _show(self, text: str) -> None:
        if sys.stderr.isatty() and (text or self._progress):
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
