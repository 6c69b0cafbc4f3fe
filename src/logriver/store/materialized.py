"""Which fields have columns of their own: those that the setting or a call names, and those that keep being queried.

At most eight. A field that queries read 20 times within an hour, and that records have, is promoted by itself while
there is space. Where there is none, the least used of those that came by use frees space: for a call at once, for
another field when that one is read twice as often. What the setting or a call names stays.

A column goes later than its promotion: queries that were compiled with it may still wait for their turn.
"""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from logriver import clock
from logriver.errors import BadRequest, Overloaded, Unavailable, Unprocessable
from logriver.store import materialized_columns
from logriver.store.field_uses import FieldUses
from logriver.store.materialized_columns import MAX_MATERIALIZED
from logriver.store.materialized_file import By, MaterializedFile, Remembered
from logriver.threads import SupervisedThread

USES = 20
"""So many queries within an hour promote a field."""
LOOK_SECONDS = 2.0
_WRITE_SECONDS = 600.0
# A column is added to every part, also to those that the disk is slow with.
_LATE_SECONDS = 120.0
_STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Table(Protocol):
    """What is needed of the store."""

    def set_materialized(self, materialized: frozenset[str]) -> None:
        """Give the table the columns of these fields and no others. Raises `StoreError`."""
        ...

    def is_sent(self, key: str) -> bool:
        """Whether newer records have this field."""
        ...


