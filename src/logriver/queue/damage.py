"""Damage to the log: what was found, which numbers it took, and whether somebody has seen it.

Each damage is logged and counted once, when it is found: at start (`recovery.py`) or by the writer, which checks all
that it reads. It stays in the queue's file, and is a problem that is shown, until somebody acknowledges it; the files
that go with it are set aside for as long, because a tool or a person may get more out of them.
"""

import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from logriver import clock, metrics
from logriver.queue.state import State

MAX_OPEN = 1_000
"""Beyond so many that nobody has seen, further ones are counted to the last one."""
MAX_SET_ASIDE = 8
"""So many files are set aside; what comes then is removed as if it were whole."""
_KEPT_NS = 30 * 86_400 * 1_000_000_000
_COLUMNS = "id, place, file, what, first_seq, last_seq, records, exact, found_ns"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """Something of the log that cannot be read. `place` distinguishes it from any other, also when it is found again.

    The numbers `first_seq` to `last_seq` are lost as far as they were not stored before (both 0 where none are).
    `records` of them are known to be: all, where `exact`.
    """

    file: str
    place: str
    what: str
    first_seq: int = 0
    last_seq: int = 0
    records: int = 0
    exact: bool = True
    found_ns: int = 0
    id: int = 0

    @property
    def loss(self) -> str:
        """In words, how many records are lost."""
        if self.exact:
            return f"{self.records} record{'' if self.records == 1 else 's'} lost" if self.records else "no record lost"
        return f"at least {self.records} records lost" if self.records else "it is not known whether records are lost"

    def __str__(self) -> str:
        """One sentence."""
        return f"log file {self.file}: {self.what}; {self.loss}"


class Damages:
    """What was found and is not acknowledged. For any thread."""

    def __init__(self, state: State, directory: Path) -> None:
        self._state = state
        self._directory = directory
        self._open = {damage.id: damage for damage in self._read()}
        metrics.damage_open.set(len(self._open))

    @property
    def problems(self) -> list[str]:
        """What is shown of them, until they are acknowledged."""
        return [f"{damage} (damage {damage.id}, until it is acknowledged)" for damage in self.open()]

    def open(self) -> list[Damage]:
        """Those that nobody has acknowledged, the oldest first."""
        return list(self._open.values())

    def found(self, damages: list[Damage]) -> None:
        """Keep, log and count what was not found before. Where the disk does not let us, only that it is kept fails."""
        for damage in damages:
            try:
                fresh = self._keep(damage)
            except sqlite3.Error as error:
                log.warning("damage cannot be kept: %s", error)
                fresh = True
            if fresh:
                fields = {"file": damage.file, "what": damage.what, "loss": damage.loss}
                numbers = {"first_seq": damage.first_seq, "last_seq": damage.last_seq}
                log.error("the log is damaged", extra={"fields": fields | numbers})
                metrics.damaged_records.inc(damage.records)
        if damages:
            self._open = {damage.id: damage for damage in self._read()}
            metrics.damage_open.set(len(self._open))

    def acknowledge(self, id: int) -> Damage | None:
        """Somebody has seen it: it is no problem any more, and what was set aside of it goes. None if there is none.

        Raises `sqlite3.Error`.
        """
        damage = self._open.get(id)
        if damage is None:
            return None
        with self._state.transaction() as db:
            db.execute("UPDATE damage SET acknowledged_ns = ? WHERE id = ?", (clock.now_ns(), id))
        self._open.pop(id, None)
        metrics.damage_open.set(len(self._open))
        if not self.is_damaged(damage.file):
            remove(set_aside_path(self._directory / damage.file))
        log.info("damage was acknowledged", extra={"fields": {"file": damage.file, "damage": id}})
        return damage

    def is_damaged(self, name: str) -> bool:
        """Whether there is damage to the file of this name that nobody has acknowledged."""
        return any(damage.file == name for damage in self.open())

    def let_go(self, path: Path) -> None:
        """A segment is no longer needed: remove it, or set it aside where it is damaged. Raises `OSError`."""
        if (
            self.is_damaged(path.name)
            and path.exists()
            and len(list(self._directory.glob("*.damaged"))) < MAX_SET_ASIDE
        ):
            path.rename(set_aside_path(path))
        else:
            path.unlink(missing_ok=True)

    def _read(self) -> list[Damage]:
        with self._state.locked() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM damage WHERE acknowledged_ns = 0 ORDER BY id").fetchall()
        return [_damage(*row) for row in rows]

    def _keep(self, damage: Damage) -> bool:
        """Make it durable; False if it was found before."""
        now_ns = clock.now_ns()
        with self._state.transaction() as db:
            db.execute("DELETE FROM damage WHERE acknowledged_ns BETWEEN 1 AND ?", (now_ns - _KEPT_NS,))
            if db.execute("SELECT 1 FROM damage WHERE place = ?", (damage.place,)).fetchone():
                return False
            count, last = db.execute("SELECT count(*), max(id) FROM damage WHERE acknowledged_ns = 0").fetchone()
            if count >= MAX_OPEN:
                db.execute(
                    "UPDATE damage SET what = 'this and further damage', records = records + ?, exact = exact AND ?, "
                    "last_seq = max(last_seq, ?) WHERE id = ?",
                    (damage.records, damage.exact, damage.last_seq, last),
                )
                return True
            db.execute(
                "INSERT INTO damage (place, file, what, first_seq, last_seq, records, exact, found_ns) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    damage.place,
                    damage.file,
                    damage.what,
                    damage.first_seq,
                    damage.last_seq,
                    damage.records,
                    damage.exact,
                    now_ns,
                ),
            )
        return True


def unreadable(file: str, first_seq: int, last_seq: int) -> Damage:
    """Records of a segment that recovery had not to look at, or that went since, and that the writer cannot read."""
    place, records = f"{file}:seq:{first_seq}", last_seq - first_seq + 1
    return Damage(file, place, "records cannot be read any more", first_seq, last_seq, records)


def open_damage(file: Path) -> list[Damage]:
    """What is not acknowledged in a queue's file, which a server may have open. Raises `sqlite3.Error`."""
    # Without a log of its own it is whole, and nothing is to be made beside it.
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(file))}?{mode}", uri=True)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'damage'").fetchone():
            return []
        rows = connection.execute(f"SELECT {_COLUMNS} FROM damage WHERE acknowledged_ns = 0 ORDER BY id").fetchall()
    finally:
        connection.close()
    return [_damage(*row) for row in rows]


def set_aside_path(path: Path) -> Path:
    """The name of a segment that was set aside."""
    return path.with_suffix(".damaged")


def remove(path: Path) -> None:
    """Remove what was set aside: a file, or whatever stood in its place unless that is a directory with content."""
    try:
        path.unlink() if not path.is_dir() or path.is_symlink() else path.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("cannot be removed: %s", error, extra={"fields": {"file": str(path)}})


def _damage(id: int, place: str, file: str, what: str, *numbers: int) -> Damage:
    first_seq, last_seq, records, exact, found_ns = numbers
    return Damage(file, place, what, first_seq, last_seq, records, bool(exact), found_ns, id)
