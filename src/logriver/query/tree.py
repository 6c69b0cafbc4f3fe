"""What a search text means: a frozen tree, and the canonical text that parses back to the same tree."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Everything:
    """Every record."""


@dataclass(frozen=True, slots=True)
class Text:
    """The words of `text`, in order, in the message; where there is no word in it, `text` itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A column, an alias or a path into the other fields that has exactly this value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Not:
    """What does not match."""

    of: "Query"


@dataclass(frozen=True, slots=True)
class And:
    """All of them; at least two, none of them an `And`."""

    all: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them; at least two, none of them an `Or`."""

    any: tuple["Query", ...]


Query = Everything | Text | Field | Not | And | Or

PLAIN_NAME = re.compile(r"[A-Za-z_@][\w.@]*")
"""A field name that needs no backticks."""
OPERATORS = frozenset({"AND", "OR", "NOT"})

_PLAIN_VALUE = re.compile(r"\w[\w.]*")


def conjunction(parts: list[Query]) -> Query:
    """All of `parts` as one query, flat."""
    flat = [inner for part in parts for inner in (part.all if isinstance(part, And) else (part,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(parts: list[Query]) -> Query:
    """Any of `parts` as one query, flat."""
    flat = [inner for part in parts for inner in (part.any if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


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


def _grouped(query: Query) -> str:
    text = to_text(query)
    return f"({text})" if isinstance(query, And | Or) else text


def _name(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def _value(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value) and value not in OPERATORS:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
