"""What the log ingestor said of records whose fields it did not take."""

import msgspec

from logriver import clock
from logriver.decode.json.body import array_pieces
from logriver.decode.json.document import Fields, fields_of
from logriver.errors import BadBody

Problems = dict[str, list[str]]


def problems(body: bytes) -> Problems | list[Problems] | None:
    """What it said of a bad body: `{field: [reasons]}`, for an array one such object a record.

    None if every record has a text `message` and a `timestamp` that is one, where it has one. Raises `BadBody` for what
    is neither object nor array.
    """
    body = body.strip()
    if not body:
        raise BadBody("the body is empty", hint="send a JSON object or an array of objects")
    if body.startswith(b"["):
        found = [_record_problems(_fields(element)) for elements in array_pieces(body) for element in elements]
        return found if any(found) else None
    return _record_problems(_fields(body)) or None


def _fields(record: bytes) -> Fields:
    try:
        return fields_of(record)
    except ValueError as error:
        raise BadBody(f"the body is not a JSON object or an array of objects: {error}") from None


def _record_problems(fields: Fields) -> Problems:
    found: Problems = {}
    message = _value(fields, "message")
    if not isinstance(message, str):
        found["message"] = ["this field is required" if message is None else "not a text"]
    if "timestamp" in fields:
        reason = _time_problem(_value(fields, "timestamp"))
        if reason:
            found["timestamp"] = [reason]
    return found


def _value(fields: Fields, name: str) -> object:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def _time_problem(value: object) -> str | None:
    try:
        if isinstance(value, str):
            clock.from_text(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            clock.from_number(value)
        else:
            return "not a time"
    except ValueError as error:
        return str(error)
    return None
