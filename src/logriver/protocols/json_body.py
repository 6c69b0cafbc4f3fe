"""A request's body to rows: an object, an array, NDJSON, or objects one after the other, told apart by their bytes."""

import json

import msgspec

from logriver.errors import BadBody
from logriver.protocols.json_lines import JsonLines
from logriver.record import Decoded, Refused

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder(msgspec.Raw).decode
_raw_decode = json.JSONDecoder().raw_decode
_BLANKS = " \t\r\n"


def decode_body(body: bytes, decoder: JsonLines, now_ns: int) -> Decoded:
    """The rows of a body and what was refused, with the number of the line or value.

    Where the first line is a whole value the body is NDJSON and each bad line is refused alone. Otherwise it is read as
    values one after the other, and an error refuses the rest. Raises `BadBody` for a body without a value.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not body:
        raise BadBody("the body is empty", hint="send a JSON object, an array of objects, or NDJSON")
    if body.startswith(b"["):
        return decoder.decode(_one_a_line(array_elements(body)), now_ns)
    first_line, newline, _ = body.partition(b"\n")
    if not newline:
        # Most bodies are one record: whether it is a whole value need not be found out twice.
        decoded = decoder.decode(body, now_ns)
        if decoded.count:
            return decoded
    if _is_value(first_line):
        return decoder.decode(body, now_ns)
    return _one_after_the_other(body, decoder, now_ns)


def array_elements(body: bytes) -> list[bytes]:
    """The elements of a JSON array as they came. Raises `BadBody` if it is none."""
    try:
        return [bytes(element) for element in _decode_array(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(f"the body is not a JSON array: {error}") from None


def _one_a_line(values: list[bytes]) -> bytes:
    """JSON values as lines: a newline inside of one can only be a blank between its parts."""
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
    values: list[bytes] = []
    at, problem = 0, ""
    while at < len(text):
        try:
            _, end = _raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            problem = str(error) if isinstance(error, ValueError) else "nested too deep"
            break
        values.append(text[at:end].encode())
        at = end
        while at < len(text) and text[at] in _BLANKS:
            at += 1
    decoded = decoder.decode(_one_a_line(values), now_ns)
    if problem:
        decoded.refused.append(Refused(len(values) + 1, f"not JSON, this and the rest are refused: {problem}"))
    return decoded
