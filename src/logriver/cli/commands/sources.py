"""`logriver sources`: which bytes of which followed file a server holds, what is missing, how far it is behind."""

from typing import Annotated

import typer

from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption, connect
from logriver.cli.render import output, table
from logriver.cli.render.output import ColorOption
from logriver.cli.source_answers import SourceAnswer, all_sources
from logriver.errors import LogriverError
from logriver.path_text import spelled

_BEHIND_SECONDS = 60.0
_ENDED = frozenset(("gone", "truncated"))
_COLUMNS = ["path", "follower", "format", "committed", "lag", "lag seconds", "gaps", "lost", "last event", "problem"]


def run(
    part: Annotated[str, typer.Argument(help="only paths with this in them")] = "",
    format: Annotated[table.Format, typer.Option("--output", "-o", help="how to print")] = "text",
    color: ColorOption = "auto",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
) -> None:
    """Exit codes: 0 all is committed, 1 something is lost, a minute behind, not read or not followed, 2 an error."""
    part = spelled(part)
    try:
        with connect(server, token=token) as client:
            sources = list(all_sources(client, q=part))
    except LogriverError as error:
        output.fail(error.message, hint=error.hint, code=2)
    if not sources:
        output.note(f"no followed file has {part!r} in its path" if part else "no file is followed")
    table.show(table.Table(_COLUMNS, [_row(source) for source in sources]), format, color)
    if any(map(_in_trouble, sources)) or (part and not sources):
        raise typer.Exit(1)


def _row(source: SourceAnswer) -> list[object]:
    """Sizes are bytes. What only a follower knows that is not connected is left empty."""
    return [
        source.path,
        source.follower,
        source.format,
        source.committed_bytes,
        source.lag_bytes,
        source.lag_seconds,
        len(source.lost),
        sum(gap.bytes for gap in source.lost),
        source.last_event,
        source.error,
    ]


def _in_trouble(source: SourceAnswer) -> bool:
    # A file that was read to its end may go: that it is not there is no trouble.
    is_over = bool(source.incarnations) and all(incarnation.state in _ENDED for incarnation in source.incarnations)
    behind = (source.lag_seconds or 0.0) > _BEHIND_SECONDS
    return bool(source.lost) or behind or (bool(source.error) and not is_over)
