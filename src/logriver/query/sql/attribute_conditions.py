"""Fields without a column of the table: read out of `attributes`, or from the columns that were computed of them.

Reading JSON costs much more than looking for bytes. So where a field is not materialized, a condition begins with what
the bytes must hold: the key and the value stand in the text as they are, unless the text holds escapes.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from logriver.columns import NUMBER, attribute_key, attribute_number, attribute_text
from logriver.query.sql import attribute_sql, escaping
from logriver.query.sql.binding import Condition

Read = Callable[[str, Callable[[str], str]], str]

_EXACT_FLOATS = 2**53
# What the engine's whole numbers surely hold.
_LONGEST = 1e38
_ESCAPES = "position(attributes, '\\\\') > 0"
# What follows a key, or begins an element, when a number is written with a point or an exponent, or is in quotes so.
_POINTED = r'\s*"?-?[0-9]+[.eE]'
# What stands between a key and its value, or an element of it; a text that is a list counts as one.
_TO_VALUE = r'\s*:(?:\s*"?\[(?:(?s:.*)[\[,])?)?'
# What the engine's text has only where the sent text has it too: numbers and spaces it writes in its own way.
_KEPT = re.compile(r"(?=.*[A-DF-Za-df-z_])[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """SQL of a field's text and number, NULL where it has none.

    If it is not materialized, they are of a name that `attribute_sql.once` gives to what is read, and `maybe` is SQL
    that must be true where the field is there.
    """

    key: str
    text: str
    number: str
    maybe: str = ""

    @property
    def materialized(self) -> bool:
        """Whether it has columns."""
        return not self.maybe


def attribute(name: str, made: Condition) -> Attribute:
    """How the field `name` is read."""
    key = attribute_key(name)
    columns = made.columns_of(key)
    if columns:
        return Attribute(key, *columns)
    maybe = f"(position(attributes, {made.bind(_end(key))}) > 0 OR {_ESCAPES})"
    return Attribute(key, "text", attribute_number("text"), maybe)


def equals(name: str, value: str, made: Condition) -> str:
    """The engine's text of the field, or an element of the list that it is, is the value or the same number."""
    field = attribute(name, made)
    same = is_value(field.text, field.number, value, made)
    same = _or_element(field, same, is_value("element", attribute_number("element"), value, made))
    if field.materialized:
        return guarded("", same)
    maybe = maybe_value(value, made, escaping.regex(_end(field.key)) + _TO_VALUE) or field.maybe
    # Few are left to be read, so the reading that takes least to plan is best.
    return f"{maybe} AND {attribute_sql.once(guarded('', same), field.text, attribute_text(field.key, made.bind))}"


def part(name: str, pieces: tuple[str, ...], made: Condition) -> str:
    """The whole value, or an element of the list that it is, is `pieces` with anything between them."""
    field = attribute(name, made)
    kept = [] if field.materialized else [piece for piece in pieces if _KEPT.fullmatch(piece)]
    is_like = f"LIKE {made.bind('%'.join(map(escaping.like, pieces)))}"
    found = _where(field, _or_element(field, f"{field.text} {is_like}", f"element {is_like}"), made)
    return f"(position(attributes, {made.bind(max(kept, key=len))}) > 0 OR {_ESCAPES}) AND {found}" if kept else found


def exists(name: str, made: Condition) -> str:
    """The field is there, not null and not an empty text."""
    field = attribute(name, made)
    return _where(field, f"{field.text} != ''", made)


def compare(name: str, bounds: list[tuple[str, str]], made: Condition) -> str:
    """Each operator with its value holds: as numbers where all values are numbers, else as texts."""
    field = attribute(name, made)
    if not all(is_number(value) for _, value in bounds):
        checks = [f"{field.text} {operator} {made.bind(value)}" for operator, value in bounds]
        return _where(field, " AND ".join(checks), made)
    checks = [_is_number_so(field, operator, value, made) for operator, value in bounds]
    as_floats = all(long_whole(value) is None for _, value in bounds)
    return _where(field, " AND ".join(checks), made, attribute_sql.number_text if as_floats else attribute_sql.text)


