"""`| eval share = 100 * ok / n`: one more column of a result, or another value of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.query.language.text import column_name, expression_text
from logriver.query.language.tree import Expression
from logriver.query.pipes.pipe import Pipe
from logriver.query.sql import expression_sql
from logriver.query.sql.field_sql import Value
from logriver.query.sql.table import Table


@dataclass(frozen=True, slots=True)
class Eval(Pipe):
    """`value` is a sum over the columns of the result before."""

    name: str
    value: Expression

    keyword = "eval"
    example = "| eval share = 100 * ok / n"
    rule = "NAME EQUALS sum"
    needs_table = True
    reads_columns = True
    begins_with_new_name = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Any name, any sum."""
        name, _equals, value = parts
        return cls(name.value, value)

    def text(self) -> str:
        """The name and what it is."""
        return f"eval {column_name(self.name)} = {expression_text(self.value)}"

    def on_table(self, table: Table) -> Table:
        """The table with the column, in the same order."""
        value = expression_sql.value(self.value, table.columns, table.made)
        alias = table.alias()
        columns = {**table.columns, self.name: Value(alias, value.kind, is_level=value.is_level)}
        return table.result(f"SELECT *, {value.sql} AS {alias} FROM {table.sql}", columns, table.order)

    def columns(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the result before, with this one."""
        return (*before, self.name)
