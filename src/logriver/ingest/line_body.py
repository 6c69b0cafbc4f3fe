"""A request's body that is lines as they are in a file: `POST /api/v1/logs?format=auto`."""

from collections.abc import Mapping
from dataclasses import replace

from logriver.decode.decoder import Decoder, Options, State
from logriver.decode.formats import FORMATS, SAMPLE_BYTES
from logriver.decode.time import zones
from logriver.errors import BadBody, BadRequest, TooLarge
from logriver.record import Decoded

# What decoding needs for a time is many times the text, where lines are short.
_PIECE_BYTES = 100_000
# What a line that is refused is counted as, beside rows.
_REFUSED_BYTES = 200
_TO_BE_RECOGNISED = "auto"
_OTHERS = ("zone", "service", "multiline")


def decode_lines(body: bytes, decoder: Decoder, options: Options, max_bytes: int, now_ns: int) -> Decoded:
    """The rows of a body and what was refused.

    Raises `BadBody` for what is not text or has no line, and `TooLarge` where the rows have more than `max_bytes`:
    those of very short lines have many times the body's.
    """
    if b"\0" in body[:SAMPLE_BYTES]:
        hint = "what is compressed says so in Content-Encoding, UTF-16 becomes UTF-8 with iconv"
        raise BadBody("the body is not text: it has zero bytes", hint=hint)
    parts: list[Decoded] = []
    number = size = start = 0
    state = State(now_ns, 0)
    while start < len(body):
        piece = _piece(body, start, decoder, options, state)
        decoded, state = decoder.decode(piece, options, state)
        # The sender has the lines.
        decoded.refused = [replace(refused, line=number + refused.line, raw=b"") for refused in decoded.refused]
        number += piece.count(b"\n")
        start += len(piece)
        parts.append(decoded)
        size += len(decoded.rows) + _REFUSED_BYTES * len(decoded.refused)
        if size > max_bytes:
            raise TooLarge(f"the records of the body have more than {max_bytes} bytes", hint="send smaller batches")
    if not any(part.count or part.refused for part in parts):
        raise BadBody("the body has no line")
    return Decoded.joined(parts)


def _piece(body: bytes, start: int, decoder: Decoder, options: Options, state: State) -> bytes:
    """The next whole records of the body."""
    size = _PIECE_BYTES
    while True:
        end = body.find(b"\n", start + size) + 1 or len(body)
        piece = body[start:end]
        # Only a record of many lines, longer than the piece, ends nowhere in it.
        taken = len(piece) if end == len(body) else decoder.whole(piece, options, state)
        if taken:
            return piece[:taken]
        size *= 2


def line_options(parameters: Mapping[str, str], max_record_bytes: int) -> Options | None:
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
    return Options(
        "" if name == _TO_BE_RECOGNISED else name,
        zone=_zone(parameters.get("zone", "")),
        max_record_bytes=max_record_bytes,
        multiline=multiline,
        labels=(("service", service),) if service else (),
    )


def _zone(name: str) -> str:
    # A plus sign in an address is a space, and no zone has one in its name.
    name = name.replace(" ", "+")
    try:
        zones.zone(name)
    except ValueError as error:
        raise BadRequest(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris") from None
    return name
