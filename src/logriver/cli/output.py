"""What commands say: errors on stderr, and times and sizes as people write them."""

import re
from typing import NoReturn

import typer

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


def fail(message: str, *, hint: str | None = None, code: int = 1) -> NoReturn:
    """Say what went wrong and end the command with `code`."""
    typer.secho(f"error: {message}", fg=typer.colors.RED, err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    raise typer.Exit(code)


def duration_seconds(text: str) -> float:
    """`30s`, `2m`, `1.5h`, `500ms`, `10` (seconds). Ends the command with a usage error otherwise."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise typer.BadParameter(f"not a duration: {text[:40]!r}, write 30s, 2m or 1h")
    return float(found[1]) * _SECONDS[found[2]]
