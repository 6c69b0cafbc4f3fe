"""`logriver send`: lines or JSON from a pipe or a file to a server."""

import codecs
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from logriver.cli.client import LOCAL_SERVER, ServerOption, TokenOption
from logriver.cli.delivery import Delivery
from logriver.cli.interrupt import stop_on_interrupt
from logriver.cli.line_documents import LineDocuments
from logriver.cli.pipe import MAX_LINE_BYTES, Pipe
from logriver.cli.render import output
from logriver.decode.time import zones
from logriver.errors import BadRequest, Unavailable, Unprocessable
from logriver.files.compressed import inflated, inflater, inflater_of, temporary_file
from logriver.files.opened import Opened

BATCH_BYTES = 1_000_000
LINGER_SECONDS = 0.5


def run(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="what to send; - is the standard input")] = "-",
    server: ServerOption = LOCAL_SERVER,
    token: TokenOption = "",
    service: Annotated[str, typer.Option(help="service of the records that name none")] = "",
    zone: Annotated[str, typer.Option(help="of times in lines of text that name none; else this machine's")] = "",
    retry_for: Annotated[str, typer.Option(help="how long to try while the server is away or overloaded")] = "60s",
) -> None:
    """Exit codes: 0 all accepted, 1 something was rejected or not sent, 2 a wrong option."""
    retry_seconds = output.duration_seconds(retry_for)
    documents = LineDocuments(service, _checked_zone(zone))
    descriptor = _open(file)
    stop = stop_on_interrupt()
    problem = ""
    try:
        with Delivery(server, retry_seconds, token, stop) as delivery:
            problem = _send_all(Pipe(descriptor, BATCH_BYTES, LINGER_SECONDS), delivery, documents, stop)
    except BadRequest as error:
        output.fail(error.message, hint=error.hint, code=2)
    _report(delivery, problem)


def _checked_zone(name: str) -> str:
    try:
        zones.zone(name)
        return name
    except ValueError as error:
        output.fail(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris", code=2)


def _open(file: str) -> int:
    if file == "-":
        return sys.stdin.fileno()
    try:
        descriptor = os.open(Path(file), os.O_RDONLY)
        return _inflated(descriptor, file) if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor
    except OSError as error:
        output.fail(f"{file[:200]!r} cannot be read: {error.strerror}")
    except (Unprocessable, Unavailable) as error:
        output.fail(f"{file[:200]!r} cannot be read: {error.message}", hint=error.hint)


def _inflated(descriptor: int, file: str) -> int:
    """The file, or another one with what is compressed in it. Closes what it does not give back."""
    inflate = inflater(Opened(descriptor, file))
    if inflate is None:
        return descriptor
    with os.fdopen(descriptor, "rb") as source, temporary_file() as target:
        for _ in inflated(source, inflate, target):
            pass
        target.seek(0)
        return os.dup(target.fileno())


def _send_all(pipe: Pipe, delivery: Delivery, documents: LineDocuments, stop: threading.Event) -> str:
    """Send until the input ends; gives back why that did not work, empty if it did."""
    try:
        for lines in pipe.batches(stop):
            if lines.numbers[:1] == [1] and (reason := _unreadable(lines.texts[0])):
                return reason
            for number in lines.too_long:
                delivery.refuse(number, f"line longer than {MAX_LINE_BYTES // 1_000_000} MB")
            if lines.texts:
                delivery.post(documents.of(lines.texts), lines.numbers)
    except Unavailable as error:
        return f"{error.message}; nothing is confirmed from line {lines.numbers[0]} on"
    except OSError as error:
        return f"the input cannot be read: {error.strerror}"
    except KeyboardInterrupt:
        return "interrupted before everything was sent"
    return ""


def _unreadable(beginning: bytes) -> str:
    """Why what begins so has no lines to send, and what to do; empty where it may have some."""
    if inflater_of(beginning):
        return "the input is compressed: name the file instead, or send what zcat or the like makes of it"
    if beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "the input is UTF-16: send what 'iconv -f UTF-16 -t UTF-8' makes of it"
    return ""


def _report(delivery: Delivery, problem: str) -> None:
    for number, reason in delivery.reasons:
        typer.echo(f"line {number}: {reason}", err=True)
    typer.echo(f"accepted {delivery.accepted}, rejected {delivery.rejected}", err=True)
    if problem:
        output.fail(problem)
    if delivery.rejected:
        raise typer.Exit(1)
