"""What pipes make of records: their order, how many, and which fields are given back."""

from dataclasses import dataclass

from logriver.errors import BadQuery
from logriver.query.language.tree import Search
from logriver.query.sql.binding import Condition
from logriver.query.sql.field_sql import value

_DIRECTIONS = {False: "ASC", True: "DESC"}


@dataclass(frozen=True, slots=True)
class RowPipes:
    """`sort` has fields with whether they fall, empty is by time; `limit` None is all rows, no `fields` are all."""

    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    fields: tuple[str, ...] = ()


def row_pipes(search: Search) -> RowPipes:
    """What the pipes of a search make of its records. Raises `BadQuery` for those that give no records."""
    rows = RowPipes()
    for number, pipe in enumerate(search.pipes):
        with search.at_pipe(number):
            rows = pipe.on_rows(rows)
    return rows


def chosen_fields(search: Search, call: str) -> tuple[str, ...]:
    """The fields that pipes choose, for a `call` that knows no other pipe. Raises `BadQuery`."""
    for number, pipe in enumerate(search.pipes):
        if pipe.keyword in ("sort", "limit"):
            with search.at_pipe(number):
                raise BadQuery(f"{call} takes no pipe but 'fields'")
    return row_pipes(search).fields


def order_by(rows: RowPipes, order: str, made: Condition) -> str:
    """SQL of the order of rows: by the sorted fields, records without them last, and by time where those are equal.

    Of a field without a column numbers are sorted as numbers, before texts; levels are by severity, before others.
    Sorted by time, records of equal times are as they arrived, or the other way round with the times.
    """
    keys = []
    for name, falls in rows.sort:
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


def refused_here(keyword: str) -> BadQuery:
    """For a pipe that comes twice or too late."""
    return BadQuery(f"the pipe {keyword!r} may come once, and 'sort' before 'limit'")
