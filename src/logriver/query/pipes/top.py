"""`| top 10 resourceId`: the most frequent values with their counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.query.language.text import column_name
from logriver.query.language.tree import Aggregate
from logriver.query.pipes.limit import Limit, count_of
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.stats import Stats
from logriver.query.sql.table import Table

_DEFAULT_COUNT = 10


@dataclass(frozen=True, slots=True)
class Top(Pipe):
    """The result's columns are the field and `count`."""

    count: int
    field: str

    keyword = "top"
    example = "| top 10 resourceId"
    rule = "[NUMBER] NAME"
    elsewhere = (("uniq", "top"),)
    makes_table = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Ten where no number is given."""
        count, field = parts
        return cls(count_of(count) if count else _DEFAULT_COUNT, field.value)

    def text(self) -> str:
        """How many, of which field."""
        return f"top {self.count} {column_name(self.field)}"

    def on_table(self, table: Table) -> Table:
        """The same as `| stats count() as count by field | limit n`."""
        counted = Stats((Aggregate("count", None, None, "count"),), (self.field,))
        return Limit(self.count).on_table(counted.on_table(table))

    def columns(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """The field, and how often it has a value."""
        return (self.field, "count")

    def record_fields(self) -> tuple[str, ...]:
        """The field that is counted."""
        return (self.field,)
