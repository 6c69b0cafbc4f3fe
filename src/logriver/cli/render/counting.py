"""Tables as a result: those of the pipes `stats` and `top`, and patterns."""

import httpx
import msgspec
import typer

from logriver.cli.client import ask
from logriver.cli.filter import NOTHING_FOUND
from logriver.cli.render import output, table
from logriver.cli.render.records import ALL, SearchOptions
from logriver.cli.render.table import Table

_MOST_PATTERNS = 1_000


class _Statistics(msgspec.Struct):
    columns: list[str]
    rows: list[list[object]]
    complete: bool
    exact: bool
    hint: str | None = None


class _Pattern(msgspec.Struct):
    count: int
    first_seen: str
    last_seen: str
    pattern: str
    example: str
    query: str


class _Patterns(msgspec.Struct):
    patterns: list[_Pattern]
    sampled: bool


def statistics(client: httpx.Client, options: SearchOptions) -> None:
    """Print the table of a search text with `| stats` or `| top`."""
    answer = ask(client, "/api/v1/stats", _Statistics, params=options.params())
    _print(Table(answer.columns, answer.rows[: options.count or ALL]), options)
    if not answer.complete:
        output.note(f"these are the first {len(answer.rows)} rows; '| limit' or fewer groups make it whole")
    if not answer.exact:
        output.note("percentiles are within 0.1 %, because of the number of records")
    if answer.hint:
        output.note(f"hint: {answer.hint}")
    _end_if_empty(answer.rows)


def patterns(client: httpx.Client, options: SearchOptions) -> None:
    """Print the templates of the messages that are found."""
    limit = {"limit": str(min(options.count, _MOST_PATTERNS))} if options.count else {}
    answer = ask(client, "/api/v1/patterns", _Patterns, params=options.params() | limit)
    # A screen is too narrow for all.
    left_out = ("example", "query") if options.format == "text" else ()
    columns = [name for name in _Pattern.__struct_fields__ if name not in left_out]
    rows = [[getattr(pattern, name) for name in columns] for pattern in answer.patterns]
    _print(Table(columns, rows), options)
    if answer.sampled:
        output.note("a sample was looked at, and its counts are scaled up")
    _end_if_empty(rows)


def _print(found: Table, options: SearchOptions) -> None:
    rows = found.rows[::-1] if options.reverse else found.rows
    table.show(Table(found.columns, rows), options.format, options.color)


def _end_if_empty(rows: list[list[object]]) -> None:
    if not rows:
        raise typer.Exit(NOTHING_FOUND)
