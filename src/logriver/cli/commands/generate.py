"""`logriver generate`: load and demo data, into a file or a server."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from logriver import clock
from logriver.cli.client import TokenOption
from logriver.cli.delivery import Delivery
from logriver.cli.interrupt import stop_on_interrupt
from logriver.cli.line_documents import LineDocuments
from logriver.cli.render import output
from logriver.errors import BadRequest, Unavailable
from logriver.generate import formats, pace

DEFAULT_RATE = 100.0
UNPACED_STEP_NS = 1_000_000
"""Lines that come as fast as it goes are a millisecond apart, and the last one is from now."""

FormatOption = Annotated[
    Literal["api_requests", "json", "nginx", "app"], typer.Option("--format", help="what the lines look like")
]


def run(
    format: FormatOption = "api_requests",
    rate: Annotated[float | None, typer.Option(min=0.001, help="lines a second", show_default="100")] = None,
    count: Annotated[
        int | None, typer.Option(min=1, envvar="MAX_LOGS_TO_GENERATE", help="how many lines; without it no end")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed gives the same lines at the same times")] = 1,
    file: Annotated[Path | None, typer.Option(help="append to this file", show_default="$LOG_FILE_PATH")] = None,
    server: Annotated[str | None, typer.Option(help="send to this server", show_default="$LOGRIVER_SERVER")] = None,
    token: TokenOption = "",
    start: Annotated[
        str | None, typer.Option(help="time of the first line, such as 2024-09-14T16:15:35Z", show_default="now")
    ] = None,
    batch_lines: Annotated[
        int | None, typer.Option("--batch", min=1, envvar="LOG_BATCH_SIZE", help="lines at a time, instead of a rate")
    ] = None,
    interval_seconds: Annotated[
        float | None,
        typer.Option("--interval", min=0.0, envvar="LOG_INTERVAL_SECONDS", help="seconds from batch to batch"),
    ] = None,
) -> None:
    """Exit codes: 0 all written or accepted, 1 something was rejected or could not be written, 2 a wrong option."""
    if file and server:
        output.fail("--file and --server exclude each other", code=2)
    chosen = _pace(rate, batch_lines, interval_seconds, count)
    lines = formats.lines(format, seed, _start_ns(start, chosen, count), chosen.step_ns or UNPACED_STEP_NS)
    stop = stop_on_interrupt()
    batches = pace.batches(lines, chosen, stop, count)
    # A flag goes before the environment, and a file before a server that is only the usual one.
    path = file or (None if server else os.environ.get("LOG_FILE_PATH"))
    address = None if path else server or os.environ.get("LOGRIVER_SERVER")
    try:
        if path:
            _report("wrote", _with_progress(batches, count, lambda show: write(Path(path), show)))
        elif address:
            _to_server(address, token, format, batches, count)
        else:
            output.fail("say where the lines go: --file or --server", code=2)
    except BadRequest as error:
        output.fail(error.message, hint=error.hint, code=2)
    except (Unavailable, OSError) as error:
        output.fail(str(error))


def write(path: Path, batches: Iterator[list[bytes]]) -> int:
    """Append the batches to `path`, only whole lines, each batch at once visible; gives back how many lines."""
    written = 0
    with path.open("ab", buffering=0) as file:
        for batch in batches:
            data = memoryview(b"".join(batch))
            while data:
                data = data[file.write(data) :]
            written += len(batch)
    return written


def write_until(stop: threading.Event, path: Path, format: str, lines_per_second: float, seed: int) -> int:
    """Append to `path` at that rate, with times of now, until `stop` is set; for a thread. Gives back the count."""
    chosen = pace.of_rate(lines_per_second)
    lines = formats.lines(format, seed, clock.now_ns(), chosen.step_ns)
    return write(path, pace.batches(lines, chosen, stop))


def _pace(rate: float | None, batch_lines: int | None, interval_seconds: float | None, count: int | None) -> pace.Pace:
    """The flag `--rate` first, then batches, then as fast as it goes to a count, or a rate that bothers nobody."""
    if rate:
        return pace.of_rate(rate)
    if batch_lines or interval_seconds is not None:
        return pace.Pace(batch_lines or 1, 1.0 if interval_seconds is None else interval_seconds)
    return pace.UNPACED if count else pace.of_rate(DEFAULT_RATE)


def _start_ns(start: str | None, chosen: pace.Pace, count: int | None) -> int:
    if start is None:
        return clock.now_ns() - (0 if chosen.step_ns else (count or 0) * UNPACED_STEP_NS)
    try:
        return clock.from_text(start)
    except ValueError as error:
        output.fail(f"--start: {error}", code=2)


def _to_server(server: str, token: str, format: str, batches: Iterator[list[bytes]], count: int | None) -> None:
    documents = LineDocuments("nginx" if format == "nginx" else "")

    def post_all(shown: Iterator[list[bytes]]) -> int:
        sent = 0
        for batch in shown:
            made = documents.of([line.rstrip(b"\n") for line in batch])
            delivery.post(made, range(sent + 1, sent + len(batch) + 1))
            sent += len(batch)
        return sent

    with Delivery(server, token=token) as delivery:
        try:
            _with_progress(batches, count, post_all)
        finally:
            for number, reason in delivery.reasons:
                typer.echo(f"line {number}: {reason}", err=True)
            typer.echo(f"accepted {delivery.accepted}, rejected {delivery.rejected}", err=True)
    if delivery.rejected:
        raise typer.Exit(1)


def _with_progress(
    batches: Iterator[list[bytes]], count: int | None, consume: Callable[[Iterator[list[bytes]]], int]
) -> int:
    """Let `consume` have the batches, with a bar where the end is known and somebody looks."""
    if count is None or not sys.stderr.isatty():
        return consume(batches)
    with _bar(count) as advance:
        return consume(_watched(batches, advance))


def _watched(batches: Iterator[list[bytes]], advance: Callable[[int], None]) -> Iterator[list[bytes]]:
    for batch in batches:
        yield batch
        advance(len(batch))


@contextmanager
def _bar(count: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("lines", total=count)
        yield lambda lines: progress.advance(task, lines)


def _report(what: str, lines: int) -> None:
    typer.echo(f"{what} {lines} lines", err=True)
