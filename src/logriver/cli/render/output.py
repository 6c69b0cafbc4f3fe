"""What commands say: errors on stderr, and times and sizes as people write them."""

import os
import re
import sys
from typing import Annotated, Literal, NoReturn, TextIO

import typer
from rich.cells import cell_len

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
# What a terminal would obey instead of showing, and what turns the direction of writing; line ends and tabs may stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL_OR_BREAK = re.compile(rf"{_CONTROL.pattern}|[\t\n\u2028\u2029]")
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}

Color = Literal["auto", "always", "never"]
ColorOption = Annotated[
    Color, typer.Option(help="colours and highlighted words; auto is on a terminal, where NO_COLOR is not set")
]


def fail(message: str, *, hint: str | None = None, code: int = 1) -> NoReturn:
    """Say what went wrong and end the command with `code`."""
    red = typer.colors.RED if use_color("auto", sys.stderr) else None
    typer.secho(f"error: {visible(message)}", fg=red, err=True)
    if hint:
        note(f"hint: {hint}")
    raise typer.Exit(code)


def note(message: str) -> None:
    """Say something that is no result."""
    typer.echo(visible(message), err=True)


def point_at(query: str, position: int | None) -> None:
    """Show where in the query the mistake is, in the line that has it."""
    if position is None or position > len(query):
        return
    start = query.rfind("\n", 0, position) + 1
    line = query[start:].partition("\n")[0]
    note(f"  {one_line(line)}\n  {' ' * cell_len(one_line(query[start:position]))}^")


def use_color(when: Color, stream: TextIO) -> bool:
    """Whether what is written to `stream` has colours."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible(text: str) -> str:
    """`text` with what a terminal would obey written out as an escape."""
    return _CONTROL.sub(_written_out, text)


def one_line(text: str) -> str:
    """`text` as `visible` shows it, with tabs and line ends written out too."""
    return _CONTROL_OR_BREAK.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return _NAMED.get(found[0]) or (f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}")


def duration_seconds(text: str) -> float:
    """`30s`, `2m`, `1.5h`, `500ms`, `10` (seconds). Ends the command with a usage error otherwise."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter(f"not a duration: {text[:40]!r}, write 30s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]
