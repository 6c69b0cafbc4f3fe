"""`logriver search`: a server's records on the terminal, newest last, or the table that the pipes of a search make."""

from typing import Annotated, Any, Literal

import typer

from logriver.cli import include_files
from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, connect
from logriver.cli.filter import exit_codes
from logriver.cli.pipes import make_table, pipes_of
from logriver.cli.render import counting, export, records
from logriver.cli.render.around import MOST_LINES
from logriver.cli.render.output import ColorOption
from logriver.cli.render.records import ALL, SearchOptions

Format = Literal["text", "json", "ndjson", "csv", "parquet"]


def count(text: str) -> int:
    """`100`, or `all`. Ends the command with a usage error otherwise."""
    if text == "all":
        return ALL
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise typer.BadParameter(f"a number or all, not {text[:40]!r}")
    return int(text)


QueryArgument = Annotated[
    str, typer.Argument(help="words and field:value, such as 'level:error \"not found\"'; without it everything")
]
SinceOption = Annotated[str, typer.Option(help="from when on: a time, yesterday, or 1h for an hour ago")]
_SIZE: dict[str, Any] = {"min": 0, "max": MOST_LINES, "metavar": "N"}
AfterOption = Annotated[int | None, typer.Option("--after-context", "-A", **_SIZE, help="also N lines after each")]
BeforeOption = Annotated[int | None, typer.Option("--before-context", "-B", **_SIZE, help="also N lines before each")]
ContextOption = Annotated[int | None, typer.Option("--context", "-C", **_SIZE, help="N on both sides, of its source")]
UtcOption = Annotated[bool, typer.Option("--utc", help="times in UTC, also given ones, not in this machine's zone")]


def run(
    query: QueryArgument = "",
    since: SinceOption = "",
    until: Annotated[str, typer.Option(help="until when, such as now")] = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", parser=count, metavar="N|all", help="how many, the newest; 100 without it"),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="newest first")] = False,
    also: Annotated[
        bool, typer.Option("--include-files", "--also-files", help="log files that were never taken in, too")
    ] = False,
    max_bytes: Annotated[str, typer.Option(metavar="SIZE", help="so much of those files is read at most")] = "1GB",
    after: AfterOption = None,
    before: BeforeOption = None,
    context: ContextOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="then what arrives, until Ctrl-C")] = False,
    format: Annotated[Format, typer.Option("--output", "-o", help="how to print")] = "text",
    utc: UtcOption = False,
    color: ColorOption = "auto",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes as grep's: 0 found, 1 nothing found, 2 an error."""
    beside = (context if lines is None else lines for lines in (before, after))
    options = SearchOptions(query, since, until, limit, reverse, format, utc, color, *(lines or 0 for lines in beside))
    _check(options, follow, also)
    with exit_codes(query), connect(server, token=token) as client:
        pipes = pipes_of(query)
        if follow:
            records.follow(client, options)
        elif also:
            include_files.show(client, options, include_files.size_bytes(max_bytes))
        elif "patterns" in pipes:
            counting.patterns(client, options)
        elif make_table(pipes):
            counting.statistics(client, options)
        elif format in export.FILES:
            records.copy_file(client, options)
        else:
            records.show(client, options)


def _check(options: SearchOptions, follow: bool, also: bool) -> None:
    """Raises `BadParameter` for options that do not go together."""
    if options.count == 0 and not follow:
        raise typer.BadParameter("-n is at least 1")
    if follow and (options.until or options.reverse or options.format not in ("text", "ndjson")):
        raise typer.BadParameter("--follow has no end: it goes with -o text and -o ndjson, without --until and -r")
    if follow and also:
        raise typer.BadParameter("--follow is about what arrives, --include-files about what is there")
    if options.before or options.after:
        _check_context(options, follow or also)


def _check_context(options: SearchOptions, elsewhere: bool) -> None:
    if elsewhere or options.format != "text" or (options.count or 0) > records.PAGE:
        reason = f"-A, -B and -C go with -o text and at most {records.PAGE} records, without -f and --include-files"
        raise typer.BadParameter(reason)
    pipes = pipes_of(options.query)
    without = {*make_table(pipes), *({"patterns", "fields"} & set(pipes))}
    if without:
        raise typer.BadParameter(f"what '| {min(without)}' gives has no lines around it; leave out -A, -B and -C")
