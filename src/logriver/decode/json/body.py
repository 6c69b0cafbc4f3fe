"""A request's body to rows: an object, an array, NDJSON, or objects one after the other; its bytes show which.

A small record takes many times its bytes while it is on its way. So large bodies are read a piece at a time, and a body
has at most `MAX_RECORDS`.
"""

import json
import re
from collections.abc import Iterable, Iterator

import msgspec

from logriver.decode.json.lines import JsonLines
from logriver.errors import BadBody, TooLarge
from logriver.record import Decoded, Refused

MAX_RECORDS = 1_000_000
"""A body may have so many records. Of usual ones that are several times as many bytes as a body may have."""

_PIECE_BYTES = 256 * 1024
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder(msgspec.Raw).decode
_raw_decode = json.JSONDecoder().raw_decode
_SPACES = " \t\r\n"
# So many ends of objects are looked at for one that a comma follows, with so many spaces in between at most.
_MAX_ENDS = 200
_MAX_SPACES = 20
# A piece has more only where one element is many megabytes of small values.
_MAX_COMMAS = 4_000_000


def decode_body(body: bytes, decoder: JsonLines, now_ns: int) -> Decoded:
    """The rows of a body and what was refused, with the number of the line or value.

    Where the first line is a whole value the body is NDJSON and each bad line is refused alone. Otherwise it is read as
    values one after the other, and an error refuses the rest. Raises `BadBody` for a body without a value, `TooLarge`
    for one with more than `MAX_RECORDS`.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not body:
        raise BadBody("the body is empty", hint="send a JSON object, an array of objects, or NDJSON")
    if body.startswith(b"["):
        return _together(array_pieces(body), decoder, now_ns)
    first_line, newline, _ = body.partition(b"\n")
    if not newline:
        # Most bodies are one record: whether it is a whole value need not be found out twice.
        decoded = decoder.decode(body, now_ns)
        if decoded.count:
            return decoded
    if _is_value(first_line):
        _check_count(body.rstrip().count(b"\n") + 1)
        return decoder.decode(body, now_ns)
    return _one_after_the_other(body, decoder, now_ns)


def array_pieces(body: bytes) -> Iterator[list[bytes]]:
    """The elements of a JSON array as they came, some at a time.

    Raises `BadBody` if it is none, which may be found out after the first pieces, and `TooLarge` for more than
    `MAX_RECORDS`.
    """
    start, size, count = 1, _PIECE_BYTES, 0
    while True:
        end = _between_objects(body, start, start + size) if start + size < len(body) else len(body)
        last = end == len(body)
        elements = _elements(body, start, end, last) if last or end > start else None
        if elements is None:
            # The comma was inside of an element.
            size *= 2
            continue
        count += len(elements)
        _check_count(count)
        yield elements
        if last:
            return
        start, size = end + 1, _PIECE_BYTES


def _between_objects(body: bytes, start: int, end: int) -> int:
    """The last comma before `end` that may stand between two elements; -1 without any."""
    at = end
    for _ in range(_MAX_ENDS):
        at = body.rfind(b"}", start, at)
        if at < 0:
            break
        after = body[at + 1 : min(at + 1 + _MAX_SPACES, end)]
        comma = after.lstrip()
        if comma.startswith(b","):
            return at + 1 + len(after) - len(comma)
    return body.rfind(b",", start, end)


def _elements(body: bytes, start: int, end: int, last: bool) -> list[bytes] | None:
    """The elements between two commas of the array; None where the second is not one of the array's own.

    What is whole values and commas is in the array itself, as the text before it was.
    """
    if end - start > _MAX_COMMAS and body.count(b",", start, end) > _MAX_COMMAS:
        raise TooLarge(f"an element of the array has more than {_MAX_COMMAS} values", hint="send smaller records")
    try:
        elements = [bytes(element) for element in _decode_array(b"[" + body[start:end] + (b"" if last else b"]"))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not last:
            return None
        message = re.sub(r"\(byte (\d+)\)", lambda found: f"(byte {int(found[1]) + start - 1})", str(error))
        raise BadBody(f"the body is not a JSON array: {message}") from None
    if elements or (last and start == 1):
        return elements
    if not last:
        return None
    raise BadBody("the body is not a JSON array: it ends with a comma")


def _together(pieces: Iterable[list[bytes]], decoder: JsonLines, now_ns: int) -> Decoded:
    parts: list[Decoded] = []
    count = 0
    for values in pieces:
        one = decoder.decode(_one_a_line(values), now_ns)
        for refused in one.refused:
            refused.line += count
        parts.append(one)
        count += len(values)
    return Decoded.joined(parts)


def _check_count(count: int) -> None:
    if count > MAX_RECORDS:
        raise TooLarge(f"the body has more than {MAX_RECORDS} records", hint="send smaller batches")


def _one_a_line(values: list[bytes]) -> bytes:
    """JSON values as lines: a newline inside of one can only be a space between its parts."""
    return b"\n".join(value.replace(b"\n", b" ") if b"\n" in value else value for value in values)


def _is_value(text: bytes) -> bool:
    try:
        _decode_value(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _one_after_the_other(body: bytes, decoder: JsonLines, now_ns: int) -> Decoded:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Decoded(refused=[Refused(1, f"not valid UTF-8 at byte {error.start}")])
    problems: list[Refused] = []
    decoded = _together(_values(text, problems), decoder, now_ns)
    decoded.refused += problems
    return decoded


def _values(text: str, problems: list[Refused]) -> Iterator[list[bytes]]:
    """The values of `text`, some at a time, up to the first that is none, which is added to `problems`."""
    values: list[bytes] = []
    at = begun = count = 0
    while at < len(text):
        try:
            _, end = _raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "nested too deep"
            problems.append(Refused(count + 1, f"not JSON, this and the rest are refused: {reason}"))
            break
        values.append(text[at:end].encode())
        count += 1
        at = end
        while at < len(text) and text[at] in _SPACES:
            at += 1
        if at - begun > _PIECE_BYTES:
            _check_count(count)
            yield values
            values, begun = [], at
    yield values
