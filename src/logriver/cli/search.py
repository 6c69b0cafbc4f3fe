"""`logriver search`: a server's records on the terminal, newest last."""

import sys
from collections.abc import Iterator
from typing import Annotated, Literal

import httpx
import msgspec
import typer

from logriver.cli import output
from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, connect, error_of
from logriver.cli.line import Lines
from logriver.errors import BadQuery, LogriverError, NotFound, Unavailable

PAGE = 1000
"""Records asked for at one time."""

OutputOption = Annotated[Literal["text", "json", "ndjson"], typer.Option("--output", "-o", help="how to print")]


class _Page(msgspec.Struct):
    rows: list[msgspec.Raw]
    cursor: str | None = None
    hint: str | None = None


def run(
    query: Annotated[str, typer.Argument(help="words and field:value, such as 'level:error \"not found\"'")],
    since: Annotated[str | None, typer.Option(help="from when on: a time, or 1h for an hour ago")] = None,
    until: Annotated[str | None, typer.Option(help="until when, such as now")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="how many, the newest")] = 100,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="newest first")] = False,
    format: OutputOption = "text",
    utc: Annotated[bool, typer.Option("--utc", help="times in UTC instead of this machine's zone")] = False,
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes as grep's: 0 found, 1 nothing found, 2 an error."""
    ask = {name: value for name, value in (("q", query), ("from", since), ("to", until)) if value}
    hints: list[str] = []
    try:
        found = list(_newest(connect(server, token=token), ask, limit, hints))
    except BadQuery as error:
        _point_at(query, error.position)
        output.fail(error.message, hint=error.hint, code=2)
    except LogriverError as error:
        output.fail(error.message, hint=error.hint, code=2)
    _print(found if reverse else found[::-1], format, utc)
    if not found:
        for hint in hints:
            typer.echo(f"hint: {hint}", err=True)
        raise typer.Exit(1)


def _newest(client: httpx.Client, ask: dict[str, str], limit: int, hints: list[str]) -> Iterator[bytes]:
    """The newest `limit` records as JSON texts, newest first; `hints` gets what the server advises."""
    left = limit
    with client:
        while True:
            page = _page(client, ask | {"limit": str(min(left, PAGE)), "order": "desc"})
            yield from map(bytes, page.rows)
            hints += [page.hint] if page.hint else []
            left -= len(page.rows)
            if left <= 0 or not page.rows or not page.cursor:
                return
            ask = ask | {"cursor": page.cursor}


def _page(client: httpx.Client, ask: dict[str, str]) -> _Page:
    try:
        answer = client.get("/api/v1/search", params=ask)
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"no answer from {str(client.base_url)!r}: {reason}", hint="is it running?") from None
    if answer.is_success:
        try:
            return msgspec.json.decode(answer.content, type=_Page)
        except msgspec.DecodeError:
            raise NotFound(f"{str(client.base_url)!r} does not answer like a logriver") from None
    detail = error_of(answer)
    if answer.status_code == 400:
        raise BadQuery(detail.message, hint=detail.hint, position=detail.position)
    raise Unavailable(detail.message, hint=detail.hint)


def _point_at(query: str, position: int | None) -> None:
    """Show where in the query the mistake is."""
    if position is not None and "\n" not in query:
        typer.echo(f"  {query}\n  {' ' * position}^", err=True)


def _print(rows: list[bytes], format: str, utc: bool) -> None:
    if format == "ndjson":
        sys.stdout.buffer.write(b"".join(row + b"\n" for row in rows))
    elif format == "json":
        sys.stdout.buffer.write(b"[" + b",\n ".join(rows) + b"]\n")
    else:
        lines = Lines(utc)
        for row in rows:
            lines.show(row)
    sys.stdout.flush()
