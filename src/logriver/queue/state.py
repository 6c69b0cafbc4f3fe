"""What the queue remembers when segments are gone: one SQLite file, durable on each commit.

SQLite rather than files of our own: snapshots of acknowledgements, keys and ledger must change together and survive a
kill at any point, which is what its transactions are. The log is replayed over it at start; applying a part of the log
twice changes nothing.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from logriver import clock, metrics
from logriver.errors import DataDirectoryError
from logriver.file_position import Committed
from logriver.queue.base import DeadLetter
from logriver.record import MAX_SEQ, CommittedStream, Known, Stream
from logriver.record_forms import (
    CommittedFileForm,
    CommittedStreamForm,
    of_committed,
    of_stream,
    to_committed,
    to_stream,
)

MAX_KEYS = 1_000_000
KEY_LIFE_NS = 24 * 3600 * 1_000_000_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
  scope BLOB PRIMARY KEY, content BLOB NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL,
  received_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_age ON keys (received_ns);
CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, committed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS streams (
  follower TEXT NOT NULL, name TEXT NOT NULL, epoch TEXT NOT NULL, committed BLOB NOT NULL,
  PRIMARY KEY (follower, name, epoch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
  seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, raw BLOB NOT NULL, source TEXT NOT NULL, received_ns INTEGER NOT NULL,
  row_format INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS skipped_ranges (
  first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS node (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS damage (
  id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, file TEXT NOT NULL, what TEXT NOT NULL,
  first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, records INTEGER NOT NULL, exact INTEGER NOT NULL,
  found_ns INTEGER NOT NULL, acknowledged_ns INTEGER NOT NULL DEFAULT 0
);
"""
"""What the file has. Whoever changes it adds a migration that does the same to older files (`store/migrations/`)."""

_LETTER = "seq, reason, raw, source, received_ns, row_format"
_CHECK_SECONDS = 2.0
_GO_ON_WITHOUT = (
    "restore it from a backup; to go on without it put an empty file in its place: idempotency keys and dead letters "
    "are then lost, and followed files are read again from their beginning"
)


class KnownKey(msgspec.Struct, frozen=True, gc=False):
    """An idempotency key that was seen: a hash of its content, and what was answered."""

    content: bytes
    accepted: int
    rejected: int
    received_ns: int


class SkippedRange(msgspec.Struct, frozen=True):
    """Numbers that never became a record, and why."""

    first_seq: int
    last_seq: int
    reason: str


class Snapshot(msgspec.Struct):
    """What changed since the last one.

    `watermark`: all up to it is done; `highest`: the last number handed out; `durable`: all up to it was on disk, or
    was skipped; `segments_removed`: the last segment that this snapshot covers, so that it may be gone.
    """

    watermark: int
    highest: int
    keys: dict[bytes, KnownKey]
    held: list[Committed]
    skipped_ranges: list[SkippedRange]
    forgotten: list[str] = []
    replayed: list[int] = []
    streams: list[CommittedStream] = []
    forgotten_streams: list[Stream] = []
    durable: int = 0
    segments_removed: int = 0

    def numbers(self) -> dict[str, int]:
        """Those that are kept under their names."""
        numbers = {"watermark": self.watermark, "highest": self.highest}
        if self.durable:
            numbers["durable"] = self.durable
        if self.segments_removed:
            numbers["segments_removed"] = self.segments_removed
        return numbers


