"""Parts that a merge did not write whole: each is found and replaced by the parts that it was made of.

The engine passes over a write that fails because the disk is full. A merge caught by that leaves files that end early,
and a moment later the engine would delete what it had read. So it deletes only when told to, just after a look at each
part that came by a merge has found its files as long as the engine meant them to be.

Attaching the table again does the rest, as any start does: the engine puts a part aside whose files are too short, and
takes what it was made of. It needs no room, and a kill in the middle of it is followed by such a start.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from logriver import clock, metrics
from logriver.columns import TABLE
from logriver.errors import StoreError

# What lies beside the files whose sizes the engine counts. None of these is ever empty.
_UNCOUNTED = frozenset(
    {"checksums.txt", "columns.txt", "columns_substreams.txt", "default_compression_codec.txt", "metadata_version.txt"}
)
_OF_TABLE = f"database = currentDatabase() AND table = '{TABLE}'"
# Inserted parts are looked at when they are inserted.
_MERGED = (
    f"SELECT name, bytes_on_disk, path FROM system.parts WHERE {_OF_TABLE} AND active AND rows > 0 "
    f"AND (level > 0 OR data_version > min_block_number)"
)
_PUT_ASIDE = f"SELECT name FROM system.detached_parts WHERE {_OF_TABLE} AND reason = 'broken-on-start'"
_WRITERS_SECONDS = 10.0
# The engine deletes what is two seconds old, `old_parts_lifetime`: nothing that was merged since such a look.
_FRESH_SECONDS = 0.5
_DELETE_SECONDS = 0.03

log = logging.getLogger(__name__)


class Parts:
    """The parts of an engine's table. `ask` runs a statement and gives its output, raising `StoreError`."""

    def __init__(self, ask: Callable[[str], bytes]) -> None:
        self._ask = ask
        self.merges_held = False
        self._known: set[str] = set()
        self._table = threading.Condition()
        self._writers = 0
        self._leaving = False
        self._detached = False
        self._ask(f"SYSTEM STOP CLEANUP {TABLE}")
        if aside := self._aside():
            log.warning(
                "parts that were found damaged at a start are put aside", extra={"fields": {"parts": sorted(aside)}}
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Who changes the table does it in here, and waits while it is attached again."""
        with self._table:
            self._table.wait_for(lambda: not self._leaving)
            self._writers += 1
        try:
            yield
        finally:
            with self._table:
                self._writers -= 1
                self._table.notify_all()

    def mind(self) -> None:
        """Replace what merges did not write whole, or else delete what they had read. Takes a moment.

        By one thread, again and again. Raises `StoreError`: the next time goes on from there.
        """
        if self._detached:
            self._attach()
        started = clock.monotonic()
        if self._look() and clock.monotonic() - started < _FRESH_SECONDS:
            self._ask(f"SYSTEM START CLEANUP {TABLE}")
            time.sleep(_DELETE_SECONDS)
            self._ask(f"SYSTEM STOP CLEANUP {TABLE}")

    def hold_merges(self, hold: bool) -> None:
        """Let no merge begin or go on, or let them go on. Raises `StoreError`."""
        if hold != self.merges_held:
            self._ask(f"SYSTEM {'STOP' if hold else 'START'} MERGES {TABLE}")
            self.merges_held = hold

    def _look(self) -> bool:
        merged: set[str] = set()
        damaged: set[str] = set()
        for line in self._ask(_MERGED).decode().splitlines():
            name, size, path = line.split("\t")
            whole = name in self._known or _is_whole(Path(path), int(size))
            (merged if whole else damaged).add(name)
        self._known = merged
        if damaged:
            log.warning("the disk was full during a merge", extra={"fields": {"parts": sorted(damaged)}})
            self._replace()
        return not damaged

    def _replace(self) -> None:
        with self._table:
            self._leaving = True
            if not self._table.wait_for(lambda: not self._writers, _WRITERS_SECONDS):
                self._leaving = False
                self._table.notify_all()
                raise StoreError("a merged part is damaged and cannot be replaced while a block is being stored")
        try:
            rows, aside = self._rows(), self._aside()
            self._ask(f"DETACH TABLE {TABLE} SYNC")
            self._detached = True
            self._attach()
            self._tidy(sorted(self._aside() - aside), rows - self._rows())
        finally:
            with self._table:
                self._leaving = False
                self._table.notify_all()

    def _attach(self) -> None:
        self._ask(f"ATTACH TABLE {TABLE}")
        self._detached = self.merges_held = False
        self._ask(f"SYSTEM STOP CLEANUP {TABLE}")

    def _rows(self) -> int:
        return int(self._ask(f"SELECT sum(rows) FROM system.parts WHERE {_OF_TABLE} AND active"))

    def _aside(self) -> set[str]:
        return set(self._ask(_PUT_ASIDE).decode().split())

    def _tidy(self, aside: list[str], missing: int) -> None:
        """Delete what was just put aside, if no record is missing."""
        fields = {"parts": aside, "missing": missing}
        if missing:
            log.error("damaged parts were put aside", extra={"fields": fields})
        else:
            log.info("restored what damaged parts were made of", extra={"fields": fields})
            for name in aside:
                self._ask(f"ALTER TABLE {TABLE} DROP DETACHED PART '{name}' SETTINGS allow_drop_detached = 1")
        metrics.damaged_parts.labels(outcome="put_aside" if missing else "restored").inc(len(aside))


def _is_whole(part: Path, size: int) -> bool:
    """Whether the files of a part have the bytes that the engine counts, and those that it does not count have some."""
    if not part.is_dir():
        return True  # dropped since it was listed
    counted = 0
    for file in part.rglob("*"):
        if not file.is_file():
            continue
        length = file.stat().st_size
        if file.name not in _UNCOUNTED:
            counted += length
        elif not length:
            return False
    return counted >= size
