"""What the queue remembers when segments are gone: one SQLite file, durable on each commit.

SQLite rather than files of our own: snapshots of acknowledgements, keys and ledger must change together and survive a
kill at any point, which is what its transactions are. The log is replayed over it at start; applying a part of the log
twice changes nothing.
"""

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from logriver import metrics
from logriver.errors import DataDirectoryError
from logriver.queue.base import DeadLetter
from logriver.record import MAX_SEQ, Held

MAX_KEYS = 1_000_000
KEY_LIFE_NS = 24 * 3600 * 1_000_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (
  scope BLOB PRIMARY KEY, content BLOB NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL,
  received_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_age ON keys (received_ns);
CREATE TABLE IF NOT EXISTS ledger (generation TEXT PRIMARY KEY, held BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
  seq INTEGER PRIMARY KEY, reason TEXT NOT NULL, raw BLOB NOT NULL, source TEXT NOT NULL, received_ns INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS holes (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, reason TEXT NOT NULL);
"""


_LETTER = "seq, reason, raw, source, received_ns"


class KnownKey(msgspec.Struct, frozen=True, gc=False):
    """An idempotency key that was seen: a hash of its content, and what was answered."""

    content: bytes
    accepted: int
    rejected: int
    received_ns: int


class Hole(msgspec.Struct, frozen=True):
    """Numbers that never became a record, and why."""

    first_seq: int
    last_seq: int
    reason: str


class Snapshot(msgspec.Struct):
    """What changed since the last one. `mark`: all up to it is done; `highest`: the last number handed out."""

    mark: int
    highest: int
    keys: dict[bytes, KnownKey]
    held: list[Held]
    holes: list[Hole]
    forgotten: list[str] = []
    replayed: list[int] = []


class State:
    """The file. For any thread; calls wait for each other."""

    def __init__(self, file: Path, max_dead_letter_bytes: int) -> None:
        """Open or make it. Raises `DataDirectoryError` if it is damaged."""
        self._lock = threading.Lock()
        self._max_dead_letter_bytes = max_dead_letter_bytes
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            self.dead_letters, self._dead_letter_bytes = self._count_letters()
        except sqlite3.DatabaseError as error:
            raise DataDirectoryError(f"'{file}' cannot be read: {error}") from None

    def close(self) -> None:
        """Close the file; everything in it is durable already."""
        with self._lock:
            self._db.close()

    def mark(self, name: str) -> int:
        """A number that was kept, 0 before the first.

        `mark` and `highest` of the last snapshot; `removed`: records that retention removed; `removing_slice`: the last
        slice it began to remove, with its `removing_rows`, 0 when that is done.
        """
        with self._lock:
            row = self._db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def node_of_first(self, node: str) -> str:
        """The node that this state was first opened for, which is `node` if that was not noted yet."""
        with self._lock, self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS node (name TEXT NOT NULL)")
            row = self._db.execute("SELECT name FROM node").fetchone()
            if row is None:
                self._db.execute("INSERT INTO node VALUES (?)", (node,))
        return str(row[0]) if row else node

    def begin_removal(self, slice: int, rows: int) -> None:
        """Make durable that a slice with so many rows is about to be dropped, and all slices before it are gone."""
        self._set_marks({"removing_slice": slice, "removing_rows": rows})

    def finish_removal(self) -> None:
        """The slice is gone: its rows count as removed. Once, however often this is called."""
        self._set_marks({"removed": self.mark("removed") + self.mark("removing_rows"), "removing_rows": 0})

    def _set_marks(self, marks: dict[str, int]) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("REPLACE INTO marks VALUES (?, ?)", marks.items())

    def ledger(self) -> list[Held]:
        """Every generation, as of the last snapshot, the one of which bytes came last at the end."""
        with self._lock:
            rows = self._db.execute("SELECT held FROM ledger").fetchall()
        held = (msgspec.msgpack.decode(entry, type=Held) for (entry,) in rows)
        return sorted(held, key=lambda entry: entry.last_event_ns)

    def key(self, scope: bytes) -> KnownKey | None:
        """A key of the last snapshots."""
        with self._lock:
            row = self._db.execute(
                "SELECT content, accepted, rejected, received_ns FROM keys WHERE scope = ?", (scope,)
            ).fetchone()
        return KnownKey(*row) if row else None

    def holes(self) -> list[Hole]:
        """The recorded holes, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT first_seq, last_seq, reason FROM holes ORDER BY first_seq").fetchall()
        return [Hole(*row) for row in rows]

    def save(self, snapshot: Snapshot, now_ns: int) -> None:
        """Make a snapshot durable, and forget keys that are too old or too many. All of it or nothing."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            marks = {"mark": snapshot.mark, "highest": snapshot.highest}
            self._db.executemany("REPLACE INTO marks VALUES (?, ?)", marks.items())
            self._db.executemany(
                "REPLACE INTO keys VALUES (?, ?, ?, ?, ?)",
                ((s, k.content, k.accepted, k.rejected, k.received_ns) for s, k in snapshot.keys.items()),
            )
            self._db.executemany("DELETE FROM ledger WHERE generation = ?", ((key,) for key in snapshot.forgotten))
            self._db.executemany(
                "REPLACE INTO ledger VALUES (?, ?)",
                ((held.generation.id, msgspec.msgpack.encode(held)) for held in snapshot.held),
            )
            self._delete_letters(snapshot.replayed)
            self._db.executemany(
                "REPLACE INTO holes VALUES (?, ?, ?)", ((h.first_seq, h.last_seq, h.reason) for h in snapshot.holes)
            )
            if snapshot.keys:
                self._expire_keys(now_ns)

    def _expire_keys(self, now_ns: int) -> None:
        self._db.execute("DELETE FROM keys WHERE received_ns < ?", (now_ns - KEY_LIFE_NS,))
        (count,) = self._db.execute("SELECT count(*) FROM keys").fetchone()
        if count > MAX_KEYS:
            self._db.execute(
                "DELETE FROM keys WHERE scope IN (SELECT scope FROM keys ORDER BY received_ns LIMIT ?)",
                (count - MAX_KEYS,),
            )
            metrics.keys_expired.inc(count - MAX_KEYS)

    def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Make dead letters durable; beyond their limit the oldest go."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?)",
                ((m.seq, m.reason, m.raw, m.source, m.received_ns) for m in letters),
            )
            self.dead_letters, self._dead_letter_bytes = self._count_letters()
            while self._dead_letter_bytes > self._max_dead_letter_bytes and self.dead_letters > 1:
                self._remove_oldest(max(1, self.dead_letters // 10))

    def _remove_oldest(self, count: int) -> None:
        self._db.execute(
            "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM dead_letters ORDER BY seq LIMIT ?)", (count,)
        )
        metrics.dead_letters_removed.inc(count)
        self.dead_letters, self._dead_letter_bytes = self._count_letters()

    def letters(self, before: int | None, limit: int, max_bytes: int) -> list[DeadLetter]:
        """At most `limit` letters below `before` (None: all), newest first, up to the one that reaches `max_bytes`."""
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

    def letter(self, seq: int) -> DeadLetter | None:
        """One letter, if it is there."""
        with self._lock:
            row = self._db.execute(f"SELECT {_LETTER} FROM dead_letters WHERE seq = ?", (seq,)).fetchone()
        return DeadLetter(*row) if row else None

    def remove_letters(self, seqs: list[int]) -> None:
        """Remove letters that are no longer needed, durably."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._delete_letters(seqs)

    def _delete_letters(self, seqs: list[int]) -> None:
        if seqs:
            self._db.executemany("DELETE FROM dead_letters WHERE seq = ?", ((seq,) for seq in seqs))
            self.dead_letters, self._dead_letter_bytes = self._count_letters()

    def _count_letters(self) -> tuple[int, int]:
        count, size = self._db.execute("SELECT count(*), ifnull(sum(length(raw)), 0) FROM dead_letters").fetchone()
        return int(count), int(size)

    def buried(self, first_seq: int, last_seq: int) -> set[int]:
        """The numbers of dead letters in the range."""
        with self._lock:
            rows = self._db.execute("SELECT seq FROM dead_letters WHERE seq BETWEEN ? AND ?", (first_seq, last_seq))
            return {seq for (seq,) in rows}
