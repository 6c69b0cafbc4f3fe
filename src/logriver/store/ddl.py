"""The table, from `columns.py`: the same statements for the embedded engine and for a node of a cluster.

Sort key: `timestamp` first, so that the newest 50 are read from the end of the parts. Indexes: words of the message in
one text index (on the folded expression itself, because a preprocessor in the index gives no matches on parts without
it), bloom filters for `trace_id` and `span_id`, ranges of `_seq` for verification and paging. Each part also holds its
counts by minute and level, a projection: the engine takes them by itself where a query groups by just that. Everything
is fsynced, merges too.
"""

from collections.abc import Sequence

from logriver.columns import COLUMNS, MATERIALIZED_PREFIX, ROW_COLUMNS, TABLE, WORD, Column

# Nearly every query reads numbers and times of every record that it looks at, and unpacking LZ4 takes a sixth of ZSTD's
# time. Numbers that grow by one have equal differences; of times only the bits are kept in which those of a granule
# differ. Words are a byte or two, with little for ZSTD to win. All other columns are compressed as the engine is
# configured to, by the size of the part.
_TIMES = "GCD, T64, LZ4"
_CODECS = {"_seq": "Delta, LZ4", "timestamp": _TIMES, "_received": _TIMES}
_CODECS |= {column.name: "LZ4" for column in COLUMNS if column.type == WORD}

# So many granules are read in vain for an id. A fifth of the usual hundredth makes the filters a third larger, a
# hundredth of the table, and an id is found in three quarters of the time.
_FALSE_SHARE = 0.002

# With an entry for each granule: with one for several, the engine uses none of them for conditions joined by OR.
_INDEXES = (
    "INDEX ix_message lowerUTF8(message) TYPE text(tokenizer = splitByNonAlpha)",
    f"INDEX ix_trace_id trace_id TYPE bloom_filter({_FALSE_SHARE})",
    f"INDEX ix_span_id span_id TYPE bloom_filter({_FALSE_SHARE})",
    "INDEX ix_seq _seq TYPE minmax",
    "INDEX ix_timestamp timestamp TYPE minmax",
)

_DURABLE = {
    "fsync_after_insert": 1,
    "fsync_part_directory": 1,
    "min_rows_to_fsync_after_merge": 1,
    "min_compressed_bytes_to_fsync_after_merge": 1,
}

GRANULE_ROWS = 512
"""Rows that are read together: the engine counts in these what a query reads."""

_LAYOUT = {
    # Of a record that matches, its whole granule is read in all columns, so it has a 16th of the engine's usual rows. A
    # rare word takes three quarters of the time that it takes with 2,048, what reads everything a twentieth more.
    "index_granularity": GRANULE_ROWS,
    # What is compressed together has to be unpacked together, also for one granule: not the engine's usual 64 kB and
    # up to 1 MB. With less than this whatever reads everything takes longer.
    "min_compress_block_size": 8_192,
    "max_compress_block_size": 65_536,
    # Lengths of texts beside the texts would be a stream more to open for each column of a record that is found, and
    # for short ones nearly half as much work again when all are read.
    "string_serialization_version": "'single_stream'",
}

MINUTE_NS = 60_000_000_000
_TIME_NS = "toUnixTimestamp64Nano(timestamp)"
MINUTE = f"{_TIME_NS} - positiveModulo({_TIME_NS}, {MINUTE_NS})"
"""SQL for the start of a record's minute, in nanoseconds, as the projection has it."""
_PROJECTION = f"PROJECTION minutes (SELECT {MINUTE}, level, count() GROUP BY {MINUTE}, level)"

# Parts that were merged away would otherwise stay for minutes and fill a small disk. `parts.py` tells the engine when.
_TIDY = {"old_parts_lifetime": 2}


def create_table(partition_bytes: int) -> str:
    """`CREATE TABLE` for the log table; merges stop at the size of a partition."""
    columns = ",\n  ".join(_column(column.name, column.type) for column in COLUMNS)
    indexes = ",\n  ".join(_INDEXES)
    settings = _DURABLE | _TIDY | _LAYOUT | {"max_bytes_to_merge_at_max_space_in_pool": partition_bytes}
    return (
        f"CREATE TABLE IF NOT EXISTS {TABLE} (\n  {columns},\n  {indexes},\n  {_PROJECTION}\n)\n"
        f"ENGINE = MergeTree PARTITION BY _slice ORDER BY (timestamp, _node, _seq)\n"
        f"SETTINGS {', '.join(f'{name} = {value}' for name, value in settings.items())}"
    )


# What an ALTER leaves to be done to old parts waits for merges, which a full disk stops: nobody waits for it.
_DONE_LATER = "SETTINGS alter_sync = 0, mutations_sync = 0"


def alter_table(drop: list[str], add: list[str]) -> str:
    """`ALTER TABLE` that drops columns by name and adds others by definition, all at once."""
    changes = [*(f"DROP COLUMN {name}" for name in drop), *(f"ADD COLUMN {column}" for column in add)]
    return f"ALTER TABLE {TABLE} {', '.join(changes)} {_DONE_LATER}"


def materialize(columns: list[str]) -> str:
    """`ALTER TABLE` that has the parts which lack these computed columns rewritten with them, in the background."""
    changes = ", ".join(f"MATERIALIZE COLUMN {name}" for name in columns)
    return f"ALTER TABLE {TABLE} {changes} {_DONE_LATER}"


_INDEX_NAMES = tuple(index.split()[1] for index in _INDEXES)
_PROJECTION_NAME = _PROJECTION.split()[1]
IS_REBUILDING = "NOT is_done AND match(command, '(CLEAR|MATERIALIZE) (INDEX|PROJECTION) .* IN PARTITION')"
"""Condition on `system.mutations`: what `rebuild_indexes` began is not done."""


def rebuild_indexes(partition: int) -> list[str]:
    """Statements that have everything which is computed from the records made again, in the background."""
    names = [*(f"INDEX {name}" for name in _INDEX_NAMES), f"PROJECTION {_PROJECTION_NAME}"]
    return [
        f"ALTER TABLE {TABLE} {', '.join(f'{verb} {name} IN PARTITION {partition}' for name in names)} {_DONE_LATER}"
        for verb in ("CLEAR", "MATERIALIZE")
    ]


def stop_changing_parts() -> str:
    """End what is still being done to old parts for `materialize` and `alter_table`.

    A column cannot be dropped while it is being filled, or while one that had its name is being removed; both may wait
    for merges. Files of a column that is gone harm nobody, and a later column of that name has the same content.
    """
    which = f"database = currentDatabase() AND table = '{TABLE}' AND NOT is_done"
    return f"KILL MUTATION WHERE {which} AND position(command, 'COLUMN {MATERIALIZED_PREFIX}') > 0 SYNC"


def insert_select(source: str, node: str, first_seq: str, partition: int) -> str:
    """`INSERT` of carried rows from the table expression `source`; `first_seq` is the expression for `_seq`."""
    names = ", ".join(column.name for column in COLUMNS)
    carried = ", ".join(column.read or column.name for column in ROW_COLUMNS)
    return f"INSERT INTO {TABLE} ({names}) SELECT {carried}, '{node}', {first_seq}, {partition} FROM {source}"


def carried_structure(columns: Sequence[Column] = ROW_COLUMNS) -> str:
    """The structure of a queued row, or of some columns of it, for table functions."""
    return ", ".join(f"{column.name} {column.carried}" for column in columns)


def _column(name: str, type: str) -> str:
    codec = _CODECS.get(name)
    return f"{name} {type} CODEC({codec})" if codec else f"{name} {type}"
