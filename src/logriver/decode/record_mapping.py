"""The record mapping: which of a record's fields become columns, under which names; all others stay attributes.

Every decoder asks here. Names are those of `columns.py`, tried in its order; of a column's the first that has a value
wins, and the others stay attributes. Only a text maps, for time and level also a number. A name with a dot is the
literal key, else the nested value, which is copied and not removed.
"""

from collections.abc import Iterable

from logriver.columns import ALIASES, DECODED_COLUMNS
from logriver.levels import LEVELS, level_of, level_of_number

Scalar = str | int | float

PLACES = {column.name: place for place, column in enumerate(DECODED_COLUMNS)}
"""Where the value of a column stands in a row."""

NUMBERS_TOO = ("timestamp", "level")
"""The columns that a number maps to as well."""

DOTTED = tuple((alias, *alias.partition(".")[::2]) for alias in ALIASES if "." in alias)
"""The names that may be nested values, with the outer and the inner key; in `columns.py` the last of their column."""
OUTER = frozenset(outer for _, outer, _ in DOTTED)

_RANK = {alias: rank for rank, alias in enumerate(ALIASES)}.__getitem__


def mapped(names: Iterable[str]) -> list[str]:
    """Those of a record's names that may bring a column, in the order in which they are tried."""
    return sorted([name for name in names if name in ALIASES], key=_RANK)


def names_of(column: str) -> tuple[str, ...]:
    """The names under which a record may bring a column."""
    return tuple(alias for alias, of in ALIASES.items() if of == column)


def levels(sent: Scalar) -> tuple[str, str]:
    """What a sent level means, and its spelling where that is something else (the columns `level` and `_level`)."""
    if sent in LEVELS:
        return str(sent), ""
    level = level_of(sent) if isinstance(sent, str) else level_of_number(sent)
    return level, "" if level == sent else str(sent)
