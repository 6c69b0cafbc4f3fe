"""A tree to its canonical text; parsing it gives the same tree. Pages, hints and `/api/v1/explain` show it."""

import re

from logriver.query.tree import OPERATORS, PLAIN_NAME, And, Everything, Field, Not, Or, Query, Text

_PLAIN_VALUE = re.compile(r"\w[\w.]*")


def to_text(query: Query) -> str:
    """The canonical text of `query`; parsing it gives the same tree."""
    match query:
        case Everything():
            return "*"
        case Text(text):
            return _value(text)
        case Field(name, value):
            return f"{_name(name)}:{_value(value)}"
        case Not(of):
            return f"NOT {_grouped(of)}"
        case And(parts):
            return " ".join(map(_grouped, parts))
        case Or(parts):
            return " OR ".join(map(_grouped, parts))
        case _:
            raise NotImplementedError


def _grouped(query: Query) -> str:
    text = to_text(query)
    return f"({text})" if isinstance(query, And | Or) else text


def _name(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def _value(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value) and value not in OPERATORS:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
