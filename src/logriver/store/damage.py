"""Parts of the table that cannot be read any more, found by a query or a check, and what is done about each.

A query that fails names the part it was reading; whether that part is damaged is what `CHECK TABLE` says, twice. What
is damaged are either the records, then the part is detached: it lies aside, nothing of it is deleted, and answers say
that they are without it. Or only what was computed from the records (indexes, counts by minute), then that is made
again, and meanwhile queries go without it: no answer lacks a record.

Nothing is inserted between finding such a part and detaching it (`Parts.writing`): its records count as missing from
then on, also for the writer, and must not come back after a restart when the writer has stored them again.
"""

import enum
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from logriver import clock, metrics
from logriver.columns import TABLE
from logriver.errors import QueryTooExpensive, StoreError
from logriver.store import ddl
from logriver.store.set_aside import SetAside, SetAsideParts, counted, described, missing

OF_TABLE = f"database = currentDatabase() AND table = '{TABLE}'"
NO_SUCH_PART = 232
_BROKEN_PROJECTION = 713
# Of ClickHouse's ErrorCodes.cpp: what only bytes that are not those written lead to (a wrong checksum, files that are
# missing, too short or not compressed as they say, an error of the disk).
_DAMAGE = frozenset({32, 33, 40, 74, 89, 107, 226, 227, 228, 246, 271, 432, _BROKEN_PROJECTION})
# What they may lead to, if a part is named; a value that does not fit a function does too.
_PERHAPS = frozenset({6, 9, 27, 49, 69, 72, 117, 131, 349})
# What the engine says of a text that a function of the statement cannot read, under the code of a file that ends early.
_OF_A_VALUE = "Cannot parse"
# Met also while a damaged part is being replaced and the table attached again without it: it passes.
_PASSING = frozenset({32, 33, 60})
_CODE = re.compile(rb"Code: (\d+)\. DB::")
# The file in which a part is damaged, where the engine names it.
_FILE = re.compile(rb"for file (\S+) in data part|/\d+_\d+_\d+_\d+(?:_\d+)?/(\S+) \(position")
_INDEX_FILES = b"skp_idx"
_SOUND_SECONDS = 60.0
_MOST_SOUND = 1_000
_REBUILD_AGAIN_SECONDS = 60.0
_SEARCH_AGAIN_SECONDS = 60.0
_MOST_SAID = 5

log = logging.getLogger(__name__)


class Found(enum.Enum):
    """What an error of the engine means for who asked."""

    NOTHING = enum.auto()
    """It is not about damage."""
    PASSING = enum.auto()
    """Not yet known: ask again for a while."""
    DAMAGE = enum.auto()
    """A damaged part was found, and queries go on without it: ask again."""


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    partition: int
    records: int
    bytes: int


