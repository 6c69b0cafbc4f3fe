"""`| limit 50`: the first records, or the first rows of a result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from lark import Token

from logriver.errors import BadQuery
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.row_pipes import RowPipes
from logriver.query.sql.table import Table

MAX_COUNT = 1_000_000
"""Of `limit` and `top`; a call may have a lower limit of its own."""


@dataclass(frozen=True, slots=True)
class Limit(Pipe):
    """At most `count`."""

    count: int

    keyword = "limit"
    example = "| limit 50"
    rule = "NUMBER"
    elsewhere = (("head", "limit"), ("take", "limit"))

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """A whole number."""
        (count,) = parts
        return cls(count_of(count))

    def text(self) -> str:
        """The number."""
        return f"limit {self.count}"

    def on_rows(self, rows: RowPipes) -> RowPipes:
        """The lowest of several counts."""
        return replace(rows, limit=self.count if rows.limit is None else min(self.count, rows.limit))

    def on_table(self, table: Table) -> Table:
        """The first rows in the order of this moment, which they keep."""
        limit = table.made.bind(self.count, "UInt64")
        return table.around(f"SELECT * FROM {table.sql}{table.ordered()} LIMIT {limit}")


def count_of(token: Token) -> int:
    """The count that a number is. Raises `BadQuery` for one that is not from 1 to `MAX_COUNT`."""
    digits = token.value
    if not digits.isdigit() or len(digits) > len(str(MAX_COUNT)) or not 1 <= int(digits) <= MAX_COUNT:
        raise BadQuery(f"expected a whole number from 1 to {MAX_COUNT}, not {digits[:30]!r}", position=token.start_pos)
    return int(digits)
