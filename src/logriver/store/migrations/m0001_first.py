"""Format 1: the first one. Of the log nothing is made here: it is empty until something is received."""

import sqlite3

from logriver.store.migrations.migration import Migration

_STATE = (
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE keys (
  scope BLOB PRIMARY KEY, content BLOB NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL,
  received_ns INTEGER NOT NULL
) WITHOUT ROWID""",
    "CREATE INDEX keys_by_age ON keys (received_ns)",
    "CREATE TABLE ledger (generation TEXT PRIMARY KEY, held BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE dead_letters (
  seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, raw BLOB NOT NULL, source TEXT NOT NULL, received_ns INTEGER NOT NULL
)""",
    "CREATE TABLE holes (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL)",
)

_TABLE = """
CREATE TABLE IF NOT EXISTS logs (
  timestamp DateTime64(9, 'UTC') CODEC(GCD, T64, LZ4),
  level LowCardinality(String) CODEC(LZ4),
  message String,
  service LowCardinality(String) CODEC(LZ4),
  host LowCardinality(String) CODEC(LZ4),
  trace_id String,
  span_id String,
  attributes String,
  _level LowCardinality(String) CODEC(LZ4),
  _offset UInt64,
  _source LowCardinality(String) CODEC(LZ4),
  _received DateTime64(9, 'UTC') CODEC(GCD, T64, LZ4),
  _node LowCardinality(String) CODEC(LZ4),
  _seq UInt64 CODEC(Delta, LZ4),
  _slice UInt32,
  INDEX ix_message lowerUTF8(message) TYPE text(tokenizer = splitByNonAlpha),
  INDEX ix_trace_id trace_id TYPE bloom_filter(0.002),
  INDEX ix_span_id span_id TYPE bloom_filter(0.002),
  INDEX ix_seq _seq TYPE minmax,
  INDEX ix_timestamp timestamp TYPE minmax,
  PROJECTION minutes (
    SELECT
      toUnixTimestamp64Nano(timestamp) - positiveModulo(toUnixTimestamp64Nano(timestamp), 60000000000), level, count()
    GROUP BY toUnixTimestamp64Nano(timestamp) - positiveModulo(toUnixTimestamp64Nano(timestamp), 60000000000), level
  )
)
ENGINE = MergeTree PARTITION BY _slice ORDER BY (timestamp, _node, _seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1,
  min_compressed_bytes_to_fsync_after_merge = 1, old_parts_lifetime = 2, index_granularity = 512,
  min_compress_block_size = 8192, max_compress_block_size = 65536, string_serialization_version = 'single_stream'
"""


def _state(db: sqlite3.Connection) -> None:
    for statement in _STATE:
        db.execute(statement)


MIGRATION = Migration(_state, (_TABLE,))