class Damage:
    """Damaged parts of an engine's table in the directory `path`. For any thread, but for `mend` and `detach`.

    `ask` runs a statement and gives its output, raising `StoreError`. `is_left_alone` says of a part that it is the
    business of `parts.py`; `is_there` whether the data directory is: without it every part would seem damaged.
    """

    def __init__(
        self,
        ask: Callable[[str], bytes],
        path: Path,
        is_left_alone: Callable[[str], bool],
        is_there: Callable[[], bool],
    ) -> None:
        self._ask = ask
        self._is_left_alone = is_left_alone
        self._is_there = is_there
        self._aside = SetAsideParts(path)
        self._checking = threading.Lock()
        self._sound: dict[str, float] = {}
        self._unreadable: dict[str, _Part] = {}
        self._unindexed: dict[str, _Part] = {}
        self._rebuild_at = 0.0
        self.search_all = False
        """Whether a part is damaged and not known: every part is to be checked (`part_checks.py`)."""
        self._searched_at = -_SEARCH_AGAIN_SECONDS
        self._forget_restored()
        self._find_broken_projections()
        self.look()

    @property
    def unreadable(self) -> list[str]:
        """Parts that queries leave out until they are detached."""
        return list(self._unreadable)

    @property
    def without_indexes(self) -> bool:
        """Whether queries have to go without indexes for now: of damage in an index the engine may not say where."""
        return bool(self._unindexed) or self.search_all

    @property
    def incomplete(self) -> tuple[str, ...]:
        """What answers are without, one sentence or none."""
        counts = {part.part: part.records for part in self._aside.parts}
        counts |= {part.name: part.records for part in self._now(self._unreadable)}
        return (missing(counts.values()),) if counts else ()

    @property
    def problems(self) -> list[str]:
        """What people should know, in words."""
        without = [*map(str, self._aside.parts), *(_described(part) for part in self._now(self._unreadable))]
        said = [f"{part} is damaged, answers are without it; 'logriver doctor' says more" for part in without]
        said += [
            f"an index of {_described(part)} is damaged and is made again; answers are whole, and slower"
            for part in self._now(self._unindexed)
        ]
        if self.search_all:
            said.append("a part of the store is damaged, and it is looked for which")
        rest = len(said) - _MOST_SAID
        return said if rest <= 0 else [*said[:_MOST_SAID], f"{counted(rest, 'part')} more"]

    def _now(self, parts: dict[str, _Part]) -> list[_Part]:
        return list(parts.copy().values())

    def explain(self, error: StoreError) -> Found:
        """What an error that a query met means; finds the part that is damaged. May take as long as to read it."""
        if not error.parts and _OF_A_VALUE in error.detail:
            return Found.NOTHING
        if error.engine_code not in _DAMAGE and not (error.parts and error.engine_code in _PERHAPS):
            return Found.PASSING if error.engine_code in _PASSING else Found.NOTHING
        found = [self._check_once(name) for name in dict.fromkeys(error.parts)]
        if any(found):
            return Found.DAMAGE
        if error.engine_code not in _DAMAGE:
            return Found.NOTHING
        if not error.parts and not self.search_all and clock.monotonic() - self._searched_at > _SEARCH_AGAIN_SECONDS:
            self.search_all = True
            return Found.DAMAGE
        return Found.PASSING

    def searched(self) -> None:
        """Every part was checked since `search_all` was set."""
        self._searched_at = clock.monotonic()
        self.search_all = False

    def _check_once(self, name: str) -> bool:
        """Whether a query that read the part should be asked again without waiting."""
        with self._checking:
            if name in self._unreadable or name in self._unindexed:
                return True
            if clock.monotonic() - self._sound.get(name, -_SOUND_SECONDS) < _SOUND_SECONDS:
                return False
            return self._check(name)

    def check(self, name: str) -> None:
        """Read all of a part, to know whether it is damaged. Raises `StoreError`."""
        with self._checking:
            if name not in self._unreadable and name not in self._unindexed:
                self._check(name)

    def _check(self, name: str) -> bool:
        """False if the part is sound, as far as can be said."""
        part = self._active(name)
        if part is None:
            return True  # merged or dropped meanwhile
        if self._is_left_alone(name):
            return False
        verdict = self._verdict(name)
        if verdict:
            # Once more: memory fails too, and then what is on disk is sound.
            verdict = self._verdict(name)
        if not verdict:
            if verdict is not None:
                self._sound = {name: clock.monotonic(), **dict(list(self._sound.items())[:_MOST_SOUND])}
            return False
        is_index = self._is_index(name, verdict)
        (self._unindexed if is_index else self._unreadable)[name] = part
        what = "an index of a part is damaged" if is_index else "a part is damaged"
        detail = verdict.decode(errors="replace")[:500]
        log.error(what, extra={"fields": {"part": name, "records": part.records, "bytes": part.bytes, "why": detail}})
        return True

    def _is_index(self, name: str, verdict: bytes) -> bool:
        """Whether all records can be read, and only what is computed from them is damaged."""
        code, file = _CODE.search(verdict), _FILE.search(verdict)
        if code is not None and int(code[1]) == _BROKEN_PROJECTION:
            return True
        if file is not None:
            return (file[1] or file[2]).startswith(_INDEX_FILES)
        # The time is there to have the key read too.
        read = f"SELECT * FROM {TABLE} WHERE _part = '{name}' AND timestamp >= '1900-01-01'"
        try:
            self._ask(f"{read} SETTINGS use_skip_indexes = 0, optimize_use_projections = 0 FORMAT Null")
        except (StoreError, QueryTooExpensive):
            return False
        return True

    def _verdict(self, name: str) -> bytes | None:
        """What is wrong with the part; empty if nothing is, None if that cannot be said."""
        sql = f"CHECK TABLE {TABLE} PART '{name}' SETTINGS check_query_single_value_result = 0"
        try:
            answer = self._ask(sql)
        except QueryTooExpensive:
            return None
        except StoreError as error:
            if error.engine_code == NO_SUCH_PART:
                return None
            raise
        _, passed, why = answer.rstrip(b"\n").split(b"\t", 2)
        if passed == b"1":
            return b""
        code = _CODE.search(why)
        # Such as too many open files: that says nothing about the part.
        is_damage = code is not None and int(code[1]) in _DAMAGE | _PERHAPS and self._is_there()
        return why if is_damage else None

    def _active(self, name: str) -> _Part | None:
        sql = f"SELECT partition, rows, bytes_on_disk FROM system.parts WHERE {OF_TABLE} AND active AND name = '{name}'"
        row = self._ask(sql).split()
        return _Part(name, *map(int, row)) if row else None

    def detach(self) -> None:
        """Set the unreadable parts aside, by the thread that minds, after a look. Raises `StoreError`."""
        for part in self._now(self._unreadable):
            try:
                self._ask(f"ALTER TABLE {TABLE} DETACH PART '{part.name}' SETTINGS lock_acquire_timeout = 1")
            except StoreError as error:
                if error.engine_code != NO_SUCH_PART:
                    raise
            else:
                metrics.damaged_parts.labels(outcome="put_aside").inc()
                fields = {"part": part.name, "records": part.records, "bytes": part.bytes}
                log.error("a damaged part is put aside", extra={"fields": fields})
            # First shown as set aside, then no longer as unreadable: answers never seem whole in between.
            self.look()
            self._unreadable.pop(part.name, None)

    def look(self) -> None:
        """See what is set aside now."""
        try:
            aside = self._aside.look()
        except OSError as error:
            raise StoreError(f"what is set aside cannot be listed: {error.strerror}") from None
        metrics.set_aside_parts.set(len(aside))
        metrics.set_aside_records.set(sum(part.records or 0 for part in aside))

    def mend(self, may_write: bool) -> None:
        """Make damaged indexes again where parts may be written, in the background. Raises `StoreError`.

        By the thread that minds. A part that cannot be read for it is unreadable.
        """
        for name in self._unindexed.copy():
            if self._active(name) is None:
                # It was rewritten or merged, with indexes.
                self._unindexed.pop(name, None)
                metrics.damaged_parts.labels(outcome="rebuilt").inc()
                log.info("the indexes of a part were made again", extra={"fields": {"part": name}})
        if not self._unindexed or not may_write or clock.monotonic() < self._rebuild_at:
            return
        if self._rebuild_at:
            self._give_up_rebuilding()
        self._rebuild_at = clock.monotonic() + _REBUILD_AGAIN_SECONDS
        for partition in {part.partition for part in self._now(self._unindexed)}:
            for statement in ddl.rebuild_indexes(partition):
                self._ask(statement)

    def _give_up_rebuilding(self) -> None:
        """End rebuilding that does not get on, and take the parts at which it fails for unreadable."""
        failed = f"SELECT latest_failed_part FROM system.mutations WHERE {OF_TABLE} AND {ddl.IS_REBUILDING}"
        for name in self._ask(failed).decode().split():
            part = self._unindexed.pop(name, None)
            if part is not None:
                self._unreadable[name] = part
        self._ask(f"KILL MUTATION WHERE {OF_TABLE} AND {ddl.IS_REBUILDING} SYNC")

    def forget(self, partition: int) -> None:
        """Delete what is set aside of partitions up to this one, which retention removed. Raises `StoreError`."""
        for part in self._aside.parts:
            if part.partition <= partition:
                self._delete(part)
                fields = {"part": part.part, "records": part.records, "bytes": part.bytes}
                log.warning("retention removed a damaged part that was set aside", extra={"fields": fields})
        self.look()

    def aside_bytes(self) -> dict[int, int]:
        """Bytes of what is set aside, by partition."""
        sizes: dict[int, int] = {}
        for part in self._aside.parts:
            sizes[part.partition] = sizes.get(part.partition, 0) + part.bytes
        return sizes

    def _forget_restored(self) -> None:
        """At a start: delete what the engine set aside and whose records are all there, in what it was made of."""
        for part in self._aside.look():
            within = (
                f"SELECT sum(rows) FROM system.parts WHERE {OF_TABLE} AND active AND partition = '{part.partition}' "
                f"AND min_block_number >= {part.first_block} AND max_block_number <= {part.last_block}"
            )
            is_whole = part.records is not None and 0 < part.records <= int(self._ask(within))
            fields = {"part": part.part, "records": part.records, "bytes": part.bytes}
            if is_whole:
                self._delete(part)
                metrics.damaged_parts.labels(outcome="restored").inc()
                log.warning("a damaged part was put aside, what it was made of is there", extra={"fields": fields})
            else:
                log.error("a damaged part is put aside", extra={"fields": fields})

    def _find_broken_projections(self) -> None:
        """At a start: the engine has found those by itself, and goes without them."""
        broken = f"SELECT DISTINCT parent_name FROM system.projection_parts WHERE {OF_TABLE} AND active AND is_broken"
        for name in self._ask(broken).decode().split():
            part = self._active(name)
            if part is not None:
                self._unindexed[name] = part
                log.error("an index of a part is damaged", extra={"fields": {"part": name, "records": part.records}})

    def _delete(self, part: SetAside) -> None:
        self._ask(f"ALTER TABLE {TABLE} DROP DETACHED PART '{part.directory.name}' SETTINGS allow_drop_detached = 1")


def _described(part: _Part) -> str:
    return described(part.name, part.bytes, part.records)
