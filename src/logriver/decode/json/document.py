"""One JSON object to one row, by the record mapping.

This defines what becomes of a record: `lines.py` does the same to whole slices and comes here with every record that is
not plain.
"""

from typing import Any

import msgspec

from logriver import clock
from logriver.columns import ALIASES
from logriver.decode.record_mapping import DOTTED, NUMBERS_TOO, OUTER, PLACES, Scalar, levels, mapped
from logriver.decode.row_builder import line
from logriver.decode.time.cache import TimeCache

Fields = dict[str, msgspec.Raw]

_decode_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode
_decode_text_or_number = msgspec.json.Decoder(Scalar).decode

# A row's values are a list in the order of `DECODED_COLUMNS`, None where the record has none.
_TIME, _LEVEL, _ATTRIBUTES = PLACES["timestamp"], PLACES["level"], PLACES["attributes"]
_SENT_LEVEL, _OFFSET = PLACES["_level"], PLACES["_offset"]
_NOTHING: list[Any] = [None] * len(PLACES)

# Each alias with the place of its value and what reads it, or raises `ValidationError` where it does not map.
_ALIASES = {
    alias: (PLACES[column], _decode_text_or_number if column in NUMBERS_TOO else _decode_text)
    for alias, column in ALIASES.items()
}


def fields_of(record: bytes) -> Fields:
    """The top-level fields of a record, their values as they came; the last of equal keys.

    Raises `ValueError` with the reason if it is not a JSON object.
    """
    try:
        return _decode_fields(record)
    except msgspec.ValidationError:
        raise ValueError("not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ValueError(f"not JSON: {reason[:1].lower()}{reason[1:]}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def row_of(fields: Fields, times: TimeCache, now_ns: int, *, offset: int = 0, followed: bool = False) -> str:
    """The row of a record; `fields` loses what became columns.

    A record without a time gets `now_ns`. A time that cannot be stored raises `ValueError`, except in followed files,
    where nobody could be told: there it becomes the time of reading and the original stays a field.
    """
    values = _NOTHING.copy()
    time_alias = _take(fields, values)
    time = values[_TIME]
    try:
        values[_TIME] = times.digits_of(time, now_ns) if isinstance(time, str) else _digits(time, now_ns)
    except ValueError:
        if not followed:
            raise
        values[_TIME] = str(now_ns)
        fields[time_alias] = msgspec.Raw(_encode(time))
    if values[_LEVEL] is not None:
        values[_LEVEL], values[_SENT_LEVEL] = levels(values[_LEVEL])
    values[_ATTRIBUTES] = _encode(fields).decode()
    values[_OFFSET] = str(offset)
    return line([value or "" for value in values])


def _take(fields: Fields, values: list[Any]) -> str:
    """Move values from `fields` to their places, copy those that were nested; the alias of the time, if there is one.

    The first alias that has a value for a column wins.
    """
    time_alias = ""
    for alias in mapped(fields):
        place, decode = _ALIASES[alias]
        if values[place] is None:
            try:
                values[place] = decode(fields[alias])
            except msgspec.ValidationError:
                continue
            del fields[alias]
            if place == _TIME:
                time_alias = alias
    if not OUTER.isdisjoint(fields):
        _copy_nested(fields, values)
    return time_alias


def _copy_nested(fields: Fields, values: list[Any]) -> None:
    for alias, outer, inner in DOTTED:
        place, decode = _ALIASES[alias]
        if values[place] is None and alias not in fields and outer in fields:
            try:
                nested = _decode_fields(fields[outer])
                values[place] = decode(nested[inner]) if inner in nested else None
            except msgspec.ValidationError:
                continue


def _digits(number: int | float | None, now_ns: int) -> str:
    return str(now_ns if number is None else clock.from_number(number))
