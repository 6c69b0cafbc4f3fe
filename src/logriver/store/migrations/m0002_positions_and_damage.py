"""Format 2: positions in streams, damage that is kept, the format of dead rows, segments that can be missed.

What is known of files is written by places in arrays and not by names. Segments of the log that are there stay as they
are: each says in its header what it is.
"""

import sqlite3

import msgspec

from logriver.record_forms_v1 import HeldV1
from logriver.store.migrations.migration import Migration

_NUMBERS = {
    "mark": "watermark",
    "highest": "highest",
    "removed": "removed",
    "removing_slice": "removing_partition",
    "removing_rows": "removing_rows",
}
_DAMAGE = """CREATE TABLE damage (
  id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, file TEXT NOT NULL, what TEXT NOT NULL,
  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, records INTEGER NOT NULL, exact INTEGER NOT NULL,
  found_ns INTEGER NOT NULL, acknowledged_ns INTEGER NOT NULL DEFAULT 0
)"""
_STREAMS = """CREATE TABLE streams (
  follower TEXT NOT NULL, name TEXT NOT NULL, epoch TEXT NOT NULL, committed BLOB NOT NULL,
  PRIMARY KEY (follower, name, epoch)
) WITHOUT ROWID"""


def _state(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    for name, value in db.execute("SELECT name, value FROM marks").fetchall():
        db.execute("INSERT INTO numbers VALUES (?, ?)", (_NUMBERS.get(name, name), value))
    # None was noted, but this is the file that belongs to the log.
    db.execute("INSERT INTO numbers VALUES ('segments_made', 0)")
    db.execute("DROP TABLE marks")
    _files(db)
    db.execute(_STREAMS)
    db.execute("ALTER TABLE dead_letters ADD COLUMN row_format INTEGER NOT NULL DEFAULT 0")
    # Of what came from somewhere the source is known; the others are rows that the engine refused.
    db.execute("UPDATE dead_letters SET row_format = 1 WHERE source = ''")
    db.execute("ALTER TABLE holes RENAME TO skipped_ranges")
    db.execute(_DAMAGE)
    db.execute("CREATE TABLE IF NOT EXISTS node (name TEXT NOT NULL)")


def _files(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE files (id TEXT PRIMARY KEY, committed BLOB NOT NULL) WITHOUT ROWID")
    for key, held in db.execute("SELECT generation, held FROM ledger").fetchall():
        form = msgspec.msgpack.decode(held, type=HeldV1).form()
        db.execute("INSERT INTO files VALUES (?, ?)", (key, msgspec.msgpack.encode(form)))
    db.execute("DROP TABLE ledger")


MIGRATION = Migration(_state)
