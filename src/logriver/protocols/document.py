"""One JSON object to one row: which fields become columns, and what stays an attribute.

This is the definition; `json_lines.py` does the same to whole slices and comes here with every record that is not
plain. Aliases are tried in the order of `columns.py`; only a string maps (for time and level also a number); a dotted
alias is the literal key, else the nested value, which is copied and not removed.
"""

import msgspec

from logriver import clock, columns
from logriver.columns import level_of, level_of_number
from logriver.protocols.rows import row
from logriver.protocols.time_cache import TimeCache

Fields = dict[str, msgspec.Raw]

_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_NUMBER_STARTS = frozenset(b"-0123456789")
_QUOTE, _BRACE = b'"'[0], b"{"[0]
_MAY_BE_NUMBERS = ("timestamp", "level")
_RANK = {alias: rank for rank, alias in enumerate(columns.ALIASES)}
# The aliases that may be nested values; in `columns.py` they are the last of their column.
_DOTTED = tuple((alias, *alias.partition(".")[::2]) for alias in columns.ALIASES if "." in alias)
_OUTER = frozenset(outer for _, outer, _ in _DOTTED)

Scalar = str | int | float


def fields_of(record: bytes) -> Fields:
    """The top-level fields of a record, their values as they came; the last of equal keys.

    Raises `ValueError` with the reason if it is not a JSON object.
    """
    try:
        return _decode_fields(record)
    except msgspec.ValidationError:
        raise ValueError("not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error).removeprefix("JSON is malformed: ")) from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def row_of(fields: Fields, times: TimeCache, now_ns: int, *, offset: int = 0, followed: bool = False) -> str:
    """The row of a record; `fields` loses what became columns.

    A record without a time gets `now_ns`. A time that cannot be stored raises `ValueError`, except in followed files,
    where nobody could be told: there it becomes the time of reading and the original stays a field.
    """
    values = _take(fields)
    time_ns = now_ns
    sent_time = values.pop("timestamp", None)
    if sent_time is not None:
        name, value = sent_time
        try:
            time_ns = times.time_ns(value) if isinstance(value, str) else clock.from_number(value)
        except ValueError:
            if not followed:
                raise
            fields[name] = msgspec.Raw(_encode(value))
    level = sent_level = ""
    if "level" in values:
        level, sent_level = levels(values.pop("level")[1])
    texts = {column: str(value) for column, (_, value) in values.items()}
    attributes = _encode(fields).decode()
    return row(time_ns, level, attributes=attributes, sent_level=sent_level, offset=offset, **{"message": "", **texts})


def levels(sent: Scalar) -> tuple[str, str]:
    """What a sent level means, and its spelling where that is something else (the columns `level` and `_level`)."""
    level = level_of(sent) if isinstance(sent, str) else level_of_number(sent)
    return level, "" if level == sent else str(sent)


def _take(fields: Fields) -> dict[str, tuple[str, Scalar]]:
    """Column to the alias that has a value for it and that value, taken out of `fields` unless it was nested."""
    taken: dict[str, tuple[str, Scalar]] = {}
    for alias in sorted(fields.keys() & _RANK.keys(), key=_RANK.__getitem__):
        column = columns.ALIASES[alias]
        if column not in taken:
            value = _scalar(fields[alias], column)
            if value is not None:
                del fields[alias]
                taken[column] = alias, value
    if not _OUTER.isdisjoint(fields):
        _copy_nested(fields, taken)
    return taken


def _copy_nested(fields: Fields, taken: dict[str, tuple[str, Scalar]]) -> None:
    for alias, outer, inner in _DOTTED:
        column = columns.ALIASES[alias]
        raw = fields.get(outer)
        if column in taken or alias in fields or raw is None or memoryview(raw)[0] != _BRACE:
            continue
        nested = _decode_fields(raw).get(inner)
        value = None if nested is None else _scalar(nested, column)
        if value is not None:
            taken[column] = alias, value


def _scalar(raw: msgspec.Raw, column: str) -> Scalar | None:
    first = memoryview(raw)[0]
    if first == _QUOTE or (first in _NUMBER_STARTS and column in _MAY_BE_NUMBERS):
        value: Scalar = _decode_any(raw)
        return value
    return None
