"""Records as a result: found ones, as a page, as a stream or as a file, and ones that arrive."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx
import msgspec
import typer

from logriver.cli.client import ask
from logriver.cli.filter import NOTHING_FOUND, write, write_bytes
from logriver.cli.live import Arrivals
from logriver.cli.pipes import pipes_of
from logriver.cli.render import export, output
from logriver.cli.render.around import among_lines
from logriver.cli.render.highlight import marks_of
from logriver.cli.render.line import Lines
from logriver.cli.render.local_time import as_asked
from logriver.cli.render.output import Color, use_color

ALL = sys.maxsize
"""A count that leaves nothing out."""
DEFAULT_COUNT = 100
_DEFAULT_BEFORE_FOLLOWING = 10
PAGE = 1_000
"""More are streamed."""
# Before following they have to be one page: what arrives is what comes after it.
_MOST_BEFORE_FOLLOWING = 10_000


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What the command line asks for; `count` None is not said, `before` and `after` are lines beside each record."""

    query: str
    since: str
    until: str
    count: int | None
    reverse: bool
    format: str
    utc: bool
    color: Color
    before: int = 0
    after: int = 0

    def params(self, count: int = ALL, order: str = "") -> dict[str, str]:
        """The parameters of a search for the first `count`; those of a count, which has no order, without both."""
        since, until = (as_asked(text, self.utc) for text in (self.since, self.until))
        given = {"q": self.query, "from": since, "to": until, "order": order}
        limit = {} if count == ALL else {"limit": str(count)}
        return {name: value for name, value in given.items() if value} | limit


class Page(msgspec.Struct):
    """A page of `/api/v1/search`."""

    rows: list[msgspec.Raw]
    hint: str | None = None
    newer: str | None = None


# -- found -------------------------------------------------------------------------------------------------------------


def show(client: httpx.Client, options: SearchOptions) -> None:
    """Print what is found. Ends the command with 1 and the server's hint for nothing."""
    pipes = pipes_of(options.query)
    beside = options.before or options.after
    # A pipe that limits the records says how many there are.
    count = options.count or ((PAGE if beside else ALL) if "limit" in pipes else DEFAULT_COUNT)
    newest_first = options.reverse or "sort" in pipes
    if count > PAGE:
        is_found = show_documents(_streamed(client, options, count, newest_first), options)
        if not is_found:
            _end_without_records(_page(client, options, 1))
        return
    page = _page(client, options, count)
    documents = [bytes(row) for row in (page.rows if newest_first else page.rows[::-1])]
    if beside:
        _show_among_lines(client, documents, options)
    else:
        show_documents(documents, options)
    if not page.rows:
        _end_without_records(page)
    if page.hint:
        output.note(f"hint: {page.hint}")


def copy_file(client: httpx.Client, options: SearchOptions) -> None:
    """Print the server's file, newest first. Ends the command with 1 after a file without records."""
    export.check_place(options.format)
    first = _page(client, options, 1)
    count = options.count or (ALL if "limit" in pipes_of(options.query) else DEFAULT_COUNT)
    export.copy_file(client, options.params(count), options.format)
    if not first.rows:
        _end_without_records(first)
    # A file does not show that something may be missing.
    if options.count is None and count == DEFAULT_COUNT:
        output.note(f"the newest {count} at most; -n all gives everything")


def _page(client: httpx.Client, options: SearchOptions, count: int) -> Page:
    return ask(client, "/api/v1/search", Page, params=options.params(count))


def _streamed(client: httpx.Client, options: SearchOptions, count: int, newest_first: bool) -> Iterable[bytes]:
    if newest_first:
        return export.documents(client, options.params(count))
    if count == ALL and "limit" not in pipes_of(options.query):
        return export.documents(client, options.params(order="asc"))
    # The server can leave out the oldest only when it begins with the newest.
    return reversed(list(export.documents(client, options.params(count))))


def _show_among_lines(client: httpx.Client, documents: list[bytes], options: SearchOptions) -> None:
    lines = _lines(options)
    for shown in among_lines(client, documents, options.before, options.after, options.reverse):
        if shown.apart:
            write("--\n")
        write(lines.line(shown.document) if shown.found else lines.quiet(shown.document))


def _end_without_records(page: Page) -> None:
    sys.stdout.flush()
    if page.hint:
        output.note(f"hint: {page.hint}")
    elif sys.stdout.isatty():
        output.note("nothing found")
    raise typer.Exit(NOTHING_FOUND)


# -- arriving ----------------------------------------------------------------------------------------------------------


def follow(client: httpx.Client, options: SearchOptions) -> None:
    """Print the newest records and then, without an end, each one that arrives."""
    count = options.count
    if count is None:
        count = _MOST_BEFORE_FOLLOWING if options.since else _DEFAULT_BEFORE_FOLLOWING
    show_documents(_followed(client, options, min(count, _MOST_BEFORE_FOLLOWING)), options, at_once=True)


def _followed(client: httpx.Client, options: SearchOptions, count: int) -> Iterator[bytes]:
    """The tail begins where the page ends, so nothing falls between them and nothing comes twice."""
    page = _page(client, options, count) if count else Page([])
    arrivals = iter(Arrivals(client, options.query, page.newer or ""))
    # What cannot be followed is said before anything is printed.
    next(arrivals)
    yield from map(bytes, page.rows[::-1])
    yield from filter(None, arrivals)


# -- printed -----------------------------------------------------------------------------------------------------------


def show_documents(documents: Iterable[bytes], options: SearchOptions, at_once: bool = False) -> bool:
    """Print them, each `at_once` if so; whether there were any."""
    lines = _lines(options)
    found = False
    for document in documents:
        if options.format == "text":
            write(lines.line(document))
        elif options.format == "ndjson":
            write_bytes(document + b"\n")
        else:
            write_bytes((b",\n " if found else b"[") + document)
        found = True
        if at_once:
            sys.stdout.flush()
    if options.format == "json":
        write_bytes(b"]\n" if found else b"[]\n")
    return found


def _lines(options: SearchOptions) -> Lines:
    colored = use_color(options.color, sys.stdout)
    return Lines(options.utc, colored, marks_of(options.query), "fields" in pipes_of(options.query))
