"""`| dedup service, level`, a pipe that the tests add; importing this registers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.query.language.text import column_name
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.registry import PIPES
from logriver.query.sql.table import Table


@dataclass(frozen=True, slots=True)
class Dedup(Pipe):
    """The first row of each combination of values."""

    names: tuple[str, ...]

    keyword = "dedup"
    example = "| dedup service"
    rule = "NAME (_COMMA NAME)*"
    elsewhere = (("distinct", "dedup"),)
    needs_table = True
    reads_columns = True

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        return cls(tuple(name.value for name in parts))

    def text(self) -> str:
        return f"dedup {', '.join(map(column_name, self.names))}"

    def on_table(self, table: Table) -> Table:
        columns = ", ".join(table.value(name).sql for name in self.names)
        return table.around(f"SELECT * FROM {table.sql}{table.ordered()} LIMIT 1 BY {columns}")


PIPES[Dedup.keyword] = Dedup
