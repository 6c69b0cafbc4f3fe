"""How a user's SQL is read and written: ClickHouse's grammar, with nothing interpreted.

sqlglot knows many functions by their meaning and writes them its own way, to translate between engines. Nothing is
translated here, so functions stay names with arguments. What is written is never the text that came: strings are
escaped anew, and every name that the user chose stands in backticks, where no keyword hides.
"""

from collections.abc import Callable
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.clickhouse import ClickHouse
from sqlglot.errors import SqlglotError
from sqlglot.generators.clickhouse import ClickHouseGenerator
from sqlglot.parsers.clickhouse import ClickHouseParser

from logriver.columns import literal

UNREADABLE = (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, IndexError, KeyError)
"""What reading and writing raise: nonsense meets whatever the parser's code stumbles over."""

_Readers = dict[str, Callable[[ClickHouseParser], exp.Expr | None]]


class _Parser(ClickHouseParser):
    """Takes every call for one of an unknown function."""

    FUNCTIONS: ClassVar = {}
    FUNCTION_PARSERS: ClassVar[_Readers] = {"CAST": lambda self: self._parse_cast(True)}
    NO_PAREN_FUNCTIONS: ClassVar = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar[_Readers] = {"CASE": lambda self: self._parse_case()}

    @classmethod
    def _resolve_clickhouse_agg(cls, name: str) -> tuple[str, tuple[str, ...]]:
        """Any function may have parameters before its arguments: `quantile(0.9)(x)`."""
        return name, ()


class _Generator(ClickHouseGenerator):
    """Writes values and names."""

    def literal_sql(self, expression: exp.Literal) -> str:
        """A string in the engine's escapes; a number as it came."""
        return literal(expression.name) if expression.is_string else expression.name

    def identifier_sql(self, expression: exp.Identifier) -> str:
        """A name in backticks; `syntax.py` has refused what would need an escape in them."""
        return f"`{expression.name}`"


class UserDialect(ClickHouse):
    """The dialect of `statement.py`."""

    NORMALIZE_FUNCTIONS = False
    INDEX_OFFSET = 0
    Parser = _Parser
    Generator = _Generator
