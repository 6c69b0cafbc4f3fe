"""A condition while it is written: its SQL, the parameters it names, and the fields it reads.

Values are bound parameters (`{p0:String}`), whoever writes the SQL: conditions, pipes, the keys of a page.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from logriver.columns import materialized_columns
from logriver.errors import BadQuery
from logriver.query.sql import escaping

MAX_REPEATED = 500
"""Characters and classes of all patterns of a search text that are repeated, each as often as it can be."""


def _nobody(key: str) -> None:
    """Nobody counts."""


class MaterializedFields(frozenset[str]):
    """The keys of the fields that have columns at this moment; `note` is told each key that a query reads."""

    note: Callable[[str], None]

    def __new__(cls, keys: Iterable[str] = (), note: Callable[[str], None] = _nobody) -> "MaterializedFields":
        """The keys of now."""
        made = super().__new__(cls, keys)
        made.note = note
        return made


@dataclass(slots=True)
class Condition:
    """SQL for a WHERE with the parameters it names. `materialized` are the keys of fields that have columns."""

    materialized: frozenset[str] = frozenset()
    sql: str = ""
    params: dict[str, str | int | float] = field(default_factory=dict)
    repeated: int = 0

    def bind(self, value: str | int | float, type: str = "String") -> str:
        """Bind a value and give the placeholder for it."""
        name = f"p{len(self.params)}"
        self.params[name] = escaping.parameter(value) if isinstance(value, str) else value
        return f"{{{name}:{type}}}"

    def repeat(self, times: int) -> None:
        """Count what a pattern repeats. Raises `BadQuery` where all patterns together repeat too much."""
        self.repeated += times
        if self.repeated > MAX_REPEATED:
            raise BadQuery(
                f"patterns repeat at most {MAX_REPEATED} characters, written out, these more",
                hint="use smaller numbers in '{..}', fewer '*', '+' and '?', or fewer stars",
            )

    def columns_of(self, key: str) -> tuple[str, str] | None:
        """The columns of a field's text and number, None where it has none. The field counts as read."""
        if isinstance(self.materialized, MaterializedFields):
            self.materialized.note(key)
        return materialized_columns(key) if key in self.materialized else None
