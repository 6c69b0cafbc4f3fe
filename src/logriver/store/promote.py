"""Promoted fields: columns computed from `attributes`, so that a field that is often asked for is not read out of JSON.

A setting names them. A field has a column of its text and one of its number (`columns.promoted_columns`). New parts and
merges hold their values; the engine computes them where an older part has none, so answers are the same all the time.
`SELECT *` leaves them out, and a block is inserted without knowing of them.
"""

from collections.abc import Sequence

from logriver.columns import (
    PROMOTED_PREFIX,
    RESERVED,
    attribute_key,
    attribute_number,
    attribute_text,
    literal,
    promoted_columns,
)
from logriver.errors import SettingsError
from logriver.store import ddl

MAX_PROMOTED = 8
"""Each costs an insert about half a microsecond a record; hundreds would slow it down a hundredfold."""


def chosen(names: Sequence[str]) -> frozenset[str]:
    """The keys of the fields that are named. Raises `SettingsError`."""
    for name in names:
        if not name or name in RESERVED:
            raise SettingsError(f"setting 'promote': {name[:60]!r} is no field without a column of its own")
    keys = frozenset(map(attribute_key, names))
    if len(keys) > MAX_PROMOTED:
        raise SettingsError(f"setting 'promote': at most {MAX_PROMOTED} fields, not {len(keys)}")
    return keys


def change(there: Sequence[str], promoted: frozenset[str]) -> str | None:
    """The statement that leaves the table, which has the columns `there`, with those of `promoted`; None if it has."""
    wanted = {name: definition for key in sorted(promoted) for name, definition in _definitions(key).items()}
    drop = [name for name in sorted(there) if name.startswith(PROMOTED_PREFIX) and name not in wanted]
    add = [f"{name} {definition}" for name, definition in wanted.items() if name not in there]
    return ddl.alter_table(drop, add) if drop or add else None


def _definitions(key: str) -> dict[str, str]:
    text, number = promoted_columns(key)
    return {
        text: f"Nullable(String) MATERIALIZED {attribute_text(key, literal)} CODEC(ZSTD(1))",
        number: f"Nullable(Float64) MATERIALIZED {attribute_number(text)} CODEC(ZSTD(1))",
    }
