"""SQL for the value of a field of a record, for everything that counts, groups or sorts by it."""

from dataclasses import dataclass
from typing import Literal

from logriver.columns import ALIASES, COLUMNS, MAX_NAME_LENGTH, WORD, attribute_key, attribute_number, literal
from logriver.errors import BadQuery
from logriver.levels import LEVELS
from logriver.query.sql import attribute_sql
from logriver.query.sql.binding import Condition

Kind = Literal["text", "number", "time"]

_TYPES = {column.name: column.type for column in COLUMNS if column.name != "attributes"}


@dataclass(frozen=True, slots=True)
class Value:
    """SQL for a value and what it is; NULL where the record has none.

    `empty_is_none`: the column holds the empty text where the record has none; grouping by the column as it is costs
    less, so the turning into NULL is left for the few rows that come out. `is_level`: it has an order by severity.
    """

    sql: str
    kind: Kind = "text"
    empty_is_none: bool = False
    is_level: bool = False
    number_sql: str = ""

    @property
    def nullable(self) -> str:
        """SQL that is NULL where there is no value."""
        return f"nullIf({self.sql}, '')" if self.empty_is_none else self.sql

    @property
    def text(self) -> str:
        """SQL for the value as text, NULL where there is none."""
        return self.nullable if self.kind == "text" else f"toString({self.sql})"

    @property
    def severity(self) -> str:
        """SQL for the place of a level in the order of severity, from 1; NULL for what is none."""
        return f"nullIf(indexOf([{', '.join(map(literal, LEVELS))}], {self.sql}), 0)"

    @property
    def number(self) -> str:
        """SQL for the number that the value wholly is, NULL where it is none. Not for times."""
        if self.kind == "number":
            return f"toFloat64({self.sql})"
        return self.number_sql or attribute_number(f"toString({self.sql})")


def value(name: str, made: Condition) -> Value:
    """The value of the field `name`: a column, an alias or a path, of a column of its own where it is materialized.

    Raises `BadQuery` for a name that is too long.
    """
    if len(name) > MAX_NAME_LENGTH:
        raise BadQuery(f"a field's name has at most {MAX_NAME_LENGTH} characters, not {len(name)}")
    column = ALIASES.get(name, name)
    if column == "_id":
        return Value("concat(_node, '-', toString(_seq))")
    column_type = _TYPES.get(column)
    if column_type is None:
        return _attribute(name, made)
    if column_type.startswith("DateTime64"):
        return Value(column, "time")
    if column_type.startswith("UInt"):
        return Value(column, "number")
    return Value(column, empty_is_none=True, is_level=column == "level")


def each_value(name: str, text: str) -> str:
    """SQL for what a search finds the field `name` by, a row for each: its `text`, of a list the elements."""
    column = ALIASES.get(name, name)
    is_column = column in _TYPES or column == "_id"
    return text if is_column else f"arrayJoin({attribute_sql.values(text)})"


def has_few_values(name: str) -> bool:
    """Whether the field `name` is a column that holds few different values."""
    return _TYPES.get(ALIASES.get(name, name)) == WORD


def _attribute(name: str, made: Condition) -> Value:
    key = attribute_key(name)
    columns = made.columns_of(key)
    if columns is None:
        return Value(attribute_sql.text(key, made.bind), number_sql=attribute_sql.number(key, made.bind))
    text, number = columns
    return Value(text, number_sql=number)
