"""`| sort n desc, service`: the order of records or of the rows of a result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from lark import Token

from logriver.query.language.text import column_name
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.row_pipes import RowPipes, refused_here
from logriver.query.sql import expression_sql
from logriver.query.sql.table import Table, order_of


@dataclass(frozen=True, slots=True)
class Sort(Pipe):
    """Fields or columns, each with whether it falls."""

    keys: tuple[tuple[str, bool], ...]

    keyword = "sort"
    example = "| sort n desc"
    rule = "_BY? sort_key (_COMMA sort_key)*"
    elsewhere = (("order", "sort"),)
    reads_columns = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Any keys."""
        return cls(tuple(parts))

    def text(self) -> str:
        """The keys, with `desc` where they fall."""
        return f"sort {', '.join(column_name(name) + (' desc' if falls else '') for name, falls in self.keys)}"

    def on_rows(self, rows: RowPipes) -> RowPipes:
        """The order of the records that are found; which are given back depends on it, so it comes before `limit`."""
        if rows.sort or rows.limit is not None:
            raise refused_here(self.keyword)
        return replace(rows, sort=self.keys)

    def on_table(self, table: Table) -> Table:
        """The same rows; where they are equal, in the order that they had."""
        columns = [(expression_sql.column(name, table.columns), falls) for name, falls in self.keys]
        order = [key for value, falls in columns for key in order_of(value, falls)]
        return replace(table, order=(*order, *table.order))
