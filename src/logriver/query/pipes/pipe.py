"""What a pipe (operator) is: a frozen dataclass of what it was given, with all that the language has to know of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from lark import Token

from logriver.errors import BadQuery
from logriver.query.pipes.row_pipes import RowPipes
from logriver.query.sql.table import STATISTIC_HINT, Table


class Pipe(ABC):
    """One step of a query. Works on records (`on_rows`), on a table (`on_table`) or on both; by default none."""

    __slots__ = ()

    keyword: ClassVar[str]
    """Its name behind `|`: lower-case letters."""
    example: ClassVar[str]
    """Shown in completions and errors, with the `|`."""
    rule: ClassVar[str]
    """The right side of its rule in the grammar, without the keyword: tokens and phrases of `grammar.lark`."""
    elsewhere: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Names of other languages for it, and how they are written here."""

    makes_table: ClassVar[bool] = False
    """It turns records into a table; a statistic begins with such a pipe."""
    needs_table: ClassVar[bool] = False
    """It has a meaning behind a pipe that makes a table only."""
    reads_columns: ClassVar[bool] = False
    """Behind a pipe that makes a table, the names in it are columns of that; otherwise they are fields of records."""
    begins_with_new_name: ClassVar[bool] = False
    """The first name in it is made up, so there is nothing to complete."""

    @classmethod
    @abstractmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """The pipe of what `rule` matched, in order; None stands for what is optional and absent.

        Raises `BadQuery` for what the grammar allows and nobody can mean.
        """

    @abstractmethod
    def text(self) -> str:
        """The canonical text, without the `|`; parsing it gives the same pipe."""

    def on_rows(self, rows: RowPipes) -> RowPipes:
        """What is made of records, beside what the pipes before made of them. Raises `BadQuery`."""
        raise BadQuery(f"the pipe {self.keyword!r} gives no records", hint="ask /api/v1/stats or /api/v1/patterns")

    def on_table(self, table: Table) -> Table:
        """What is made of a table, or of the records where it `makes_table`. Raises `BadQuery`."""
        raise BadQuery(f"the pipe {self.keyword!r} has no place in statistics", hint=STATISTIC_HINT)

    def columns(self, before: tuple[str, ...]) -> tuple[str, ...]:
        """The columns of the result, by those of the result before; none are those of records."""
        return before

    def record_fields(self) -> tuple[str, ...]:
        """The fields of records that its figures are about."""
        return ()

    def exact_bytes(self) -> int:
        """What a query needs for each record that is looked at, for the figures to be exact."""
        return 0