class Materialization:
    """The fields and why each is promoted. For any thread; `keys`, `by` and `note` never block."""

    def __init__(self, directory: Path, settings: Sequence[str], leave_seconds: float) -> None:
        """`leave_seconds` after a field lost its promotion it loses its columns.

        Raises `SettingsError` for fields that cannot be promoted, `DataDirectoryError`.
        """
        self._settings = materialized_columns.chosen(settings)
        self._leave_seconds = leave_seconds
        self._file = MaterializedFile(directory)
        self.uses = FieldUses()
        self._remembered = _fitting(self._file.read(), self._settings)
        self._leaving: dict[str, float] = {}
        self._changing = threading.Lock()
        self._loop = SupervisedThread(
            "promotion", "fields cannot be promoted", last_backoff_seconds=60.0, late_seconds=_LATE_SECONDS
        )
        self._table: Table | None = None
        self._written = clock.monotonic()

    @property
    def keys(self) -> frozenset[str]:
        """The promoted fields as of now."""
        return self._settings.union(self._remembered)

    def by(self, key: str) -> By | None:
        """Why a field is promoted, None if it is not."""
        if key in self._settings:
            return "setting"
        remembered = self._remembered.get(key)
        return remembered.by if remembered else None

    def start(self, table: Table) -> None:
        """Begin to promote, in a thread of its own; `table` has the columns of `keys` and no others."""
        self._table = table
        self._loop.start(self._turn, after_seconds=LOOK_SECONDS)

    @property
    def problems(self) -> list[str]:
        """What keeps fields from being promoted."""
        return self._loop.problems

    def stop(self, timeout_seconds: float = _STOP_SECONDS) -> bool:
        """End the thread. False if that takes longer."""
        return self._loop.stop(timeout_seconds)

    def promote(self, name: str) -> By:
        """Promote a field for good. May block.

        Raises `BadRequest` for a name that has a column, `Unprocessable` when there is no space, `Unavailable`.
        """
        key = _checked(name)
        with self._changing:
            if key not in self._settings:
                self._add(key, "call", self._to_evict(key, call=True))
        return self.by(key) or "call"

    def demote(self, name: str) -> None:
        """Take the promotion of a field back; one that has none is no error. May block.

        Raises `BadRequest`, `Unprocessable` where the setting names the field, `Unavailable`.
        """
        key = _checked(name)
        if key in self._settings:
            raise Unprocessable(
                f"{name[:60]!r} is promoted by the setting 'promote'", hint="take it out of the setting"
            )
        with self._changing:
            self.uses.forget(key)
            self._replace({other: field for other, field in self._remembered.items() if other != key})

    def look(self) -> None:
        """Promote what keeps being queried, drop the columns of what left. The thread does it every two seconds."""
        with self._changing:
            counts = self.uses.counts()
            self._note_last_used(counts)
            self._drop_left()
            wanted = [key for key, count in counts.most_common() if count >= USES and key not in self.keys]
            for key in wanted:
                self._materialize_by_use(key)

    def _turn(self) -> float:
        self.look()
        return LOOK_SECONDS

    def _materialize_by_use(self, key: str) -> None:
        evicted = self._to_evict(key, call=False)
        if len(self.keys) >= MAX_MATERIALIZED and evicted is None:
            return
        if self._table is None or not self._table.is_sent(key):
            self.uses.forget(key)
            return
        self._add(key, "use", evicted)
        fields = {"field": key, "instead_of": evicted}
        log.info("field promoted because it keeps being queried", extra={"fields": fields})

    def _to_evict(self, key: str, call: bool) -> str | None:
        """The field that makes space for `key`; None where there is space, or nobody makes it."""
        if key in self.keys or len(self.keys) < MAX_MATERIALIZED:
            return None
        counts = self.uses.counts()
        by_use = [field for field in self._remembered.values() if field.by == "use"]
        least = min(by_use, key=lambda field: (counts[field.key], field.last_used_ns), default=None)
        if call and least is None:
            hint = f"take one back with DELETE: {', '.join(sorted(field[:60] for field in self.keys))}"
            raise Unprocessable(
                f"{MAX_MATERIALIZED} fields are promoted by the setting and by calls, no more fit", hint=hint
            )
        if least is None or (not call and counts[key] < 2 * counts[least.key]):
            return None
        return least.key

    def _add(self, key: str, by: By, evicted: str | None) -> None:
        field = Remembered(key, "call" if by == "call" else "use", clock.now_ns())
        others = {other: kept for other, kept in self._remembered.items() if other not in (key, evicted)}
        if key not in self._leaving and len(self._leaving) >= MAX_MATERIALIZED:
            seconds = int(self._leave_seconds) + 1
            raise Overloaded("too many fields are just losing their columns", retry_after_seconds=seconds)
        # The columns are there before a query is compiled with them.
        self._set_columns(self.keys | {key, *self._leaving})
        self._replace(others | {key: field})

    def _replace(self, remembered: dict[str, Remembered]) -> None:
        """From now on these are promoted; the columns of those that are not stay for a while."""
        self._write(remembered)
        left = self._remembered.keys() - remembered.keys()
        self._remembered = remembered
        deadline = clock.monotonic() + self._leave_seconds
        self._leaving = {key: time for key, time in self._leaving.items() if key not in remembered}
        self._leaving |= dict.fromkeys(left, deadline)

    def _drop_left(self) -> None:
        now = clock.monotonic()
        staying = {key: deadline for key, deadline in self._leaving.items() if deadline > now}
        if len(staying) < len(self._leaving):
            self._set_columns(self.keys | staying.keys())
            self._leaving = staying

    def _set_columns(self, keys: frozenset[str]) -> None:
        if self._table is not None:
            self._table.set_materialized(keys)

    def _note_last_used(self, counts: dict[str, int]) -> None:
        """Remember, every ten minutes, what was read meanwhile."""
        if clock.monotonic() < self._written + _WRITE_SECONDS:
            return
        now_ns = clock.now_ns()
        fields = self._remembered.values()
        used = {field.key: Remembered(field.key, field.by, now_ns) for field in fields if counts.get(field.key)}
        self._written = clock.monotonic()
        if used:
            self._replace(self._remembered | used)

    def _write(self, remembered: dict[str, Remembered]) -> None:
        try:
            self._file.write(list(remembered.values()))
        except OSError as error:
            raise Unavailable(f"promoted fields could not be written down: {error.strerror or error}") from None


def _checked(name: str) -> str:
    try:
        return materialized_columns.key_of(name)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _fitting(fields: list[Remembered], settings: frozenset[str]) -> dict[str, Remembered]:
    """What there is space for beside the setting: those by call first, then the last used."""
    others = [field for field in fields if field.key not in settings]
    others.sort(key=lambda field: (field.by != "call", -field.last_used_ns))
    return {field.key: field for field in others[: MAX_MATERIALIZED - len(settings)]}
