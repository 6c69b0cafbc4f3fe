"""Materialized fields: columns computed from `attributes`, so that a field that is often asked for is not read out of
JSON.

A field has a column of its text and one of its number (`columns.materialized_columns`). New parts and merges hold their
values, and so do older parts of a small table; the engine computes them where a part has none, so answers are the same
all the time. `SELECT *` leaves them out, and a block is inserted without knowing of them. `materialized.py` says which
fields have them and since when.
"""

from collections.abc import Iterable, Sequence

from logriver.columns import (
    MATERIALIZED_PREFIX,
    MAX_NAME_LENGTH,
    RESERVED,
    TABLE,
    attribute_key,
    attribute_number,
    attribute_text,
    literal,
    materialized_columns,
)
from logriver.errors import SettingsError
from logriver.store import ddl

MAX_MATERIALIZED = 8
"""Each costs an insert about half a microsecond a record; hundreds would slow it down a hundredfold."""
SMALL_BYTES = 500_000_000
"""A table of this size on disk is filled with a new column at once, within seconds."""

_SAMPLED_RECORDS = 10_000


def key_of(name: str) -> str:
    """The key of the field `name`. Raises `ValueError` where no such field can be promoted."""
    if not name or name in RESERVED:
        raise ValueError(f"{name[:60]!r} is no field without a column of its own")
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"a field's name has at most {MAX_NAME_LENGTH} characters")
    return attribute_key(name)


def chosen(names: Sequence[str]) -> frozenset[str]:
    """The keys of the fields that the setting names. Raises `SettingsError`."""
    try:
        keys = frozenset(map(key_of, names))
    except ValueError as error:
        raise SettingsError(f"setting 'promote': {error}") from None
    if len(keys) > MAX_MATERIALIZED:
        raise SettingsError(f"setting 'promote': at most {MAX_MATERIALIZED} fields, not {len(keys)}")
    return keys


def change(there: Iterable[str], materialized: frozenset[str]) -> tuple[str | None, list[str]]:
    """The statement that leaves the table, which has the columns `there`, with those of `materialized`; None if it has.

    Nothing may be done to old parts just then, see `ddl.stop_changing_parts`. Also the columns that it adds.
    """
    wanted = {name: definition for key in sorted(materialized) for name, definition in _definitions(key).items()}
    drop = [name for name in sorted(there) if name.startswith(MATERIALIZED_PREFIX) and name not in wanted]
    add = [name for name in wanted if name not in there]
    if not drop and not add:
        return None, []
    return ddl.alter_table(drop, [f"{name} {wanted[name]}" for name in add]), add


def is_sent(key: str) -> str:
    """The query that counts in how many of the newest records the field is."""
    newest = f"SELECT attributes FROM {TABLE} ORDER BY timestamp DESC LIMIT {_SAMPLED_RECORDS}"
    return f"SELECT count({attribute_text(key, literal)}) FROM ({newest})"


def _definitions(key: str) -> dict[str, str]:
    # Columns that are there to be read quickly: unpacking LZ4 takes a third of ZSTD's time, for twice the space.
    text, number = materialized_columns(key)
    return {
        text: f"Nullable(String) MATERIALIZED {attribute_text(key, literal)} CODEC(LZ4)",
        number: f"Nullable(Float64) MATERIALIZED {attribute_number(text)} CODEC(LZ4)",
    }
