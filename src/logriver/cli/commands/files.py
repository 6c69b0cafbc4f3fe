"""`logriver files`: the log files of a server's machine, or of an agent's, where they lie."""

import sys
from collections.abc import Iterator
from typing import Annotated, Literal

import httpx
import msgspec
import typer

from logriver.cli import client as clients
from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, ask, connect, whole_lines
from logriver.cli.filter import NOTHING_FOUND, exit_codes, write, write_bytes
from logriver.cli.render import output, table
from logriver.cli.render.local_time import as_asked
from logriver.cli.render.output import ColorOption
from logriver.cli.render.table import Format, Table
from logriver.path_text import spelled

# Nothing comes while a server looks through a long file in vain.
_SEARCH_SECONDS = 3_600.0


class _Entry(msgspec.Struct):
    name: str
    type: str
    size: int
    modified: str


class _Listing(msgspec.Struct):
    entries: list[_Entry]
    truncated: bool


def run(
    action: Annotated[Literal["ls", "search"], typer.Argument(help="what there is, or lines of a file")],
    path: Annotated[str, typer.Argument(help="a directory of --files-root to list, or the file to search")] = "",
    keyword: Annotated[str, typer.Argument(help="a part of the lines; without it every line")] = "",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=0, help="so many matches, the newest")] = None,
    regex: Annotated[bool, typer.Option("--regex", "-E", help="the keyword is a regular expression (RE2)")] = False,
    ignore_case: Annotated[bool, typer.Option("--ignore-case", "-i", help="upper and lower case are the same")] = False,
    multiline: Annotated[bool, typer.Option("--multiline", "-U", help="a match may span lines")] = False,
    since: Annotated[str, typer.Option(help="from when on: a time, or 1h for an hour ago")] = "",
    until: Annotated[str, typer.Option(help="until when, such as now")] = "",
    agent: Annotated[str, typer.Option(help="the agent that has the files; * for all machines; the server's own")] = "",
    format: Annotated[Format, typer.Option("--output", "-o", help="how to print what ls finds")] = "text",
    color: ColorOption = "auto",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Newest lines first. Exit codes as grep's: 0 found, 1 nothing found, 2 an error."""
    if action == "search" and not path:
        raise typer.BadParameter("search needs the name of a file")
    if action == "ls" and (keyword or agent == "*"):
        raise typer.BadParameter("ls takes one directory of one machine")
    path = spelled(path)
    params = {"filename": path, "keyword": keyword, "from": as_asked(since), "to": as_asked(until), "hostname": agent}
    flags = {"regex": regex, "ignore_case": ignore_case, "multiline": multiline}
    params |= {name: "true" for name, is_set in flags.items() if is_set}
    if limit is not None:
        params["n"] = str(limit)
    with exit_codes(""), connect(server, token=token) as client:
        if action == "ls":
            _list(client, {"path": path, "agent": agent}, format, color)
        else:
            _search(client, params)


def _list(client: httpx.Client, params: dict[str, str], format: Format, color: output.Color) -> None:
    listing = ask(client, "/api/v1/files", _Listing, params=params)
    rows: list[list[object]] = [[entry.type, entry.size, entry.modified, entry.name] for entry in listing.entries]
    table.show(Table(["type", "size", "modified", "name"], rows), format, color)
    if listing.truncated:
        output.note("there are more: name a directory below")


def _search(client: httpx.Client, params: dict[str, str]) -> None:
    found = False
    with clients.stream(client, "/logs", params, {}, _SEARCH_SECONDS) as answer:
        for piece in _shown(answer):
            found = True
            write_bytes(piece) if isinstance(piece, bytes) else write(piece)
            sys.stdout.flush()
    if not found:
        raise typer.Exit(NOTHING_FOUND)


def _shown(answer: httpx.Response) -> Iterator[bytes | str]:
    """The bytes as they are; on a terminal lines, with what it would obey written out."""
    if not sys.stdout.isatty():
        yield from answer.iter_bytes()
        return
    for line in whole_lines(answer.iter_bytes()):
        yield output.visible(line.decode("utf-8", "backslashreplace").removesuffix("\r")) + "\n"