class State:
    """The file. For any thread; calls wait for each other."""

    def __init__(self, file: Path, max_dead_letter_bytes: int, data_format: int = 0) -> None:
        """Open it, or make it in that data format. Raises `DataDirectoryError` if it is damaged."""
        self._lock = threading.Lock()
        self._max_dead_letter_bytes = max_dead_letter_bytes
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._check()
            if data_format and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._db.execute(f"PRAGMA user_version = {data_format}")
            self._db.executescript(SCHEMA)
            self.dead_letter_count, self._dead_letter_bytes = self._count_dead_letters()
        except sqlite3.DatabaseError as error:
            raise DataDirectoryError(f"'{file}' cannot be read: {error}", hint=_GO_ON_WITHOUT) from None

    def _check(self) -> None:
        """Look for damaged pages, for a moment: of a large file, only those are looked at that this is enough for."""
        deadline = clock.monotonic() + _CHECK_SECONDS
        self._db.set_progress_handler(lambda: clock.monotonic() > deadline, 100_000)
        try:
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
        finally:
            self._db.set_progress_handler(None, 0)
        if found and found[0] != "ok":
            raise sqlite3.DatabaseError(str(found[0])[:200])

    @contextmanager
    def locked(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone inside of the block."""
        with self._lock:
            yield self._db

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The same; what the block does is durable after it, or not done at all. Raises `sqlite3.Error`."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def close(self) -> None:
        """Close the file; everything in it is durable already."""
        with self._lock:
            self._db.close()

    def number(self, name: str) -> int:
        """A number that was kept, 0 before the first.

        Those of the last snapshot (see there); `segments_made`: the last segment of the log that was begun; `removed`:
        records that retention removed; `removing_partition`: the last one it began to remove, with its `removing_rows`,
        0 when that is done.
        """
        return self.number_or_none(name) or 0

    def number_or_none(self, name: str) -> int | None:
        """The same, None before the first."""
        with self._lock:
            row = self._db.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else None

    def begin_segment(self, number: int, first_seq: int) -> None:
        """A segment of the log was made, its numbers begin here. Durable on return. Raises `sqlite3.Error`."""
        with self.transaction() as db:
            _raise_numbers(db, {"segments_made": number, "durable": first_seq - 1})

    def note_start(self, skipped: list[SkippedRange], removed: int, made: int) -> None:
        """What a start found: numbers that are skipped, and, unless that is known, the segments that are gone and made.

        Durable on return. Raises `sqlite3.Error`.
        """
        if not skipped and self.number_or_none("segments_removed") is not None:
            return
        with self.transaction() as db:
            self._skip(skipped)
            db.execute("INSERT OR IGNORE INTO numbers VALUES ('segments_removed', ?)", (removed,))
            _raise_numbers(db, {"segments_made": made})

    def node_of_first(self, node: str) -> str:
        """The node that this state was first opened for, which is `node` if that was not noted yet."""
        with self._lock, self._db:
            row = self._db.execute("SELECT name FROM node").fetchone()
            if row is None:
                self._db.execute("INSERT INTO node VALUES (?)", (node,))
        return str(row[0]) if row else node

    def begin_removal(self, partition: int, rows: int) -> None:
        """Make durable that a partition with so many rows is about to be dropped, and all before it are gone."""
        self._set_numbers({"removing_partition": partition, "removing_rows": rows})

    def finish_removal(self) -> None:
        """The partition is gone: its rows count as removed. Once, however often this is called."""
        removed = self.number("removed") + self.number("removing_rows")
        self._set_numbers({"removed": removed, "removing_rows": 0})

    def _set_numbers(self, numbers: dict[str, int]) -> None:
        with self.transaction() as db:
            db.executemany("REPLACE INTO numbers VALUES (?, ?)", numbers.items())

    def known(self) -> Known:
        """Every file and stream, as of the last snapshot, the one of which records came last at the end."""
        with self._lock:
            files = self._db.execute("SELECT committed FROM files").fetchall()
            streams = self._db.execute("SELECT committed FROM streams").fetchall()
        held = (to_committed(msgspec.msgpack.decode(entry, type=CommittedFileForm)) for (entry,) in files)
        committed = (to_stream(msgspec.msgpack.decode(entry, type=CommittedStreamForm)) for (entry,) in streams)
        return Known(
            sorted(held, key=lambda entry: entry.last_event_ns),
            sorted(committed, key=lambda entry: entry.last_event_ns),
        )

    def key(self, scope: bytes) -> KnownKey | None:
        """A key of the last snapshots."""
        with self._lock:
            row = self._db.execute(
                "SELECT content, accepted, rejected, received_ns FROM keys WHERE scope = ?", (scope,)
            ).fetchone()
        return KnownKey(*row) if row else None

    def skipped_ranges(self) -> list[SkippedRange]:
        """The recorded skipped ranges, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT first_seq, last_seq, reason FROM skipped_ranges ORDER BY first_seq"
            ).fetchall()
        return [SkippedRange(*row) for row in rows]

    def save(self, snapshot: Snapshot, now_ns: int) -> None:
        """Make a snapshot durable, and forget keys that are too old or too many. All of it or nothing."""
        with self.transaction() as db:
            db.executemany("REPLACE INTO numbers VALUES (?, ?)", snapshot.numbers().items())
            db.executemany(
                "REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                ((s, k.content, k.accepted, k.rejected, k.received_ns) for s, k in snapshot.keys.items()),
            )
            self._save_known(snapshot)
            self._delete_dead_letters(snapshot.replayed)
            self._skip(snapshot.skipped_ranges)
            if snapshot.keys:
                self._expire_keys(now_ns)

    def _skip(self, skipped: list[SkippedRange]) -> None:
        self._db.executemany(
            "REPLACE INTO skipped_ranges VALUES (?, ?, ?)",
            ((one.first_seq, one.last_seq, one.reason) for one in skipped),
        )

    def _save_known(self, snapshot: Snapshot) -> None:
        encode = msgspec.msgpack.encode
        self._db.executemany("DELETE FROM files WHERE id = ?", ((key,) for key in snapshot.forgotten))
        self._db.executemany(
            "REPLACE INTO files VALUES (?, ?)",
            ((held.identity.id, encode(of_committed(held))) for held in snapshot.held),
        )
        self._db.executemany(
            "DELETE FROM streams WHERE follower = ? AND name = ? AND epoch = ?",
            ((stream.follower, stream.name, stream.epoch) for stream in snapshot.forgotten_streams),
        )
        forms = map(of_stream, snapshot.streams)
        self._db.executemany(
            "REPLACE INTO streams VALUES (?, ?, ?, ?)",
            ((form.follower, form.name, form.epoch, encode(form)) for form in forms),
        )

    def _expire_keys(self, now_ns: int) -> None:
        self._db.execute("DELETE FROM keys WHERE received_ns < ?", (now_ns - KEY_LIFE_NS,))
        (count,) = self._db.execute("SELECT count(*) FROM keys").fetchone()
        if count > MAX_KEYS:
            self._db.execute(
                "DELETE FROM keys WHERE scope IN (SELECT scope FROM keys ORDER BY received_ns LIMIT ?)",
                (count - MAX_KEYS,),
            )
            metrics.keys_expired.inc(count - MAX_KEYS)

    def dead_letter(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Make dead letters durable; beyond their limit the oldest go."""
        with self.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)",
                ((m.seq, m.reason, m.raw, m.source, m.received_ns, m.row_format) for m in dead_letters),
            )
            self.dead_letter_count, self._dead_letter_bytes = self._count_dead_letters()
            while self._dead_letter_bytes > self._max_dead_letter_bytes and self.dead_letter_count > 1:
                self._remove_oldest(max(1, self.dead_letter_count // 10))

    def _remove_oldest(self, count: int) -> None:
        self._db.execute(
            "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM dead_letters ORDER BY seq LIMIT ?)", (count,)
        )
        metrics.dead_letters_removed.inc(count)
        self.dead_letter_count, self._dead_letter_bytes = self._count_dead_letters()

    def dead_letters_before(self, before: int | None, limit: int, max_bytes: int) -> list[DeadLetter]:
        """At most `limit` below `before` (None: all), newest first, up to the one that reaches `max_bytes`."""
        found: list[DeadLetter] = []
        size = 0
        with self._lock:
            rows = self._db.execute(
                f"SELECT {_LETTER} FROM dead_letters WHERE seq < ? ORDER BY seq DESC LIMIT ?",
                (MAX_SEQ if before is None else before, limit),
            )
            for row in rows:
                found.append(DeadLetter(*row))
                size += len(found[-1].raw)
                if size >= max_bytes:
                    break
        return found

    def find_dead_letter(self, seq: int) -> DeadLetter | None:
        """One dead letter, if it is there."""
        with self._lock:
            row = self._db.execute(f"SELECT {_LETTER} FROM dead_letters WHERE seq = ?", (seq,)).fetchone()
        return DeadLetter(*row) if row else None

    def remove_dead_letters(self, seqs: list[int]) -> None:
        """Remove dead letters that are no longer needed, durably."""
        with self.transaction():
            self._delete_dead_letters(seqs)

    def _delete_dead_letters(self, seqs: list[int]) -> None:
        if seqs:
            self._db.executemany("DELETE FROM dead_letters WHERE seq = ?", ((seq,) for seq in seqs))
            self.dead_letter_count, self._dead_letter_bytes = self._count_dead_letters()

    def _count_dead_letters(self) -> tuple[int, int]:
        count, size = self._db.execute("SELECT count(*), ifnull(sum(length(raw)), 0) FROM dead_letters").fetchone()
        return int(count), int(size)

    def dead_lettered(self, first_seq: int, last_seq: int) -> set[int]:
        """The numbers of dead letters in the range."""
        with self._lock:
            rows = self._db.execute("SELECT seq FROM dead_letters WHERE seq BETWEEN ? AND ?", (first_seq, last_seq))
            return {seq for (seq,) in rows}


def _raise_numbers(db: sqlite3.Connection, numbers: dict[str, int]) -> None:
    """Keep numbers that never fall."""
    raised = "INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
    db.executemany(raised, numbers.items())