def _is_number_so(field: Attribute, operator: str, value: str, made: Condition) -> str:
    as_floats = f"{field.number} {operator} {made.bind(float(value), 'Float64')}"
    whole = long_whole(value)
    if whole is None:
        return as_floats
    # What is written as a whole number is compared as that, digit by digit; what is no number is none here too.
    as_wholes = f"toInt128OrNull({field.text}) {operator} {made.bind(whole, 'Int128')}"
    return f"isNotNull({field.number}) AND ifNull({as_wholes}, {as_floats})"


def regex(name: str, pattern: str, made: Condition) -> str:
    """`pattern` (SQL) matches anywhere in the value, or in an element of the list that it is."""
    field = attribute(name, made)
    return _where(field, _or_element(field, f"match({field.text}, {pattern})", f"match(element, {pattern})"), made)


def _or_element(field: Attribute, check: str, of_element: str) -> str:
    """The check of the field's text, or that of an `element`, where the text is a JSON array.

    Nearly no text is one. To find that out in this form costs a materialized field a third more than the check alone,
    with OR instead of its bits, or where the text may be NULL, twice as much.
    """
    text = f"assumeNotNull({field.text})"
    in_list = f"arrayExists(element -> ifNull({of_element}, 0), {attribute_sql.elements(text)})"
    return f"bitOr(ifNull({check}, 0), startsWith({text}, '[') AND {in_list})"


def _where(field: Attribute, check: str, made: Condition, read: Read = attribute_sql.text) -> str:
    if field.materialized:
        return guarded("", check)
    of_text = attribute_sql.once(guarded("", check), field.text, read(field.key, made.bind))
    # What is read mentions the document often too.
    return f"{field.maybe} AND {attribute_sql.once(of_text, 'attributes', 'attributes')}"


def is_value(text: str, number_of_text: str, value: str, made: Condition) -> str:
    """SQL: the text is the value or, where the value is a number, its number is."""
    is_text = f"{text} = {made.bind(value)}"
    number = exact_number(value)
    whole = long_whole(value)
    if whole is not None and str(whole) != value:
        is_text = f"{is_text} OR {text} = {made.bind(str(whole))}"
    return is_text if number is None else f"{is_text} OR {number_of_text} = {made.bind(number, 'Float64')}"


def maybe_value(value: str, made: Condition, before_number: str) -> str:
    """SQL that is true of every `attributes` with such a value; empty where there is none.

    `before_number` is an RE2 pattern of what stands before the number that a field is.
    """
    if value[:1] in ("[", "{"):
        return ""
    if not is_number(value):
        return f"(position(attributes, {made.bind(value)}) > 0 OR {_ESCAPES})"
    number = exact_number(value)
    if number is None:
        return ""
    # An integer is written with its digits, or with a point or an exponent.
    maybe = [f"match(attributes, {made.bind(before_number + _POINTED)})", _ESCAPES]
    if number.is_integer():
        maybe.insert(0, f"position(attributes, {made.bind(str(abs(int(number))))}) > 0")
    return f"({' OR '.join(maybe)})"


def guarded(maybe: str, check: str) -> str:
    """A check that may be NULL, made only where `maybe`, as 1 or 0."""
    return f"{maybe} AND ifNull({check}, 0)" if maybe else f"ifNull({check}, 0)"


def is_number(value: str) -> bool:
    """Whether `value` is a number in JSON's grammar."""
    return re.fullmatch(NUMBER, value) is not None


def is_finite(value: str) -> bool:
    """Whether `value` is a number that a float can hold, rounded."""
    return is_number(value) and math.isfinite(float(value))


def _end(key: str) -> str:
    """What the key ends with in the text, be it the literal key `a.b` or the last one of the path: `b"`."""
    return key.rpartition(".")[2] + '"'


def long_whole(value: str) -> int | None:
    """The whole number that `value` is, if a float may not be exactly that; None for others, and those too long."""
    if not is_finite(value) or not _EXACT_FLOATS <= abs(float(value)) < _LONGEST:
        return None
    number = Decimal(value)
    whole = int(number)
    return whole if whole == number else None


def exact_number(value: str) -> float | None:
    """The number that `value` is, unless a float would not be exactly that."""
    if not is_number(value):
        return None
    number = float(value)
    return number if abs(number) < _EXACT_FLOATS else None
