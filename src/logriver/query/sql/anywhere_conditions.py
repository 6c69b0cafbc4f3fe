"""`*:value`: a value of any field, at any depth. Read off the JSON text itself, because its keys are not known."""

from logriver.columns import attribute_number, literal
from logriver.levels import level_of
from logriver.query.sql.attribute_conditions import guarded, is_number, is_value, maybe_value
from logriver.query.sql.binding import Condition

_COLUMNS = ("_level", "service", "host", "trace_id", "span_id", "_source")
# The strings of a JSON text, keys with their colon, and its numbers and words. A string is read as a whole from its
# first quote, so nothing inside of one is taken for a value.
_TOKENS = r'"(?:[^"\\]|\\.)*"\s*:?|[^\s",:{}\[\]]+'
_ELEMENT = r"[:\[,]"


def in_fields(value: str, made: Condition) -> str:
    """SQL: some field but the message has this whole value (not an object or array)."""
    # What is empty is no value. Not by the meaning of numbers: whoever looks for 50 does not mean all errors.
    level = value if is_number(value) else level_of(value)
    columns = [f"level = {made.bind(level)}"] if level else []
    columns += [f"{column} = {made.bind(value)}" for column in _COLUMNS if value]
    return " OR ".join([*columns, f"({_in_attributes(value, made)})"])


def _in_attributes(value: str, made: Condition) -> str:
    text = "JSONExtract(token, 'Nullable(String)')"
    same = guarded("NOT endsWith(token, ':')", is_value(text, attribute_number(text), value, made))
    found = f"arrayExists(token -> {same}, extractAll(attributes, {literal(_TOKENS)}))"
    return guarded(maybe_value(value, made, _ELEMENT), found)
