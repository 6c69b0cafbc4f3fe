"""A record outside of the engine, as the conditions of a search text see it."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from logriver import clock
from logriver.columns import ALIASES, NUMBER, attribute_key, ways
from logriver.query.sql.field_conditions import kind_of

_NOTHING = object()
_NUMBER = re.compile(NUMBER)
# From here on the engine writes numbers with an exponent.
_LONG = 1e21
_SHORTEST_EXPONENT = -6
_WHOLE = range(-(2**63), 2**64)
_LONGEST_WHOLE = 20


class Row:
    """One record. `columns` are the columns of text by their names, `attributes` the JSON text of all other fields."""

    def __init__(self, time_ns: int, columns: Mapping[str, str], attributes: str) -> None:
        self.time_ns = time_ns
        self.columns = columns
        self.attributes = attributes

    @property
    def message(self) -> str:
        """Empty where there is none."""
        return self.columns["message"]

    @cached_property
    def folded_message(self) -> str:
        """The message in lower case."""
        return self.message.lower()

    @property
    def sent_level(self) -> str:
        """The level as it was spelled."""
        return self.columns["_level"] or self.columns["level"]

    def attribute(self, name: str) -> str | None:
        """The text of a field without a column, by the first of the `ways` of its name that is there."""
        for way in ways(attribute_key(name)):
            found: Any = self._fields
            for step in way:
                found = found.get(step, _NOTHING) if isinstance(found, dict) else _NOTHING
            if found is not _NOTHING:
                return text_of(found)
        return None

    def texts(self, name: str) -> list[str]:
        """The texts of any field, none where the record does not have it; of a level its meaning and its spelling."""
        column = ALIASES.get(name, name)
        kind = kind_of(column)
        if kind == "attribute":
            text = self.attribute(name)
            return [] if text is None else [text]
        if kind == "level":
            return [self.columns["level"], self.sent_level] if self.columns["level"] else []
        if column == "timestamp":
            return [clock.to_text(self.time_ns)]
        # Of the message alone an empty text is one. What only a stored record has is not there.
        text = self.columns.get(column)
        return [text or ""] if text or column == "message" else []

    def texts_and_elements(self, name: str) -> list[str]:
        """The same, and of a field without a column that is a list the texts of its elements."""
        texts = self.texts(name)
        is_list = kind_of(ALIASES.get(name, name)) == "attribute" and texts and texts[0].startswith("[")
        return texts + _elements(texts[0]) if is_list else texts

    def values(self) -> Iterator[str]:
        """The texts of all fields without a column, at any depth; objects and arrays only by what is in them."""
        waiting: list[Any] = [self._fields]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting += value.values()
            elif isinstance(value, list):
                waiting += value
            elif (text := text_of(value)) is not None:
                yield text

    @cached_property
    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.attributes, object_pairs_hook=_first_of_each)
        return fields


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of keys that are equal the engine reads the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        found |= dict(reversed(pairs))
    return found


def _elements(text: str) -> list[str]:
    """The texts of what is in an array of JSON; none where the text is no such for the engine."""
    try:
        values = json.loads(text, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
        texts = [text_of(value) for value in values]
        found = [text for text in texts if text is not None]
        # Half a surrogate pair is a text for Python alone.
        "".join(found).encode()
    except (ValueError, RecursionError):
        return []
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON's, or beyond a float")
    return number


def _whole(text: str) -> int | str:
    """What the engine's integers do not hold stays as it is written."""
    fits = len(text) <= _LONGEST_WHOLE and int(text) in _WHOLE
    return int(text) if fits else text


def text_of(value: Any) -> str | None:
    """A value of JSON as the engine gives it as text; None for null."""
    return value if value is None or isinstance(value, str) else _json_of(value)


def _json_of(value: Any) -> str:
    """The engine's JSON: that of Python, but for floats."""
    if isinstance(value, dict):
        members = (f"{json.dumps(key, ensure_ascii=False)}:{_json_of(inner)}" for key, inner in value.items())
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json_of, value))}]"
    if isinstance(value, float) or (type(value) is int and value not in _WHOLE):
        return _text_of_float(float(value))
    return json.dumps(value, ensure_ascii=False)


def number_of(text: str | None) -> float | None:
    """The number that a text wholly is, by JSON's grammar; None where it is none, or beyond a float."""
    if text is None or not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if abs(number) != float("inf") else None


def _text_of_float(value: float) -> str:
    """As short as it goes, without an exponent where the number has not many digits without."""
    if value.is_integer() and abs(value) < _LONG:
        return f"{value:.0f}"
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    if _SHORTEST_EXPONENT <= int(exponent) < 0:
        return format(Decimal(repr(value)), "f")
    return f"{mantissa}e{int(exponent)}"
