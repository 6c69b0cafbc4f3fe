"""`logriver sql`: the answer to a SELECT over a server's records, as a table on a terminal."""

import sys
from typing import Annotated

import msgspec
import typer

from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, ask, connect
from logriver.cli.filter import NOTHING_FOUND, exit_codes
from logriver.cli.render import output, table
from logriver.cli.render.output import ColorOption


class _Column(msgspec.Struct):
    name: str


class _Answer(msgspec.Struct):
    columns: list[_Column]
    rows: list[list[object]]
    hint: str | None = None


def run(
    query: Annotated[str, typer.Argument(help="a SELECT over the table logs; - reads it from the input")],
    format: Annotated[table.Format, typer.Option("--output", "-o", help="how to print")] = "text",
    color: ColorOption = "auto",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes as grep's: 0 found, 1 no row, 2 an error."""
    query = sys.stdin.read() if query == "-" else query
    with exit_codes(query):
        with connect(server, token=token) as client:
            answer = ask(client, "/api/v1/sql", _Answer, body={"query": query})
        names = [column.name for column in answer.columns]
        table.show(table.Table(names, answer.rows), format, color)
        if answer.hint:
            output.note(f"hint: {answer.hint}")
    if not answer.rows:
        raise typer.Exit(NOTHING_FOUND)
