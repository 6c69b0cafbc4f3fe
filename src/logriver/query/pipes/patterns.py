"""`| patterns`: templates of the messages that are found, the most frequent first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lark import Token

from logriver.columns import TABLE
from logriver.errors import BadQuery
from logriver.query.language.tree import Search
from logriver.query.pipes.limit import Limit
from logriver.query.pipes.pipe import Pipe
from logriver.query.sql import templates
from logriver.query.sql.binding import Condition

_MAX_GROUPS = 100_000
_MAX_TEMPLATES = 2_000


@dataclass(frozen=True, slots=True)
class Patterns(Pipe):
    """Neither records nor a table: `search/patterns.py` joins the templates that the engine finds."""

    keyword = "patterns"
    example = "| patterns"
    rule = ""

    @classmethod
    def parsed(cls, keyword: Token, parts: Sequence[Any]) -> Self:
        """There is nothing to say."""
        return cls()

    def text(self) -> str:
        """The keyword."""
        return self.keyword


def pattern_limit(search: Search, limit: int) -> int:
    """How many patterns a search asks for, at most `limit`. Raises `BadQuery` for pipes that are out of place there."""
    match search.pipes:
        case () | (Patterns(),):
            return limit
        case (Patterns(), Limit(count)):
            return min(count, limit)
    belong = [isinstance(pipe, kind) for pipe, kind in zip(search.pipes, (Patterns, Limit), strict=False)]
    with search.at_pipe([*belong, False].index(False)):
        raise BadQuery("beside 'patterns' only 'limit' has a place here", hint="such as: error | patterns | limit 10")


def pattern_select(condition: Condition, sample: str) -> str:
    """The SELECT of templates, counts, the times of the first and the last record (ns), and a line, by how frequent.

    `sample` is a condition more on the records that are looked at, or empty.
    """
    narrowed = f" AND {sample}" if sample else ""
    sql = (
        f"SELECT {templates.template(condition.bind)} AS template, count() AS records, "
        f"toUnixTimestamp64Nano(min(timestamp)), toUnixTimestamp64Nano(max(timestamp)), "
        f"any({templates.first_line()}) FROM {TABLE} WHERE {condition.sql}{narrowed} AND message != '' "
        f"GROUP BY template ORDER BY records DESC, template LIMIT {_MAX_TEMPLATES} "
        f"SETTINGS max_rows_to_group_by = {_MAX_GROUPS}, group_by_overflow_mode = 'any'"
    )
    return f"SELECT * FROM ({sql})"
