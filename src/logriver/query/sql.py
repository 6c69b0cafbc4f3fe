"""Tree to SQL: the only place that writes conditions on the log table.

Values are bound parameters (`{p0:String}`). Words go through the text index, which is on `lowerUTF8(message)` with the
tokenizer `splitByNonAlpha`: conditions are on the same expression, and the engine folds the word too, so an answer is
the same where a part has no index.
"""

import re
from dataclasses import dataclass, field

from logriver import clock
from logriver.columns import (
    ALIASES,
    COLUMNS,
    NUMBER,
    attribute_key,
    attribute_number,
    attribute_text,
    level_of,
    promoted_columns,
)
from logriver.errors import BadQuery
from logriver.query import escaping, ids
from logriver.query.tree import And, Everything, Field, Not, Or, Query, Text

_COLUMN_TYPES = {column.name: column.type for column in COLUMNS if column.name != "attributes"}
_FOLDED_MESSAGE = "lowerUTF8(message)"

_EXACT_FLOATS = 2**53


@dataclass(slots=True)
class Condition:
    """SQL for a WHERE with the parameters it names. `promoted` are the keys of fields that have columns."""

    promoted: frozenset[str] = frozenset()
    sql: str = ""
    params: dict[str, str | int | float] = field(default_factory=dict)

    def bind(self, value: str | int | float, type: str = "String") -> str:
        """Bind a value and give the placeholder for it."""
        name = f"p{len(self.params)}"
        self.params[name] = escaping.parameter(value) if isinstance(value, str) else value
        return f"{{{name}:{type}}}"


def condition(query: Query, promoted: frozenset[str] = frozenset()) -> Condition:
    """The condition that `query` is, the same with whatever fields are promoted.

    Raises `BadQuery` for a value that its column cannot have.
    """
    made = Condition(promoted)
    made.sql = _sql(query, made)
    return made


def _sql(query: Query, made: Condition) -> str:
    match query:
        case Everything():
            return "1"
        case Text(text):
            return _words(text, made)
        case Field(name, value):
            return _field(name, value, made)
        case Not(of):
            return f"NOT ({_sql(of, made)})"
        case And(parts):
            return " AND ".join(f"({_sql(part, made)})" for part in parts)
        case Or(parts):
            return " OR ".join(f"({_sql(part, made)})" for part in parts)
        case _:
            raise BadQuery("not supported yet")


def _words(text: str, made: Condition) -> str:
    """The words of `text` in order; a text without one, or with letters beyond ASCII, as a part of the message.

    The index takes a run of letters beyond ASCII for one word, whatever stands between them in a language without
    blanks, so only a part finds them all.
    """
    if not text.isascii():
        pattern = made.bind(f"%{escaping.like(text)}%")
        return f"{_FOLDED_MESSAGE} LIKE lowerUTF8({pattern})"
    words = re.findall(r"[A-Za-z0-9]+", text)
    if not words:
        return f"position(message, {made.bind(text)}) > 0"
    if len(words) == 1:
        return f"hasAllTokens({_FOLDED_MESSAGE}, lowerUTF8({made.bind(words[0])}))"
    return f"hasPhrase({_FOLDED_MESSAGE}, lowerUTF8({made.bind(' '.join(words))}))"


def _field(name: str, value: str, made: Condition) -> str:
    column = ALIASES.get(name, name)
    if column == "message":
        return _words(value, made)
    if column == "level":
        return f"level = {made.bind(level_of(value))} OR _level = {made.bind(value)}"
    if column == "_id":
        return _id(value, made)
    column_type = _COLUMN_TYPES.get(column, "")
    if column_type.startswith("DateTime64"):
        return f"{column} = {_time(name, value, made)}"
    if column_type.startswith("UInt"):
        return f"{column} = {made.bind(int(value), 'UInt64')}" if re.fullmatch(r"[0-9]{1,19}", value) else "0"
    if column_type:
        return f"{column} = {made.bind(value)}"
    return _attribute(name, value, made)


def _id(value: str, made: Condition) -> str:
    found = ids.decode(value)
    if found is None:
        return "0"
    node, seq = found
    return f"_seq = {made.bind(seq, 'UInt64')} AND _node = {made.bind(node)}"


def _time(name: str, value: str, made: Condition) -> str:
    try:
        time_ns = clock.from_text(value)
    except ValueError as error:
        raise BadQuery(f"field {name!r}: {error}") from None
    return f"fromUnixTimestamp64Nano({made.bind(time_ns, 'Int64')}, 'UTC')"


def _attribute(name: str, value: str, made: Condition) -> str:
    """A field without a column: the engine's text of it is the value, or both are the same number."""
    key = attribute_key(name)
    promoted = key in made.promoted
    if promoted:
        text, number_of_text = promoted_columns(key)
    else:
        text = attribute_text(key, made.bind)
        number_of_text = attribute_number(text)
    is_text = f"{text} = {made.bind(value)}"
    number = _number(value)
    if number is not None:
        return f"ifNull({is_text} OR {number_of_text} = {made.bind(number, 'Float64')}, 0)"
    if promoted or value[:1] in ("[", "{") or _is_number(value):
        return f"ifNull({is_text}, 0)"
    # Reading JSON costs much more than looking for bytes. The value stands in the text as it is, unless the text holds
    # escapes (or the value is one that the engine writes in its own way, as above).
    maybe = f"position(attributes, {made.bind(value)}) > 0 OR position(attributes, '\\\\') > 0"
    return f"({maybe}) AND ifNull({is_text}, 0)"


def _number(value: str) -> float | None:
    """The number that `value` is, unless a float would not be exactly that."""
    if not _is_number(value):
        return None
    number = float(value)
    return number if abs(number) < _EXACT_FLOATS else None


def _is_number(value: str) -> bool:
    return re.fullmatch(NUMBER, value) is not None
