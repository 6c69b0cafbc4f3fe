"""`logriver tail`: the newest records, and then what arrives, until Ctrl-C."""

from typing import Annotated, Literal

import typer

from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, connect
from logriver.cli.commands.search import QueryArgument, SinceOption, UtcOption, count
from logriver.cli.filter import exit_codes
from logriver.cli.render import records
from logriver.cli.render.output import ColorOption
from logriver.cli.render.records import SearchOptions


def run(
    query: QueryArgument = "",
    since: SinceOption = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", parser=count, metavar="N|all", help="how many to begin with; 10 without it"),
    ] = None,
    format: Annotated[Literal["text", "ndjson"], typer.Option("--output", "-o", help="how to print")] = "text",
    utc: UtcOption = False,
    color: ColorOption = "auto",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes: 130 ended by Ctrl-C, 2 an error."""
    options = SearchOptions(query, since, "", limit, False, format, utc, color)
    with exit_codes(query), connect(server, token=token) as client:
        records.follow(client, options)
