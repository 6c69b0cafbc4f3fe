"""Parts that were not written whole, found and done away with.

The engine passes over a write that fails because the disk is full: the files of an insert or a merge end early, and it
answers OK. Where space is short each inserted part is therefore compared with its checksums; one that is damaged is
dropped, and its block inserted again. Of parts that came by a merge the files are looked at again and again, and what a
merge has read is deleted only just after such a look.

A merged part whose files are too short is replaced by what it was made of: when the table is attached again, as at any
start, the engine puts such a part aside and takes its sources. That needs no space, and a kill in the middle of it
harms nothing. Who reads a damaged block is lost to the engine for minutes (it tries every bit of it, and hears no
KILL): the table is attached again when those have ended, and nobody waits for them.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from logriver import clock, metrics
from logriver.columns import TABLE
from logriver.errors import QueryTooExpensive, StoreError
from logriver.store.damage import NO_SUCH_PART, OF_TABLE, Damage

# What lies beside the files whose sizes the engine counts.
_UNCOUNTED = frozenset(
    {"checksums.txt", "columns.txt", "columns_substreams.txt", "default_compression_codec.txt", "metadata_version.txt"}
)
# Inserted parts are looked at when they are inserted.
_MERGED = (
    f"SELECT name, bytes_on_disk, path FROM system.parts WHERE {OF_TABLE} AND active AND rows > 0 "
    f"AND (level > 0 OR data_version > min_block_number)"
)
_MERGING = f"SELECT count() FROM system.merges WHERE database = currentDatabase() AND table = '{TABLE}'"
_PUT_ASIDE = f"SELECT name FROM system.detached_parts WHERE {OF_TABLE} AND reason = 'broken-on-start'"
# Enough for all writers at work at a time, twice.
_NEWEST_PARTS = 16
_NO_SPACE = 243
_WRITERS_SECONDS = 10.0
_CHECK_SECONDS = 30.0
_MERGES_SECONDS = 1.0
# Others are held back by each try to be alone.
_ALONE_AGAIN_SECONDS = 10.0
# The engine deletes what is two seconds old, `old_parts_lifetime`: nothing that was merged since such a look.
_FRESH_SECONDS = 0.5
_DELETE_SECONDS = 0.03
_PAUSE_SECONDS = 0.05

log = logging.getLogger(__name__)


class Parts:
    """The parts of an engine's table.

    `ask` runs a statement and gives its output, raising `StoreError`; inside of `alone` only this thread can. `damaged`
    are inserted parts that are still to be dropped; queries leave them out. `is_there` and `damage`: see `Damage`.
    """

    def __init__(
        self,
        ask: Callable[[str], bytes],
        alone: Callable[[], AbstractContextManager[None]],
        is_there: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ask = ask
        self._alone = alone
        self.damaged: set[str] = set()
        self.merges_held = False
        self._known: set[str] = set()
        self._irreplaceable: set[str] = set()
        self._must_replace = False
        self._alone_again_at = 0.0
        self._table = threading.Condition()
        self._writers = 0
        self._leaving = False
        self._detached = False
        self._ask(f"SYSTEM STOP CLEANUP {TABLE}")
        path = self._ask(
            f"SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'"
        )
        self.damage = Damage(ask, Path(path.decode().strip()), self._is_to_be_replaced, is_there)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Who changes the table does it in here, and waits while it is attached again.

        Raises `StoreError` while a damaged part is there: it may be readable after a restart, and its rows must not be
        there twice then.
        """
        with self._table:
            self._table.wait_for(lambda: not self._leaving)
            if self.damaged:
                raise StoreError("a damaged part is still to be dropped", engine_code=_NO_SPACE)
            if self.damage.unreadable:
                raise StoreError("a damaged part is still to be set aside")
            self._writers += 1
        try:
            yield
        finally:
            with self._table:
                self._writers -= 1
                self._table.notify_all()

    def check_inserted(self, partition: int) -> None:
        """Raises `StoreError` if one of the parts that were just inserted is damaged; it is dropped soon."""
        newest = (
            f"SELECT name FROM system.parts WHERE {OF_TABLE} AND active AND level = 0 AND partition = '{partition}' "
            f"ORDER BY min_block_number DESC LIMIT {_NEWEST_PARTS}"
        )
        names = self._ask_until_answered(newest).decode().split()
        for name in names:
            # Known from here on, also if the check of the next one fails.
            if not self._is_right(name):
                self.damaged.add(name)
        if not self.damaged.isdisjoint(names):
            raise StoreError("the disk was full while a block was written", engine_code=_NO_SPACE)

    def _ask_until_answered(self, sql: str) -> bytes:
        """The output; asked again for a while, because what is not known to be damaged is taken for stored."""
        deadline = clock.monotonic() + _CHECK_SECONDS
        while True:
            try:
                return self._ask(sql)
            except QueryTooExpensive:
                if clock.monotonic() > deadline:
                    raise
            except StoreError as error:
                if error.engine_code == NO_SUCH_PART or clock.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def _is_right(self, part: str) -> bool:
        sql = f"CHECK TABLE {TABLE} PART '{part}' SETTINGS check_query_single_value_result = 0"
        try:
            answer = self._ask_until_answered(sql)
        except StoreError as error:
            # Merged or dropped since it was listed.
            if error.engine_code == NO_SUCH_PART:
                return True
            raise
        return answer.split(b"\t")[1:2] == [b"1"]

    def repair(self) -> None:
        """Do away with damaged parts, and with what merges have read where there are none. Takes a moment.

        By one thread, again and again. Raises `StoreError`: the next time goes on from there.
        """
        if self._detached:
            self._attach()
        # Only a look says that sources may go; the last one may have been cut off before it said that they must stay.
        self._ask(f"SYSTEM STOP CLEANUP {TABLE}")
        started = clock.monotonic()
        if self._look() and clock.monotonic() - started < _FRESH_SECONDS:
            self._ask(f"SYSTEM START CLEANUP {TABLE}")
            time.sleep(_DELETE_SECONDS)
            self._ask(f"SYSTEM STOP CLEANUP {TABLE}")
        for part in sorted(self.damaged):
            try:
                self._drop(f"PART '{part}'")
            except StoreError as error:
                if error.engine_code != NO_SUCH_PART:
                    raise
            self.damaged.discard(part)
        self._mind_damage()

    def _mind_damage(self) -> None:
        """Set aside what cannot be read, and make damaged indexes again."""
        for part in self._irreplaceable.copy():
            self.damage.check(part)
            self._irreplaceable.discard(part)
        if self.damage.unreadable:
            # The engine deletes what is old here too.
            self._look()
            self.damage.detach()
        self.damage.look()
        self.damage.mend(may_write=not self.merges_held)

    def drop_partition(self, partition: int) -> None:
        """Drop a partition, with what is set aside of it and of those before it, by the thread that minds.

        Raises `StoreError`.
        """
        self._drop(f"PARTITION {partition}")
        self.damage.forget(partition)

    def _drop(self, what: str) -> None:
        # The engine also deletes what is old, whatever it was told: so a look goes before it, and it may not take long.
        self._look()
        try:
            self._ask(f"ALTER TABLE {TABLE} DROP {what} SETTINGS lock_acquire_timeout = 1")
        except QueryTooExpensive as error:
            raise StoreError(error.message) from None

    def hold_merges(self, hold: bool) -> None:
        """Let no merge begin or go on, or let them go on. Raises `StoreError`."""
        hold |= self._must_replace
        if hold:
            # Told again each time, and taken for held before: it may fail and hold them all the same.
            self.merges_held = True
            self._ask(f"SYSTEM STOP MERGES {TABLE}")
        elif self.merges_held:
            self._ask(f"SYSTEM START MERGES {TABLE}")
            self.merges_held = False

    def _look(self) -> bool:
        merged: set[str] = set()
        damaged: set[str] = set()
        for line in self._ask(_MERGED).decode().splitlines():
            name, size, path = line.split("\t")
            whole = name in self._known or name in self._irreplaceable or _is_whole(Path(path), int(size))
            (merged if whole else damaged).add(name)
        self._known = merged
        if damaged and not self._must_replace:
            log.warning("the disk was full during a merge", extra={"fields": {"parts": sorted(damaged)}})
        self._must_replace = bool(damaged)
        if damaged:
            self.hold_merges(True)
            self._await_merges()
            self._replace()
            # Attached again as it was: the engine thinks it good enough, or what it was made of is gone.
            self._irreplaceable |= damaged & {line.split("\t")[0] for line in self._ask(_MERGED).decode().splitlines()}
            self._known |= self._irreplaceable
        return not damaged

    def _is_to_be_replaced(self, part: str) -> bool:
        """Whether it is a merged part that ends early and was not looked at yet."""
        if part in self._known:
            return False
        rows = (line.split("\t") for line in self._ask(f"{_MERGED} AND name = '{part}'").decode().splitlines())
        return any(not _is_whole(Path(path), int(size)) for _, size, path in rows)

    def _await_merges(self) -> None:
        deadline = clock.monotonic() + _MERGES_SECONDS
        while int(self._ask(_MERGING)):
            if clock.monotonic() > deadline:
                raise StoreError("a merged part is damaged and cannot be replaced while another merge goes on")
            time.sleep(_PAUSE_SECONDS)

    def _replace(self) -> None:
        if clock.monotonic() < self._alone_again_at:
            raise StoreError("a merged part is damaged and cannot be replaced while queries do not end")
        with self._table:
            self._leaving = True
            if not self._table.wait_for(lambda: not self._writers, _WRITERS_SECONDS):
                self._leaving = False
                self._table.notify_all()
                raise StoreError("a merged part is damaged and cannot be replaced while a block is being stored")
        try:
            self._alone_again_at = clock.monotonic() + _ALONE_AGAIN_SECONDS
            # The engine does not attach a table that a query still uses.
            with self._alone():
                self._alone_again_at = 0.0
                rows, aside = self._rows(), self._aside()
                # It may fail and be detached all the same.
                self._detached = True
                self._ask(f"DETACH TABLE {TABLE} SYNC")
                self._attach()
                self._tidy(sorted(self._aside() - aside), rows - self._rows())
        finally:
            with self._table:
                self._leaving = False
                self._table.notify_all()

    def _attach(self) -> None:
        self._ask(f"ATTACH TABLE IF NOT EXISTS {TABLE}")
        self._ask(f"SYSTEM STOP CLEANUP {TABLE}")
        self._ask(f"SYSTEM START MERGES {TABLE}")
        self._detached = self.merges_held = self._must_replace = False

    def _rows(self) -> int:
        damaged = "".join(f", '{part}'" for part in self.damaged)
        sql = f"SELECT sum(rows) FROM system.parts WHERE {OF_TABLE} AND active AND name NOT IN (''{damaged})"
        return int(self._ask(sql))

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
    """Whether the files of a part have the bytes that the engine counts, and none is empty that should not be."""
    if not part.is_dir():
        return True  # dropped since it was listed
    counted = 0
    for file in part.rglob("*"):
        if not file.is_file():
            continue
        length = file.stat().st_size
        if not length and not _may_be_empty(file):
            return False
        if file.name not in _UNCOUNTED:
            counted += length
    return counted >= size


def _may_be_empty(file: Path) -> bool:
    """Data of a column that has its default value everywhere, and of an index that fits into its dictionary."""
    return file.suffix in (".bin", ".idx") and not file.name.endswith(".dict.bin")
