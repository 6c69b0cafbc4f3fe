"""Tables: drawn on a terminal, or a line a value where it is narrow, tabs in a pipe, or JSON, NDJSON and CSV."""

import csv
import io
import sys
from dataclasses import dataclass
from typing import Literal

import msgspec
import typer
from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console

from logriver.cli.filter import write, write_bytes
from logriver.cli.render.output import Color, one_line, use_color, visible

Format = Literal["text", "json", "ndjson", "csv"]

# Of a drawn table the widest column is folded, to no less.
_MIN_FOLDED = 20


@dataclass(frozen=True, slots=True)
class Table:
    """Names of the columns, and rows of what JSON has."""

    columns: list[str]
    rows: list[list[object]]


def show(table: Table, format: str, color: Color) -> None:
    """Print it as one of `Format`. Ends the command with a usage error for another."""
    if format == "json":
        write_bytes(msgspec.json.encode(_documents(table)) + b"\n")
    elif format == "ndjson":
        write_bytes(b"".join(msgspec.json.encode(document) + b"\n" for document in _documents(table)))
    elif format == "csv":
        _write_csv(table)
    elif format != "text":
        raise typer.BadParameter(f"a table cannot be printed as {format}, write -o csv")
    elif sys.stdout.isatty():
        _draw(table, color)
    else:
        for row in _texts(table):
            write("\t".join(map(one_line, row)) + "\n")


def _documents(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _texts(table: Table) -> list[list[str]]:
    return [table.columns, *([_text(value) for value in row] for row in table.rows)]


def _write_csv(table: Table) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(_texts(table))
    write_bytes(written.getvalue().encode())


def _draw(table: Table, color: Color) -> None:
    colors: Literal["auto"] | None = "auto" if use_color(color, sys.stdout) else None
    console = Console(markup=False, emoji=False, highlight=False, color_system=colors)
    if not _fits(table, console.width):
        _write_below(table)
        return
    drawn = rich_table.Table()
    for place, name in enumerate(table.columns):
        right = all(_is_number(row[place]) for row in table.rows)
        drawn.add_column(visible(name), justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(visible(_text(value)) for value in row))
    console.print(drawn)


def _fits(table: Table, width: int) -> bool:
    """Whether a drawn table of this width has space for all columns as they are but the widest."""
    widths = [max(cell_len(visible(text)) for text in column) for column in zip(*_texts(table), strict=True)]
    borders = 3 * len(widths) + 1
    return sum(widths) - max(widths) + min(max(widths), _MIN_FOLDED) + borders <= width


def _write_below(table: Table) -> None:
    """Each row as lines of a name and a value, empty ones left out, with an empty line between rows."""
    names = [one_line(name) for name in table.columns]
    longest = max(map(cell_len, names))
    for place, row in enumerate(_texts(table)[1:]):
        write("\n" if place else "")
        for name, value in zip(names, row, strict=True):
            if value:
                write(f"{name}{' ' * (longest - cell_len(name))}  {one_line(value)}\n")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: object) -> str:
    """A text as it is, nothing for null, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
