"""A user's SQL over the records up to the watermark.

What reads SQL is loaded with the first statement: a server without any is spared 10 MB and a tenth of a second.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from logriver.columns import NUMBER
from logriver.errors import BadQuery, QueryTooExpensive, StoreError
from logriver.query.sql import escaping
from logriver.search.scheduler import QueryScheduler
from logriver.search.unknown_fields import UnknownFields
from logriver.store.base import Param, QueryResult
from logriver.watermark import Watermark

if TYPE_CHECKING:
    from logriver.query.usersql.statement import Statement

log = logging.getLogger(__name__)

MAX_ROWS = 100_000
"""Rows of one answer."""
MAX_RESULT_BYTES = 64_000_000

# `readonly` refuses table functions that reach outside, whatever got past the checks before, and changes of settings.
# What does not fit into memory is not spilled to the disk, which belongs to the logs.
_RESTRICTED = ", ".join(
    (
        "readonly = 1",
        "allow_introspection_functions = 0",
        "max_ast_depth = 500",
        "max_ast_elements = 20000",
        "max_expanded_ast_elements = 100000",
        "max_subquery_depth = 50",
        "max_hyperscan_regexp_length = 1000",
        "max_hyperscan_regexp_total_length = 10000",
        "max_bytes_ratio_before_external_group_by = 0",
        "max_bytes_ratio_before_external_sort = 0",
        f"max_result_bytes = {MAX_RESULT_BYTES}",
        "date_time_output_format = 'iso'",
        "output_format_json_validate_utf8 = 1",
    )
)

# The disk, the network, what is damaged and the engine itself (ClickHouse's ErrorCodes.cpp); all other errors are the
# statement's.
_OURS = frozenset({0, 33, 40, 74, 75, 76, 77, 107, 198, 209, 210, 236, 243, 246, 252, 271, 394, 425})
# Types that do not go together, and a text that is no time.
_TIME_HINT = "such a time is written '2023-09-15 08:00:00', in UTC, or made by toDateTime64(text, 9, 'UTC')"
_TEXT_HINT = (
    "a field without a column is a text; its number is toFloat64OrNull(field), its list "
    "JSONExtract(attributes, 'field', 'Array(String)')"
)
_HINTS = {43: ("String", _TEXT_HINT), 386: ("String", _TEXT_HINT), 53: ("DateTime", _TIME_HINT)}
"""By the engine's code: what its message is about where the hint helps, and the hint."""
_NUMBER = re.compile(NUMBER)


class Sql:
    """Answers a user's SQL; `materialized` are the keys of fields that have columns in the store."""

    def __init__(
        self, scheduler: QueryScheduler, watermark: Callable[[], Watermark], materialized: Callable[[], frozenset[str]]
    ) -> None:
        self._scheduler = scheduler
        self._watermark = watermark
        self._materialized = materialized
        self._unknown = UnknownFields(scheduler, watermark, materialized)

    async def answer(self, text: str) -> tuple[QueryResult, str | None]:
        """The rows that the statement gives, and a hint where it seems to name a field that there is not.

        Raises `BadQuery` for what is not allowed and for what the engine does not accept in it, `QueryTooExpensive`,
        and what `QueryScheduler.ask` raises for failures that are not the statement's.
        """
        # On a thread: long statements take a while to read.
        statement = await anyio.to_thread.run_sync(_read, text, self._materialized(), self._watermark())
        await self._check(statement)
        sql = f"{statement.sql} SETTINGS {_RESTRICTED}"
        answer = await self._ask("sql", sql, statement.params, is_statement=True)
        hint = await self._unknown.hint(statement.fields, answer.rows)
        if hint:
            return answer, f"{hint}; texts stand in single quotes" if '"' in text else hint
        return answer, _texts_ordered(statement.ordered, answer.rows[:1])

    async def _check(self, statement: "Statement") -> None:
        from logriver.query.usersql import engine_tree  # noqa: PLC0415

        parsed = await self._ask("sql_check", engine_tree.PARSE, {"sql": escaping.parameter(statement.sql)})
        engine_tree.check(str(parsed.rows[0][0]))

    async def _ask(self, call: str, sql: str, params: Mapping[str, Param], is_statement: bool = False) -> QueryResult:
        """Ask the store; what it says of a mistake or a failure is not passed on in its words."""
        from logriver.query.usersql import engine_errors  # noqa: PLC0415

        try:
            return await self._scheduler.ask(call, sql, params, MAX_ROWS, is_statement)
        except StoreError as error:
            said = error.detail or error.message
            if error.engine_code in _OURS:
                log.error("the engine failed at a statement: %s", said)
                raise
            about, hint = _HINTS.get(error.engine_code, ("", None))
            hint = hint if about in said else None
            raise BadQuery(engine_errors.explained(error.engine_code, said), hint=hint) from None
        except BadQuery as error:
            raise BadQuery(engine_errors.explained(engine_errors.BAD_PATTERN, error.message)) from None
        except QueryTooExpensive as error:
            raise QueryTooExpensive(error.message.partition(":")[0], hint=error.hint) from None


def _read(text: str, materialized: frozenset[str], watermark: Watermark) -> "Statement":
    from logriver.query.usersql import engine_tree, statement  # noqa: F401, PLC0415

    return statement.read(text, materialized, watermark)


def _texts_ordered(fields: Sequence[str], rows: Sequence[Sequence[object]]) -> str | None:
    """That numbers were ordered as the texts that they are, where an answer looks so: 99.9 comes after 8993."""
    if not fields or not any(isinstance(value, str) and _NUMBER.fullmatch(value) for row in rows for value in row):
        return None
    name = fields[0][:60]
    return f"{name!r} is a text, and is ordered as one; its number is toFloat64OrNull({name})"
