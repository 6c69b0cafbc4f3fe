"""`| fields timestamp, message`: only these fields of records are given back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from lark import Token

from logriver.query.language.text import column_name
from logriver.query.pipes.pipe import Pipe
from logriver.query.pipes.row_pipes import RowPipes, refused_here


@dataclass(frozen=True, slots=True)
class Fields(Pipe):
    """Names of fields, in the order in which they are given back."""

    names: tuple[str, ...]

    keyword = "fields"
    example = "| fields timestamp, message"
    rule = "NAME (_COMMA NAME)*"
    elsewhere = (("project", "fields"), ("keep", "fields"))

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """Any names."""
        return cls(tuple(name.value for name in parts))

    def text(self) -> str:
        """The names."""
        return f"fields {', '.join(map(column_name, self.names))}"

    def on_rows(self, rows: RowPipes) -> RowPipes:
        """Each field once."""
        if rows.fields:
            raise refused_here(self.keyword)
        return replace(rows, fields=tuple(dict.fromkeys(self.names)))
