"""`| where n > 10`: rows of a result that fulfil a condition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.errors import BadQuery
from logriver.query.language.text import expression_text
from logriver.query.language.tree import Expression
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.row_pipes import RowPipes
from logriver.query.sql import expression_sql
from logriver.query.sql.table import Table


@dataclass(frozen=True, slots=True)
class Where(Pipe):
    """`condition` is made of comparisons that are joined by `and`, `or`."""

    condition: Expression

    keyword = "where"
    example = "| where n > 10"
    rule = "condition"
    elsewhere = (("filter", "where"),)
    needs_table = True
    reads_columns = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Any condition that the grammar allows."""
        (condition,) = parts
        return cls(condition)

    def text(self) -> str:
        """The condition."""
        return f"where {expression_text(self.condition)}"

    def on_rows(self, rows: RowPipes) -> RowPipes:
        """Refused: records have conditions of their own."""
        hint = "conditions on records stand before the pipes, as in `status:>=500 | limit 10`"
        raise BadQuery(f"the pipe {self.keyword!r} gives no records", hint=hint)

    def on_table(self, table: Table) -> Table:
        """The rows for which it holds, in the same order."""
        condition = expression_sql.condition(self.condition, table.columns, table.made)
        return table.around(f"SELECT * FROM {table.sql} WHERE {condition}")
