"""What the pipes of a search make of its rows: their order, how many, and which fields are given back."""

from dataclasses import dataclass

from logriver.errors import BadQuery
from logriver.query.language.tree import Fields, Limit, Pipe, Search, Sort, Where
from logriver.query.sql.conditions import Condition
from logriver.query.sql.field_sql import value

_DIRECTIONS = {False: "ASC", True: "DESC"}


@dataclass(frozen=True, slots=True)
class Shape:
    """`sort` has fields with whether they fall, empty is by time; `limit` None is all rows, no `fields` are all."""

    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    fields: tuple[str, ...] = ()


def shape_of(search: Search) -> Shape:
    """The shape that pipes give. Raises `BadQuery` for those that make no rows of records."""
    shape = Shape()
    for number, pipe in enumerate(search.pipes):
        with search.at_pipe(number):
            shape = _with(pipe, shape)
    return shape


def _with(pipe: Pipe, shape: Shape) -> Shape:
    match pipe:
        case Sort(keys) if not shape.sort and shape.limit is None:
            return Shape(keys, shape.limit, shape.fields)
        case Limit(count):
            return Shape(shape.sort, count if shape.limit is None else min(count, shape.limit), shape.fields)
        case Fields(names) if not shape.fields:
            return Shape(shape.sort, shape.limit, tuple(dict.fromkeys(names)))
    raise _refused(pipe)


def fields_of(search: Search, call: str) -> tuple[str, ...]:
    """The fields that pipes choose, for a `call` that knows no other pipe. Raises `BadQuery`."""
    for number, pipe in enumerate(search.pipes):
        if isinstance(pipe, Sort | Limit):
            with search.at_pipe(number):
                raise BadQuery(f"{call} takes no pipe but 'fields'")
    return shape_of(search).fields


def order_by(shape: Shape, order: str, made: Condition) -> str:
    """SQL of the order of rows: by the shape's fields, records without them last, and by time where those are equal.

    Of a field without a column numbers are sorted as numbers, before texts; levels are by severity, before others.
    Sorted by time, records of equal times are as they arrived, or the other way round with the times.
    """
    keys = []
    for name, falls in shape.sort:
        field = value(name, made)
        if field.sql == "timestamp":
            order = _DIRECTIONS[falls]
        is_attribute = field.kind == "text" and not field.empty_is_none
        if field.is_level:
            expressions = [field.severity, field.nullable]
        else:
            expressions = [field.number, field.sql] if is_attribute else [field.nullable]
        keys += [f"{expression} {_DIRECTIONS[falls]} NULLS LAST" for expression in expressions]
    keys += [f"{key} {order}" for key in ("timestamp", "_node", "_seq")]
    return ", ".join(keys)


def _refused(pipe: Pipe) -> BadQuery:
    name = type(pipe).__name__.lower()
    if isinstance(pipe, Sort | Fields):
        return BadQuery(f"the pipe {name!r} may come once, and 'sort' before 'limit'")
    if isinstance(pipe, Where):
        hint = "conditions on records stand before the pipes, as in `status:>=500 | limit 10`"
    else:
        hint = "ask /api/v1/stats or /api/v1/patterns"
    return BadQuery(f"the pipe {name!r} gives no records", hint=hint)
