"""Brings a data directory to the present format, step by step; a kill at any moment has the step done again.

How far a directory was converted stands in its `state.db` (SQLite's `user_version`), set together with what the step
changes there. Before the first step begins, the file `FORMAT` says the version that it leads to: a release that does
not know it refuses the directory from then on.
"""

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from logriver.errors import DataDirectoryError
from logriver.store.directory import write_durably
from logriver.store.migrations.data_format import FORMAT, MIGRATIONS
from logriver.store.migrations.migration import Migration

_LOST = "idempotency keys and dead letters are then lost, and followed files are read again from their beginning"

log = logging.getLogger(__name__)


def convert(directory: Path) -> None:
    """Convert a directory whose lock is held, before queue and store are opened.

    Raises `DataDirectoryError`, `OSError`.
    """
    file = directory / "state.db"
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = FULL")
            _convert(directory, db)
    except sqlite3.Error as error:
        hint = f"restore it from a backup; to go on without it put an empty file in its place: {_LOST}"
        raise DataDirectoryError(f"'{file}' cannot be read: {error}", hint=hint) from None


def _convert(directory: Path, db: sqlite3.Connection) -> None:
    version = _version(db)
    if version is None:
        # It was emptied, and the table may still be an older one.
        _change_table(directory, MIGRATIONS[1:])
        db.execute(f"PRAGMA user_version = {FORMAT}")
        return
    if version > FORMAT:
        raise DataDirectoryError(
            f"data directory '{directory}': state.db has format {version}, this version reads up to {FORMAT}",
            hint="use the newer version of logriver; nothing was changed",
        )
    if version == FORMAT:
        return
    write_durably(directory / "FORMAT", f"{FORMAT}\n".encode())
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        _change_table(directory, [migration])
        db.execute("BEGIN IMMEDIATE")
        migration.state(db)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
        log.info("data directory converted", extra={"fields": {"format": number}})


def _version(db: sqlite3.Connection) -> int | None:
    """The format of the queue's file, None where there is nothing in it. Format 1 had no number."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version:
        return int(version)
    return 1 if db.execute("SELECT 1 FROM sqlite_master").fetchone() else None


def _change_table(directory: Path, migrations: Iterable[Migration]) -> None:
    statements = [statement for migration in migrations for statement in migration.table]
    if not statements:
        return
    # Loading the engine takes longer than all the rest of a start.
    from logriver.store.engine import Session  # noqa: PLC0415

    with closing(Session(str(directory / "store"))) as session:
        for statement in statements:
            session.query(statement)
