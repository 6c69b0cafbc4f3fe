"""A request's body that is lines as they are in a file: `POST /api/v1/logs?format=auto`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from logriver import clock
from logriver.clock import Zone
from logriver.decode.formats import FORMATS, recognise
from logriver.decode.labels import Labels
from logriver.decode.line_rules import LineReader, LineRules, reader
from logriver.decode.lines.multiline import ByIndentation, Multiline
from logriver.decode.time import zones
from logriver.errors import BadBody, BadRequest, TooLarge
from logriver.record import Decoded

_SAMPLE_BYTES = 65_536
# What decoding needs for a time is many times the text, where lines are short.
_PIECE_BYTES = 100_000
# What a line that is refused is counted as, beside rows.
_REFUSED_BYTES = 200
_TO_BE_RECOGNISED = "auto"
_OTHERS = ("zone", "service", "multiline")


def decode_lines(body: bytes, rules: LineRules, max_record_bytes: int, max_bytes: int, now_ns: int) -> Decoded:
    """The rows of a body and what was refused.

    Raises `BadBody` for what is not text or has no line, and `TooLarge` where the rows have more than `max_bytes`:
    those of very short lines have many times the body's.
    """
    head = body[:_SAMPLE_BYTES]
    if b"\0" in head:
        hint = "what is compressed says so in Content-Encoding, UTF-16 becomes UTF-8 with iconv"
        raise BadBody("the body is not text: it has zero bytes", hint=hint)
    name = rules.format or recognise(head[: head.rfind(b"\n") + 1] or head)
    # Only of a container's file the path says something.
    lines = reader(rules, name, max_record_bytes, clock.local_offset_seconds, Path())
    decoded = Decoded()
    number = size = 0
    for start, piece in _pieces(body, lines):
        one = lines.decode(piece, start, now_ns)
        # The sender has the lines.
        one.refused = [replace(refused, line=number + refused.line, raw=b"") for refused in one.refused]
        number += piece.count(b"\n")
        decoded.add(one)
        size += sum(map(len, one.rows)) + _REFUSED_BYTES * len(one.refused)
        if size > max_bytes:
            raise TooLarge(f"the records of the body have more than {max_bytes} bytes", hint="send smaller batches")
    if not decoded.count and not decoded.refused:
        raise BadBody("the body has no line")
    return decoded


def _pieces(body: bytes, lines: LineReader) -> Iterator[tuple[int, bytes]]:
    """The body in pieces of whole records, each with where it begins."""
    start = 0
    while start < len(body):
        size = _PIECE_BYTES
        taken = 0
        while not taken:
            end = body.find(b"\n", start + size) + 1 or len(body)
            piece = body[start:end]
            # Only a record of many lines, longer than the piece, ends nowhere in it.
            taken = len(piece) if end == len(body) else lines.whole(piece)
            size *= 2
        yield start, piece[:taken]
        start += taken


def line_rules(parameters: Mapping[str, str]) -> LineRules | None:
    """What `format`, `zone`, `service` and `multiline` of a request say; None without a format. Raises `BadRequest`."""
    name = parameters.get("format", "")
    if not name:
        useless = next((other for other in _OTHERS if parameters.get(other)), None)
        if useless:
            raise BadRequest(f"parameter {useless!r} is for lines", hint="add format=auto; records say their own")
        return None
    known = (_TO_BE_RECOGNISED, *FORMATS)
    if name not in known:
        raise BadRequest(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(known)}")
    multiline = parameters.get("multiline", "")
    if multiline not in ("", "indent"):
        raise BadRequest(f"parameter 'multiline' is 'indent', not {multiline[:60]!r}")
    service = parameters.get("service", "")
    return LineRules(
        None if name == _TO_BE_RECOGNISED else name,
        _zone(parameters.get("zone", "")),
        multiline=Multiline(ByIndentation()) if multiline else None,
        labels=Labels({"service": service} if service else {}),
    )


def _zone(name: str) -> Zone | None:
    try:
        # A plus sign in an address is a blank, and no zone has one in its name.
        return zones.zone(name.replace(" ", "+")) if name else None
    except ValueError as error:
        raise BadRequest(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris") from None
